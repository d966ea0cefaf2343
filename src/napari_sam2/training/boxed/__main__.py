"""Trains the second network for a boxed slice: ``python -m napari_sam2.training.boxed CONFIG OUT``.

CONFIG is a TOML file such as ``docs/models/boxed-1/config.toml``; pools that it names and that are not there are made
first, and so are the boxed views in OUT. OUT receives ``curve.jsonl`` and ``boxed-1.safetensors``. A run that was cut
off goes on when the command is given again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.hashing import sha256_of
from napari_sam2.models.small.box_net import write_box_net
from napari_sam2.models.small.model import SmallModel, bundled_weights
from napari_sam2.training.boxed.drawing import draw_boxed
from napari_sam2.training.boxed.learning import learned
from napari_sam2.training.boxed.recipe import read_recipe
from napari_sam2.training.boxed.views import joined, made_views, read_views, write_views
from napari_sam2.training.recipe_command import begin, run_command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.training.boxed.recipe import Recipe
    from napari_sam2.training.boxed.views import Views
    from napari_sam2.training.pool import PoolVolume

logger = logging.getLogger(__name__)

NAME: Final = "boxed-1"
"""Of the file that is written."""


def main() -> None:
    """Read the command line and do as it says."""
    begun = begin(__doc__, read_recipe)
    recipe, pools = begun.recipe, begun.pools
    model, wanted = SmallModel(bundled_weights(), boxed=False), recipe.views
    learn_from = {name: [v for v in part if v.name not in wanted.keep] for name, part in pools.items()}
    look_at = {name: [v for v in part if v.name in wanted.keep] for name, part in pools.items()}
    kept = _ready(begun.out / "kept.safetensors", recipe, look_at, model, wanted.files, wanted.kept)
    views = joined(
        [
            _ready(begun.out / f"views-{number}.safetensors", recipe, learn_from, model, number, wanted.each)
            for number in range(wanted.files)
        ]
    )
    weights = learned(views, kept, recipe.net, recipe.learning, begun.out)
    path = begun.out / f"{NAME}.safetensors"
    write_box_net(path, weights, recipe.net)
    logger.info("%s %s", path, sha256_of(path))


def _ready(
    path: Path, recipe: Recipe, pools: Mapping[str, list[PoolVolume]], model: SmallModel, number: int, count: int
) -> Views:
    """The views of a file, which is made where it is not there."""
    if not path.exists():
        wanted = recipe.views
        rng = np.random.default_rng([wanted.seed, number])
        shares = {name: share for name, share in wanted.shares.items() if pools[name]}
        drawn = [draw_boxed(rng, pools, shares, wanted.hot, wanted.pet) for _ in range(count)]
        write_views(path, made_views(drawn, model, recipe.net))
        logger.info("%s", path)
    return read_views(path)


if __name__ == "__main__":
    run_command(main)
