"""A glance of the engine: about the click's answer, for a fraction of its cost."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from napari_sam2.core.prompts import Point, SlicePrompts
from napari_sam2.core.window import choose_window
from napari_sam2.engine.engine import Engine
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled
from tests.phantoms import ball, dice

VOLUME, INSIDE = ball()
AT = tuple(float(c) for c in np.argwhere(INSIDE).mean(axis=0).round())
INDEX = int(AT[2])


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(VOLUME, load_bundled(), choose_window(VOLUME, "auto"), 2)


@contextmanager
def looks(engine: Engine):
    """Counts the views that go through the network, mirror images too."""
    seen: list[int] = []
    hook = engine.model.net.register_forward_hook(lambda _net, inputs, _output: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        hook.remove()


def at(place) -> SlicePrompts:
    return SlicePrompts.of([Point(place)], VOLUME, 2)[INDEX]


def test_a_glance_is_like_the_clicks_answer_and_looks_at_less_than_half(engine):
    with looks(engine) as full:
        answer = engine.predict(INDEX, at(AT))
    with looks(engine) as quick:
        first = engine.glance(INDEX, at(AT))
    with looks(engine) as near:
        later = engine.glance(INDEX, at((AT[0] + 2, *AT[1:])), side=first.view.rows)
    shape = engine.plane.shape
    for glimpse in (first, later):
        assert dice(glimpse.mask.full(shape), answer.mask.full(shape)) > 0.85
    assert sum(quick) <= sum(full) / 2
    assert sum(near) <= sum(quick)


def test_a_glance_changes_nothing_of_what_a_click_gives(engine):
    before = engine.predict(INDEX, at(AT))
    engine.glance(INDEX, at(AT), side=30.0)
    after = engine.predict(INDEX, at(AT))
    assert np.array_equal(before.decoded.logits.numpy(), after.decoded.logits.numpy())
    with looks(engine) as sizes:
        engine.predict(INDEX, at(AT))
    assert all(size % 2 == 0 for size in sizes), "the click's own answer is asked both ways round"


def test_a_glance_where_no_view_is_alike_looks_at_all_sizes(engine):
    afresh, lost = (engine.glance(INDEX, at(AT), side=side) for side in (0.0, 1000.0))
    assert afresh.view == lost.view
    assert np.array_equal(afresh.decoded.logits.numpy(), lost.decoded.logits.numpy())


def test_a_model_without_a_quick_way_is_asked_as_always():
    engine = Engine(VOLUME, ClassicalModel(), choose_window(VOLUME, "auto"), 2)
    assert engine.quick is engine
    glimpse, answer = engine.glance(INDEX, at(AT)), engine.predict(INDEX, at(AT))
    assert np.array_equal(glimpse.mask.crop, answer.mask.crop)
