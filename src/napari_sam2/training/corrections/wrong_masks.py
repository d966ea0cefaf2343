"""Wrong masks, as runs through a volume and hasty hands leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam2.training.corrections.practice import Practice

__all__ = ["wrong_mask"]

DICE: Final = (0.15, 0.97)
"""Of what is worth correcting."""

MOST_TRIES: Final = 20


def wrong_mask(rng: np.random.Generator, practice: Practice) -> tuple[NDArray[np.bool_], int]:
    """A mask gone wrong in one to three ways.

    And the slice on which it was boxed and is nearly right.
    """
    truth = practice.truth
    boxed = int(np.sort(np.nonzero(truth)[0])[truth.sum() // 2])
    for _ in range(MOST_TRIES):
        mask = truth.copy()
        for way in rng.choice(len(_WAYS), size=int(rng.integers(1, 4)), replace=False, p=_SHARES):
            mask = _WAYS[int(way)](rng, practice, mask, boxed)
        mask[boxed] = _ragged(rng, practice, truth, boxed, most=0.12)[boxed]
        overlap = 2 * (mask & truth).sum() / max(int(mask.sum() + truth.sum()), 1)
        if DICE[0] < overlap < DICE[1] and mask.any():
            return mask, boxed
    return _ragged(rng, practice, truth, boxed), boxed


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    noise: NDArray[np.float64] = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return noise / max(float(noise.std()), 1e-9)


def _signed(mask: NDArray[np.bool_], step: NDArray[np.float64]) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = ndimage.distance_transform_edt(mask, sampling=step)
    outside: NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=step)
    return inside - outside


def _ragged(
    rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int, most: float = 0.45
) -> NDArray[np.bool_]:
    """A border that wanders, and lies too far in or out."""
    if not mask.any() or mask.all():
        return mask
    step = np.array(practice.spacing)
    signed = _signed(mask, step)
    size = max(float(signed.max()), float(step.min()))
    noise = _noise(rng, mask.shape, rng.uniform(0.7, 5) * step.min() / step + 0.2)
    return signed + noise * rng.uniform(0.1, 1) * most * size + rng.normal(0, 0.5) * most * size > 0


def _lost_part(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    """What lies beyond a plane is lost."""
    places = np.argwhere(mask)
    if not len(places):
        return mask
    at, normal = places[int(rng.integers(len(places)))], rng.standard_normal(3)
    beyond = sum(
        ((np.arange(n) - at[a]) * normal[a] * practice.spacing[a]).reshape([-1 if k == a else 1 for k in range(3)])
        for a, n in enumerate(mask.shape)
    )
    return mask & (np.asarray(beyond) > 0)


def _collapsed(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    """From some slice on, the section closes in on a part of it, as runs do."""
    result = mask.copy()
    step = np.array(practice.spacing[1:])
    for side in (1, -1):
        if rng.random() < 0.3:
            continue
        onset, speed = int(rng.integers(1, 6)), rng.uniform(0.03, 0.3)
        focus = rng.uniform(-0.6, 0.6, 2)
        for index in range(boxed + side, len(mask) if side > 0 else -1, side):
            section = mask[index]
            if not section.any():
                continue
            rows, columns = np.nonzero(section)
            middle = np.array([rows.mean(), columns.mean()]) + focus * [rows.std(), columns.std()]
            gone = min(speed * max(abs(index - boxed) - onset, 0), 1.0)
            away = np.hypot(*np.meshgrid(
                (np.arange(section.shape[0]) - middle[0]) * step[0],
                (np.arange(section.shape[1]) - middle[1]) * step[1], indexing="ij",
            ))  # fmt: skip
            result[index] = section & (away <= (1 - gone) * float(away[section].max()) + 1e-6)
    return result


def _over_run(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    """The run goes on beyond the end, into what looks alike or straight on."""
    result = mask.copy()
    held = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(held):
        return mask
    like = _alike(rng, practice, mask)
    for side, last in ((1, held[-1]), (-1, held[0])):
        if rng.random() < 0.4:
            continue
        taken = last - side * int(rng.integers(0, 3))
        section = mask[min(max(taken, held[0]), held[-1])].copy()
        reach = int(rng.integers(1, max(3, len(held))))
        for index in range(last + side, last + side * (reach + 1), side):
            if not 0 <= index < len(mask):
                break
            wide = ndimage.binary_dilation(section, iterations=int(rng.integers(1, 3)))
            section = ndimage.binary_opening(wide & like[index]) if rng.random() < 0.7 else section
            result[index] |= section
    return result


def _leak(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    """The mask runs into what looks alike, as far as a random reach."""
    if not mask.any() or mask.all():
        return mask
    step = np.array(practice.spacing)
    signed = _signed(mask, step)
    size = max(float(signed.max()), float(step.min()))
    noise = _noise(rng, mask.shape, rng.uniform(2, 6) * step.min() / step)
    near = (signed > -rng.uniform(0.3, 2.5) * size) & (noise > rng.uniform(-0.5, 1.2))
    parts, _ = ndimage.label(mask | (near & _alike(rng, practice, mask)))
    touched = np.unique(parts[mask])
    return np.isin(parts, touched[touched > 0])


def _alike(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels whose smoothed intensity is within the object's bulk."""
    smooth = ndimage.gaussian_filter(practice.voxels, rng.uniform(0, 1.2))
    values = smooth[mask]
    low, high = np.percentile(values, [rng.uniform(0, 20), rng.uniform(80, 100)])
    alike: NDArray[np.bool_] = (smooth >= low) & (smooth <= high)
    return alike


def _unlike_lost(
    rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int
) -> NDArray[np.bool_]:
    """What looks unlike the bulk of the object is lost."""
    if not mask.any():
        return mask
    kept = mask & _alike(rng, practice, mask)
    return np.asarray(ndimage.binary_closing(kept), bool) & mask if rng.random() < 0.5 else kept


def _holes(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    step = np.array(practice.spacing)
    return mask & (_noise(rng, mask.shape, rng.uniform(1.5, 6) * step.min() / step) < rng.uniform(0, 1.3))


def _shifted(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    moved = tuple(int(n) for n in rng.integers(-2, 3, 3))
    return np.roll(mask, (moved[0] // 2, moved[1], moved[2]), (0, 1, 2))


def _neighbour(rng: np.random.Generator, practice: Practice, mask: NDArray[np.bool_], boxed: int) -> NDArray[np.bool_]:
    """A region beside the object, or a part of it, is taken for it."""
    if practice.others is None or not mask.any():
        return _leak(rng, practice, mask, boxed)
    ring = ndimage.binary_dilation(mask) & ~mask
    regions = np.unique(practice.others[ring])
    if not len(regions):
        return mask
    taken = (practice.others == int(rng.choice(regions))) & ~practice.truth
    return mask | (_lost_part(rng, practice, taken, boxed) if rng.random() < 0.5 else taken)


_WAYS: Final[tuple[Callable[..., NDArray[np.bool_]], ...]] = (
    _ragged, _lost_part, _collapsed, _over_run, _leak, _unlike_lost, _holes, _shifted, _neighbour,
)  # fmt: skip
_SHARES: Final = (0.2, 0.12, 0.17, 0.13, 0.12, 0.1, 0.05, 0.04, 0.07)
