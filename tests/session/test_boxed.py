"""Boxes of one object on several planes are one prompt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, Point
from napari_sam2.errors import PromptError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on, dice

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))
HELD = range(4, 17)
"""Slices of the ball across axis 2."""


def boxed(session, *axes):
    for axis in axes:
        shown = session.add_prompt(1, box_on(INSIDE, axis, (15, 14, 10)[axis]))
    return shown


def test_a_box_on_a_second_plane_is_answered_there_and_masks_stay_on_the_first():
    session = Session(VOLUME, ClassicalModel())
    shown = boxed(session, 2, 0)
    assert (shown.axis, shown.index) == (0, 15)
    assert shown.mask.n_voxels
    assert session.objects[1].axis == 2
    assert list(session.objects[1].results) == [10]
    assert len(session.objects[1].prompts) == 2


def test_three_boxes_find_the_ball_and_nothing_beyond_them():
    session = Session(VOLUME, ClassicalModel())
    boxed(session, 2, 0, 1)
    seen = list(session.propagate())
    assert dice(session.label_map() == 1, INSIDE) > 0.93
    assert {r.index for r in seen} <= set(HELD)
    assert len(seen) <= session.count_slices()


def test_a_box_on_another_plane_ends_what_would_run_on():
    """A bar that goes through the whole volume is the object only as far as the second box says."""
    bar = np.zeros(VOLUME.shape, bool)
    bar[10:20, 9:19] = True
    volume = type(VOLUME)(
        (100 + 100 * bar + np.random.default_rng(0).normal(0, 4, bar.shape)).astype(np.float32), np.eye(4)
    )
    session = Session(volume, ClassicalModel())
    session.add_prompt(1, Box(((10, 9, 8), (19, 18, 8))))
    session.add_prompt(1, Box(((15, 9, 6), (15, 18, 13))))
    list(session.propagate())
    assert (session.label_map() == 1).any((0, 1)).nonzero()[0].tolist() == list(range(6, 14))
    session.add_prompt(1, Point((12, 12, 11), positive=False))
    list(session.spread(1, 11))
    assert not (session.label_map() == 1)[..., 14:].any()


def test_a_range_and_a_direction_are_kept_within_the_boxes():
    session = Session(VOLUME, ClassicalModel())
    boxed(session, 2, 0)
    assert {r.index for r in session.propagate(slices=range(8, 40)) if r.final} == set(range(8, 17)) - {10}
    assert {r.index for r in session.propagate(direction="forward") if r.final} == set(range(11, 17))


def test_sessions_with_boxes_on_three_planes_replay_resume_and_undo(tmp_path):
    folder = tmp_path / "a.sam2session"
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    boxed(session, 2, 0, 1)
    list(session.propagate())
    session.add_prompt(1, Point((15, 14, 13)))
    list(session.spread(1, 13))
    seen = []
    for result in session.propagate(should_stop=lambda: len(seen) >= 20):
        seen.append(result)
    journal.close()
    assert replay(VOLUME, ClassicalModel(), folder).identical
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert again.objects[1].prompts == session.objects[1].prompts
    assert np.array_equal(again.label_map(), session.label_map())
    while session.undo():
        pass
    assert not session.objects


def test_a_mask_on_another_plane_is_still_refused():
    session = Session(VOLUME, ClassicalModel())
    boxed(session, 2)
    with pytest.raises(PromptError, match="across i"):
        session.add_prompt(1, MaskPrompt(INSIDE[15], 0, 15))
