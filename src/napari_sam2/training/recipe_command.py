"""What the commands of all recipes begin with."""

from __future__ import annotations

import argparse
import logging
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import torch

from napari_sam2.errors import NapariSam2Error, UserInputError
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.prepare import ready_pools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam2.training.pool import PoolVolume

__all__ = ["Begun", "begin", "pools_of", "read_recipe_file", "run_command"]

EXIT_INPUT: Final = 2


class _Recipe(Protocol):
    @property
    def prepare(self) -> tuple[PoolRecipe, ...]: ...
    @property
    def threads(self) -> int: ...


RecipeT = TypeVar("RecipeT")
RecipeOfPoolsT = TypeVar("RecipeOfPoolsT", bound=_Recipe)


@dataclass(frozen=True, slots=True)
class Begun(Generic[RecipeOfPoolsT]):
    """A command whose recipe is read and whose pools are there.

    Attributes
    ----------
    recipe
        As it was read.
    folder : Path
        Of the recipe.
    pools : mapping of str to list of PoolVolume
        By their part of the data.
    out : Path
        The folder for what is made; it exists.
    """

    recipe: RecipeOfPoolsT
    folder: Path
    pools: Mapping[str, list[PoolVolume]]
    out: Path


def begin(about: str | None, read: Callable[[Path], RecipeOfPoolsT]) -> Begun[RecipeOfPoolsT]:
    """Read the command line and its recipe.

    The pools that are not there are made.

    Parameters
    ----------
    about : str, optional
        What the command does, for ``--help``.
    read : callable
        Reads a recipe.

    Raises
    ------
    UserInputError
        As ``read`` and `napari_sam2.training.prepare.ready_pools` raise it.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = read(options.config)
    torch.set_num_threads(recipe.threads)
    pools = ready_pools(recipe.prepare, options.config.parent)
    options.out.mkdir(parents=True, exist_ok=True)
    return Begun(recipe, options.config.parent, pools, options.out)


def run_command(command: Callable[[], None]) -> None:
    """Run a command; what is wrong with its input becomes a sentence.

    Raises
    ------
    SystemExit
        With code 2 then.
    """
    try:
        command()
    except NapariSam2Error as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_INPUT) from None


def read_recipe_file(path: Path, made: Callable[[dict[str, Any]], RecipeT], of: str) -> RecipeT:
    """Read a recipe from TOML.

    Parameters
    ----------
    path : Path
        The file.
    made : callable
        Makes the recipe of the file's values.
    of : str
        What it is a recipe of, for the message.

    Raises
    ------
    UserInputError
        If the file cannot be read, or holds what it should not.
    """
    try:
        return made(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserInputError(f"{path} is no recipe of {of}: {error}") from error


def pools_of(values: dict[str, Any]) -> tuple[PoolRecipe, ...]:
    """The pools that a recipe names."""
    return tuple(PoolRecipe(**table) for table in values["prepare"])
