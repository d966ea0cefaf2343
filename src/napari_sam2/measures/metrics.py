"""Agreement of two masks.

Overlap, volume and surface distances, each with its definition.

Surfaces are the voxels of a mask that have a face in common with something outside of it (as MONAI
takes them), and distances run between their centres. Conventions for empty masks: both empty is full
agreement (Dice 1, distances 0); one empty is none (Dice 0), and distances are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.measures.boxes import common_box, label_boxes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["DEFAULT_TOLERANCE_MM", "Agreement", "agreement", "agreement_rows", "compare_each", "compare_labels", "dice"]

DEFAULT_TOLERANCE_MM: Final = 2.0
"""NSD's tolerance in the CVPR 2025 challenge for interactive 3-D segmentation."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a mask agrees with a reference.

    Attributes
    ----------
    dice, iou : float
        Overlap, 0 to 1.
    reference_ml, predicted_ml : float
        Volumes.
    hd95_mm : float
        The larger of the two directed 95th percentiles of surface distance (MONAI's definition).
    hd95_pooled_mm : float
        The 95th percentile of both directions' distances together (often a little smaller).
    hd_mm : float
        Hausdorff distance: the largest surface distance. SimpleITK's filter measures from all voxels,
        of which those inside the other mask have distance 0, and can give less where one mask lies
        deep inside the other.
    assd_mm : float
        Mean of both directions' surface distances together.
    nsd : float
        Share of both surfaces that is within `tolerance_mm` of the other one, 0 to 1.
    tolerance_mm : float
        For `nsd`.
    """

    dice: float
    iou: float
    reference_ml: float
    predicted_ml: float
    hd95_mm: float
    hd95_pooled_mm: float
    hd_mm: float
    assd_mm: float
    nsd: float
    tolerance_mm: float

    @property
    def volume_difference_ml(self) -> float:
        """Predicted minus reference."""
        return self.predicted_ml - self.reference_ml

    @property
    def volume_difference_percent(self) -> float:
        """Predicted minus reference, relative to the reference; NaN if that is empty."""
        return self.volume_difference_ml / self.reference_ml * 100 if self.reference_ml else math.nan


def agreement(
    reference: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    spacing: Sequence[float],
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> Agreement:
    """Compare two masks.

    Parameters
    ----------
    reference, predicted : (I, J, K) bool array
        On one grid.
    spacing : sequence of float
        Voxel sizes along i, j, k in mm; the grid is taken to be rectangular.
    tolerance_mm : float
        For the normalised surface distance.

    Raises
    ------
    GeometryError
        If the shapes differ.
    UserInputError
        If the tolerance is negative or not a number.
    """
    if reference.shape != predicted.shape:
        raise GeometryError(f"The masks must have one shape; got {reference.shape} and {predicted.shape}.")
    if not tolerance_mm >= 0:
        raise UserInputError(f"The tolerance must be 0 mm or more; got {tolerance_mm:g}.")
    voxel_ml = float(np.prod(spacing)) / 1000
    common = int(np.count_nonzero(reference & predicted))
    sizes = int(np.count_nonzero(reference)), int(np.count_nonzero(predicted))
    union = sum(sizes) - common
    distances = _surface_distances(reference, predicted, spacing) if all(sizes) else None
    empty = 0.0 if not any(sizes) else math.nan
    if distances is None:
        hd95 = pooled = hd = assd = empty
        nsd = 1.0 if not any(sizes) else 0.0
    else:
        both = np.concatenate(distances)
        hd95 = float(max(np.percentile(d, 95) for d in distances))
        pooled, hd, assd = float(np.percentile(both, 95)), float(both.max()), float(both.mean())
        nsd = float(np.count_nonzero(both <= tolerance_mm) / both.size)
    return Agreement(
        dice=2 * common / sum(sizes) if union else 1.0,
        iou=common / union if union else 1.0,
        reference_ml=sizes[0] * voxel_ml,
        predicted_ml=sizes[1] * voxel_ml,
        hd95_mm=hd95,
        hd95_pooled_mm=pooled,
        hd_mm=hd,
        assd_mm=assd,
        nsd=nsd,
        tolerance_mm=tolerance_mm,
    )


def compare_labels(
    reference: NDArray[Any],
    predicted: NDArray[Any],
    volume: Volume,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> dict[int, Agreement]:
    """Compare two label maps, id by id.

    Ids that are in one of them only count too.

    Raises
    ------
    GeometryError
        If the shapes differ.
    """
    return dict(compare_each(reference, predicted, volume, tolerance_mm))


def compare_each(
    reference: NDArray[Any],
    predicted: NDArray[Any],
    volume: Volume,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> Iterator[tuple[int, Agreement]]:
    """Compare object by object, for whoever shows how far it is.

    Parameters, order and errors as `compare_labels`.
    """
    if reference.shape != predicted.shape:
        raise GeometryError(f"The label maps must have one shape; got {reference.shape} and {predicted.shape}.")
    theirs, ours = label_boxes(reference), label_boxes(predicted)
    for label_id in sorted({*theirs, *ours}):
        box = common_box(theirs.get(label_id), ours.get(label_id))
        yield label_id, agreement(reference[box] == label_id, predicted[box] == label_id, volume.spacing, tolerance_mm)


def agreement_rows(agreements: Mapping[int, Agreement], names: Mapping[int, str] | None = None) -> list[dict[str, Any]]:
    """Agreements as rows for a table.

    Units stand in the column names.
    """
    names = names or {}
    return [
        {
            "id": label_id,
            "name": names.get(label_id, f"object {label_id}"),
            "dice": a.dice,
            "iou": a.iou,
            "reference_ml": a.reference_ml,
            "predicted_ml": a.predicted_ml,
            "volume_difference_ml": a.volume_difference_ml,
            "volume_difference_percent": a.volume_difference_percent,
            "hd95_mm": a.hd95_mm,
            "hd95_pooled_mm": a.hd95_pooled_mm,
            "hd_mm": a.hd_mm,
            "assd_mm": a.assd_mm,
            "nsd": a.nsd,
            "nsd_tolerance_mm": a.tolerance_mm,
        }
        for label_id, a in agreements.items()
    ]


def dice(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Dice overlap of two masks of one shape.

    1 if both are empty.
    """
    total = int(one.sum()) + int(two.sum())
    return 1.0 if total == 0 else 2.0 * int((one & two).sum()) / total


def _surface_distances(
    reference: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances from the predicted surface to the reference's, and the other way round."""
    from scipy import ndimage

    box = ndimage.find_objects((reference | predicted).astype(np.uint8))[0]
    one, other = (_surface(mask[box]) for mask in (reference, predicted))
    to_one, to_other = (ndimage.distance_transform_edt(~s, sampling=spacing) for s in (one, other))
    return to_one[other], to_other[one]


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    inner: NDArray[np.bool_] = ndimage.binary_erosion(mask)  # beyond the edge counts as outside
    return mask & ~inner
