"""A session beside its scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.core.prompts import Box
from napari_sam2.io import read_volume
from napari_sam2.models import load_model
from napari_sam2.record.journal import Journal
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def session_beside(scan: Path, *, finished: bool) -> Path:
    """A session of two objects on a scan, of which the first may be finished."""
    volume = read_volume(scan)
    session = Session(volume, load_model("classical"))
    folder = scan.with_name(scan.name.replace(".nii.gz", ".sam2session"))
    journal = Journal(session, folder)
    for number, name in ((1, "ball"), (2, "other")):
        session.add_prompt(number, Box(((5 + number, 6, 5), (18, 17, 5))))
        session.rename(number, name)
    if finished:
        session.finish_object(1)
    journal.close()
    return folder
