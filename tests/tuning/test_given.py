"""What a person gave in a session, as the first prompts of what a network learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.volume import Volume
from napari_sam2.models import load_model
from napari_sam2.training.given import GivenPrompts
from napari_sam2.training.rollout import Rollout, RolloutSettings
from napari_sam2.training.sampler import ClipSampler, Shares
from napari_sam2.tuning.cases import find_cases
from napari_sam2.tuning.clips import clips_of
from napari_sam2.tuning.material import pool_volume
from tests.tuning.sessions import session_beside

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.training.clip import Clip

LOW, HIGH = (10, 30, 20), (10, 89, 59)
"""First and last voxel of a block's slice 10 across axis 0."""

WIDE = 12
"""Rows by which a person's box goes beyond the block on one side."""


def block(thick: float = 4.0) -> tuple[Volume, np.ndarray]:
    """A bright block in a volume that is sliced across its first axis."""
    labels = np.zeros((20, 200, 180), np.uint8)
    labels[5:16, LOW[1] : HIGH[1] + 1, LOW[2] : HIGH[2] + 1] = 1
    voxels = np.random.default_rng(0).normal(0, 5, labels.shape).astype(np.float32) + 100 * labels
    return Volume(voxels, np.diag([thick, 1, 1, 1])), labels


def shown(clip: Clip, place: torch.Tensor) -> float:
    """The object's mask at a place of the clip's frame on the first slice."""
    column, row = (clip.origin + clip.turn @ place).round().long().tolist()
    return float(clip.mask[0, row, column])


@pytest.mark.parametrize(("most_voxels", "averaged"), [(10**9, 1), (300_000, 2)])
def test_a_box_lies_on_the_same_pixels_of_every_clip_however_it_is_turned(most_voxels: int, averaged: int):
    volume, labels = block()
    prompts = {1: [Box(((10, LOW[1] - WIDE, LOW[2]), HIGH)), Point((10, 40, 30)), Point((10, 20, 10), positive=False)]}
    pool = pool_volume("scan", volume, labels, [1], most_voxels, prompts)
    sampler = ClipSampler([], [], Shares(0.0, 0.0, 1.0), [pool])
    rng = np.random.default_rng(1)
    clips = [clip for clip in (sampler.draw(rng, 3) for _ in range(40)) if clip.given is not None]
    assert 10 < len(clips) < 32
    for clip in clips:
        rows, columns = (torch.nonzero(clip.mask[0].any(1 - a)).flatten() for a in (0, 1))
        corners = torch.tensor(
            [[columns[0] - 0.5, rows[0] - 0.5 - WIDE / averaged], [columns[-1] + 0.5, rows[-1] + 0.5]]
        )
        drawn = (corners - clip.origin) @ clip.turn
        torch.testing.assert_close(clip.given.box, torch.cat([drawn.amin(0), drawn.amax(0)]), atol=1e-3, rtol=0)
        assert shown(clip, clip.given.points[0]) == 1
        assert shown(clip, clip.given.points[1]) == 0
        assert clip.given.labels.tolist() == [1, 0]


@settings(max_examples=30, deadline=None)
@cases(st.integers(0, 3), st.booleans(), st.floats(-50, 50), st.floats(-50, 50))
def test_a_frame_and_back_is_where_it_was(quarters: int, mirrored: bool, x: float, y: float):
    turn = torch.from_numpy(np.rot90(np.eye(2), quarters % 2).astype(np.float32).copy()) * (-1) ** (quarters // 2)
    turn = turn.flip(1) if mirrored else turn
    given = GivenPrompts(torch.tensor([[x, y], [x + 3, y + 5]]), torch.tensor([[x, y]]), torch.tensor([1]))
    origin = torch.tensor([7.0, -2.0])
    there = given.moved(turn, origin)
    torch.testing.assert_close(there.points @ turn.T + origin, given.points, atol=1e-4, rtol=0)
    assert there.box[2] > there.box[0]
    assert there.box[3] > there.box[1]


def test_a_roll_out_begins_with_what_was_given_whatever_kind_was_drawn():
    volume, labels = block()
    pool = pool_volume("scan", volume, labels, [1], prompts={1: [Point((10, 40, 30)), Point((10, 50, 30))]})
    sampler = ClipSampler([], [], Shares(0.0, 0.0, 1.0), [pool])
    rng = np.random.default_rng(1)
    clip = next(clip for clip in (sampler.draw(rng, 3) for _ in range(40)) if clip.given is not None)
    rollout = Rollout([clip], ["mask"], rng, RolloutSettings(32), 8)
    assert rollout.has_box.tolist() == [0]
    assert rollout.has_prior.tolist() == [0]
    assert rollout.labels[0].tolist() == [1, 1] + [-1] * 6
    torch.testing.assert_close(rollout.points[0, :2], clip.given.points)


def test_prompts_that_may_mean_another_part_are_left_out():
    volume, labels = block()
    labels[10, 2:12, 2:12] = 1
    pool = pool_volume("scan", volume, labels, [1], prompts={1: [Box((LOW, HIGH)), Box(((9, 30, 20), (9, 89, 59)))]})
    assert [sorted(item.given) for item in pool.objects if item.given] == [[9 - corner_of(pool)]]


def corner_of(pool) -> int:
    """The first slice that was kept: the largest part begins at slice 5 of the scan."""
    return 5 - pool.objects[0].corner[0]


def test_a_session_s_prompts_reach_the_network_and_a_label_map_has_none(scans: Path):
    scan = find_cases([session_beside(scans.parent / "ann.nii.gz", finished=True)])[0]
    volume = scan.read()[0]
    assert scan.prompts(volume)[1] == (Box(((6, 6, 5), (18, 17, 5))),)
    assert find_cases([scans])[0].prompts(volume) == {}


def test_a_clip_for_sam_2_begins_with_the_given_box(scans: Path):
    scan = find_cases([session_beside(scans.parent / "ann.nii.gz", finished=True)])[0]
    clips = clips_of([scan], load_model("classical"))
    assert [clip.given is not None for clip in clips].count(True) == 1
    box = next(clip.given.box for clip in clips if clip.given is not None)
    # 13 voxels of the first axis are the box's columns or rows, 12 of the second the others.
    sides = sorted((box[2:] - box[:2]).tolist())
    assert sides[1] / sides[0] == pytest.approx(13 / 12, rel=1e-3)
    assert all(clip.given is None for clip in clips_of(find_cases([scans])[:1], load_model("classical")))
