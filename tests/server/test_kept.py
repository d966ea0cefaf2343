"""What a server keeps is bounded by bytes, not only by number."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask, SliceScores
from napari_sam2.engine.engine import Anchor
from napari_sam2.engine.view import View
from napari_sam2.models.base import Decoded
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.server import holdings, intake
from napari_sam2.server.holdings import Limits
from napari_sam2.server.intake import Intake
from napari_sam2.server.kept import Kept, bytes_of
from napari_sam2.server.refusals import Refusal
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on
from tests.remote.serving import remote, served


def test_bytes_of_arrays_tensors_and_weights_are_counted_once_however_deep():
    array, tensor, weights = np.zeros(10), torch.zeros(5), torch.nn.Linear(3, 2)
    mask = SliceMask(0, 0, np.random.default_rng(0).random((64, 64)) > 0.5)
    anchor = Anchor(1, View(0, 0, 4, 4, 8), mask, SliceScores(1, 1), Decoded(tensor, 1, 1, [array, weights]))
    assert bytes_of(anchor) == 80 + 20 + 4 * (6 + 2) + len(mask._bits)
    assert bytes_of([array, {"same": array}, (array,)]) == 80
    assert bytes_of(["text", 3, None]) == 0


def test_the_least_recently_used_goes_with_its_bytes():
    kept = Kept(2)
    kept.put("a", np.zeros(1))
    kept.put("b", np.zeros(2))
    assert kept["a"].shape == (1,)
    kept.put("c", np.zeros(4))
    assert ("a" in kept, "b" in kept, "c" in kept) == (True, False, True)
    assert kept.nbytes == 8 + 32
    kept.put("c", np.zeros(1))
    assert kept.nbytes == 16
    kept.forget(["a", "never there"])
    kept.drop_oldest()
    assert (kept.nbytes, len(kept)) == (0, 0)


def test_answers_count_against_the_memory_and_give_way_without_a_change_of_the_result(monkeypatch):
    monkeypatch.setattr(holdings, "LAST_ANSWERS", 2)
    volume, inside = ball(shape=(24, 22, 16), centre=(12, 11, 8), radii=(7, 6, 5))

    def clicked(model):
        session = Session(volume, model, fit=None)
        for object_id in range(1, 6):
            session.add_prompt(object_id, box_on(inside, 2, 8))
        for object_id in (1, 4):
            session.add_prompt(object_id, Point((9.0, 11.0, 8.0)))
            list(session.propagate([object_id], slices=range(6, 11)))
        return session.label_map()

    model = ClassicalModel()
    with served({"classical": model}) as server, remote(server, "classical") as elsewhere:
        session = Session(volume, elsewhere, fit=None)
        session.add_prompt(1, box_on(inside, 2, 8))
        one = server.holdings.load()["answer_bytes"]
    with served({"classical": model}, Limits(volume.voxels.nbytes + 3 * one)) as server:
        with remote(server, "classical") as elsewhere:
            answered = clicked(elsewhere)
            server.holdings.shrink()
            load = server.holdings.load()
        assert load["answer_bytes"] >= one
        assert load["volume_bytes"] + load["feature_bytes"] + load["answer_bytes"] <= load["memory_bytes"]
    assert np.array_equal(answered, clicked(model))


class Slowly:
    """A request whose body is as long as it says."""

    def __init__(self, size):
        self.headers, self.state, self._size = {"content-length": str(size)}, SimpleNamespace(), size

    async def stream(self):
        yield b"x" * self._size


def test_bodies_wait_until_there_is_room_for_them():
    async def two():
        room, order = Intake(100), []
        first, second = Slowly(80), Slowly(80)
        await room.body(first, 1000)

        async def later():
            await room.body(second, 1000)
            order.append("second")

        waiting = asyncio.create_task(later())
        await asyncio.sleep(0.05)
        order.append("first done")
        await room.done(first)
        await waiting
        return order

    assert asyncio.run(two()) == ["first done", "second"]


def test_a_body_for_which_there_is_no_room_is_refused_as_what_may_be_asked_again(monkeypatch):
    monkeypatch.setattr(intake, "READ_SECONDS", 0.05)

    async def crowded():
        room = Intake(100)
        await room.body(Slowly(80), 1000)
        await room.body(Slowly(80), 1000)

    with pytest.raises(Refusal, match="busy") as refused:
        asyncio.run(crowded())
    assert refused.value.status == 503


def test_a_scan_that_nobody_needs_is_freed_with_the_heartbeat():
    volume, inside = ball(shape=(24, 22, 16), centre=(12, 11, 8), radii=(7, 6, 5))
    with served({"classical": ClassicalModel()}) as server, remote(server, "classical") as elsewhere:
        session = Session(volume, elsewhere, fit=None)
        session.add_prompt(1, box_on(inside, 2, 8))
        elsewhere.lease.beat()
        assert server.holdings.load()["volumes"] == 1
        elsewhere.lease.releases(next(iter(elsewhere.lease._volumes)))
        elsewhere.lease.beat()
        assert server.holdings.load()["volumes"] == 0
        session.add_prompt(1, Point((12.0, 11.0, 8.0)))
        assert server.holdings.load()["volumes"] == 1
