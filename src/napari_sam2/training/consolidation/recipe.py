"""The recipe of what looks over carried objects, read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.consolidation.net import NetRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Recipe", "read_recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How carried objects are made, and what is trained on them.

    Attributes
    ----------
    prepare : tuple of PoolRecipe
        The pools, named by their part of the data.
    shares : mapping of str to float
        How often each pool is drawn from.
    seeds : tuple of int
        Of the files of carried objects.
    each : int
        Objects of a file.
    network : NetRecipe
        Of the U-Net.
    threads : int
        Of the processor; another number may change last digits.
    """

    prepare: tuple[PoolRecipe, ...]
    shares: Mapping[str, float]
    seeds: tuple[int, ...]
    each: int
    network: NetRecipe
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
            tuple(int(seed) for seed in values["seeds"]),
            int(values["each"]),
            NetRecipe(**values["network"]),
            int(values.get("threads", 1)),
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserInputError(f"{path} is no recipe of a consolidation: {error}") from error
