"""Objects of one scan proposed on another scan of the same body.

Masks are laid where the world says, or where a rigid registration does. What comes out are candidates: a person looks
at each and accepts it.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.channels.placing import IDENTITY
from napari_sam2.finding.candidate import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.terms.terminology import Term

__all__ = ["carried", "laid_on"]

INSIDE: Final = 0.5
"""A voxel belongs to a laid mask when at least half of it, linear between voxels, does."""

MARGIN: Final = 2
"""Voxels around the box of a mask that are looked at: corners are rounded, and halves of voxels reach out."""


def carried(
    labels: NDArray[np.integer],
    earlier: Volume,
    later: Volume,
    terms: Mapping[int, Term],
    transform: NDArray[np.float64] = IDENTITY,
) -> tuple[list[Candidate], list[str]]:
    """The objects of an earlier scan as candidates on a later one.

    Parameters
    ----------
    labels : (I, J, K) array of int
        On the grid of `earlier`.
    earlier, later : Volume
        Two scans of one body.
    terms : mapping of int to Term
        What the objects are; those told here are carried, in this order.
    transform : (4, 4) array
        From world places of the later scan to those of the earlier one, RAS+ mm.

    Returns
    -------
    candidates : list of Candidate
        With name, code, colour and id that the object has in the earlier scan.
    outside : list of str
        Names of objects that lie nowhere on the later scan.
    """
    candidates, outside = [], []
    source = f"from {earlier.source.public_name}"
    boxes = ndimage.find_objects(labels)
    for object_id, term in terms.items():
        box = boxes[object_id - 1] if 0 < object_id <= len(boxes) else None
        if box is None:
            continue
        held = labels[box] == object_id
        laid = laid_on(later, earlier, held, np.array([s.start for s in box]), transform)
        if laid is None:
            outside.append(term.name)
            continue
        mask, low = laid
        i, j, k = low.tolist()
        a, b, c = (low + mask.shape - 1).tolist()
        sha = sha256(np.packbits(held).tobytes()).hexdigest()
        candidates.append(
            Candidate(term.name, (i, j, k), (a, b, c), None, source, sha, mask, term=replace(term, label_id=object_id))
        )
    return candidates, outside


def laid_on(
    later: Volume,
    earlier: Volume,
    mask: NDArray[np.bool_],
    start: NDArray[np.int64],
    transform: NDArray[np.float64] = IDENTITY,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]] | None:
    """A mask of one scan on the grid of another.

    Cut to what it holds.

    Parameters
    ----------
    later, earlier : Volume
        Where to, and where from.
    mask : (A, B, C) bool array
        A block of the earlier scan.
    start : (3,) array of int
        The block's first voxel.
    transform : (4, 4) array
        From world places of the later scan to those of the earlier one, RAS+ mm.

    Returns
    -------
    (mask, first voxel) or None
        None where nothing of it lies on the later scan.
    """
    to_earlier = np.linalg.inv(earlier.affine) @ transform @ later.affine
    corners = start + np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.shape) - 1)
    reached = (corners - to_earlier[:3, 3]) @ np.linalg.inv(to_earlier[:3, :3]).T
    low = np.maximum(np.floor(reached.min(axis=0)).astype(int) - MARGIN, 0)
    high = np.minimum(np.ceil(reached.max(axis=0)).astype(int) + MARGIN, np.array(later.shape) - 1)
    if (high < low).any():
        return None
    # One voxel of background around it: scipy takes nothing at all from beyond the first and last voxel.
    offset = to_earlier[:3, :3] @ low + to_earlier[:3, 3] - start + 1
    held = np.pad(mask, 1).astype(np.float32)
    inside = ndimage.affine_transform(held, to_earlier[:3, :3], offset, tuple(high - low + 1), np.float32, order=1)
    return _cut(inside >= INSIDE, low)


def _cut(mask: NDArray[np.bool_], low: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]] | None:
    """The part of a mask that holds something."""
    boxes: Iterable[tuple[slice, ...]] = ndimage.find_objects(mask.astype(np.uint8))
    for box in boxes:
        return mask[box].copy(), low + [s.start for s in box]
    return None
