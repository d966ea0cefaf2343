"""Trains what answers clicks: ``python -m napari_sam2.training.corrections CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/correction-3/config.toml``; pools that it names and that are not there are
made first. OUT receives the weight files: ``correction-2.safetensors`` of a perceptron, ``correction-3.safetensors`` of
a network.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file, save_file

from napari_sam2.engine import correction
from napari_sam2.engine.correction import NETWORK_WEIGHTS, WEIGHTS
from napari_sam2.models.small.model import load_bundled
from napari_sam2.training.corrections.net import train_net
from napari_sam2.training.corrections.perceptron import train_perceptron
from napari_sam2.training.corrections.recipe import read_recipe
from napari_sam2.training.recipe_command import begin, run_command


def main() -> None:
    """Read the command line and do as it says."""
    begun = begin(__doc__, read_recipe)
    recipe, pools = begun.recipe, begun.pools
    if recipe.perceptron is not None:
        save_file(train_perceptron(pools, recipe.shares, recipe.perceptron), begun.out / WEIGHTS)
    if recipe.network is not None:
        shipped = load_file(Path(correction.__file__).parent / WEIGHTS)
        weights = train_net(pools, recipe.shares, recipe.network, shipped, load_bundled())
        save_file(weights, begun.out / NETWORK_WEIGHTS)


if __name__ == "__main__":
    run_command(main)
