"""Labels on a turned, flipped or cropped part of the grid.

They are put back onto the grid of the image.

DICOM SEG leaves out empty frames and 3D Slicer crops to the drawn part; voxels still coincide.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["onto_grid"]

TOLERANCE: Final = 0.05
"""In voxels: how far a voxel centre may lie from the image's, see `labels.GRID_TOLERANCE`."""


def onto_grid(array: NDArray[Any], affine: NDArray[np.float64], volume: Volume, name: str) -> NDArray[Any]:
    """Copy labels to the grid of `volume`, without interpolation.

    Parameters
    ----------
    array : (A, B, C) array
        Labels, axes in any order.
    affine : (4, 4) array
        Its voxels to RAS+ mm.
    volume : Volume
        The image.
    name : str
        Of the label file, for messages.

    Returns
    -------
    (I, J, K) array
        0 where `array` has no voxel.

    Raises
    ------
    GeometryError
        If the voxels do not coincide, or a labelled one lies outside of the image.
    """
    elsewhere = GeometryError(
        f"{name} does not lie on the grid of {volume.source.name}; use the image that the labels were drawn on, or "
        "resample them."
    )
    to_voxel = np.linalg.inv(volume.affine) @ affine
    turn = _signed_permutation(to_voxel[:3, :3], array.shape)
    if turn is None:
        raise elsewhere
    span = _used(array)
    if span is None:
        return np.zeros(volume.shape, array.dtype)
    first, last = span
    corners = np.array(np.meshgrid(*zip(first, last, strict=True))).reshape(3, -1).T
    exact = corners @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    offset = np.rint(first @ to_voxel[:3, :3].T + to_voxel[:3, 3]) - first @ turn.T
    if np.abs(corners @ turn.T + offset - exact).max() > TOLERANCE:
        raise elsewhere
    ends = np.stack([first @ turn.T + offset, last @ turn.T + offset]).astype(np.intp)
    low, high = ends.min(axis=0), ends.max(axis=0)
    if (low < 0).any() or (high >= np.array(volume.shape)).any():
        raise elsewhere
    # A view of what is labelled, in the image's own order: nothing is listed voxel by voxel.
    part = array[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    order = np.abs(turn).argmax(axis=1)
    steps = tuple(slice(None, None, -1 if turn[row, order[row]] < 0 else 1) for row in range(3))
    part = part.transpose(order)[steps]
    if array.shape == volume.shape and (turn == np.eye(3)).all() and (offset == 0).all():
        return array
    result = np.zeros(volume.shape, array.dtype)
    result[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = part
    return result


def _used(array: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """First and last index along each axis of what is not 0; None when everything is."""
    edges = []
    for axis in range(3):
        filled = np.flatnonzero(array.any(axis=tuple(a for a in range(3) if a != axis)))
        if filled.size == 0:
            return None
        edges.append((filled[0], filled[-1]))
    firsts, lasts = zip(*edges, strict=True)
    return np.array(firsts), np.array(lasts)


def _signed_permutation(matrix: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The whole-numbered turn nearest to `matrix`; None if it is not one.

    Along an axis of one voxel the step's length says nothing: only its direction counts.
    """
    best = None
    for order in permutations(range(3)):
        turn = np.zeros((3, 3))
        for column, row in enumerate(order):
            turn[row, column] = np.sign(matrix[row, column]) or 1.0
        steps = np.array(shape) > 1
        error = np.abs((matrix - turn)[:, steps] * (np.array(shape)[steps] - 1)).max(initial=0.0)
        directions = matrix / np.linalg.norm(matrix, axis=0)
        spread = np.abs(directions - turn).max()
        if error <= 1.0 and spread < 0.5 and (best is None or error < best[0]):
            best = (error, turn)
    return None if best is None else best[1]
