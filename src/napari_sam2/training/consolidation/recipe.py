"""The recipe of what goes over carried objects, read from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam2.training.consolidation.net import NetRecipe
from napari_sam2.training.recipe_command import pools_of, read_recipe_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.training.config import PoolRecipe

__all__ = ["CarriedRecipe", "Recipe", "read_recipe"]


@dataclass(frozen=True, slots=True)
class CarriedRecipe:
    """Objects that are cut out of pools and carried.

    Attributes
    ----------
    seeds : tuple of int
        Of their files.
    each : int
        Objects of a file.
    cells : tuple of int
        Cells along an object's longest side, from and to.
    shares : mapping of str to float
        How often each pool is drawn from.
    named : tuple of str
        How the names of volumes begin; any without it.
    """

    seeds: tuple[int, ...]
    each: int
    cells: tuple[int, int]
    shares: Mapping[str, float]
    named: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How carried objects are made, and what is trained on them.

    Attributes
    ----------
    prepare : tuple of PoolRecipe
        The pools, named by their part of the data.
    carried : mapping of str to CarriedRecipe
        Sets of carried objects.
    scans, folder : str
        A table of objects in whole scans, relative to the recipe, and what its paths are relative to; environment
        variables are filled in.
    network : NetRecipe
        Of the U-Net.
    threads : int
        Of the processor; another number may change last digits.
    """

    prepare: tuple[PoolRecipe, ...]
    carried: Mapping[str, CarriedRecipe]
    scans: str
    folder: str
    network: NetRecipe
    threads: int = 1


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    UserInputError
        If the file cannot be read, or holds what it should not.
    """
    return read_recipe_file(path, _made, "a consolidation")


def _made(values: dict[str, Any]) -> Recipe:
    return Recipe(
        pools_of(values),
        {name: CarriedRecipe(**table) for name, table in values["carried"].items()},
        str(values["scans"]),
        str(values["folder"]),
        NetRecipe(**values["network"]),
        int(values.get("threads", 1)),
    )
