"""Finished scans as what a network trains on.

One volume for each scan, with its structures, and invented ones beside them so that the rest is not forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from scipy import ndimage

from napari_sam2.core.prompts import OTHER_PLANE, Box, MaskPrompt, Point
from napari_sam2.core.window import is_ct
from napari_sam2.evaluation.cases import LUMA
from napari_sam2.training.given import GivenPrompts
from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.shapes import make_slab
from napari_sam2.training.textures import Texture, stored_intensities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.volume import Volume

__all__ = ["MOST_VOXELS", "REHEARSED", "pool_volume", "rehearsal"]

NO_PROMPTS: Final[Mapping[int, Sequence[Prompt]]] = MappingProxyType({})

SMALLEST_PART: Final = 30
"""Voxels of a connected part that can be learned from."""

MOST_PARTS: Final = 16
"""Parts of one structure that are learned from, the largest first."""

ISOTROPIC: Final = 1.7
"""Largest spacing over the smallest, up to which a scan is learned from along all its axes."""

MARGIN, MARGIN_SHARE, MARGIN_SLICES = 80, 1.5, 15
"""Pixels around all structures, or that part of their longer side, and slices before and after them."""

MOST_VOXELS: Final = 400_000_000
"""Voxels of all scans together: 800 MB, as they are kept in 16 bits."""

SMALLEST_SIDE: Final = 128
"""Pixels below which nothing is averaged."""

REHEARSED: Final = 48
"""Invented slabs that are rehearsed."""

SLAB: Final = (160, 14)
"""Rows and columns of a slab, and its slices."""

SLAB_SEED: Final = 20261122
"""Of the bundled network's own slabs."""


def pool_volume(
    name: str,
    volume: Volume,
    labels: NDArray[np.integer],
    ids: Iterable[int],
    most_voxels: int = MOST_VOXELS,
    prompts: Mapping[int, Sequence[Prompt]] = NO_PROMPTS,
) -> PoolVolume:
    """A scan with its structures, slices first, cropped to their surroundings.

    Parameters
    ----------
    name : str
        The case's.
    volume : Volume
        The scan.
    labels : (I, J, K) array of int
        On its grid.
    ids : iterable of int
        The structures to learn from.
    most_voxels : int
        What is kept of it; rows and columns are averaged in pairs until it fits.
    prompts : mapping of int to sequence of Prompt
        What a person gave for a structure, by id. Kept where it lies on a slice across the volume's slice axis that
        shows one connected part of the structure.
    """
    axis = volume.default_slice_axis
    numbered = np.moveaxis(np.where(np.isin(labels, list(ids)), labels, 0), axis, 0)
    around = _surroundings(numbered)
    voxels = volume.voxels @ np.array(LUMA, np.float32) if volume.is_rgb else volume.voxels
    slices = np.ascontiguousarray(np.moveaxis(voxels, axis, 0)[around], np.float32)
    if not np.isfinite(slices).all():  # a channel that is laid on the scan does not reach all of it
        slices = np.nan_to_num(slices, nan=float(np.nanmin(slices)))
    numbered = numbered[around]
    halvings = 0
    while slices.size > most_voxels and min(slices.shape[1:]) > SMALLEST_SIDE:
        rows, columns = (n // 2 * 2 for n in slices.shape[1:])
        slices, numbered = _halved(slices), numbered[:, :rows:2, :columns:2]
        halvings += 1
    isotropic = max(volume.spacing) / min(volume.spacing) < ISOTROPIC
    texture = Texture(name, "ct" if is_ct(volume) else "image", slices, isotropic)
    corner = tuple(span.start for span in around)
    objects = [
        part
        for label_id in ids
        for part in _parts(numbered == label_id, _given(prompts.get(label_id, ()), axis, corner, halvings))
    ]
    return PoolVolume(name, texture.kind, stored_intensities(texture), isotropic, objects)


def rehearsal(count: int = REHEARSED) -> list[PoolVolume]:
    """Invented slabs, always the same ones.

    As in the recipe of the bundled network.
    """
    return [make_slab(np.random.default_rng([SLAB_SEED, k]), *SLAB) for k in range(count)]


def _surroundings(numbered: NDArray[np.integer]) -> tuple[slice, slice, slice]:
    """The structures with as much around them as a clip may show."""
    spans = []
    for axis in range(3):
        held = np.flatnonzero(numbered.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((int(held[0]), int(held[-1]) + 1) if len(held) else (0, 1))
    sides = [stop - start for start, stop in spans]
    margins = (MARGIN_SLICES, *(max(MARGIN, round(MARGIN_SHARE * max(sides[1:]))),) * 2)
    cut = [slice(max(0, start - margin), stop + margin) for (start, stop), margin in zip(spans, margins, strict=True)]
    return cut[0], cut[1], cut[2]


def _halved(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows and columns averaged in pairs."""
    rows, columns = (n // 2 for n in slices.shape[1:])
    pairs = slices[:, : 2 * rows, : 2 * columns].reshape(len(slices), rows, 2, columns, 2)
    return np.asarray(pairs.mean((2, 4)), np.float32)


def _given(prompts: Sequence[Prompt], axis: int, corner: Sequence[int], halvings: int) -> dict[int, GivenPrompts]:
    """Prompts on slices across `axis`, in (x, y) of the kept pixels, by the kept slice."""
    others = [a for a in range(3) if a != axis]
    by_slice: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        if not isinstance(prompt, MaskPrompt) and prompt.slice_index(axis) != OTHER_PLANE:
            by_slice.setdefault(prompt.slice_index(axis) - corner[0], []).append(prompt)

    def pixels(voxels: Sequence[Sequence[float] | NDArray[np.float64]]) -> Tensor:
        rows_columns = np.array(voxels, np.float64).reshape(-1, 3)[:, others] - np.array(corner[1:])
        # Pixel k of those averaged in pairs has its middle at 2 k + 0.5.
        averaged = (rows_columns + 0.5) / 2**halvings - 0.5
        return torch.from_numpy(averaged[:, ::-1].astype(np.float32).copy())

    given = {}
    for index, on_slice in by_slice.items():
        box = next((p for p in reversed(on_slice) if isinstance(p, Box)), None)
        points = [p for p in on_slice if isinstance(p, Point)]
        edges = [] if box is None else [np.array(box.low) - 0.5, np.array(box.high) + 0.5]
        labels = torch.tensor([int(p.positive) for p in points], dtype=torch.int64)
        if edges or any(p.positive for p in points):
            given[index] = GivenPrompts(pixels(edges), pixels([p.voxel for p in points]), labels)
    return given


def _parts(mask: NDArray[np.bool_], given: Mapping[int, GivenPrompts]) -> Iterator[PoolObject]:
    """The larger connected parts of a structure.

    With what was given on slices that show nothing else of it.
    """
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    for part in np.argsort(-sizes, kind="stable")[:MOST_PARTS]:
        if sizes[part] >= SMALLEST_PART:
            alone = {k: prompts for k, prompts in given.items() if 0 <= k < len(parts) and _alone(parts[k], part + 1)}
            yield replace(PoolObject.from_mask(parts == part + 1), given=alone)


def _alone(numbers: NDArray[np.integer], number: int) -> bool:
    """Whether a slice of numbered parts shows that one and no other."""
    return set(np.unique(numbers).tolist()) - {0} == {number}
