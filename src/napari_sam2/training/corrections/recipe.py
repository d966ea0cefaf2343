"""The recipe of what answers clicks, read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.corrections.net import NetRecipe
from napari_sam2.training.corrections.perceptron import PerceptronRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Recipe", "read_recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and on what.

    Attributes
    ----------
    prepare : tuple of PoolRecipe
        The pools, named by their part of the data.
    shares : mapping of str to float
        How often each pool is drawn from.
    perceptron : PerceptronRecipe, optional
        Of the weights for voxels alone.
    network : NetRecipe, optional
        Of the U-Net, on top of the perceptron that ships.
    threads : int
        Of the processor; another number may change last digits.
    """

    prepare: tuple[PoolRecipe, ...]
    shares: Mapping[str, float]
    perceptron: PerceptronRecipe | None = None
    network: NetRecipe | None = None
    threads: int = 1


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    UserInputError
        If the file cannot be read, or holds what it should not.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe(
            tuple(PoolRecipe(**table) for table in values["prepare"]),
            dict(values["shares"]),
            PerceptronRecipe(**values["perceptron"]) if "perceptron" in values else None,
            NetRecipe(**values["network"]) if "network" in values else None,
            int(values.get("threads", 1)),
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UserInputError(f"{path} is no recipe of corrections: {error}") from error
