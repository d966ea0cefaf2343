"""Writing the pools that a run draws from.

Synthetic slabs by number, real textures from a list of files.
"""

from __future__ import annotations

import logging
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.training.anatomy import anatomy_volumes
from napari_sam2.training.pool import read_pool, write_pool
from napari_sam2.training.shapes import make_slab
from napari_sam2.training.split import read_split
from napari_sam2.training.textures import Texture, texture_volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.training.config import PoolRecipe
    from napari_sam2.training.pool import PoolVolume

__all__ = [
    "TextureSource",
    "read_sources",
    "ready_pools",
    "write_missing_pools",
    "write_synthetic_pool",
    "write_texture_pool",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TextureSource:
    """One image file and how it is used.

    Attributes
    ----------
    name : str
        As in the model card.
    path : str
        File, or folder of a DICOM series; relative to the list.
    kind : str
        ``"ct"`` for Hounsfield units, else ``"image"``.
    rounds : int
        How often objects are looked for with new settings.
    isotropic : bool
        Whether it may be sliced along any axis.
    axis : int
        Stored axis that numbers the slices.
    shrink : int
        In-plane block averaging; thick-slice volumes and photographs only.
    step : int
        Every so many voxels, along all axes of an isotropic volume, else within slices.
    crop : tuple of int
        First and last-plus-one index along each stored axis, six numbers; empty for everything.
    channel : int
        Colour channel of a photograph; -1 averages them, and reduces a 4-D volume to its first.
    """

    name: str
    path: str
    kind: str = "image"
    rounds: int = 4
    isotropic: bool = False
    axis: int = 0
    shrink: int = 1
    step: int = 1
    crop: tuple[int, ...] = ()
    channel: int = -1


def read_sources(path: Path) -> list[TextureSource]:
    """Read a list of textures.

    A TOML file with ``[[textures]]`` tables, keys as in `TextureSource`.
    """
    tables: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8")).get("textures", [])
    try:
        return [TextureSource(**{**table, "crop": tuple(table.get("crop", ()))}) for table in tables]
    except TypeError as error:
        raise UserInputError(f"{path}: {error}") from error


def write_missing_pools(recipes: Sequence[PoolRecipe], root: Path) -> None:
    """Make the pool files that are not there.

    A pool of thousands of slabs takes minutes.
    """
    for recipe in recipes:
        path = root / recipe.pool
        if path.exists():
            continue
        logger.info("making %s", path)
        if recipe.anatomy:
            folder, split = Path(os.path.expandvars(recipe.folder)), read_split(root / recipe.split)
            volumes = list(anatomy_volumes(folder, split, recipe.anatomy, recipe.held_out, recipe.seed))
            write_pool(path, volumes)
        elif recipe.textures:
            write_texture_pool(path, root / recipe.textures, recipe.seed)
        else:
            write_synthetic_pool(path, recipe.seed, recipe.slabs, recipe.size, recipe.depth)


def ready_pools(recipes: Sequence[PoolRecipe], root: Path) -> dict[str, list[PoolVolume]]:
    """Pools by their part of the data.

    Those that are not there are made.
    """
    write_missing_pools(recipes, root)
    return {recipe.anatomy: read_pool(root / recipe.pool) for recipe in recipes}


def write_synthetic_pool(path: Path, seed: int, count: int, size: int = 160, depth: int = 14) -> None:
    """Write slabs 0 to ``count``.

    Slab k depends on the seed and k alone.
    """
    write_pool(path, [make_slab(np.random.default_rng([seed, k]), size, depth) for k in range(count)])


def write_texture_pool(path: Path, sources: Path, seed: int) -> None:
    """Write the textures of a list.

    Each depends on the seed and its place in the list.
    """
    volumes = []
    for k, source in enumerate(read_sources(sources)):
        texture = Texture(source.name, source.kind, _voxels(source, sources.parent), source.isotropic)
        volumes.append(texture_volume(np.random.default_rng([seed, k]), texture, source.rounds))
    write_pool(path, volumes)


def _voxels(source: TextureSource, root: Path) -> NDArray[np.float32]:
    stored = _read(root / source.path)
    if stored.ndim == 2:
        stored = stored[None]
    elif stored.shape[-1] in (3, 4) and source.path.endswith((".png", ".jpg")):
        colours = stored[..., :3]
        stored = (colours.mean(-1) if source.channel < 0 else colours[..., source.channel])[None]
    elif stored.ndim == 4:
        stored = stored[..., 0]
    if source.crop:
        stored = stored[tuple(slice(a, b) for a, b in zip(source.crop[::2], source.crop[1::2], strict=True))]
    stored = np.moveaxis(stored, source.axis, 0).astype(np.float32)
    through = source.step if source.isotropic else 1
    stored = stored[::through, :: source.step, :: source.step]
    if source.shrink > 1:
        n = source.shrink
        rows, columns = stored.shape[1] // n, stored.shape[2] // n
        stored = stored[:, : rows * n, : columns * n].reshape(len(stored), rows, n, columns, n).mean((2, 4))
    return np.ascontiguousarray(stored)


def _read(path: Path) -> NDArray[Any]:
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if path.name.endswith((".nii", ".nii.gz")):
        return np.asarray(nib.load(path).dataobj)
    if path.suffix in (".png", ".jpg"):
        from skimage.io import imread

        return np.asarray(imread(path))
    import SimpleITK

    if not path.is_dir():
        return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    return np.asarray(SimpleITK.GetArrayFromImage(reader.Execute()))
