from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.finding.detection import Detection, slices_to_look_at
from napari_sam2.finding.detectors.guarded import DECOYS, Guarded

from .detectors.scripted import GREYS, Scripted, seen

WINDOW = Window(0, 255, "8 bits")
SPACING = (2.0, 3.0, 4.0)
SHAPE = (64, 48, 40)
AFFINE = np.diag([*SPACING, 1.0])
AFFINE[:3, 3] = (-64, -72, -80)
TRUTH = {"liver": ((38, 16, 18), (54, 34, 31)), "left kidney": ((12, 10, 8), (20, 18, 21)),
         "right kidney": ((43, 9, 3), (51, 17, 14))}  # fmt: skip
"""Blocks in a body that lies RAS: the smaller i, the further left. First and last voxel."""


def phantom():
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[4:60, 4:44] = 80
    for name, (low, high) in TRUTH.items():
        voxels[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = GREYS[name.split()[-1]]
    return Volume(voxels, AFFINE)


def stored(volume, order, flips):
    """The same scan with its axes in another order and direction; its place in the world stays."""
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    for new, old in enumerate(order):
        to_old[old, new] = -1 if flips[new] else 1
        to_old[old, 3] = volume.shape[old] - 1 if flips[new] else 0
    voxels = volume.voxels.transpose(order)
    voxels = np.flip(voxels, [axis for axis in range(3) if flips[axis]])
    return Volume(voxels.copy(), volume.affine @ to_old)


def detection(says=None, least_score=None):
    detector = Scripted(says)
    return Detection(lambda: detector, None, least_score)


def world_box(volume, candidate):
    corners = volume.voxel_to_world([candidate.low, candidate.high])
    return corners.min(0), corners.max(0)


def iou(volume, candidate, name):
    truth = np.array(TRUTH[name]) * SPACING + AFFINE[:3, 3]
    found = world_box(volume, candidate)
    half = np.array(SPACING) / 2
    low, high = np.maximum(truth[0], found[0]) - half, np.minimum(truth[1], found[1]) + half
    sizes = [np.prod(b - a + 2 * half) for a, b in (truth, found)]
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (sum(sizes) - shared)


def test_names_become_boxes_in_three_dimensions_with_their_sides():
    volume = phantom()
    found = detection().propose(volume, WINDOW, ["Hepar", "kidneys"])
    assert not found.missing
    assert sorted(c.name for c in found.candidates) == ["left kidney", "liver", "right kidney"]
    for candidate in found.candidates:
        assert iou(volume, candidate, candidate.name) > 0.8, candidate.name
        assert candidate.score == pytest.approx(0.8)
        assert candidate.mask is None
        assert candidate.prompts(volume)[0] == candidate.seen, "a model is asked about the section, not the extent"
        assert "scripted" in candidate.origin
        assert "experimental" in candidate.origin


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(list(permutations(range(3)))), st.sampled_from(list(product([False, True], repeat=3))))
def test_sides_are_those_of_the_world_in_every_stored_order(order, flips):
    volume = stored(phantom(), order, flips)
    for name in ("left kidney", "right kidney"):
        (candidate,) = detection().propose(volume, WINDOW, [name]).candidates
        assert candidate.name == name
        assert iou(volume, candidate, name) > 0.8
        index = candidate.best_slice(volume.default_slice_axis)
        section = candidate.seen
        assert section.fixed_axes == (volume.default_slice_axis,)
        held = volume.voxels[tuple(slice(a, b + 1) for a, b in zip(section.low, section.high, strict=True))]
        assert (held == GREYS["kidney"]).all(), "the box on the best slice is the section there"
        assert section.low[volume.default_slice_axis] == index


def test_a_crop_of_one_side_has_none():
    whole = phantom()
    crop = Volume(whole.voxels[:32], whole.affine)
    found = detection().propose(crop, WINDOW, ["left kidney"])
    assert not found.candidates
    assert "the scan must show the whole width of the body" in found.missing["left kidney"]
    (candidate,) = detection().propose(crop, WINDOW, ["kidney"]).candidates
    assert candidate.name == "kidney"


def test_a_range_ends_half_way_to_the_next_slice_that_was_looked_at():
    voxels = np.full((40, 40, 40), 80, np.uint8)
    voxels[10:20, 10:20, 8:32] = GREYS["liver"]
    volume = Volume(voxels, np.eye(4))
    assert slices_to_look_at(volume) == (2, 7, 12, 17, 22, 27, 32, 37)
    (candidate,) = detection().propose(volume, WINDOW, ["liver"]).candidates
    assert (candidate.low, candidate.high) == ((10, 10, 10), (19, 19, 29))


def test_a_side_that_is_not_there_is_not_found():
    whole = phantom()
    whole.voxels[12:21] = np.minimum(whole.voxels[12:21], 80)
    found = detection().propose(whole, WINDOW, ["left kidney", "right kidney"])
    assert [c.name for c in found.candidates] == ["right kidney"]
    assert list(found.missing) == ["left kidney"]


def test_sides_cannot_be_told_without_an_orientation():
    with pytest.raises(UserInputError, match="does not say where left and right are"):
        detection().propose(Volume(phantom().voxels, AFFINE, oriented=False), WINDOW, ["left kidney"])


def same_for_every_word(picture, _phrase):
    return seen(picture, "kidney")


def also_where_nothing_is(picture, phrase):
    if phrase != "kidney":
        return []
    return seen(picture, "kidney") if picture.any() else [([5, 5, 20, 20], 0.75)]


def whole_body(picture, phrase):
    body = np.argwhere(picture[..., 0] > 40)
    return [([*body.min(0), *(body.max(0) + 1)], 0.9)] if phrase == "kidney" and len(body) else []


def hardly_more_than_a_decoy(picture, phrase):
    score = 0.8 if phrase == "kidney" else 0.72 if phrase == DECOYS[1] else 0
    return [(box, score) for box, _ in seen(picture, "kidney")]


@pytest.mark.parametrize(
    "says", [same_for_every_word, also_where_nothing_is, whole_body, hardly_more_than_a_decoy], ids=lambda f: f.__name__
)
def test_what_is_said_of_any_word_or_of_nothing_is_not_believed(says):
    found = detection(says).propose(phantom(), WINDOW, ["kidney"])
    assert not found.candidates
    assert "not found" in found.missing["kidney"]


def test_a_decoy_elsewhere_does_not_matter():
    def says(picture, phrase):
        return seen(picture, phrase) if phrase not in DECOYS else [([0, 0, 6, 6], 0.9)]

    assert len(detection(says).propose(phantom(), WINDOW, ["kidney"]).candidates) == 2


def test_every_name_is_asked_alone_beside_the_decoys():
    detector = Scripted()
    Detection(lambda: detector, None).propose(phantom(), WINDOW, ["liver", "kidney"])
    assert set(detector.asked) == {("liver", *DECOYS), ("kidney", *DECOYS)}


def test_a_score_below_the_least_is_said():
    found = detection(least_score=0.9).propose(phantom(), WINDOW, ["liver"])
    assert "score 0.80, below 0.9" in found.missing["liver"]


def test_nothing_is_looked_at_where_there_is_no_body():
    detector = Scripted()
    assert not Guarded(detector).boxes(np.zeros((9, 9, 3), np.uint8), ["liver"], np.zeros((9, 9), bool))[0].scores.size
    assert not detector.asked


def test_a_code_that_no_list_holds_and_a_page_are_no_words():
    with pytest.raises(UserInputError, match="is no word that a detector could know"):
        detection().check(["liver", "123456789"])
    with pytest.raises(UserInputError, match="is too long for a detector"):
        detection().check([" ".join(f"word{n}" for n in range(40))])


@pytest.mark.parametrize(("spacing", "slices"), [(1.0, 300), (5.0, 40), (8.0, 7), (2.5, 1), (0.5, 90)])
def test_at_most_32_slices_are_looked_at_and_both_ends_are_near_one(spacing, slices):
    affine = np.diag([min(spacing, 0.9)] * 2 + [spacing, 1])
    indices = slices_to_look_at(Volume(np.zeros((8, 8, slices), np.uint8), affine))
    step = np.diff(indices).max(initial=1)
    assert 1 <= len(indices) <= 32
    assert indices[0] <= step / 2
    assert slices - 1 - indices[-1] <= step / 2
    assert step == 1 or step * spacing >= 4.5
    frames = slices_to_look_at(Volume(np.zeros((8, 8, slices), np.uint8), affine, oriented=False))
    assert len(frames) == min(slices, -(-slices // max(1, -(-slices // 32))))


def test_the_search_can_be_stopped():
    steps = list(detection().steps(phantom(), WINDOW, ["liver"], lambda: True))
    assert len(steps) == 1
    assert not steps[0].candidates


def test_a_picture_is_looked_at_as_it_is():
    colours = np.zeros((60, 80, 1, 3), np.uint8)
    colours[20:40, 30:60] = GREYS["liver"]
    picture = Volume(colours, np.eye(4), oriented=False)
    (candidate,) = detection().propose(picture, Window(0, 255, "rgb"), ["liver"]).candidates
    assert (candidate.low, candidate.high) == ((20, 30, 0), (39, 59, 0))
