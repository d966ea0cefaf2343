"""The recipe of what answers clicks, read from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam2.training.corrections.net import NetRecipe
from napari_sam2.training.corrections.perceptron import PerceptronRecipe
from napari_sam2.training.recipe_command import pools_of, read_recipe_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.training.config import PoolRecipe

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
    return read_recipe_file(path, _made, "corrections")


def _made(values: dict[str, Any]) -> Recipe:
    return Recipe(
        pools_of(values),
        dict(values["shares"]),
        PerceptronRecipe(**values["perceptron"]) if "perceptron" in values else None,
        NetRecipe(**values["network"]) if "network" in values else None,
        int(values.get("threads", 1)),
    )
