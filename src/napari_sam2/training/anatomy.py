"""Real anatomy as pools.

Labelled images, label maps without an image, and what can be labelled for free.

A data folder holds one folder per item with ``image.nii.gz`` and/or ``labels.nii.gz`` (same grid), ``labels.json``
(id to name) and ``case.json`` (with ``modality`` and ``spacing_mm``). A label map is stored as region numbers:
its intensities are invented at each use, as in SynthSeg (Billot et al., Med. Image Anal. 2023), so what the map
leaves unlabelled is filled with invented tissue first. Free labels come from CT numbers and Otsu's threshold:
body, air-filled parts and bone, which thresholds and components give honestly.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_sam2.errors import UserInputError
from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.surroundings import with_surroundings
from napari_sam2.training.textures import Texture, stored_intensities, texture_volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.training.split import Split

__all__ = ["Item", "anatomy_volumes", "read_items"]

logger = logging.getLogger(__name__)

#: Voxels of a component that is worth learning from, and how many components of one label are kept.
MIN_VOXELS, MAX_PARTS = 150, 8
#: Spacing across slices over that within, up to which a volume is sliced along any axis.
ISOTROPIC = 1.7
#: Voxels of a free label, and CT numbers (HU): body above, air below, bone above.
MIN_FREE = 600
BODY_HU, AIR_HU, BONE_HU = -250.0, -500.0, 190.0
#: Unions of touching labels taken as further objects of a map, and the largest number of labels in one.
UNIONS, MOST_JOINED = 40, 8
#: Share of a map that is labelled, above which it shows the whole body and what is around it is air.
WHOLE = 0.42
#: Rounds in which supervoxels are looked for in each image, with new scales.
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the data folder.

    Attributes
    ----------
    name : str
    folder : Path
    modality : str
        As in ``case.json``, for example ``"MR T1-weighted"``.
    spacing : tuple of float
        Along the stored axes, mm.
    has_image, has_labels : bool
    """

    name: str
    folder: Path
    modality: str
    spacing: tuple[float, float, float]
    has_image: bool
    has_labels: bool

    @property
    def kind(self) -> str:
        """``"ct"`` where intensities are Hounsfield units, else ``"image"``."""
        return "ct" if self.modality.split(",")[0].strip() == "CT" else "image"

    @property
    def isotropic(self) -> bool:
        """Whether it may be sliced along any axis."""
        return max(self.spacing) / min(self.spacing) < ISOTROPIC

    def read(self, name: str) -> NDArray[np.generic]:
        """``image`` or ``labels`` with the slice axis (the coarsest) first."""
        voxels = np.asarray(nib.load(self.folder / f"{name}.nii.gz").dataobj)
        return np.ascontiguousarray(np.moveaxis(voxels, int(np.argmax(self.spacing)), 0))

    def turned_spacing(self) -> tuple[float, float, float]:
        """Spacing of what `read` returns."""
        axis = int(np.argmax(self.spacing))
        a, b = (mm for k, mm in enumerate(self.spacing) if k != axis)
        return self.spacing[axis], a, b


def read_items(folder: Path) -> list[Item]:
    """All items of a data folder, by name."""
    items = []
    for path in sorted(folder.glob("*/case.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        image, labels = path.with_name("image.nii.gz"), path.with_name("labels.nii.gz")
        zooms = nib.load(image if image.is_file() else labels).header.get_zooms()[:3]
        spacing = (float(zooms[0]), float(zooms[1]), float(zooms[2]))
        items.append(Item(path.parent.name, path.parent, case["modality"], spacing, image.is_file(), labels.is_file()))
    if not items:
        raise UserInputError(f"{folder} holds no items (folders with a case.json); is the data folder right?")
    return items


def anatomy_volumes(folder: Path, split: Split, part: str, held_out: bool, seed: int) -> Iterator[PoolVolume]:
    """Volumes of one part of a data folder.

    Parameters
    ----------
    folder : Path
        The data folder.
    split : Split
        Which items are held out.
    part : str
        ``"labelled"`` images with drawn and free labels, ``"maps"``, or ``"textures"`` (supervoxels of all images).
    held_out : bool
        The held-out items if True, else all others.
    seed : int
        Each item depends on the seed and its name alone.
    """
    for item in read_items(folder):
        if split.holds_out(item.name) != held_out:
            continue
        rng = np.random.default_rng([seed, *item.name.encode()])
        volume = _volume(rng, item, part)
        if volume is not None and volume.objects:
            logger.info("%s: %d objects, %s", volume.name, len(volume.objects), volume.voxels.shape)
            yield volume


def _volume(rng: np.random.Generator, item: Item, part: str) -> PoolVolume | None:
    if part == "maps":
        return _map_volume(rng, item) if item.has_labels and not item.has_image else None
    if not item.has_image:
        return None
    texture = Texture(item.name, item.kind, item.read("image").astype(np.float32), item.isotropic)
    if part == "textures":
        return texture_volume(rng, texture, ROUNDS)
    if part != "labelled":
        raise UserInputError(f"there is no part {part!r} of the data; it is labelled, maps or textures")
    objects = list(_label_objects(item.read("labels"))) if item.has_labels else []
    objects += list(_free_objects(texture))
    return PoolVolume(item.name, item.kind, stored_intensities(texture), item.isotropic, objects)


def _label_objects(labels: NDArray[np.generic]) -> Iterator[PoolObject]:
    """The larger connected parts of every label."""
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is not None:
            yield from _parts(labels[box] == number, box, MIN_VOXELS, (number,))


def _parts(
    mask: NDArray[np.bool_], box: tuple[slice, ...], smallest: int, regions: tuple[int, ...] = ()
) -> Iterator[PoolObject]:
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    for part in np.argsort(-sizes)[:MAX_PARTS]:
        if sizes[part] < smallest:
            return
        yield _moved(PoolObject.from_mask(parts == part + 1, regions), box)


def _moved(item: PoolObject, box: tuple[slice, ...]) -> PoolObject:
    corner = [int(s.start) + c for s, c in zip(box, item.corner, strict=True)]
    return PoolObject((corner[0], corner[1], corner[2]), item.shape, item.bits, item.areas, item.regions)


def _free_objects(texture: Texture) -> Iterator[PoolObject]:
    """Body, air inside it and bone of a CT; the bright part (the body) of any other image."""
    voxels = texture.voxels
    everything = tuple(slice(0, n) for n in voxels.shape)
    level = BODY_HU if texture.kind == "ct" else float(threshold_otsu(voxels[::2, ::2, ::2]))
    opened = ndimage.binary_opening(voxels > level, iterations=1)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in opened])
    if 0.02 < filled.mean() < 0.9:
        yield from list(_parts(filled, everything, MIN_FREE))[:1]
    if texture.kind == "ct":
        yield from _parts(filled & (voxels < AIR_HU), everything, MIN_FREE)
        yield from _parts(ndimage.binary_opening(voxels > BONE_HU, iterations=1), everything, MIN_FREE)


def _map_volume(rng: np.random.Generator, item: Item) -> PoolVolume:
    labels = item.read("labels").astype(np.int16)
    objects = list(_label_objects(labels))
    objects += list(_unions(rng, labels))
    whole = float((labels > 0).mean()) > WHOLE
    regions = labels if whole else with_surroundings(rng, labels, item.turned_spacing())
    return PoolVolume(item.name, "air", regions, item.isotropic, objects)


def _unions(rng: np.random.Generator, labels: NDArray[np.int16]) -> Iterator[PoolObject]:
    """Larger structures: labels joined with labels that touch them."""
    touching = _touching(labels)
    if not touching:
        return
    for _ in range(UNIONS):
        joined = {int(rng.choice(list(touching)))}
        for _ in range(int(rng.integers(1, MOST_JOINED))):
            border = sorted({n for one in joined for n in touching[one]} - joined)
            if not border:
                break
            joined.add(int(rng.choice(border)))
        mask = np.isin(labels, list(joined))
        box = ndimage.find_objects(mask.astype(np.int8))[0]
        yield from list(_parts(mask[box], box, MIN_VOXELS, tuple(sorted(joined))))[:1]


def _touching(labels: NDArray[np.int16]) -> dict[int, set[int]]:
    """Labels that share a face, each with its neighbours."""
    neighbours: dict[int, set[int]] = {}
    for axis in range(3):
        low = np.take(labels, range(labels.shape[axis] - 1), axis).ravel()
        high = np.take(labels, range(1, labels.shape[axis]), axis).ravel()
        differ = (low != high) & (low > 0) & (high > 0)
        for one, two in np.unique(np.stack([low[differ], high[differ]]), axis=1).T:
            neighbours.setdefault(int(one), set()).add(int(two))
            neighbours.setdefault(int(two), set()).add(int(one))
    return neighbours
