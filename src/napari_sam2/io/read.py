"""Opening any supported image: the content decides which format it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import ImageFileError
from napari_sam2.io.payload import existing_file, is_gzip, peek

if TYPE_CHECKING:
    import os

    from napari_sam2.volume import Volume

__all__ = ["READABLE", "read_volume"]

READABLE: Final = "NIfTI, NRRD, MetaImage, MGH/MGZ, DICOM, PNG, JPEG and TIFF"
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ENOUGH: Final = 540


def read_volume(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read an image or volume of any supported format.

    Parameters
    ----------
    path : path-like
        A file, or a folder with one DICOM series.
    volume_index : int, optional
        Which volume of a file that holds several, counted from 0.

    Returns
    -------
    Volume
        In stored order; its `source` names the file and holds notes about anything odd in it.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, or of a kind that is not supported.
    GeometryError
        If its geometry cannot be used.
    """
    if Path(path).is_dir():
        raise ImageFileError(f"{Path(path).name} is a folder; give a file.")
    file = existing_file(path)
    first = peek(file, _ENOUGH)
    name = file.name.lower()
    from napari_sam2.io.nifti import is_nifti, read_nifti

    if is_nifti(first) or name.endswith((".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")):
        return read_nifti(file, volume_index=volume_index)
    if first.startswith(b"NRRD"):
        from napari_sam2.io.nrrd import read_nrrd

        return read_nrrd(file, volume_index=volume_index)
    if b"ElementDataFile" in first or b"ObjectType" in first or name.endswith((".mha", ".mhd")):
        from napari_sam2.io.metaimage import read_metaimage

        return read_metaimage(file, volume_index=volume_index)
    if name.endswith((".mgh", ".mgz", ".mgh.gz")):
        from napari_sam2.io.mgh import read_mgh

        return read_mgh(file, volume_index=volume_index)
    if not is_gzip(file) and first.startswith(_PICTURES):
        from napari_sam2.io.picture import read_picture

        return read_picture(file, volume_index=volume_index)
    raise ImageFileError(f"{file.name} is of a kind that cannot be read; supported are {READABLE}.")
