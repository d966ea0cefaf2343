"""A second opinion on large corrections: when it is asked, and what stands after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.engine.consolidation import along_border, reconsider
from napari_sam2.engine.consolidation_evidence import survey
from napari_sam2.engine.consolidation_rules import AFTER_CLICKS
from napari_sam2.engine.correction import Change
from napari_sam2.engine.second_opinion import SECOND, second_opinion
from tests.engine.test_consolidation import Carried, always
from tests.phantoms import ball


@pytest.fixture
def scene():
    volume, inside = ball()
    return Carried((volume.voxels / 255).astype(np.float32), inside)


def asked(scene, voxel, include, change, network, doubts=SECOND, earlier=1):
    run = scene.run(clicks=((voxel, include),) * (1 + earlier))
    window = tuple(slice(0, n) for n in scene.shape)
    return second_opinion(scene, run, Change(window, change), doubts, network).voxels


def never(maps):
    raise AssertionError("it was doubted")


def around(shape, voxel, radius):
    at = np.indices(shape)
    return sum((a - v) ** 2 for a, v in zip(at, voxel, strict=True)) <= radius**2


def middle(scene):
    return tuple(round(float(a.mean())) for a in np.nonzero(scene.object))


def test_small_changes_first_exclusions_and_what_is_mostly_leak_are_not_doubted(scene):
    voxel = middle(scene)
    size = scene.object.sum()
    small, large = (scene.object & around(scene.shape, voxel, radius) for radius in (3, 6))
    assert small.sum() < SECOND.large * size < large.sum() < SECOND.larger * size
    assert np.array_equal(asked(scene, voxel, False, small, never), small)
    assert np.array_equal(asked(scene, voxel, False, large, never, earlier=0), large)
    assert np.array_equal(asked(scene, voxel, False, scene.object, never), scene.object)
    with pytest.raises(AssertionError, match="doubted"):
        asked(scene, voxel, False, large, never)


def test_of_a_large_exclusion_stands_what_the_network_gives_and_what_is_near(scene):
    voxel = middle(scene)
    away = (~scene.object).nonzero()
    depth = np.sqrt(
        min(sum((a - v) ** 2 for a, v in zip(place, voxel, strict=True)) for place in zip(*away, strict=True))
    )
    change = scene.object & around(scene.shape, voxel, depth + 1.5)
    ever = replace(SECOND, larger=1.0)

    def after(logit):
        return asked(scene, voxel, False, change, lambda maps: np.full(maps.shape[1:], logit), ever)

    assert np.array_equal(after(-3.0), change)
    doubted = after(3.0)
    assert np.array_equal(doubted, change & around(scene.shape, voxel, depth + 1e-6))
    assert 0 < doubted.sum() < change.sum()
    assert np.array_equal(after(-0.9 * SECOND.exclude), doubted)


def test_an_include_click_that_the_network_does_not_believe_is_bounded_in_size_alone(scene):
    kept = scene.object.copy()
    scene.object &= around(scene.shape, middle(scene), 4)
    far = tuple(int(v) for v in np.argwhere(kept & ~scene.object)[0])
    change = ~scene.object
    size = scene.object.sum()

    def added(doubts, earlier, change=change):
        return asked(scene, far, True, change, lambda maps: np.full(maps.shape[1:], -3.0), doubts, earlier)

    first, later = (added(SECOND, earlier) for earlier in (0, 1))
    assert first[far]
    assert later[far]
    assert SECOND.unbelieved * size < first.sum() <= SECOND.most_added * size
    assert 0 < later.sum() <= SECOND.unbelieved * size
    assert added(replace(SECOND, unbelieved=2.0), 1).sum() > later.sum()
    unbound = replace(SECOND, most_added=1e6, unbelieved=1e6)
    for earlier in (0, 1):
        whole = added(unbound, earlier, kept & ~scene.object)
        assert np.array_equal(whole, kept & ~scene.object), "it is not doubted"
    believed = asked(scene, far, True, kept & ~scene.object, always(20.0), unbound)
    assert np.array_equal(believed, kept & ~scene.object)


def test_what_the_network_does_not_say_of_the_mirrored_object_stays(scene):
    def one_sided(maps):
        answer = maps[-1].astype(float)
        answer[: len(answer) // 2 - 2] += 9.0
        return answer

    run = scene.run(clicks=(((24, 22, 20), True),))
    rule = replace(AFTER_CLICKS, border_gained=1.0)
    seen = survey(scene, run)
    half = seen.window[0].start + seen.strides[0] * (seen.maps.shape[1] // 2)

    def gained(rule, network):
        change = reconsider(scene, run, None, network, rule)
        if change is None:
            return np.zeros(scene.shape, bool)
        full = np.zeros(scene.shape, bool)
        full[change.window] = change.voxels
        return full

    plain, mirrored = gained(rule, one_sided), gained(replace(rule, mirrored=True), one_sided)
    assert plain[:half].any()
    assert not mirrored.any(), "of the mirrored object it says so of the other half"

    def both(maps):
        return maps[-1].astype(float) + 3.0

    assert np.array_equal(gained(rule, both), gained(replace(rule, mirrored=True), both))
    assert gained(rule, both).any()


def test_beside_the_border_less_is_asked_and_only_there(scene):
    run = scene.run(known=(24,))
    seen = survey(scene, run)
    rule = replace(AFTER_CLICKS, border_gained=9.0, border_lost=1.0)
    says_outside = np.full(seen.maps.shape[1:], -1.1)
    lost = along_border(seen, run, says_outside, scene.spacing, rule)
    inner = seen.mask.copy()
    for axis in range(3):
        inner &= np.roll(seen.mask, 1, axis) & np.roll(seen.mask, -1, axis)
    expected = seen.mask & ~inner
    expected[24 - seen.window[0].start] = False
    assert np.array_equal(lost, expected)
    thick = along_border(seen, run, says_outside, (2.0, 1.0, 1.0), rule)
    assert thick.sum() < lost.sum(), "a step along thick slices is not small"
    assert not along_border(seen, run, 0.9 * says_outside / 1.1, scene.spacing, rule).any()
    assert not along_border(seen, run, says_outside, scene.spacing, AFTER_CLICKS).any()


def test_no_slice_loses_more_than_its_share_after_a_click(scene):
    run = scene.run(clicks=(((24, 22, 20), True),))
    first = int(np.flatnonzero(scene.object.any(axis=(1, 2)))[0])

    def ends_later(maps):
        answer = maps[-1].astype(float)
        answer[: len(answer) // 2 - 2] -= 30.0
        return answer

    def left(rule):
        change = reconsider(scene, run, None, ends_later, rule)
        mask = scene.object.copy()
        mask[change.window] ^= change.voxels
        return mask.sum(axis=(1, 2))

    whole, rule = scene.object.sum(axis=(1, 2)), replace(AFTER_CLICKS, border_lost=2.0)
    free, held = left(rule), left(replace(rule, most_of_slice=0.5))
    assert free[first] == 0
    assert held[first] == whole[first]
    assert (held >= whole / 2).all()
    mild = free >= whole / 2
    assert (free < whole)[mild].any()
    assert np.array_equal(held[mild], free[mild]), "smaller losses stay"
