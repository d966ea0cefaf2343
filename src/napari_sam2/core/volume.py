"""A volume: voxels in stored order, with their geometry.

The geometry puts them in the patient.

Voxel indices are (i, j, k) in the order in which the file stores them; integers are voxel centres.
World is RAS+ millimetres: x grows to the patient's Right, y to Anterior, z to Superior.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError, UserInputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from napari_sam2.core.channel_display import ChannelDisplay

__all__ = ["SlicePlane", "Source", "Volume", "closest_axes"]

PLANE_NAMES: Final = ("sagittal", "coronal", "axial")
"""Name of the plane whose normal is world axis 0, 1, 2."""

THICK_SLICE_RATIO: Final = 1.5
"""Slices are taken across the coarsest axis when it is this much coarser than the finest one."""

_SINGULAR: Final = 1e-6
"""Smallest usable determinant of the three axis directions, scaled to length 1: so that it does not
depend on the voxel's size, which is below a micron in microscopy."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a volume: file, hash, format and header.

    Attributes
    ----------
    name : str
        File name without its folder. Never a full path: this is what results and logs mention.
    path : Path, optional
        The file itself, to be re-read or guarded against being overwritten.
    sha256 : str
        Hash of the file's bytes; of the sorted files' bytes for a DICOM series.
    file_format : str
        ``"nifti"``, ``"mgz"``, ``"nrrd"``, ``"metaimage"``, ``"dicom"``, ``"picture"`` or ``"array"``.
    modality : str
        DICOM's term (``"CT"``, ``"MR"``) when the source states it, else empty.
    header : Any
        The format's own header, read by that format's writer only.
    notes : tuple of str
        Sentences about odd things found while reading, for the person to see.
    files : tuple of Path
        The files whose bytes `sha256` covers, in that order.
    display : ChannelDisplay, optional
        What the file says of how it is shown: a channel's name, colour and window.
    """

    name: str = "array"
    path: Path | None = None
    sha256: str = ""
    file_format: str = "array"
    modality: str = ""
    header: Any = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    display: ChannelDisplay | None = None

    @property
    def public_name(self) -> str:
        """What results may call the source.

        Its name; for DICOM its hash, since folders are called after persons.
        """
        return f"sha256:{self.sha256}" if self.file_format == "dicom" else self.name


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and their place in the world.

    Parameters
    ----------
    voxels : (I, J, K) or (I, J, K, 3) array
        Intensities in stored order; three uint8 channels for RGB. A picture is (rows, columns, 1).
    affine : (4, 4) array-like
        Voxel (i, j, k, 1) to world (x, y, z, 1), millimetres, RAS+.
    oriented : bool
        False when the file says nothing about the patient's orientation (pictures, plain arrays,
        NIfTI with both codes 0): slices are then shown as stored.
    source : Source
        The file behind it.

    Raises
    ------
    GeometryError
        If the shape is not a volume's, or the affine is not finite and invertible.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    oriented: bool = True
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        shape = self.voxels.shape
        is_rgb = len(shape) == 4 and shape[3] == 3 and self.voxels.dtype == np.uint8
        if not (len(shape) == 3 or is_rgb) or 0 in shape:
            raise GeometryError(
                f"{self.source.name}: a volume must have shape (I, J, K), or (I, J, K, 3) in uint8 for RGB; "
                f"got {shape} in {self.voxels.dtype}."
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(f"{self.source.name}: the affine must be a finite 4 x 4 matrix.")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if 0 in lengths or abs(np.linalg.det(affine[:3, :3] / lengths)) < _SINGULAR:
            raise GeometryError(f"{self.source.name}: the affine is singular, so voxels have no place.")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        i, j, k = self.voxels.shape[:3]
        return i, j, k

    @property
    def is_rgb(self) -> bool:
        """Whether the voxels hold three colour channels."""
        return self.voxels.ndim == 4

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j, k, in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def axis_codes(self) -> tuple[str, str, str]:
        """Directions in which i, j, k grow.

        One of R L A P S I each.
        """
        world, sign = closest_axes(self.affine)
        codes = [("LR", "PA", "IS")[w][s > 0] for w, s in zip(world, sign, strict=True)]
        return codes[0], codes[1], codes[2]

    @property
    def default_slice_axis(self) -> int:
        """The axis to take slices across.

        The coarsest one, else the axial one.

        Annotators draw on the plane that was acquired; with near-isotropic voxels that is axial.
        """
        spacing = np.array(self.spacing)
        shape = np.array(self.shape)
        if (shape == 1).any():
            return int(np.flatnonzero(shape == 1)[-1])
        if spacing.max() > THICK_SLICE_RATIO * spacing.min():
            return int(spacing.argmax())
        return self.axis_of_plane("axial")

    def axis_of_plane(self, name: str) -> int:
        """The voxel axis across which `name` (``axial``, ``coronal``, ``sagittal``) slices lie.

        Without a known orientation the k axis counts as axial, j as coronal, i as sagittal.
        """
        if name not in PLANE_NAMES:
            raise UserInputError(f"There is no plane {name!r}; choose axial, coronal or sagittal.")
        world_axis = PLANE_NAMES.index(name)
        return closest_axes(self.affine)[0].index(world_axis) if self.oriented else world_axis

    def plane(self, axis: int | None = None) -> SlicePlane:
        """How slices across an axis are laid out for eye and model.

        The axis is `default_slice_axis` by default.
        """
        axis = self.default_slice_axis if axis is None else axis
        if axis not in (0, 1, 2):
            raise GeometryError(f"The slice axis must be 0, 1 or 2; got {axis}.")
        rows, cols = (a for a in range(3) if a != axis)
        flip_rows = flip_cols = False
        if self.oriented:
            world, sign = closest_axes(self.affine)
            # Radiological convention: down is posterior or inferior, right is the patient's left or
            # posterior. Each of these is a falling RAS coordinate, and rows show the higher world axis.
            if world[rows] < world[cols]:
                rows, cols = cols, rows
            flip_rows, flip_cols = sign[rows] > 0, sign[cols] > 0
        return SlicePlane(
            axis=axis,
            row_axis=rows,
            col_axis=cols,
            flip_rows=flip_rows,
            flip_cols=flip_cols,
            shape=(self.shape[rows], self.shape[cols]),
            spacing=(self.spacing[rows], self.spacing[cols]),
            n_slices=self.shape[axis],
            slice_spacing=self.spacing[axis],
        )

    def plane_name(self, axis: int) -> str:
        """``axial``, ``coronal`` or ``sagittal`` for the slices across `axis`."""
        return PLANE_NAMES[closest_axes(self.affine)[0][axis]] if self.oriented else PLANE_NAMES[axis]

    def voxel_to_world(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """World coordinates (..., 3) in mm of voxel coordinates (..., 3)."""
        points = np.asarray(voxels, dtype=np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def world_to_voxel(self, world: ArrayLike) -> NDArray[np.float64]:
        """Voxel coordinates (..., 3) of world coordinates (..., 3) in mm.

        They are not rounded.
        """
        points = np.asarray(world, dtype=np.float64)
        return (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T


@dataclass(frozen=True, slots=True)
class SlicePlane:
    """The layout of slices across one voxel axis.

    The model and the montage see slices in this layout, so the same anatomy looks the same whatever
    order the file stores it in. (row, column) are integers at voxel centres.

    Attributes
    ----------
    axis, row_axis, col_axis : int
        Voxel axes that number the slices, the rows and the columns.
    flip_rows, flip_cols : bool
        Whether rows (columns) run against the stored order.
    shape : tuple of int
        (rows, columns).
    spacing : tuple of float
        (row, column) spacing in mm.
    n_slices : int
        Number of slices.
    slice_spacing : float
        Distance between slices in mm.
    """

    axis: int
    row_axis: int
    col_axis: int
    flip_rows: bool
    flip_cols: bool
    shape: tuple[int, int]
    spacing: tuple[float, float]
    n_slices: int
    slice_spacing: float

    def take(self, array: NDArray[Any], index: int) -> NDArray[Any]:
        """Slice `index` of an array (I, J, K[, C]), as a view.

        The view is (rows, columns[, C]).
        """
        plane: NDArray[Any] = np.moveaxis(array, (self.axis, self.row_axis, self.col_axis), (0, 1, 2))[index]
        return plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_cols else 1]

    def to_plane(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """(row, column) of voxel coordinates (..., 3); the slice coordinate is dropped."""
        points = np.asarray(voxels, dtype=np.float64)
        rows, cols = points[..., self.row_axis], points[..., self.col_axis]
        if self.flip_rows:
            rows = self.shape[0] - 1 - rows
        if self.flip_cols:
            cols = self.shape[1] - 1 - cols
        return np.stack([rows, cols], axis=-1)

    def to_voxel(self, plane_points: ArrayLike, index: int) -> NDArray[np.float64]:
        """Voxel coordinates (..., 3) of points (row, column) on a slice.

        Points are (..., 2), the slice is `index`.
        """
        points = np.asarray(plane_points, dtype=np.float64)
        rows, cols = points[..., 0], points[..., 1]
        voxels = np.empty((*points.shape[:-1], 3))
        voxels[..., self.axis] = index
        voxels[..., self.row_axis] = self.shape[0] - 1 - rows if self.flip_rows else rows
        voxels[..., self.col_axis] = self.shape[1] - 1 - cols if self.flip_cols else cols
        return voxels


def closest_axes(affine: ArrayLike) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Pair voxel axes with the world axes they follow most closely.

    Parameters
    ----------
    affine : (4, 4) array-like
        Voxel to RAS+ world.

    Returns
    -------
    world : tuple of int
        For i, j, k the world axis (0 = x, 1 = y, 2 = z), each once.
    sign : tuple of int
        +1 when the voxel axis runs to R, A or S, -1 when to L, P or I.

    Notes
    -----
    The pairing has the largest sum of absolute direction cosines over all six, which is what
    "closest canonical" means for any affine that is not exactly at 45 degrees.
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    cosines = matrix / np.linalg.norm(matrix, axis=0)
    best = max(permutations(range(3)), key=lambda p: sum(abs(cosines[w, v]) for v, w in enumerate(p)))
    sign = tuple(1 if cosines[w, v] >= 0 else -1 for v, w in enumerate(best))
    return (best[0], best[1], best[2]), (sign[0], sign[1], sign[2])
