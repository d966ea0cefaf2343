"""Trains what answers clicks: ``python -m napari_sam2.training.corrections CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/correction-2/config.toml``; pools that it names and that are not there are
made first. OUT receives ``perceptron.safetensors`` and ``object.safetensors``.
"""

from __future__ import annotations

import argparse
import logging
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.corrections.object_net import NetRecipe, train_object_net
from napari_sam2.training.corrections.perceptron import PerceptronRecipe, train_perceptron
from napari_sam2.training.pool import read_pool
from napari_sam2.training.prepare import write_missing_pools


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    values = tomllib.loads(options.config.read_text(encoding="utf-8"))
    torch.set_num_threads(int(values.get("threads", 1)))
    recipes = [PoolRecipe(**table) for table in values["prepare"]]
    write_missing_pools(recipes, options.config.parent)
    pools = {recipe.anatomy: read_pool(options.config.parent / recipe.pool) for recipe in recipes}
    options.out.mkdir(parents=True, exist_ok=True)
    if "perceptron" in values:
        weights = train_perceptron(pools, values["shares"], PerceptronRecipe(**values["perceptron"]))
        save_file(weights, options.out / "perceptron.safetensors")
    if "object" in values:
        net = train_object_net(pools, values["shares"], NetRecipe(**values["object"]))
        named = {name: np.ascontiguousarray(v.detach().numpy()) for name, v in net.state_dict().items()}
        save_file(named, options.out / "object.safetensors")


if __name__ == "__main__":
    main()
