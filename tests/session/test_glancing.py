"""A glance at an object of a session: about what a click would give, and nothing is remembered."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.glancing import glance_at
from napari_sam2.session.session import Session
from tests.phantoms import box_on, dice
from tests.session.test_correcting import INSIDE, VOLUME, carried

LOST = (14, 20, 25)
"""A voxel of the corner that the run of `carried` has lost."""


def test_a_glance_at_nothing_yet_is_like_its_first_click_and_begins_no_object():
    session = Session(VOLUME, ClassicalModel())
    middle = tuple(float(c) for c in np.argwhere(INSIDE).mean(axis=0).round())
    glimpse = glance_at(session.state, 1, middle, 2)
    assert not session.objects
    answer = session.add_prompt(1, Point(middle))
    shape = VOLUME.plane(2).shape
    assert np.array_equal(glimpse.mask.full(shape), answer.mask.full(shape))


def test_a_carried_object_is_seen_corrected_about_as_the_click_corrects_it():
    session = carried(ClassicalModel())
    plane, before = VOLUME.plane(2), session.label_map().copy()
    glimpse = glance_at(session.state, 1, LOST, 2)
    assert np.array_equal(session.label_map(), before)
    session.add_prompt(1, Point(LOST))
    seen = glimpse.mask.full(plane.shape)
    earlier, later = (plane.take(labels, LOST[2]) == 1 for labels in (before, session.label_map()))
    assert not (earlier & ~seen).any(), "an include click takes nothing away"
    assert dice(seen, later) > max(0.9, dice(earlier, later))


@pytest.mark.parametrize("lock", ["accepted", "finished", "axis"])
def test_where_a_click_is_refused_there_is_nothing_to_see(lock):
    session = Session(VOLUME, ClassicalModel())
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    assert glance_at(session.state, 1, (25, 22, 20), 2) is not None
    if lock == "accepted":
        session.accept_slice(1, 20)
    elif lock == "finished":
        session.finish_object(1)
    assert glance_at(session.state, 1, (25, 22, 20), 1 if lock == "axis" else 2) is None
