"""Differences of two label maps, against scipy's own labelling and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam2.measures.differences import (
    ONLY_FIRST,
    ONLY_SECOND,
    OTHERWISE,
    difference_map,
    differences,
    on_ids_of,
)

MAPS = arrays(np.uint8, (5, 4, 6), elements=st.integers(0, 2))


@settings(max_examples=50, deadline=None)
@given(MAPS, MAPS)
def test_places_hold_every_voxel_that_differs_once_and_name_a_voxel_of_theirs(first, second):
    places = differences(first, second, (1, 1, 1))
    assert sum(place.n_voxels for place in places) == (first != second).sum()
    assert [p.depth_mm for p in places] == sorted((p.depth_mm for p in places), reverse=True)
    for place in places:
        assert (first[place.voxel], second[place.voxel]) == (place.first, place.second)
        assert place.first != place.second


def test_what_one_map_has_alone_and_what_both_call_differently_is_told_apart():
    first, second = np.zeros((2, 6, 6, 3), np.uint8)
    first[0:3, 0:3, 1], second[0:3, 1:4, 1] = 1, 1
    second[5, 5, 2], first[5, 5, 2] = 7, 4
    shown = difference_map(first, second)
    assert (shown == ONLY_FIRST).sum() == 3
    assert (shown == ONLY_SECOND).sum() == 3
    assert shown[5, 5, 2] == OTHERWISE
    found = {(p.first, p.second, p.n_voxels) for p in differences(first, second, (1, 1, 1))}
    assert found == {(0, 1, 3), (1, 0, 3), (4, 7, 1)}
    assert [p.n_voxels for p in differences(first, second, (1, 1, 1), least=2)] == [3, 3]


def test_a_missed_part_comes_before_a_thin_rim_that_holds_more_voxels():
    first = np.zeros((40, 40, 20), np.uint8)
    first[2:30, 2:30, 2:18] = 1
    second = np.zeros_like(first)
    second[3:29, 3:29, 3:17] = 1
    first[33:38, 33:38, 5:12] = 1
    part, rim = differences(first, second, (1, 1, 2))
    assert part.n_voxels < rim.n_voxels
    assert part.voxel[:2] == (35, 35)
    assert (part.depth_mm, rim.depth_mm) == (3, 2)


def test_equal_maps_have_no_difference():
    labels = np.ones((3, 3, 3), np.uint8)
    assert differences(labels, labels, (1, 1, 1)) == []


@pytest.mark.parametrize("name", ["liver", "Liver", " liver "])
def test_labels_get_the_ids_that_the_other_map_gives_to_their_names(name):
    labels = np.array([[[5, 1, 2]]], np.uint8)
    laid = on_ids_of(labels, {5: name, 1: "spleen", 2: ""}, {1: "liver", 2: "left_kidney"})
    # The liver becomes 1, so the spleen, which had it, gets a free id; the nameless one keeps its own.
    assert laid.ravel().tolist() == [1, 6, 2]


def test_labels_without_names_keep_their_ids():
    labels = np.array([[[5, 1, 2]]], np.uint8)
    assert on_ids_of(labels, {}, {1: "liver"}) is labels
