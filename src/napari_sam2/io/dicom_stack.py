"""Putting DICOM slices in order.

Stacks that are not one regular grid are refused.

Nothing is resampled or filled in: a missing, doubled or differently turned slice is named and the
series refused; several volumes in one series are parted by `dicom_passes`. A tilted gantry gives a sheared
grid, which is kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.io.dicom_marks import Marks, Moments, marks_of, moments_of
from napari_sam2.io.dicom_passes import REGULAR, SAME_PLACE_MM, choose_pass, part
from napari_sam2.io.lps import affine_from_lps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Slice", "Stack", "slices_of", "stack"]

SAME_DIRECTION: Final = 1e-3
"""Direction cosines are stored with six digits or fewer; a milliradian moves a 500 mm slice's edge by 0.5 mm."""

TILT_MM: Final = 0.01
"""In-plane shift from slice to slice that counts as a tilted gantry."""

_SHOWN: Final = 3
_CENTIMETRES: Final = 3


@dataclass(frozen=True, slots=True)
class Slice:
    """One image plane: a file, or a frame of one.

    Attributes
    ----------
    path : Path
        The file.
    frame : int
        Index of the frame in it.
    key : tuple
        What orders slices at one place: acquisition, then instance or frame number.
    shape : tuple of int
        (rows, columns).
    position : tuple of float, optional
        Centre of the first pixel, LPS mm.
    orientation : tuple of float, optional
        Direction of a row's pixels, then of a column's, LPS.
    spacing : tuple of float, optional
        Between rows, then between columns, mm.
    slope, intercept : float
        Stored value to real value.
    marks : tuple of (str, value)
        What may tell it from others at its place, see `dicom_marks`.
    moments : tuple of (str, float)
        Its clock times.
    at_detector : bool
        Whether `spacing` is measured at the detector and not in the patient.
    """

    path: Path
    frame: int
    key: tuple[int, ...]
    shape: tuple[int, int]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    marks: Marks = ()
    moments: Moments = ()
    at_detector: bool = False

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.path.name} frame {self.frame + 1}" if self.frame else self.path.name


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices of one volume in order of k, and their grid.

    Attributes
    ----------
    slices : tuple of Slice
        By rising position along the normal.
    affine : (4, 4) array
        Voxel (column, row, slice) to RAS+ mm.
    oriented : bool
        Whether the files say where they lie.
    notes : tuple of str
        Oddities, for the person to see.
    """

    slices: tuple[Slice, ...]
    affine: NDArray[np.float64]
    oriented: bool
    notes: tuple[str, ...]


def slices_of(path: Path, tags: Any) -> list[Slice]:
    """The planes of one file.

    Itself, or its frames if it is multi-frame.
    """
    shape = (int(tags.Rows), int(tags.Columns))
    count = int(tags.get("NumberOfFrames") or 1)
    shared = _first(tags, "SharedFunctionalGroupsSequence")
    per_frame = tags.get("PerFrameFunctionalGroupsSequence") or []
    number = _int(tags.get("InstanceNumber"))
    acquisition = _int(tags.get("AcquisitionNumber"))
    planes = []
    for frame in range(count):
        own = per_frame[frame] if frame < len(per_frame) else None
        groups = [g for g in (own, shared) if g is not None]
        value = _first_in(groups, "PixelValueTransformationSequence") or tags
        planes.append(
            Slice(
                path=path,
                frame=frame,
                key=(acquisition, number, frame),
                shape=shape,
                position=_floats(_first_in(groups, "PlanePositionSequence") or tags, "ImagePositionPatient", 3),
                orientation=_floats(
                    _first_in(groups, "PlaneOrientationSequence") or tags, "ImageOrientationPatient", 6
                ),
                spacing=_spacing(groups, tags),
                slope=_float(value.get("RescaleSlope"), 1.0),
                intercept=_float(value.get("RescaleIntercept"), 0.0),
                marks=marks_of(tags, groups),
                moments=moments_of(tags, groups),
                at_detector=_in_patient(groups, tags) is None and _at_detector(tags) is not None,
            )
        )
    return planes


def stack(slices: Sequence[Slice], volume_index: int | None, name: str) -> Stack:
    """Order slices and check that they are one regular grid.

    Parameters
    ----------
    slices : sequence of Slice
        All planes of a series, in any order.
    volume_index : int, optional
        Which volume, when each place was imaged several times.
    name : str
        Of the series, for messages.

    Raises
    ------
    ImageFileError
        If slices have different sizes, are missing or doubled, or several volumes are there.
    GeometryError
        If they do not lie parallel at equal distances, or do not say where they lie.
    """
    _check_equal("size", [s.shape for s in slices], slices, name)
    if any(s.position is None or s.orientation is None for s in slices):
        return _without_place(slices, volume_index, name)
    _check_equal("pixel spacing", [s.spacing for s in slices], slices, name)
    orientations = np.array([s.orientation for s in slices])
    middle = np.median(orientations, axis=0)
    turned = np.abs(orientations - middle).max(axis=1) > SAME_DIRECTION
    if turned.any():
        raise GeometryError(
            f"{name} mixes orientations: {_list(slices, turned)} lie differently from the others (a localizer?); "
            "move them to another folder."
        )
    row, column = middle[:3], middle[3:]
    if abs(float(row @ column)) > SAME_DIRECTION or not 0.99 < float(np.linalg.norm(np.cross(row, column))) < 1.01:
        raise GeometryError(f"{name} has rows and columns that are not at right angles; export it again.")
    normal = np.cross(row, column)
    spacing = slices[0].spacing
    if spacing is None or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise GeometryError(f"{name} does not state its pixel spacing, so nothing in it can be measured; export again.")
    passes = part(slices, normal, name)
    one = choose_pass(passes, volume_index, name)
    chosen = one.slices
    positions = np.array([s.position for s in chosen])
    step, notes = _step(chosen, positions, normal, name)
    if len(passes) > 1:
        notes.append(f"The series holds {len(passes)} volumes; this is {passes.index(one)}: {one}.")
    directions = np.stack([row * spacing[1], column * spacing[0], step], axis=1)
    return Stack(chosen, affine_from_lps(directions, positions[0]), True, tuple(notes))


def _step(
    slices: Sequence[Slice], positions: NDArray[np.float64], normal: NDArray[np.float64], name: str
) -> tuple[NDArray[np.float64], list[str]]:
    """The vector from one slice to the next, LPS mm."""
    if len(slices) == 1:
        return normal * 1.0, ["There is one slice; its thickness is taken as 1 mm, so volumes are areas."]
    steps = np.diff(positions, axis=0)
    distances = steps @ normal
    usual = float(np.median(distances))
    for (one, other), distance in zip(pairwise(slices), distances, strict=True):
        if abs(distance - usual) <= REGULAR * usual:
            continue
        missing = round(distance / usual) - 1
        if missing >= 1 and abs(distance / usual - missing - 1) <= REGULAR * (missing + 1):
            raise ImageFileError(
                f"{name} lacks {missing} slice{'s' if missing > 1 else ''} between {one.label} and {other.label}; "
                "export the series again."
            )
        raise GeometryError(
            f"{name} has uneven slice distances: {distance:.3g} mm between {one.label} and {other.label}, "
            f"{usual:.3g} mm elsewhere; choose an evenly spaced series."
        )
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    aside = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(slices)), step), axis=1)
    if aside.max() > max(REGULAR * usual, SAME_PLACE_MM):
        bad = slices[int(aside.argmax())]
        raise GeometryError(f"{name} is not a straight stack: {bad.label} lies {aside.max():.3g} mm aside; choose one.")
    shift = float(np.linalg.norm(step - (step @ normal) * normal))
    if shift <= TILT_MM:
        return step, []
    angle = np.degrees(np.arctan2(shift, float(step @ normal)))
    return step, [
        f"The slices are shifted from one to the next (a gantry tilted by {angle:.1f} degrees); the grid is kept "
        "sheared, and programs based on ITK may refuse or straighten it."
    ]


def _without_place(slices: Sequence[Slice], volume_index: int | None, name: str) -> Stack:
    if len(slices) > 1 and volume_index is None:
        unplaced = [s.position is None or s.orientation is None for s in slices]
        raise GeometryError(
            f"{name} does not say where its slices lie ({_list(slices, np.array(unplaced))}); choose one image "
            f"with --volume N, 0 to {len(slices) - 1}."
        )
    index = volume_index or 0
    if not 0 <= index < len(slices):
        raise ImageFileError(f"{name} has no image {index}: it holds {len(slices)}, counted from 0.")
    one = sorted(slices, key=lambda s: s.key)[index]
    rows, columns = one.spacing or (1.0, 1.0)
    notes = ["The file does not say where the image lies: left and right are unknown."]
    if one.at_detector:
        notes.append(
            "The pixel spacing is that at the detector (ImagerPixelSpacing): what is in the patient is smaller, by the "
            "magnification."
        )
    if one.spacing is None:
        notes.append("The file states no pixel spacing; 1 mm is assumed.")
    return Stack((one,), np.diag([columns, rows, 1.0, 1.0]), False, tuple(notes))


def _check_equal(what: str, values: Sequence[Any], slices: Sequence[Slice], name: str) -> None:
    usual = max(set(values), key=values.count) if values else None
    odd = np.array([value != usual for value in values])
    if odd.any():
        raise ImageFileError(
            f"{name} mixes images of different {what}: {_list(slices, odd)} differ from the others; move them to "
            "another folder."
        )


def _list(slices: Sequence[Slice], chosen: NDArray[np.bool_]) -> str:
    names = [s.label for s, is_chosen in zip(slices, chosen, strict=True) if is_chosen]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first(tags: Any, sequence: str) -> Any:
    items = tags.get(sequence)
    return items[0] if items else None


def _first_in(groups: Sequence[Any], sequence: str) -> Any:
    return next((item for g in groups if (item := _first(g, sequence)) is not None), None)


def _floats(tags: Any, name: str, count: int) -> tuple[float, ...] | None:
    value = tags.get(name)
    if value is None or len(value) != count:
        return None
    return tuple(float(v) for v in value)


def _spacing(groups: Sequence[Any], tags: Any) -> tuple[float, ...] | None:
    return _in_patient(groups, tags) or _of_ultrasound(tags) or _at_detector(tags)


def _in_patient(groups: Sequence[Any], tags: Any) -> tuple[float, ...] | None:
    return _floats(_first_in(groups, "PixelMeasuresSequence") or tags, "PixelSpacing", 2)


def _at_detector(tags: Any) -> tuple[float, ...] | None:
    """Spacing of a projection or a scanned film (PS3.3 C.8.11.3, C.8.6.1)."""
    return _floats(tags, "ImagerPixelSpacing", 2) or _floats(tags, "NominalScannedPixelSpacing", 2)


def _of_ultrasound(tags: Any) -> tuple[float, ...] | None:
    """Millimetres per pixel where all regions of an ultrasound image agree (PS3.3 C.8.5.5); units 3 are cm."""
    regions = set()
    for region in tags.get("SequenceOfUltrasoundRegions") or []:
        if region.get("PhysicalUnitsXDirection") == _CENTIMETRES == region.get("PhysicalUnitsYDirection"):
            regions.add((abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10))
    one = next(iter(regions)) if len(regions) == 1 else None
    return one if one is not None and min(one) > 0 else None


def _float(value: Any, default: float) -> float:
    return default if value in (None, "") else float(value)


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
