import json

import pytest
import torch
from safetensors.torch import load_file

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models.small.model import load_small
from napari_sam2.models.small.net import NetConfig, SmallNet, Tokens
from napari_sam2.models.small.weights import write_weights
from napari_sam2.training.checkpoint import TENSORS, write_compact
from napari_sam2.training.command import train_command
from napari_sam2.training.config import read_config
from napari_sam2.training.start import begin_from
from napari_sam2.training.train import Trainer


def trained(config, folder, parts):
    for k, rollouts in enumerate(parts):
        trainer = Trainer(read_config(config), config.parent, folder)
        if k:
            trainer.resume()
        for _ in range(rollouts):
            trainer.one_rollout()
        trainer._save()
    return load_file(folder / TENSORS)


def test_a_resumed_run_continues_bit_by_bit(tiny_config, tmp_path):
    whole = trained(tiny_config, tmp_path / "whole", [2])
    parts = trained(tiny_config, tmp_path / "parts", [1, 1])
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_the_command_leaves_weights_that_load_and_a_curve(tiny_config, tmp_path):
    weights = train_command(tiny_config, tmp_path / "run")
    model = load_small(weights)
    assert model.input_size == 32
    record = json.loads((tmp_path / "run" / "curve.jsonl").read_text().splitlines()[-1])
    assert record["samples"] == 3 * 3 * 2
    assert {"synthetic/box", "synthetic/box/blank", "synthetic/mask-propagate"} <= record.keys()


def test_a_finished_folder_is_not_overwritten(tiny_config, tmp_path):
    train_command(tiny_config, tmp_path / "run", seconds=0)
    with pytest.raises(UserInputError, match="resume"):
        train_command(tiny_config, tmp_path / "run")


def test_resuming_nothing_is_an_error(tiny_config, tmp_path):
    with pytest.raises(ModelError, match="no checkpoint"):
        train_command(tiny_config, tmp_path / "empty", resume=True)


def test_an_unknown_key_is_named(tmp_path, tiny_config):
    tiny_config.write_text(tiny_config.read_text().replace("warm_up", "warmup"))
    with pytest.raises(UserInputError, match="warmup"):
        read_config(tiny_config)


def test_a_size_that_the_network_cannot_take_is_refused(tiny_config):
    tiny_config.write_text(tiny_config.read_text().replace("size = 32", "size = 40"))
    with pytest.raises(UserInputError, match="multiple of 16"):
        read_config(tiny_config)


def test_a_compact_checkpoint_is_small_and_goes_on_where_the_full_one_was(tiny_config, tmp_path):
    full = trained(tiny_config, tmp_path / "run", [2])
    write_compact(tmp_path / "run", tmp_path / "kept")
    sizes = [sum(p.stat().st_size for p in (tmp_path / f).glob("*.safetensors")) for f in ("run", "kept")]
    assert sizes[1] < 0.5 * sizes[0]
    trainer = Trainer(read_config(tiny_config), tiny_config.parent, tmp_path / "kept")
    trainer.resume()
    assert (trainer.rollout, trainer.update) == (2, 4)
    for name, value in trainer.net.state_dict().items():
        assert torch.allclose(value, full[f"net.{name}"], atol=2e-3)
    trainer.one_rollout()
    assert all(bool(p.isfinite().all()) for p in trainer.net.parameters())


def test_a_run_begins_from_a_shallower_network_with_the_same_answers(tiny_config, tmp_path):
    torch.manual_seed(1)
    small = SmallNet(NetConfig(widths=(8, 16, 16, 24), heads=2)).eval()
    write_weights(tmp_path / "small.safetensors", small.state_dict(), small.config, 32, "small")
    deep = NetConfig(widths=(8, 16, 16, 24), heads=2, channels=16, deeper=(1, 1), attend=1, late=True)
    torch.manual_seed(2)
    net = SmallNet(deep).eval()
    assert all("deeper" in n or "attend" in n or "late" in n for n in begin_from(net, tmp_path / "small.safetensors"))
    channels = torch.rand(1, 16, 32, 32)
    memory = Tokens(torch.rand(1, 16, 4, 4), torch.rand(1, 4, 4), torch.tensor([[1.0, 0, 0]]), torch.ones(1))
    with torch.inference_mode():
        one, two = small(channels[:, :13], [memory]), net(channels, [memory])
    assert torch.allclose(one.logits, two.logits, atol=0.05)
    assert torch.allclose(one.presence, two.presence, atol=0.05)


def test_the_rate_is_held_and_then_falls(tiny_config, tmp_path):
    tiny_config.write_text("hold = 0.5\n" + tiny_config.read_text().replace("rollouts = 3", "rollouts = 8"))
    trainer = Trainer(read_config(tiny_config), tiny_config.parent, tmp_path / "run")
    trainer.update = 2
    rates = []
    for rollout in (2, 4, 5, 6, 8):
        trainer.rollout = rollout
        rates.append(trainer._rate())
    assert rates[0] == rates[1] == trainer.config.learning_rate
    assert rates[1] > rates[2] > rates[3] > rates[4] > 0


def test_short_rollouts_are_a_prompt_and_one_more_step(tiny_config, tmp_path):
    tiny_config.write_text(tiny_config.read_text().replace("steps = 2", "steps = 5\nshort = 1.0"))
    trainer = Trainer(read_config(tiny_config), tiny_config.parent, tmp_path / "run")
    trainer.one_rollout()
    assert trainer.samples == 2 * 3


def test_the_end_of_a_run_is_validated_once(tiny_config, tmp_path):
    tiny_config.write_text(tiny_config.read_text().replace("validate_every = 100", "validate_every = 3"))
    train_command(tiny_config, tmp_path / "run")
    assert len((tmp_path / "run" / "curve.jsonl").read_text().splitlines()) == 1


def test_what_is_written_may_be_a_blend_with_what_the_run_began_from(tiny_config, tmp_path):
    torch.manual_seed(1)
    small = SmallNet(NetConfig(widths=(8, 16, 16, 24), heads=2)).eval()
    write_weights(tiny_config.parent / "small.safetensors", small.state_dict(), small.config, 32, "small")
    deep = tiny_config.read_text().replace("heads = 2", "heads = 2\nchannels = 16\ndeeper = [1, 1]\nattend = 1")
    written = {}
    for share in (0.0, 0.5, 1.0):
        tiny_config.write_text(f'start = "small.safetensors"\nblend = {share}\npresence_shift = 0.25\n' + deep)
        written[share] = load_file(train_command(tiny_config, tmp_path / f"run{share}"))
    middle = "encode.0.first.weight"
    assert torch.allclose(written[0.0][middle].float(), small.state_dict()[middle], atol=1e-3)
    mean = (written[0.0][middle].float() + written[1.0][middle].float()) / 2
    assert torch.allclose(written[0.5][middle].float(), mean, atol=1e-3)
    added = "deeper.0.0.second.weight"
    assert written[0.0][added].abs().max() == 0
    assert written[1.0][added].abs().max() > 0
    assert torch.equal(written[0.0]["deeper.0.0.first.weight"], written[1.0]["deeper.0.0.first.weight"])
    presence = written[0.0]["scores.2.bias"][1].float() - small.state_dict()["scores.2.bias"][1]
    assert float(presence) == pytest.approx(0.25, abs=2e-3)
