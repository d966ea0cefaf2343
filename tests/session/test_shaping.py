"""Hand tools on an object of a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.hand_tools.shaping import grow
from napari_sam2.core.hand_tools.tools import (
    Brush,
    FillHoles,
    Grow,
    KeepLargest,
    KeepPart,
    Lasso,
    Shrink,
    Smooth,
    SnapToEdge,
)
from napari_sam2.core.prompts import MaskPrompt
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
VOLUME, INSIDE = ball(affine=AFFINE)
STROKE = ((10.0, 12.0), (14.0, 20.0))


@pytest.fixture
def session():
    made = Session(VOLUME, ClassicalModel())
    made.add_prompt(1, box_on(INSIDE, 2, 20))
    list(made.propagate())
    return made


def mask(session):
    return session.label_map() == 1


def test_growing_all_slices_is_growing_the_volume_in_millimetres(session):
    before = mask(session)
    session.use_tool(1, Grow(2.0))
    assert np.array_equal(mask(session), grow(before, 2.0, VOLUME.spacing))


def test_growing_one_slice_leaves_the_others(session):
    before = mask(session)
    (result,) = session.use_tool(1, Grow(2.0), 22)
    after = mask(session)
    assert (result.index, result.prompted) == (22, True)
    assert np.array_equal(after[:, :, 22], grow(before[:, :, 22], 2.0, VOLUME.spacing[:2]))
    assert np.array_equal(np.delete(after, 22, 2), np.delete(before, 22, 2))


@pytest.mark.parametrize(
    ("tool", "index"),
    [
        (Grow(2.0), None),
        (Shrink(2.0), None),
        (Smooth(3.0), None),
        (SnapToEdge(3.0), None),
        (Brush(STROKE, 4.0, 90.0, 200.0), 20),
        (Brush(((22.0, 22.0),), 4.0, erase=True), 21),
        (Lasso(((2.0, 2.0), (2.0, 9.0), (9.0, 9.0))), 19),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_tool_is_one_undo_and_replays_identically(tmp_path: Path, tool, index):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    before = mask(session)
    assert session.use_tool(1, tool, index)
    after = mask(session)
    assert not np.array_equal(after, before)
    session.undo()
    assert np.array_equal(mask(session), before)
    session.redo()
    journal.close()
    found = replay(VOLUME, ClassicalModel(), tmp_path / "a.sam2session")
    assert found.identical
    assert np.array_equal(found.labels == 1, after)


def painted(*parts) -> Session:
    made = Session(VOLUME, ClassicalModel())
    full = np.zeros(VOLUME.shape[:2], dtype=bool)
    for part in parts:
        full[part] = True
    made.add_prompt(1, MaskPrompt(full, 2, 20))
    return made


def test_parts_are_kept_by_size_or_by_place_and_holes_are_filled():
    large, small = (slice(5, 20), slice(5, 20)), (slice(30, 34), slice(30, 34))
    session = painted(large, small)
    session.use_tool(1, KeepLargest())
    assert mask(session).sum() == 225
    session.undo()
    session.use_tool(1, KeepPart((31, 32, 20)))
    assert mask(session)[31, 32, 20]
    assert mask(session).sum() == 16
    session.undo()
    plane = VOLUME.plane(2)
    row, col = plane.to_plane(np.array([10.0, 10.0, 20.0]))
    session.use_tool(1, Brush(((float(row), float(col)),), 2.0, erase=True), 20)
    assert mask(session).sum() < 241
    session.use_tool(1, FillHoles())
    assert mask(session).sum() == 241


def test_what_cannot_be_meant_is_refused_and_changes_nothing(session):
    before = mask(session)
    for tool, index, words in (
        (Grow(0.3), None, "apart"),
        (Grow(float("nan")), None, "distance"),
        (Brush(STROKE, 3.0), None, "slice"),
        (Brush(STROKE, 3.0, 9.0, 1.0), 20, "range"),
        (Grow(2.0), 400, "no slice"),
        (KeepPart((999, 0, 0)), None, "outside"),
    ):
        with pytest.raises(UserInputError, match=words):
            session.use_tool(1, tool, index)
    session.accept_slice(1, 21)
    with pytest.raises(UserInputError, match="accepted"):
        session.use_tool(1, Grow(2.0), 21)
    session.use_tool(1, Grow(2.0))
    assert np.array_equal(mask(session)[:, :, 21], before[:, :, 21])
    session.finish_object(1)
    with pytest.raises(UserInputError, match="finished"):
        session.use_tool(1, Grow(2.0))
