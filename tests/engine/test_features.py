"""Features: computed once, within a budget, also after a restart, and when memory runs out."""

import gc
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.batching import in_batches, is_out_of_memory
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.feature_files import DiskFeatures, signature_of
from napari_sam2.engine.features import FeatureCache
from napari_sam2.engine.propagate import propagate
from napari_sam2.engine.view import View
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.models import load_model
from napari_sam2.models.base import ModelCard, ViewPolicy
from tests.tiny_sam2 import tiny_model

VIEW = View(-0.5, -0.5, 8, 8, 8)
FEATURE_BYTES = 64 * 4


class Counting:
    """Encodes an image as itself; runs out of memory when asked for more than `room` views at once."""

    card = ModelCard("counting", "classical", sha256="0" * 64)
    input_size = 8
    device = torch.device("cpu")
    room = 100

    def encode(self, images):
        if len(images) > self.room:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return [(image[0] + 0.1,) for image in images]


def cache(budget=1 << 30, n_slices=10, disk=None, model=None):
    return FeatureCache(model or Counting(), lambda i, _: torch.full((1, 8, 8), float(i)), budget, n_slices, disk)


def keys(*indices):
    return [(index, VIEW) for index in indices]


def test_a_view_is_encoded_once():
    features = cache()
    first, second = features.get(keys(1, 2, 1)), features.get(keys(2))
    assert features.n_encoded == 2
    assert torch.equal(first[0][0], first[2][0])
    assert torch.equal(first[1][0], second[0][0])


def test_features_are_exact_while_the_whole_volume_fits_and_halved_when_it_does_not():
    exact, halved = cache(budget=10 * FEATURE_BYTES), cache(budget=9 * FEATURE_BYTES)
    assert exact.get(keys(3))[0][0][0, 0] == torch.tensor(3.1)
    assert halved.get(keys(3))[0][0][0, 0] == torch.tensor(3.1).half().float()
    assert halved.get(keys(3))[0][0].dtype == torch.float32
    assert halved.nbytes == exact.nbytes / 2


def test_a_view_has_the_same_features_at_first_and_when_asked_again():
    features = cache(budget=5 * FEATURE_BYTES)
    assert torch.equal(features.get(keys(3))[0][0], features.get(keys(3))[0][0])


def test_the_budget_holds_and_the_least_recently_used_go_first():
    features = cache(budget=3 * FEATURE_BYTES, n_slices=3)
    features.get(keys(0, 1, 2))
    features.get(keys(0))
    features.get(keys(3))
    assert features.nbytes <= 3 * FEATURE_BYTES
    features.get(keys(0, 2, 3))
    assert features.n_encoded == 4
    features.get(keys(1))
    assert features.n_encoded == 5


def test_a_later_process_finds_features_on_disk(tmp_path):
    first = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    expected = first.get(keys(1, 2))
    later = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    found = later.get(keys(1, 2))
    assert later.n_encoded == 0
    assert all(torch.equal(a[0], b[0]) for a, b in zip(expected, found, strict=True))


def test_features_of_another_volume_or_view_are_not_taken(tmp_path):
    cache(disk=DiskFeatures(tmp_path, "a" * 64)).get(keys(1))
    other = cache(disk=DiskFeatures(tmp_path, "b" * 64))
    other.get(keys(1))
    assert other.n_encoded == 1
    moved = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    moved.get([(1, replace(VIEW, row=0.5))])
    assert moved.n_encoded == 1


def test_a_damaged_file_is_computed_again(tmp_path, caplog):
    cache(disk=DiskFeatures(tmp_path, "a" * 64)).get(keys(1))
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    again = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    with caplog.at_level(logging.WARNING):
        assert again.get(keys(1))[0][0][0, 0] == torch.tensor(1.1)
    assert again.n_encoded == 1
    assert "cannot be read" in caplog.text


def test_a_flipped_bit_is_seen_and_computed_again(tmp_path, caplog):
    expected = cache(disk=DiskFeatures(tmp_path, "a" * 64)).get(keys(1))[0][0]
    (file,) = tmp_path.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    again = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    assert torch.equal(again.get(keys(1))[0][0], expected)
    assert again.n_encoded == 1
    assert "checksum" in caplog.text


@pytest.mark.parametrize("budget", [1 << 30, 5 * FEATURE_BYTES])
def test_a_folder_changes_no_number(tmp_path, budget):
    without = cache(budget).get(keys(3))[0][0]
    computed = cache(budget, disk=DiskFeatures(tmp_path, "a" * 64)).get(keys(3))[0][0]
    read = cache(budget, disk=DiskFeatures(tmp_path, "a" * 64)).get(keys(3))[0][0]
    assert torch.equal(without, computed)
    assert torch.equal(without, read)


def test_weights_in_the_folder_are_neither_counted_nor_removed(tmp_path):
    weights = [tmp_path / "model.safetensors", tmp_path / ("a" * 32) / "model.safetensors"]
    weights[1].parent.mkdir()
    for file in weights:
        file.write_bytes(bytes(10_000))
    features = cache(disk=DiskFeatures(tmp_path, "a" * 64, limit=900))
    features.get(keys(*range(6)))
    assert all(file.stat().st_size == 10_000 for file in weights)
    assert 1 <= len(list(tmp_path.rglob("0*.safetensors"))) <= 2


def test_a_folder_that_cannot_be_made_costs_a_warning_only(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert len(cache(disk=DiskFeatures(tmp_path / "file" / "features", "a" * 64)).get(keys(1))) == 1
    assert "cannot be kept on disk" in caplog.text


def test_a_model_that_computes_nothing_ahead_keeps_nothing(tmp_path):
    volume = Volume(np.zeros((8, 8, 3), np.float32), np.eye(4))
    engine = Engine(volume, load_model("bundled"), Window(0, 1, "a"), 2, feature_folder=tmp_path)
    engine.predict(1, SlicePrompts(np.array([[3.0, 3.0]]), np.array([True])))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_stays_within_its_limit(tmp_path):
    one = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    one.get(keys(0))
    size = sum(f.stat().st_size for f in tmp_path.rglob("*.safetensors"))
    few = cache(disk=DiskFeatures(tmp_path, "b" * 64, limit=4 * size))
    few.get(keys(*range(12)))
    files = list(tmp_path.rglob("*.safetensors"))
    assert 1 <= len(files) <= 4
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_costs_a_warning_only(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    features = cache(disk=DiskFeatures(tmp_path, "a" * 64))
    with caplog.at_level(logging.WARNING):
        assert len(features.get(keys(1))) == 1
    assert "No space left" in caplog.text
    assert not list(tmp_path.rglob("*.part"))


def test_the_signature_changes_with_everything_features_depend_on():
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    model = Counting()
    signature = signature_of(volume, Window(0, 1, "a"), 2, model)
    voxels = volume.voxels.copy()
    voxels[1, 2, 3] += 1
    larger = Counting()
    larger.input_size = 16
    retrained = Counting()
    retrained.card = replace(model.card, sha256="1" * 64)
    others = [
        signature_of(Volume(voxels, np.eye(4)), Window(0, 1, "a"), 2, model),
        signature_of(Volume(volume.voxels, np.diag([1, 2, 1, 1])), Window(0, 1, "a"), 2, model),
        signature_of(volume, Window(0, 2, "a"), 2, model),
        signature_of(volume, Window(0, 1, "a"), 1, model),
        signature_of(volume, Window(0, 1, "a"), 2, larger),
        signature_of(volume, Window(0, 1, "a"), 2, retrained),
    ]
    assert len({signature, *others}) == 7
    assert signature == signature_of(volume, Window(0, 1, "another name"), 2, model)


def test_running_out_of_memory_makes_batches_smaller_and_changes_no_answer(caplog):
    tight = Counting()
    tight.room = 1
    features = cache(model=tight)
    with caplog.at_level(logging.WARNING):
        found = features.get(keys(*range(6)))
    assert [float(f[0][0, 0]) for f in found] == pytest.approx([n + 0.1 for n in range(6)])
    assert "going on with fewer" in caplog.text


def test_no_room_for_one_slice_ends_with_a_remedy():
    none = Counting()
    none.room = 0
    with pytest.raises(EnvironmentLacksError, match=r"lower quality.*Prompts and masks so far are kept"):
        cache(model=none).get(keys(1))


def test_features_are_forgotten_until_one_slice_has_room():
    tight = Counting()
    features = cache(model=tight)
    features.get(keys(*range(8)))
    encode = tight.encode

    def encode_beside_one(images):
        tight.room = 1 if features.nbytes <= FEATURE_BYTES else 0
        return encode(images)

    tight.encode = encode_beside_one
    assert float(features.get(keys(9))[0][0][0, 0]) == pytest.approx(9.1)


def test_a_click_is_answered_alike_when_views_fit_one_at_a_time_only(caplog):
    engine = sam2_engine(2)
    engine.model.view_policy = ViewPolicy(zoom=True, factor=2.0)
    click = SlicePrompts(np.array([[20.0, 22.0]]), np.ones(1, bool))
    roomy = engine.predict(0, click)
    decode = engine.model.decode

    def decode_one(requests):
        if len(requests) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return decode(requests)

    engine.model.decode = decode_one
    with caplog.at_level(logging.WARNING):
        tight = engine.predict(0, click)
    assert "going on with fewer" in caplog.text
    assert tight.view == roomy.view
    assert torch.allclose(tight.decoded.logits, roomy.decoded.logits, atol=1e-3)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        in_batches([1], 1, lambda _: (_ for _ in ()).throw(RuntimeError("shapes differ")), lambda: False)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(ValueError("out of memory"))


def sam2_engine(n_slices, **settings):
    rng = np.random.default_rng(0)
    volume = Volume(rng.random((48, 48, n_slices), dtype=np.float32), np.eye(4), oriented=False)
    return Engine(volume, tiny_model(64), Window(0, 1, "x"), axis=2, **settings)


def box_prompt():
    return SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), np.array([10.0, 10.0, 30.0, 34.0]))


def live_tensor_bytes():
    gc.collect()
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in gc.get_objects()
        if type(t) is torch.Tensor and not t.is_mkldnn
    }
    return sum(storages.values())


def test_memory_does_not_grow_with_the_number_of_slices():
    engine = sam2_engine(300, feature_budget=2 << 20)
    run = propagate(engine, {1: [engine.predict(0, box_prompt())]}, direction="forward")
    sizes = [live_tensor_bytes() for n, _ in enumerate(run) if n in (60, 290)]
    assert len(sizes) == 2
    assert sizes[1] <= sizes[0] * 1.02
    assert engine.features.nbytes <= 2 << 20


def test_a_forced_lack_of_memory_in_the_middle_of_a_run_changes_no_mask(monkeypatch):
    calm, pressed = sam2_engine(12), sam2_engine(12)
    anchors = [{n: [engine.predict(4, box_prompt())] for n in (1, 2, 3)} for engine in (calm, pressed)]
    decode, calls = pressed.model.decode, []

    def failing(requests):
        calls.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(requests)

    monkeypatch.setattr(pressed.model, "decode", failing)
    expected, found = (list(propagate(e, a)) for e, a in zip((calm, pressed), anchors, strict=True))
    assert len(found) == len(expected) > 12
    assert max(calls) > 2
    assert all(a.mask.same_as(b.mask) and a.index == b.index for a, b in zip(expected, found, strict=True))


def test_an_engine_finds_the_features_of_an_earlier_one(tmp_path):
    for n_encoded in (5, 0):
        engine = sam2_engine(5, feature_folder=tmp_path)
        list(propagate(engine, {1: [engine.predict(2, box_prompt())]}))
        assert engine.features.n_encoded == n_encoded
