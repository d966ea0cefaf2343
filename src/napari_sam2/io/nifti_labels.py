"""Label maps as NIfTI, on exactly the grid of their image.

The header is fresh and the source's raw geometry fields are copied into it bit for bit, so that image
and labels agree in every reader, whichever of sform and qform it prefers. Nothing else is copied.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2._version import __version__
from napari_sam2.io.atomic import atomic_write
from napari_sam2.io.nifti import read_nifti
from napari_sam2.io.nifti_header import GridHeader

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["fill_nifti_labels", "nifti_bytes", "write_nifti_labels"]

_SCANNER: Final = 1
"""NIFTI_XFORM_SCANNER_ANAT, for grids that come from another format."""

_LARGEST_NIFTI1: Final = 2**15 - 1
_MILLIMETRE: Final = 2
_GZIP_LEVEL: Final = 6


def write_nifti_labels(labels: NDArray[Any], volume: Volume, path: Path, *, overwrite: bool) -> None:
    """Write checked labels (I, J, K) as NIfTI, and read back.

    The ending is ``.nii`` or ``.nii.gz``.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `atomic_write`.
    """
    with atomic_write(path, overwrite=overwrite) as temporary:
        fill_nifti_labels(labels, volume, temporary)


def fill_nifti_labels(labels: NDArray[Any], volume: Volume, path: Path) -> None:
    """Put checked labels (I, J, K) into a temporary file.

    It is gzipped if its name says so, and read back.

    Raises
    ------
    OSError
        If the disk is full or gives back something else.
    """
    content = nifti_bytes(labels, volume)
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, compresslevel=_GZIP_LEVEL, mtime=0)  # no time: equal labels, equal bytes
    path.write_bytes(content)
    written = read_nifti(path)
    if not np.array_equal(written.voxels, labels):
        raise OSError("what was read back differs from what was written")


def nifti_bytes(labels: NDArray[Any], volume: Volume) -> bytes:
    """Build the uncompressed file.

    Header, four bytes that say "no extension", voxels in Fortran order.
    """
    import nibabel

    grid = volume.source.header if isinstance(volume.source.header, GridHeader) else None
    version = grid.version if grid is not None else 2 if max(labels.shape) > _LARGEST_NIFTI1 else 1
    header = nibabel.Nifti1Header() if version == 1 else nibabel.Nifti2Header()
    header.set_data_dtype(labels.dtype.newbyteorder("="))
    header.set_data_shape(labels.shape[:2] if grid is not None and grid.ndim == 2 else labels.shape)
    if grid is not None:
        grid.apply_to(header)
    else:
        _set_grid(header, volume)
    header.set_intent("label", name="napari-sam2")
    header["descrip"] = f"napari-sam2 {__version__}".encode()
    header["cal_min"], header["cal_max"] = 0, int(labels.max())
    # nibabel writes these when it saves an image; here the bytes are put together directly.
    header["magic"] = b"n+1" if version == 1 else header["magic"]
    header["vox_offset"] = 352 if version == 1 else 544
    header["scl_slope"], header["scl_inter"] = 1, 0
    return bytes(header.binaryblock) + b"\0\0\0\0" + labels.tobytes(order="F")


def _set_grid(header: Any, volume: Volume) -> None:
    code = _SCANNER if volume.oriented else 0
    header.set_zooms(volume.spacing)
    header.set_qform(volume.affine, code, strip_shears=True)
    header.set_sform(volume.affine, code)
    header["xyzt_units"] = _MILLIMETRE
