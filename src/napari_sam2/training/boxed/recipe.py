"""The recipe of the second network, read from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam2.models.small.box_net import BoxNetConfig
from napari_sam2.training.boxed.learning import LearningRecipe
from napari_sam2.training.recipe_command import pools_of, read_recipe_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.training.config import PoolRecipe

__all__ = ["Recipe", "ViewsRecipe", "read_recipe"]


@dataclass(frozen=True, slots=True)
class ViewsRecipe:
    """Which boxed views are made.

    Attributes
    ----------
    files, each : int
        Number of files, and views in each; file k is drawn with the seed and k.
    kept : int
        Views of volumes that are not learned from.
    keep : tuple of str
        Names of those volumes.
    shares : mapping of str to float
        How often each part of the data is drawn from.
    hot : float
        Share of the images with invented intensities that look like PET.
    pet : float
        How many times as often a PET scan is drawn as another one.
    seed : int
    """

    files: int
    each: int
    kept: int
    keep: tuple[str, ...]
    shares: Mapping[str, float]
    hot: float
    pet: float
    seed: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How boxed views are made, and what is trained on them.

    Attributes
    ----------
    prepare : tuple of PoolRecipe
        The pools, named by their part of the data.
    views : ViewsRecipe
    net : BoxNetConfig
    learning : LearningRecipe
    threads : int
        Of the processor; another number may change last digits.
    """

    prepare: tuple[PoolRecipe, ...]
    views: ViewsRecipe
    net: BoxNetConfig
    learning: LearningRecipe
    threads: int = 1


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    UserInputError
        If the file cannot be read, or holds what it should not.
    """
    return read_recipe_file(path, _made, "a boxed network")


def _made(values: dict[str, Any]) -> Recipe:
    return Recipe(
        pools_of(values),
        ViewsRecipe(**{**values["views"], "keep": tuple(values["views"]["keep"])}),
        BoxNetConfig.from_dict(values["net"]),
        LearningRecipe(**values["learning"]),
        int(values.get("threads", 1)),
    )
