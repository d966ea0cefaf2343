"""Saving labels that a layer shows.

Onto the grid of the file behind it, or asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.channels.facts import changed_channels
from napari_sam2.errors import UserInputError
from napari_sam2.io import write_labels
from napari_sam2.io.axes_map import prove_axes_map
from napari_sam2.io.export import EXPORTABLE
from napari_sam2.io.formats import suffix_of
from napari_sam2.io.labels import WRITABLE
from napari_sam2.plugin.control.base_work import NeedsReferenceError
from napari_sam2.plugin.scan.films import save_film
from napari_sam2.record.export import export_bids, export_objects, export_session
from napari_sam2.record.save import save_session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session


__all__ = ["UNPLACED_NOTE", "save_labels", "save_scan"]

UNPLACED_NOTE = "it carries no anatomical geometry, only voxel sizes"


def save_scan(session: Session, shown: ShownVolume, path: Path, **how: Any) -> str:
    """Write a session's label map with its sidecars.

    `how` as in `save_labels`, and ``kind``: ``"objects"`` for a folder of one mask each, ``"bids"`` for a derivative
    dataset; else the ending of the file says the format.

    Returns
    -------
    str
        A sentence for the state line.
    """
    kind, overwrite = how.pop("kind", ""), how.get("overwrite", False)
    if shown.is_film:
        return save_film(session, shown, path, **how)
    foreign = kind or (suffix_of(path.name, EXPORTABLE) and not suffix_of(path.name, WRITABLE))
    if not shown.proven and foreign:
        raise UserInputError(
            f"Nothing proves how {shown.volume.source.name} lies in the patient, which this format has to say; save a "
            ".nii.gz with the image file first, and convert it with 'napari-sam2 export'."
        )
    if not shown.proven or how.get("reference") is not None:
        return save_labels(session.label_map(), shown, path, **how)
    if kind == "objects":
        return f"Saved {len(export_objects(session, path, overwrite=overwrite))} masks in {path.name}."
    if kind == "bids":
        return f"Saved {export_bids(session, path, overwrite=overwrite)[-1].name} in {path.name}."
    is_label_map = suffix_of(path.name, WRITABLE) is not None
    writer = save_session if is_label_map or suffix_of(path.name, EXPORTABLE) is None else export_session
    written = writer(session, path, overwrite=overwrite)
    count = sum(bool(obj.snapshot().n_voxels) for obj in session.objects.values())
    changed = [sentence[0].upper() + sentence[1:] for sentence in changed_channels(session.channels)]
    return " ".join([f"Saved {written.name} with {count} object{'' if count == 1 else 's'}.", *changed])


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
