"""SAM 2's architecture with random weights: it learns, comes back after a kill, and loads as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sam2.core.prompts import Box
from napari_sam2.models import load_model
from napari_sam2.models.sam2.loading import read_sam2_network
from napari_sam2.session.session import Session
from napari_sam2.tuning.cases import find_cases
from napari_sam2.tuning.lora import adapted, merged
from napari_sam2.tuning.sam2 import Sam2Learner
from tests.tiny_sam2 import tiny_config, tiny_network


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    tiny_network(128).save_pretrained(folder)
    return folder


def learner(checkpoint, scans, folder, steps=6, chunk=2, **how):
    parent = load_model(checkpoint, "cpu")
    return Sam2Learner(parent, checkpoint, find_cases([scans])[:2], folder, steps, chunk, 0, **how)


def written(learned, folder):
    folder.mkdir()
    learned.write(folder)
    return folder


@pytest.mark.parametrize("encoder", [False, True])
def test_it_learns_a_ball_and_the_folder_segments(checkpoint, scans, tmp_path, encoder):
    if encoder:
        pytest.importorskip("peft")
    learned = learner(checkpoint, scans, tmp_path / "run", steps=30, chunk=30, encoder=encoder)
    losses = []
    for group in learned._optimizer.param_groups:
        group.setdefault("lr", 0.0)
    learned._rate = lambda: 1e-3
    for _ in range(30):
        before = _loss_of(learned)
        losses.append(before)
        learned.step()
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    folder = written(learned, tmp_path / "ball model")
    first, after = (load_file(place / "model.safetensors") for place in (checkpoint, folder))
    assert first.keys() == after.keys()
    changed = {name for name in first if not torch.equal(first[name], after[name])}
    assert any(name.startswith("mask_decoder.") for name in changed)
    assert any(name.startswith("memory_attention.") for name in changed)
    assert any(name.startswith("vision_encoder.") for name in changed) == encoder
    assert (folder / "config.json").read_bytes() == (checkpoint / "config.json").read_bytes()
    model = load_model(folder, "cpu")
    assert model.card.name == "ball model"
    volume = find_cases([scans])[0].read()[0]
    session = Session(volume, model)
    session.add_prompt(1, Box(((6, 5, 5), (18, 17, 5))))
    assert session.label_map().any()


def _loss_of(learned):
    from napari_sam2.tuning.sam2 import _loss

    with torch.no_grad():
        answers = learned._carried(0, 1, np.zeros(4))
        return float(torch.stack([_loss(d.logits, s, t) for d, s, t in answers]).mean())


def test_a_killed_run_learns_the_same(checkpoint, scans, tmp_path):
    def kill(step):
        if step == 3:
            raise KeyboardInterrupt

    assert learner(checkpoint, scans, tmp_path / "whole").run(lambda _: None, lambda: False)
    with pytest.raises(KeyboardInterrupt):
        learner(checkpoint, scans, tmp_path / "parts").run(kill, lambda: False)
    parts = learner(checkpoint, scans, tmp_path / "parts")
    whole = learner(checkpoint, scans, tmp_path / "whole")
    assert parts.run(lambda _: None, lambda: False)
    assert whole.run(lambda _: None, lambda: False)
    files = [written(one, tmp_path / name) / "model.safetensors" for one, name in ((whole, "a"), (parts, "b"))]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert whole.curve() == parts.curve()


def test_adapters_merge_into_the_names_of_before_and_load_exactly(checkpoint, tmp_path):
    pytest.importorskip("peft")
    network = read_sam2_network(checkpoint, tiny_config(128).to_dict())
    names = set(network.state_dict())
    wrapped = adapted(network, 0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = wrapped.base_model.model.vision_encoder(images).fpn_hidden_states[2]
    plain = merged(wrapped)
    assert set(plain.state_dict()) == names
    plain.save_pretrained(tmp_path / "merged")
    again = read_sam2_network(tmp_path / "merged", tiny_config(128).to_dict())
    with torch.no_grad():
        one, two = (net.vision_encoder(images).fpn_hidden_states[2] for net in (plain, again))
    assert torch.equal(one, two)
    assert torch.allclose(one, expected, atol=1e-4)
