"""Saving labels that a layer shows.

Onto the grid of the file behind it, or asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.io import write_labels
from napari_sam2.io.axes_map import prove_axes_map
from napari_sam2.plugin.control.base_work import NeedsReferenceError
from napari_sam2.plugin.scan.films import save_film
from napari_sam2.record.save import save_session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session


__all__ = ["UNPLACED_NOTE", "save_labels", "save_scan"]

UNPLACED_NOTE = "it carries no anatomical geometry, only voxel sizes"


def save_scan(session: Session, shown: ShownVolume, path: Path, **how: Any) -> str:
    """Write a session's label map with its sidecars; `how` as in `save_labels`.

    Returns
    -------
    str
        A sentence for the state line.
    """
    if shown.is_film:
        return save_film(session, shown, path, **how)
    if not shown.proven or how.get("reference") is not None:
        return save_labels(session.label_map(), shown, path, **how)
    written = save_session(session, path, overwrite=how.get("overwrite", False))
    count = sum(bool(obj.snapshot().n_voxels) for obj in session.objects.values())
    return f"Saved {written.name} with {count} object{'' if count == 1 else 's'}."


def save_labels(
    labels: NDArray[Any],
    shown: ShownVolume,
    path: Path,
    *,
    overwrite: bool = False,
    reference: Path | None = None,
    without_geometry: bool = False,
) -> str:
    """Write a label map in stored order, on the right grid.

    Parameters
    ----------
    labels : (I, J, K) array
        In the stored order of ``shown.volume``.
    shown : ShownVolume
        The image the labels were made on.
    path : Path
        Where to.
    overwrite : bool
        Whether an existing file may be replaced.
    reference : Path, optional
        The image file, when the layer does not know it.
    without_geometry : bool
        Save with voxel sizes only when there is no reference.

    Returns
    -------
    str
        A sentence for the state line.

    Raises
    ------
    NeedsReferenceError
        If nothing proves the grid, and neither a reference nor `without_geometry` is given.
    """
    volume = shown.volume
    note = ""
    if reference is not None:
        from napari_sam2.io import read_volume

        volume = read_volume(reference)
        image = shown.grid.shown(shown.volume.voxels)
        axes_map = prove_axes_map(image if image.ndim == 3 else image[..., None], volume.voxels, reference.name)
        labels = axes_map.stored(shown.grid.shown(labels).reshape(image.shape))
    elif not shown.proven and not without_geometry:
        raise NeedsReferenceError(
            f"Nothing proves how {volume.source.name} lies in the patient. Choose the image file it was made from, "
            "or save without anatomical geometry."
        )
    elif not shown.proven:
        note = f"; {UNPLACED_NOTE}"
    written = write_labels(labels, volume, path, overwrite=overwrite)
    count = len(np.unique(labels)) - bool((labels == 0).any())
    return f"Saved {written.name} with {count} object{'' if count == 1 else 's'}{note}."
