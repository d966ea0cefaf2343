"""Networks in numpy on one thread of the processor, and the ways through an image that are kept."""

from __future__ import annotations

from threading import Barrier, Thread

import numpy as np
import pytest
from skimage.graph import MCP_Geometric
from threadpoolctl import ThreadpoolController

from napari_sam2.engine import ways
from napari_sam2.engine.correction import Perceptron, _shipped
from napari_sam2.engine.correction_evidence import FEATURES
from napari_sam2.engine.correction_net import Network
from napari_sam2.engine.one_thread import ONE_THREAD, set_threads
from napari_sam2.engine.ways import MOST_KEPT, kept_ways
from napari_sam2.training.corrections.torch_net import CorrectionNet


@pytest.fixture
def threads():
    """How many threads numpy's products may take: two, to begin with."""
    before = set_threads([2] * 9)
    yield lambda: {library["num_threads"] for library in ThreadpoolController().info() if library["user_api"] == "blas"}
    set_threads(before)


def test_products_take_one_thread_until_the_last_answer_is_made(threads):
    assert threads() == {2}
    both = Barrier(2)

    def answer():
        with ONE_THREAD:
            both.wait(20)
            both.wait(20)

    beside = Thread(target=answer)
    with ONE_THREAD:
        assert threads() == {1}
        beside.start()
        both.wait(20)
    assert threads() == {1}, "another answer is still being made"
    both.wait(20)
    beside.join(20)
    assert threads() == {2}


def test_both_networks_answer_on_one_thread(threads, monkeypatch):
    seen = []

    def noted(answer):
        return lambda *given: (seen.append(threads()), answer(*given))[1]

    monkeypatch.setattr(Network, "_answer", noted(Network._answer))
    monkeypatch.setattr(Perceptron, "_answer", noted(Perceptron._answer))
    network = CorrectionNet(6)
    Network({name: values.detach().numpy() for name, values in network.named_parameters()})(
        np.zeros((6, 4, 5, 6), np.float32)
    )
    _shipped()(np.zeros((3, FEATURES), np.float32))
    assert seen == [{1}, {1}]
    assert threads() == {2}


def test_ways_are_those_of_scikit_image_and_kept_by_what_was_asked(monkeypatch):
    asked = []

    class Counted(MCP_Geometric):
        def find_costs(self, starts):
            asked.append(len(starts))
            return super().find_costs(starts)

    ways._kept.clear()
    monkeypatch.setattr(ways, "MCP_Geometric", Counted)
    cost = np.random.default_rng(1).random((7, 9, 8))
    seeds, step = np.array([[3, 4, 4], [0, 0, 0]]), (2.0, 1.0, 0.5)
    expected = MCP_Geometric(cost, sampling=step).find_costs(seeds)[0]
    assert np.array_equal(kept_ways(cost, seeds, step), expected)
    assert kept_ways(cost.copy(), seeds.copy(), step) is kept_ways(cost, seeds, step)
    assert len(asked) == 1
    for other in ((cost + 1, seeds, step), (cost, seeds[:1], step), (cost, seeds, (1.0, 1.0, 0.5))):
        assert not np.array_equal(kept_ways(*other), expected)
    assert len(asked) == 4
    with pytest.raises(ValueError, match="read-only"):
        kept_ways(cost, seeds, step)[0] = 0
    for number in range(MOST_KEPT):
        kept_ways(cost + 2 + number, seeds, step)
    assert len(ways._kept) == MOST_KEPT
    ways._kept.clear()
