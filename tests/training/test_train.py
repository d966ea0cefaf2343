import json

import pytest
import torch
from safetensors.torch import load_file

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models.small.model import load_small
from napari_sam2.training.checkpoint import TENSORS
from napari_sam2.training.command import train_command
from napari_sam2.training.config import read_config
from napari_sam2.training.train import Trainer


def trained(config, folder, parts):
    for k, rollouts in enumerate(parts):
        trainer = Trainer(read_config(config), config.parent, folder)
        if k:
            trainer.resume()
        for _ in range(rollouts):
            trainer._one_rollout()
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
