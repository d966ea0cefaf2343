"""The grid of a NIfTI header, checked and kept bit for bit.

`GridHeader` holds the raw geometry fields and nothing else, so that a label map can carry them over
unchanged, and free text in the source (which may name the patient) cannot travel with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GEOMETRY_FIELDS", "GridHeader", "Placement", "place"]

GEOMETRY_FIELDS: Final = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)
"""Copied from the source as they are, together with pixdim[0:4] and the spatial unit. ITK-SNAP compares
spacing and origin with ``!=``, so a recomputed field already makes it warn."""

SPATIAL_UNIT_BITS: Final = 7
_MM_PER_UNIT: Final = {1: ("metre", 1000.0), 2: ("millimetre", 1.0), 3: ("micron", 0.001)}

_SINGULAR: Final = 1e-6
"""Smallest determinant of the direction cosines; a rotation has 1, a sheared gantry tilt 0.9."""

_LARGEST_MM: Final = 1e9
"""Larger numbers in an affine are damage, and their squares overflow."""

_SMALLEST: Final = 1e-12
"""A thousandth of a nanometre in metres: smaller voxel sizes are damage."""

_SHEAR: Final = 1e-3
"""Largest cosine between two axes of a grid that counts as rectangular (0.06 degrees)."""

_DISAGREE_MM: Final = 0.01
"""sform and qform further apart than this at a corner of the volume are reported."""

_SPACING_RATIO: Final = 0.01
"""pixdim and the sform's column lengths may differ by this much before it is reported."""


@dataclass(frozen=True, slots=True)
class GridHeader:
    """The geometry fields of a NIfTI header, as they were on disk.

    Attributes
    ----------
    version : int
        1 or 2.
    fields : dict of str to array
        `GEOMETRY_FIELDS`, by name.
    pixdim : (4,) array
        qfac and the three spacings, in the file's unit.
    unit : int
        Spatial unit code: 0 unknown, 1 metre, 2 millimetre, 3 micron.
    ndim : int
        2 for a file that stores a single slice without a third axis, else 3.
    """

    version: int
    fields: dict[str, Any]
    pixdim: NDArray[np.floating[Any]]
    unit: int
    ndim: int = 3

    @classmethod
    def of(cls, header: Any) -> GridHeader:
        """Copy the geometry out of a nibabel header."""
        return cls(
            version=2 if int(header["sizeof_hdr"]) == 540 else 1,
            fields={
                name: np.array(header[name]).astype(header[name].dtype.newbyteorder("=")) for name in GEOMETRY_FIELDS
            },
            pixdim=np.array(header["pixdim"][:4]).astype(header["pixdim"].dtype.newbyteorder("=")),
            unit=int(header["xyzt_units"]) & SPATIAL_UNIT_BITS,
            ndim=min(int(header["dim"][0]), 3),
        )

    def apply_to(self, header: Any) -> None:
        """Put the geometry into a nibabel header."""
        for name, value in self.fields.items():
            header[name] = value
        pixdim = header["pixdim"]
        pixdim[:4] = self.pixdim
        header["pixdim"] = pixdim
        header["xyzt_units"] = self.unit


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a NIfTI header puts the voxels.

    Attributes
    ----------
    affine : (4, 4) array
        Voxel to RAS+ millimetres.
    oriented : bool
        False when both codes are 0.
    notes : tuple of str
        Oddities, for the person to see.
    """

    affine: NDArray[np.float64]
    oriented: bool
    notes: tuple[str, ...]


def place(grid: GridHeader, shape: tuple[int, int, int], name: str) -> Placement:
    """Decide on the affine: sform, else qform, else spacing alone.

    Parameters
    ----------
    grid : GridHeader
        The file's geometry.
    shape : tuple of int
        Voxels along i, j, k.
    name : str
        File name for messages.

    Raises
    ------
    GeometryError
        If spacings are not positive numbers, or no usable affine is left.
    """
    notes: list[str] = []
    spacing = _checked_spacing(grid, shape, name)
    sform_code, qform_code = int(grid.fields["sform_code"]), int(grid.fields["qform_code"])
    sform = _sform(grid) if sform_code > 0 else None
    qform = _qform(grid, spacing) if qform_code > 0 else None
    good_s, good_q = _is_invertible(sform), _is_invertible(qform)
    oriented = sform_code > 0 or qform_code > 0
    if sform is not None and good_s:
        affine = sform
        if qform is not None and good_q:
            notes += _disagreement(sform, qform, shape, grid)
    elif qform is not None and good_q:
        affine = qform
        if sform_code > 0:
            notes.append("The sform is not a usable matrix, so the qform is used.")
    elif oriented:
        raise GeometryError(
            f"{name}: the header's orientation (sform code {sform_code}, qform code {qform_code}) is not a "
            "usable matrix; repair the header, for example by converting the scan again from DICOM."
        )
    else:
        affine = _from_spacing(spacing, shape)
        notes.append(
            "The header states no orientation (both codes are 0): slices are shown as stored, "
            "and left and right are unknown."
        )
    unit, scale = _MM_PER_UNIT.get(grid.unit, ("millimetre", 1.0))
    if scale != 1.0:
        notes.append(f"The header measures in {unit}s; all lengths are converted to millimetres.")
    elif grid.unit not in (0, *_MM_PER_UNIT):
        notes.append(f"The header's unit of length ({grid.unit}) is none that NIfTI knows; millimetres are taken.")
    affine = np.diag([scale, scale, scale, 1.0]) @ affine
    notes += _grid_oddities(affine, np.array(spacing) * scale, shape)
    return Placement(affine, oriented, tuple(notes))


def _checked_spacing(grid: GridHeader, shape: tuple[int, int, int], name: str) -> tuple[float, float, float]:
    spacing = [float(value) for value in grid.pixdim[1:4]]
    for axis, (value, count) in enumerate(zip(spacing, shape, strict=True)):
        if _SMALLEST < value < _LARGEST_MM:
            continue
        if count > 1:
            raise GeometryError(
                f"{name}: the voxel size along {'ijk'[axis]} is {value:g} in the header "
                f"(pixdim[{axis + 1}]); it must be a positive number, so correct the header first."
            )
        spacing[axis] = 1.0  # a single slice: nothing is measured along this axis
    return spacing[0], spacing[1], spacing[2]


def _sform(grid: GridHeader) -> NDArray[np.float64]:
    rows = [np.asarray(grid.fields[name], dtype=np.float64) for name in ("srow_x", "srow_y", "srow_z")]
    return np.vstack([*rows, [0.0, 0.0, 0.0, 1.0]])


def _qform(grid: GridHeader, spacing: tuple[float, float, float]) -> NDArray[np.float64] | None:
    """Compute METHOD 2 of nifti1.h; None if the quaternion is not a rotation."""
    b, c, d = (float(grid.fields[name]) for name in ("quatern_b", "quatern_c", "quatern_d"))
    squared = 1.0 - (b * b + c * c + d * d)
    if not np.isfinite(squared) or squared < -1e-5:
        return None
    if squared < 1e-7:  # a half turn: the real part is 0 but for rounding, and the rest must have length 1
        length = np.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = np.sqrt(squared)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    qfac = -1.0 if float(grid.pixdim[0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (np.array(spacing) * [1.0, 1.0, qfac])
    affine[:3, 3] = [float(grid.fields[name]) for name in ("qoffset_x", "qoffset_y", "qoffset_z")]
    return affine


def _from_spacing(spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Compute METHOD 1 of nifti1.h as nibabel reads it: x runs to the left, the centre is the origin."""
    steps = np.array(spacing) * [-1.0, 1.0, 1.0]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape) - 1) / 2.0
    return affine


def _is_invertible(affine: NDArray[np.float64] | None) -> bool:
    if affine is None or not (np.abs(affine) < _LARGEST_MM).all():  # also False for NaN
        return False
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return bool((lengths > 0).all() and abs(np.linalg.det(affine[:3, :3] / lengths)) > _SINGULAR)


def _disagreement(
    sform: NDArray[np.float64], qform: NDArray[np.float64], shape: tuple[int, int, int], grid: GridHeader
) -> list[str]:
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    scale = _MM_PER_UNIT.get(grid.unit, ("", 1.0))[1]
    distance = float(np.linalg.norm(corners @ (sform - qform).T, axis=1).max()) * scale
    if distance < _DISAGREE_MM:
        return []
    return [f"sform and qform differ by up to {distance:.3g} mm; the sform is used, and both are kept in results."]


def _grid_oddities(affine: NDArray[np.float64], spacing: NDArray[np.float64], shape: tuple[int, int, int]) -> list[str]:
    notes = []
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = affine[:3, :3] / lengths
    off_diagonal = np.abs(cosines.T @ cosines - np.eye(3)).max()
    if off_diagonal > _SHEAR:
        angle = np.degrees(np.arcsin(min(off_diagonal, 1.0)))
        notes.append(
            f"The grid is sheared by {angle:.1f} degrees (a tilted gantry); results keep it, but programs "
            "based on ITK may refuse such files or straighten them."
        )
    used = np.array(shape) > 1
    if (np.abs(lengths / spacing - 1.0)[used] > _SPACING_RATIO).any():
        notes.append("The voxel sizes in pixdim differ from those of the sform; the sform's are used.")
    return notes
