from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.finding.detectors.detector import Boxes, overlaps
from napari_sam2.finding.linking import linked


def boxes(*edges, score=0.5):
    return Boxes(np.reshape(np.array(edges, float), (-1, 4)), np.full(len(edges), score))


@st.composite
def tracks(draw):
    """Objects in cells of a grid, wandering a little from slice to slice; where each is seen, and its sections."""
    count = draw(st.integers(1, 4))
    found = []
    for number in range(count):
        first = draw(st.integers(0, 6))
        length = draw(st.integers(3, 8))
        size = np.array(draw(st.tuples(st.integers(12, 20), st.integers(12, 20))), float)
        place = np.array([50.0 * (number // 2) + 10, 50.0 * (number % 2) + 10])
        sections = {}
        for index in range(first, first + length):
            sections[index] = np.concatenate([place, place + size])
            place = place + np.array(draw(st.tuples(st.integers(-2, 2), st.integers(-2, 2))), float)
        inner = [index for index in sections if first < index < first + length - 1]
        if length > 4 and draw(st.booleans()):
            del sections[draw(st.sampled_from(inner))]
        found.append(sections)
    return found


@settings(max_examples=40)
@given(tracks(), st.randoms(use_true_random=False))
def test_objects_that_wander_are_told_apart_and_followed_over_a_missed_slice(objects, random):
    slices = []
    for index in range(16):
        there = [sections[index] for sections in objects if index in sections]
        random.shuffle(there)
        slices.append(boxes(*there))
    chains = linked(slices, (1.0, 1.0))
    found = sorted([(s.place, *s.edges) for s in chain.sections] for chain in chains)
    assert found == sorted([(index, *edges) for index, edges in sections.items()] for sections in objects)


def test_two_missed_slices_part_a_chain_and_two_sections_are_none():
    there, none = boxes([0, 0, 10, 10]), boxes()
    assert [len(c.sections) for c in linked([there, there, there, none, none, there, there], (1, 1))] == [3]


def test_a_picture_alone_needs_one_section():
    assert len(linked([boxes([0, 0, 10, 10])], (1, 1))) == 1


def test_edges_are_millimetres_and_a_missed_slice_lowers_the_score():
    there, none = boxes([0, 0, 10, 10], score=0.6), boxes()
    (chain,) = linked([there, boxes([0, 0, 10, 12], score=0.6), none, there], (0.5, 2.0))
    assert chain.edges == pytest.approx([0, 0, 5, 24])
    assert chain.score == pytest.approx(0.6 * 3 / 4)
    assert chain.best.place == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), min_size=1, max_size=5))
def test_overlaps_are_those_of_pixels(corners):
    edges = np.array([[min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1] for a, b, c, d in corners], float)
    masks = np.zeros((len(edges), 24, 24), bool)
    for mask, (row0, col0, row1, col1) in zip(masks, edges.astype(int), strict=True):
        mask[row0:row1, col0:col1] = True
    shared = (masks[:, None] & masks[None]).sum((2, 3)) / (masks[:, None] | masks[None]).sum((2, 3))
    assert overlaps(edges, edges) == pytest.approx(shared)


def test_one_object_found_twice_counts_once():
    edges = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [30, 30, 40, 40], [5, 5, 5, 9]], float)
    kept = Boxes.sorted(edges, np.array([0.5, 0.9, 0.3, 0.9]), 0.25)
    assert kept.edges.tolist() == [[1, 0, 10, 10], [30, 30, 40, 40]]
    assert kept.scores.tolist() == [0.9, 0.3]
