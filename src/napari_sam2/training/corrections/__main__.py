"""Trains what answers clicks: ``python -m napari_sam2.training.corrections CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/correction-2/config.toml``; pools that it names and that are not there are
made first. OUT receives the weight file, ``correction-2.safetensors``.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from safetensors.numpy import save_file

from napari_sam2.engine.correction import WEIGHTS
from napari_sam2.training.corrections.perceptron import train_perceptron
from napari_sam2.training.corrections.recipe import read_recipe
from napari_sam2.training.pool import read_pool
from napari_sam2.training.prepare import write_missing_pools


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = read_recipe(options.config)
    root = options.config.parent
    torch.set_num_threads(recipe.threads)
    write_missing_pools(recipe.prepare, root)
    pools = {table.anatomy: read_pool(root / table.pool) for table in recipe.prepare}
    options.out.mkdir(parents=True, exist_ok=True)
    save_file(train_perceptron(pools, recipe.shares, recipe.perceptron), options.out / WEIGHTS)


if __name__ == "__main__":
    main()
