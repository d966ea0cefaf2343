"""A model whose device has no memory left goes on on the CPU, and everything answered so far is kept."""

import logging

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import Box, Point, SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.cpu_fallback import OnCpu, moved
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.propagate import propagate
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.models.base import Decoded, DecodeRequest, MemoryRef, RememberRequest, SegmentationModel, ViewPrompts
from napari_sam2.models.device_copy import copy_to
from napari_sam2.models.small.model import load_bundled
from napari_sam2.session.session import Session
from tests.tiny_sam2 import tiny_model, tiny_network


class Crowded:
    """A real model on a device that has room for a number of calls, and then for nothing; the CPU has."""

    def __init__(self, model, room=0):
        self._model = model
        self.room = room

    def __getattr__(self, name):
        return getattr(self._model, name)

    def on_cpu(self):
        return self._model

    def _call(self, name, *arguments):
        if self.room == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.room -= 1
        return getattr(self._model, name)(*arguments)

    def encode(self, images):
        return self._call("encode", images)

    def decode(self, requests):
        return self._call("decode", requests)

    def remember(self, requests):
        return self._call("remember", requests)


def volume():
    return Volume(np.random.default_rng(0).random((48, 48, 7), dtype=np.float32), np.eye(4), oriented=False)


def engine_with(model):
    return Engine(volume(), model, Window(0, 1, "x"), axis=2)


BOX = SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), np.array([10.0, 10.0, 30.0, 34.0]))
CORRECTION = SlicePrompts(np.array([[20.0, 22.0]]), np.array([False]), BOX.box)


def work_on(engine):
    """A box, a run, and a correction of the box's slice with another run: all masks in their order."""
    anchor = engine.predict(3, BOX)
    masks = [anchor.mask, *(result.mask for result in propagate(engine, {1: [anchor]}))]
    corrected = engine.predict(3, CORRECTION, previous=anchor)
    masks += [corrected.mask, *(result.mask for result in propagate(engine, {1: [corrected]}))]
    return [mask.full(engine.plane.shape) for mask in masks]


@pytest.mark.parametrize("room", [0, 1, 2, 5, 9, 14])
def test_whenever_memory_runs_out_the_cpu_goes_on_with_the_same_masks(room, caplog):
    expected = work_on(engine_with(tiny_model(64)))
    engine = engine_with(Crowded(tiny_model(64), room))
    with caplog.at_level(logging.WARNING):
        found = work_on(engine)
    assert isinstance(engine.model, OnCpu)
    assert "goes on on the CPU" in caplog.text
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_smaller_batches_and_fewer_features_are_tried_first():
    engine = engine_with(Crowded(tiny_model(64), 100))
    encode = engine.model.encode

    def encode_one(images):
        if len(images) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return encode(images)

    engine.model.encode = encode_one
    assert len(engine.features.get([(n, engine.view_around(None, 1)) for n in range(5)])) == 5
    assert not isinstance(engine.model, OnCpu)


def test_a_cpu_without_memory_ends_with_a_sentence():
    model = tiny_model(64)
    engine = engine_with(Crowded(model))
    model.encode = Crowded(model).encode
    with pytest.raises(EnvironmentLacksError, match="not enough memory for one slice"):
        engine.predict(3, BOX)


def test_a_session_keeps_its_prompts_and_masks():
    session = Session(volume(), Crowded(tiny_model(64), 4))
    session.add_prompt(1, Box(((10, 10, 3), (30, 34, 3))))
    list(session.propagate())
    before = session.label_map()
    session.add_prompt(1, Point((20, 22, 5)))
    assert isinstance(session.engine(session.axis).model, OnCpu)
    assert before.any()
    assert np.array_equal(np.delete(session.label_map(), 5, axis=2), np.delete(before, 5, axis=2))
    assert len(session.objects[1].prompts) == 2


def test_every_tensor_of_a_request_is_moved():
    prompts = ViewPrompts(torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), torch.zeros(4), None)
    before = Decoded(torch.zeros(4, 4), 1.0, 1.0, torch.zeros(8))
    model = tiny_model(64)
    memory = model.remember([RememberRequest(model.encode(torch.rand(1, 1, 64, 64))[0], before_of(model), True)])[0]
    request = DecodeRequest((torch.zeros(1), torch.zeros(2)), prompts, (MemoryRef(memory, -1, True),), before, 9)
    there = moved(request, torch.device("meta"))
    tensors = [
        *there.features,
        there.prompts.points,
        there.prompts.positive,
        there.prompts.box,
        there.previous.logits,
        there.previous.state,
        there.memories[0].memory.features,
        there.memories[0].memory.pointer,
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (there.n_slices, there.memories[0].offset, there.prompts.mask) == (9, -1, None)
    assert request.features[0].device.type == "cpu"


def before_of(model):
    return Decoded(torch.ones(16, 16), 1.0, 1.0, torch.zeros(model.network.hidden_dim))


def test_a_copied_network_leaves_nothing_behind_and_its_source_as_it_was():
    network = tiny_network(64)
    there = copy_to(network, torch.device("meta"))
    assert {tensor.device.type for tensor in [*there.parameters(), *there.buffers()]} == {"meta"}
    assert {tensor.device.type for tensor in [*network.parameters(), *network.buffers()]} == {"cpu"}
    assert there.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize("make", [lambda: tiny_model(64), load_bundled], ids=["SAM 2", "bundled"])
def test_a_model_on_the_cpu_is_the_same_model(make):
    model = make()
    assert model.on_cpu() is model
    # As if it were on a GPU: nothing but the device tells.
    model.device = torch.device("meta")
    there = model.on_cpu()
    assert there is not model
    assert there.device.type == "cpu"
    size = there.input_size
    prompts = ViewPrompts(torch.tensor([[size / 2, size / 2]]), torch.tensor([True]))
    image = torch.rand(1, 1, size, size)
    model.device = torch.device("cpu")
    answers = [m.decode([DecodeRequest(m.encode(image)[0], prompts)])[0] for m in (model, there, OnCpu(there))]
    assert torch.allclose(answers[0].logits, answers[1].logits, atol=1e-5)
    assert torch.equal(answers[1].logits, answers[2].logits)
    assert isinstance(OnCpu(there), SegmentationModel)
