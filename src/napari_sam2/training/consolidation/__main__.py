"""Trains what looks over carried objects: ``python -m napari_sam2.training.consolidation CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/consolidation-1/config.toml``; pools that it names and that are not there
are made first, and so are the carried objects in OUT. OUT receives ``consolidation-1.safetensors``.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from napari_sam2.engine.consolidation import BY_NETWORK
from napari_sam2.models.small.model import load_bundled
from napari_sam2.training.consolidation.examples import draw_examples, read_examples, write_examples
from napari_sam2.training.consolidation.net import gather, train_net
from napari_sam2.training.consolidation.recipe import read_recipe
from napari_sam2.training.prepare import ready_pools

logger = logging.getLogger(__name__)


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = read_recipe(options.config)
    torch.set_num_threads(recipe.threads)
    pools = ready_pools(recipe.prepare, options.config.parent)
    options.out.mkdir(parents=True, exist_ok=True)
    model = load_bundled()
    examples = []
    for seed in recipe.seeds:
        path = options.out / f"carried-{seed}.npz"
        if not path.exists():
            rng = np.random.default_rng(seed)
            write_examples(path, list(draw_examples(rng, pools, recipe.shares, model, recipe.each)))
            logger.info("%s", path)
        examples += read_examples(path)
    real, invented = gather(examples, pools, recipe.shares, recipe.network)
    save_file(train_net(real, invented, recipe.network), options.out / f"{BY_NETWORK}.safetensors")


if __name__ == "__main__":
    main()
