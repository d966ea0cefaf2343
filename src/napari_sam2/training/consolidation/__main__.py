"""Trains what goes over carried objects: ``python -m napari_sam2.training.consolidation CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/consolidation-2/config.toml``; pools that it names and that are not there
are made first, and so are the carried objects in OUT. OUT receives ``consolidation-2.safetensors``.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.numpy import load_file, save_file

from napari_sam2 import engine
from napari_sam2.engine.consolidation_rules import BY_FIRST, BY_NETWORK
from napari_sam2.models.small.model import load_bundled
from napari_sam2.training.consolidation.examples import draw_examples, in_whole_scans, read_examples, write_examples
from napari_sam2.training.consolidation.net import train_net
from napari_sam2.training.consolidation.recipe import read_recipe
from napari_sam2.training.recipe_command import begin, run_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam2.training.consolidation.examples import Example

logger = logging.getLogger(__name__)

WHOLE: Final = "scans"
"""The set of objects in whole scans."""


def main() -> None:
    """Read the command line and do as it says."""
    begun = begin(__doc__, read_recipe)
    recipe, pools = begun.recipe, begun.pools
    model = load_bundled()
    carried: dict[str, list[Example]] = {}
    for name, wanted in recipe.carried.items():
        volumes = {
            part: [volume for volume in of_part if volume.name.startswith(tuple(wanted.named))]
            for part, of_part in pools.items()
            if part in wanted.shares
        }
        carried[name] = []
        for seed in wanted.seeds:
            drawn = draw_examples(np.random.default_rng(seed), volumes, wanted.shares, model, wanted.each, wanted.cells)
            carried[name] += _kept(begun.out / f"carried-{seed}.npz", drawn)
    table, root = begun.folder / recipe.scans, Path(os.path.expandvars(recipe.folder))
    carried[WHOLE] = _kept(begun.out / "carried-scans.npz", in_whole_scans(table, root, model))
    start = load_file(Path(engine.__file__).parent / f"{BY_FIRST}.safetensors")
    save_file(train_net(carried, pools, recipe.network, start), begun.out / f"{BY_NETWORK}.safetensors")


def _kept(path: Path, made: Iterable[Example]) -> list[Example]:
    """What is in a file, which is made where it is not there; what is made lazily is not made then."""
    if not path.exists():
        write_examples(path, list(made))
        logger.info("%s", path)
    return read_examples(path)


if __name__ == "__main__":
    run_command(main)
