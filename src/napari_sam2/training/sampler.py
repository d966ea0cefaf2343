"""Drawing clips from pools: which object, which slices, which intensities."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.training.clip import Clip
from napari_sam2.training.hot import coarsened, render_hot
from napari_sam2.training.render import alter, paste_blob, render_regions, window_real

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam2.training.given import GivenPrompts
    from napari_sam2.training.pool import PoolObject, PoolVolume

__all__ = ["ClipSampler", "Shares"]

#: Pixels that an object needs on its first slice.
MIN_AREA = 25
#: Source window around an object: at least this many times its side, and more where that is cheap.
WINDOW_FACTOR, WINDOW_WIDE, WINDOW_CHEAP = 2.9, 7.0, 150
#: Share of clips on real texture that repeat one slice, bent a little more each time.
DRIFTING = 0.3
#: Share of PET-like clips whose object is a lesion's blob and not a structure of the map.
LESIONS = 0.5
#: Share of clips that begin with what a person gave, where there is anything.
GIVEN = 0.5
#: Distances between the slices of a clip, and how often each is drawn.
STRIDES = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each kind of clip is drawn.

    The rest are objects found in real images.

    Attributes
    ----------
    synthetic : float
        Slabs with invented intensities.
    pasted : float
        Blobs pasted into real images or slabs.
    labelled : float
        Labelled structures of real images.
    maps : float
        Structures of label maps, with invented intensities.
    hot : float
        Share of the clips with invented intensities that look like PET.
    pet : float
        Weight of a labelled PET scan over that of another labelled scan.
    """

    synthetic: float = 0.42
    pasted: float = 0.2
    labelled: float = 0.0
    maps: float = 0.0
    hot: float = 0.0
    pet: float = 1.0


class ClipSampler:
    """Draws clips.

    Parameters
    ----------
    synthetic, real : list of PoolVolume
        Slabs, and real images with objects that were found in them.
    shares : Shares
        The mixture.
    labelled, maps : list of PoolVolume
        Real images with labels, and label maps.
    """

    def __init__(
        self,
        synthetic: Sequence[PoolVolume],
        real: Sequence[PoolVolume],
        shares: Shares | None = None,
        labelled: Sequence[PoolVolume] = (),
        maps: Sequence[PoolVolume] = (),
    ) -> None:
        self.synthetic = _Group(synthetic, lambda _: 1.0)
        self.real = _Group(real, _by_size)
        families = Counter(_family(v) for v in labelled)
        self.shares = shares or Shares()
        pet = self.shares.pet
        # Many volumes of one kind (a dozen sarcomas) count less than their number.
        self.labelled = _Group(
            labelled, lambda v: families[_family(v)] ** -0.5 * (pet if v.name.startswith("pet_") else 1.0)
        )
        self.maps = _Group(maps, lambda _: 1.0)

    def draw(self, rng: np.random.Generator, count: int, ending: float = 0.0) -> Clip:
        """One clip of ``count`` slices.

        With probability ``ending`` the object ends within it if it can.
        """
        ends = ending > 0 and rng.random() < ending
        chance = rng.random()
        pasted = chance > 1 - self.shares.pasted
        group = self._group(chance)
        volume = group.draw(rng)
        while True:
            item = volume.objects[int(rng.integers(len(volume.objects)))]
            clip = self._clip(rng, volume, item, count, pasted, ends)
            if clip is not None:
                return clip
            volume = group.draw(rng)

    def _group(self, chance: float) -> _Group:
        below = 0.0
        for group, share in (
            (self.synthetic, self.shares.synthetic),
            (self.labelled, self.shares.labelled),
            (self.maps, self.shares.maps),
        ):
            below += share
            if chance < below and group.volumes:
                return group
        groups = (self.real, self.synthetic, self.labelled, self.maps)
        return next(group for group in groups if group.volumes)

    def _clip(
        self, rng: np.random.Generator, volume: PoolVolume, item: PoolObject, count: int, pasted: bool, ends: bool
    ) -> Clip | None:
        start = _given_slice(rng, item) if item.given and rng.random() < GIVEN else None
        axis = int(rng.integers(3)) if volume.isotropic and start is None else 0
        ends = ends and start is None
        voxels, inner, corner = _sliced(volume, item, axis)
        ending = _ending_slices(rng, inner, corner[0], len(voxels), count) if ends else None
        chosen = ending or _slices(rng, inner, corner[0], len(voxels), count, start)
        if chosen is None:
            return None
        masks = _stack(inner, corner, chosen, voxels.shape)
        rows, columns = (np.flatnonzero(masks[0].any(1 - a)) for a in (0, 1))
        side = int(max(np.ptp(rows), np.ptp(columns))) + 1
        middle = (int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2)
        half = int(max(WINDOW_FACTOR * side, min(WINDOW_WIDE * side, WINDOW_CHEAP)) / 2) + 4
        window = tuple(slice(max(0, m - half), m + half) for m in middle)
        mask = torch.from_numpy(masks[:, window[0], window[1]].astype(np.float32))
        pixels = np.ascontiguousarray(voxels[chosen][:, window[0], window[1]])
        if volume.kind in ("ct", "image"):
            image = window_real(rng, pixels.astype(np.int16), volume.kind)
        elif not pasted and self.shares.hot and rng.random() < self.shares.hot:
            return _framed(rng, *_hot(rng, pixels, item.regions, mask), None)
        else:
            image = render_regions(rng, pixels.astype(np.int16), item.regions, mask, volume.kind == "air")
        is_real = volume.kind in ("ct", "image")
        bent = start is None and not ending
        if is_real and bent and (len(set(chosen)) < count or rng.random() < DRIFTING):
            image, mask = image[:1].repeat(count, 1, 1), mask[:1].repeat(count, 1, 1)
            image, mask = _drift(rng, image, mask)
        if pasted:
            image, mask = _paste(rng, image, side)
            start = None
        corner_pixel = torch.tensor([float(window[1].start), float(window[0].start)])
        given = None if start is None else item.given[start].moved(torch.eye(2), corner_pixel)
        return _framed(rng, alter(rng, image), mask, given)


class _Group:
    """Volumes of one kind and how often each is drawn."""

    def __init__(self, volumes: Sequence[PoolVolume], weight: Callable[[PoolVolume], float]) -> None:
        self.volumes = [v for v in volumes if v.objects]
        weights = np.array([weight(v) for v in self.volumes])
        self.shares = weights / weights.sum() if len(weights) else weights

    def draw(self, rng: np.random.Generator) -> PoolVolume:
        return self.volumes[int(rng.choice(len(self.volumes), p=self.shares))]


def _by_size(volume: PoolVolume) -> float:
    """Volumes with many objects and slices are drawn more often than single photographs."""
    return float(np.sqrt(len(volume.objects)) * (1 + min(len(volume.voxels), 40)) ** 0.5)


def _family(volume: PoolVolume) -> str:
    """The part of a name that stands for its kind: ``mr_sarcoma`` of ``mr_sarcoma_004``."""
    return volume.name.rpartition("_")[0] or volume.name


def _sliced(
    volume: PoolVolume, item: PoolObject, axis: int
) -> tuple[NDArray[np.generic], NDArray[np.bool_], tuple[int, int, int]]:
    """Volume, object and its corner with the slicing axis first."""
    order = (axis, *(a for a in range(3) if a != axis))
    corner = (item.corner[order[0]], item.corner[order[1]], item.corner[order[2]])
    return volume.voxels.transpose(order), item.mask().transpose(order), corner


def _given_slice(rng: np.random.Generator, item: PoolObject) -> int | None:
    """A slice on which a person gave something and the object is large enough; None if there is none."""
    usable = [index for index in sorted(item.given) if item.areas[index - item.corner[0]] >= MIN_AREA]
    return usable[int(rng.integers(len(usable)))] if usable else None


def _slices(
    rng: np.random.Generator, inner: NDArray[np.bool_], first: int, depth: int, count: int, start: int | None = None
) -> list[int] | None:
    """Slice numbers of a clip, from `start` on if it is given; one slice is repeated where there are no more."""
    areas = inner.reshape(len(inner), -1).sum(1)
    usable = np.flatnonzero(areas >= MIN_AREA)
    if not len(usable):
        return None
    if start is None:
        # Every other prompt is given where the object is large, as people do.
        shares = areas[usable] / areas[usable].sum() if rng.random() < 0.5 else None
        start = first + int(rng.choice(usable, p=shares))
    stride = int(rng.choice(STRIDES, p=(0.6, 0.25, 0.15)))
    way = int(rng.choice([-1, 1]))
    for step in (way * stride, -way * stride, way, -way):
        if 0 <= start + step * (count - 1) < depth:
            return [start + step * k for k in range(count)]
    return [min(max(start + way * k, 0), depth - 1) if depth > 1 else start for k in range(count)]


def _ending_slices(
    rng: np.random.Generator, inner: NDArray[np.bool_], first: int, depth: int, count: int
) -> list[int] | None:
    """Slice numbers that lead past the object's end; None if it reaches through the whole volume.

    The last slice of the volume is repeated where there are not enough beyond the object.
    """
    usable = np.flatnonzero(inner.reshape(len(inner), -1).sum(1) >= MIN_AREA)
    ahead = int(rng.choice([-1, 1]))
    for way in (ahead, -ahead):
        edge = len(inner) - 1 if way > 0 else 0
        beyond = depth - 1 - (first + edge) if way > 0 else first + edge
        if beyond < 1 or not len(usable):
            continue
        stride = int(rng.choice(STRIDES, p=(0.6, 0.25, 0.15)))
        first_slice = edge - way * stride * int(rng.integers(0, max(1, count - 2)))
        start = int(usable[np.abs(usable - first_slice).argmin()])
        return [min(max(first + start + way * stride * k, 0), depth - 1) for k in range(count)]
    return None


def _stack(
    inner: NDArray[np.bool_], corner: tuple[int, int, int], chosen: list[int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    masks = np.zeros((len(chosen), shape[1], shape[2]), bool)
    rows = slice(corner[1], corner[1] + inner.shape[1])
    columns = slice(corner[2], corner[2] + inner.shape[2])
    for k, index in enumerate(chosen):
        if 0 <= index - corner[0] < len(inner):
            masks[k, rows, columns] = inner[index - corner[0]]
    return masks


def _drift(rng: np.random.Generator, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Bend each slice a little more than the one before, where a volume has too few slices."""
    count, rows, columns = image.shape
    bend = torch.from_numpy(rng.normal(0, 0.03, (1, 2, 5, 5)).astype(np.float32))
    bend = functional.interpolate(bend, size=(rows, columns), mode="bicubic", align_corners=True)
    bend = bend.permute(0, 2, 3, 1)
    grow = torch.eye(2) + torch.from_numpy(rng.normal(0, 0.03, (2, 2)).astype(np.float32))
    images, masks = [image[0]], [mask[0]]
    matrix = torch.eye(2)
    for k in range(1, count):
        matrix = grow @ matrix
        theta = torch.cat([matrix, torch.zeros(2, 1)], 1)[None]
        grid = functional.affine_grid(theta, [1, 1, rows, columns], align_corners=False) + k * bend
        both = functional.grid_sample(
            torch.stack([image[k], mask[k]])[None], grid, padding_mode="border", align_corners=False
        )[0]
        images.append(both[0])
        masks.append((both[1] > 0.5).float())
    return torch.stack(images), torch.stack(masks)


def _paste(rng: np.random.Generator, image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    rows, columns = image.shape[1:]
    radius = float(np.clip(side / 2, 4, 0.2 * min(rows, columns) + 4)) * rng.uniform(0.5, 1.0)
    at = (float(rng.uniform(0.35, 0.65) * columns), float(rng.uniform(0.35, 0.65) * rows))
    return paste_blob(rng, image, at, max(radius, 3.5))


def _hot(
    rng: np.random.Generator, numbers: NDArray[np.generic], own: tuple[int, ...], mask: Tensor
) -> tuple[Tensor, Tensor]:
    """A PET-like clip of the object, or of a lesion there."""
    regions = numbers.astype(np.int16)
    if rng.random() < LESIONS:
        side = int(max(np.ptp(np.flatnonzero(mask[0].numpy().any(a))) for a in (0, 1))) + 1
        mask = _paste(rng, torch.zeros_like(mask), side)[1]
        own = (int(regions.max()) + 1,)
        regions[mask.numpy() > 0] = own[0]
        if not bool(mask[0].any()):
            return mask, mask
    return coarsened(rng, render_hot(rng, regions, own, mask), mask)


def _framed(rng: np.random.Generator, image: Tensor, mask: Tensor, given: GivenPrompts | None) -> Clip | None:
    """Turn, mirror and centre a clip; None if its first slice turned out empty.

    A person's box stays upright.
    """
    rows, columns = (torch.nonzero(mask[0].any(1 - a)).flatten() for a in (0, 1))
    if len(rows) < 3 or len(columns) < 3:
        return None
    angle = rng.uniform(-0.35, 0.35) if given is None and rng.random() < 0.5 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * rng.choice([-1, 1], 2)
    if rng.random() < 0.5:
        turn = turn[:, ::-1]
    origin = torch.tensor([float(columns[0] + columns[-1]) / 2, float(rows[0] + rows[-1]) / 2])
    extent = float(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    turned = torch.from_numpy(turn.astype(np.float32))
    return Clip(image, mask, turned, origin, extent, None if given is None else given.moved(turned, origin))
