"""A session's labels in the formats of other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.io.bids import write_bids_derivative
from napari_sam2.io.export import write_structures
from napari_sam2.io.labels import write_labels
from napari_sam2.record.save import provenance_of
from napari_sam2.terms.structures import Structure, structures_for
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    import os

    from napari_sam2.session.session import Session

__all__ = ["export_bids", "export_objects", "export_session"]


def export_session(session: Session, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a session's labels in the format of the file's ending.

    Parameters
    ----------
    session : Session
        With its results.
    path : path-like
        ``.seg.nrrd``, ``.dcm`` (DICOM SEG, of a session on a DICOM series), ``.ome.zarr`` and the others of
        `napari_sam2.io.export.EXPORTABLE`.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If it cannot be written, or the format needs what the session has not.
    """
    card = session.model.card
    model = {"name": card.name, "kind": card.kind, "revision": card.revision, "sha256": card.sha256}
    structures = _structures(session)
    write_structures(session.label_map(), session.volume, structures, Path(path), model=model, overwrite=overwrite)
    return Path(path)


def export_objects(session: Session, folder: str | os.PathLike[str], *, overwrite: bool = False) -> list[Path]:
    """Write one mask for each object into a folder, named after it.

    Returns
    -------
    list of Path
        ``NAME.nii.gz`` files of 0 and 1, on the grid of the scan.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `napari_sam2.io.labels.write_labels`.
    """
    target, labels = Path(folder), session.label_map()
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for structure in _structures(session):
        plain = re.sub(r"[^\w.-]+", "_", structure.name).strip("._") or f"object_{structure.label_id}"
        path = target / f"{plain}.nii.gz"
        if path in written:
            path = target / f"{plain}_{structure.label_id}.nii.gz"
        mask = (labels == structure.label_id).astype(np.uint8)
        written.append(write_labels(mask, session.volume, path, overwrite=overwrite))
    return written


def export_bids(session: Session, root: str | os.PathLike[str], *, overwrite: bool = False) -> list[Path]:
    """Write the labels into a BIDS derivative dataset; see `napari_sam2.io.bids.write_bids_derivative`."""
    return write_bids_derivative(session.label_map(), session.volume, root, provenance_of(session), overwrite=overwrite)


def _structures(session: Session) -> list[Structure]:
    """What is in the label map, with the names, codes and colours of the objects."""
    held = [i for i, obj in session.objects.items() if obj.snapshot().n_voxels]
    terms = {i: Term(obj.name, obj.code, obj.colour, i) for i, obj in session.objects.items() if obj.name}
    return structures_for(held, None, terms)
