"""A pool of volumes with objects.

On disk as one compressed array file per pool.

Two kinds of volume share one form: slabs of region numbers, whose intensities are invented at each use,
and real images, whose intensities are kept. An object is a bounding box and the bits inside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.training.given import GivenPrompts

__all__ = ["PoolObject", "PoolVolume", "read_pool", "write_pool"]


@dataclass(frozen=True, slots=True)
class PoolObject:
    """One object of a volume.

    Attributes
    ----------
    corner : tuple of int
        First slice, row and column of its bounding box.
    shape : tuple of int
        Extent of the bounding box.
    bits : ndarray, uint8
        The mask inside the box, packed.
    areas : ndarray, (slices of the box,) int32
        Pixels per slice.
    regions : tuple of int
        The region numbers it is made of; empty on a real image.
    given : mapping of int to GivenPrompts
        What a person gave on which slice of the volume; pool files do not hold it.
    """

    corner: tuple[int, int, int]
    shape: tuple[int, int, int]
    bits: NDArray[np.uint8]
    areas: NDArray[np.int32]
    regions: tuple[int, ...] = ()
    given: Mapping[int, GivenPrompts] = field(default_factory=dict)

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_], regions: Sequence[int] = ()) -> PoolObject:
        """Pack a mask given on the whole volume, (slices, rows, columns) bool."""
        spans = []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            hit = np.flatnonzero(mask.any(axis=others))
            spans.append((int(hit[0]), int(hit[-1]) + 1))
        inner = mask[tuple(slice(a, b) for a, b in spans)]
        return cls(
            corner=(spans[0][0], spans[1][0], spans[2][0]),
            shape=(inner.shape[0], inner.shape[1], inner.shape[2]),
            bits=np.packbits(inner),
            areas=inner.reshape(len(inner), -1).sum(1).astype(np.int32),
            regions=tuple(int(r) for r in regions),
        )

    def mask(self) -> NDArray[np.bool_]:
        """The mask inside the bounding box."""
        count = int(np.prod(self.shape))
        return np.unpackbits(self.bits, count=count).astype(bool).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class PoolVolume:
    """One volume of the pool.

    Attributes
    ----------
    name : str
        Where it comes from.
    kind : str
        ``"regions"`` or ``"air"`` (region numbers; with ``"air"`` region 0 is empty space),
        ``"ct"`` (Hounsfield units) or ``"image"`` (any other intensities).
    voxels : ndarray, (slices, rows, columns)
        uint8 region numbers or int16 intensities.
    isotropic : bool
        True if it may be sliced along any axis.
    objects : list of PoolObject
    """

    name: str
    kind: str
    voxels: NDArray[np.uint8] | NDArray[np.int16]
    isotropic: bool
    objects: list[PoolObject]


def write_pool(path: Path, volumes: Sequence[PoolVolume]) -> None:
    """Write a pool.

    Plain arrays and one JSON text, nothing that could run code when read.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    headers = []
    for index, volume in enumerate(volumes):
        arrays[f"v{index}"] = volume.voxels
        parts = volume.objects
        arrays[f"b{index}"] = np.concatenate([o.bits for o in parts]) if parts else np.zeros(0, np.uint8)
        arrays[f"a{index}"] = np.concatenate([o.areas for o in parts]) if parts else np.zeros(0, np.int32)
        headers.append(
            {
                "name": volume.name,
                "kind": volume.kind,
                "isotropic": volume.isotropic,
                "objects": [[o.corner, o.shape, o.regions] for o in parts],
            }
        )
    text = json.dumps(headers).encode()
    arrays["headers"] = np.frombuffer(text, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read_pool(path: Path) -> list[PoolVolume]:
    """Read what `write_pool` wrote."""
    if not path.is_file():
        message = f"{path} is not there; write it with napari_sam2.training.prepare"
        raise UserInputError(message)
    volumes = []
    with np.load(path, allow_pickle=False) as stored:
        headers = json.loads(stored["headers"].tobytes())
        for index, header in enumerate(headers):
            bits, areas = stored[f"b{index}"], stored[f"a{index}"]
            objects, bit, area = [], 0, 0
            for corner, shape, regions in header["objects"]:
                length = (int(np.prod(shape)) + 7) // 8
                objects.append(
                    PoolObject(
                        corner=tuple(corner),
                        shape=tuple(shape),
                        bits=bits[bit : bit + length],
                        areas=areas[area : area + shape[0]],
                        regions=tuple(regions),
                    )
                )
                bit, area = bit + length, area + shape[0]
            volumes.append(
                PoolVolume(header["name"], header["kind"], stored[f"v{index}"], header["isotropic"], objects)
            )
    return volumes
