"""Registration of two scans.

Where a place of one lies in the other, and how well they fit there.

Mutual information of Mattes et al. (IEEE Trans. Med. Imaging 22, 2003): from the centres over shifts and a rigid to an
affine transform on coarse copies, then once more around one structure on a finer copy. Deterministic: sampling has a
seed, and one thread adds up. World coordinates are RAS+ mm throughout; transforms never mirror.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import SimpleITK
from SimpleITK import AffineTransform, Euler3DTransform, Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = [
    "COARSE_VOXELS",
    "LOCAL_VOXELS",
    "as_image",
    "copy_of",
    "inverse_of",
    "matrix_of",
    "refine",
    "refine_rigid",
    "register",
    "register_rigid",
    "said",
]

COARSE_VOXELS: Final = 80_000
LOCAL_VOXELS: Final = 30_000
"""About how many voxels the copies of a whole scan and of a structure's surroundings have."""

BINS: Final = 32
SHIFT_VOXELS: Final = 4_000
"""Voxels compared for one shift."""

STEPS: Final = 120
RELAXATION: Final = 0.5
LAST_STEP: Final = 0.01
"""Steps at most, by how much they shorten at a turn, and the length at which they end, in voxels of the copy."""

SHIFTS: Final = 5
REACH: Final = 0.25
"""Shifts tried along each axis, and the largest one as a part of the mean extent."""

STRETCH: Final = (0.7, 1.45)
"""How much larger or smaller another person may be along one direction; beyond it a registration has failed."""

ROTATION_TOLERANCE: Final = 1e-6
"""How far a rotation's matrix may be from orthogonal; ITK's own tolerance is within rounding of products."""

Block = tuple[slice, slice, slice]


def as_image(values: NDArray[np.float32], affine: NDArray[np.float64]) -> Image:
    """An (I, J, K) array with its place in the world.

    In the RAS+ world of `Volume`; any order and sign of axes.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def copy_of(volume: Volume, window: Window, voxels: int, block: Block | None = None) -> Image:
    """A smoothed copy of a scan, in [0, 1].

    Or of a block of it.

    Parameters
    ----------
    volume, window
        The scan and how its intensities are seen.
    voxels : int
        About how many the copy has at most; its spacing is equal along all axes, and never finer than the finest.
    block : tuple of slice, optional
        The part to copy, by its voxels.
    """
    part = tuple(slice(0, n) for n in volume.shape) if block is None else block
    values = window.apply(volume.voxels[part])
    spacing = np.array(volume.spacing)
    extent = np.array(values.shape) * spacing
    wanted = max((float(extent.prod()) / voxels) ** (1 / 3), float(spacing.min()))
    size = np.maximum(np.round(extent / wanted), 4).astype(int)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.voxel_to_world([s.start for s in part])
    image = as_image(values, affine)
    widths = 0.5 * np.maximum(wanted - spacing, 0)
    for axis in np.flatnonzero((widths > 0.05 * spacing) & (np.array(values.shape) >= 4)):
        image = SimpleITK.RecursiveGaussian(
            image, float(widths[axis]), False, SimpleITK.RecursiveGaussianImageFilter.ZeroOrder, int(axis)
        )
    own = extent / size
    start = affine[:3, :3] @ ((own / spacing - 1) / 2) + affine[:3, 3]
    grid = (
        size.tolist(),
        SimpleITK.Transform(),
        SimpleITK.sitkLinear,
        start.tolist(),
        own.tolist(),
        image.GetDirection(),
    )
    return SimpleITK.Resample(image, *grid, 0.0, image.GetPixelID(), True)


def register(scan: Image, exemplar: Image) -> AffineTransform | None:
    """The transform from one scan to another.

    From places of a scan to those of an exemplar, from copies of both; None when it has failed.

    The smaller of the two is laid into the larger one: a large scan laid into a small one is drawn to its size.
    """
    if _extent(scan).prod() > _extent(exemplar).prod():
        back = register(exemplar, scan)
        return None if back is None else inverse_of(back)
    try:
        with _one_thread():
            rigid = _rigid(scan, exemplar)
            return _sane(_optimised(scan, exemplar, _about(_centre(scan), rigid), (2, 1))) or rigid
    except RuntimeError:
        return None  # they have drifted apart, as scans of different things do


def register_rigid(scan: Image, other: Image) -> AffineTransform | None:
    """The rigid transform from one scan to another of the same body.

    From the centres over shifts to a rigid transform, from copies of both; None when it has failed.
    """
    if _extent(scan).prod() > _extent(other).prod():
        back = register_rigid(other, scan)
        return None if back is None else inverse_of(back)
    try:
        with _one_thread():
            return _rigid(scan, other)
    except RuntimeError:
        return None  # nothing of them overlaps any more


def refine_rigid(start: AffineTransform, scan: Image, other: Image) -> AffineTransform | None:
    """A better rigid transform near another one, from finer copies.

    None when it has failed.
    """
    centre = _centre(scan)
    near = Euler3DTransform()
    near.SetCenter(centre.tolist())
    near.SetMatrix(start.GetMatrix(), ROTATION_TOLERANCE)
    near.SetTranslation((np.array(start.TransformPoint(centre.tolist())) - centre).tolist())
    try:
        with _one_thread():
            return _about(centre, _optimised(scan, other, near, (2, 1)))
    except RuntimeError:
        return None


def matrix_of(transform: AffineTransform) -> NDArray[np.float64]:
    """A transform as a (4, 4) matrix of world places, RAS+ mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def refine(start: AffineTransform, scan: Image, exemplar: Image) -> AffineTransform:
    """A better transform for the surroundings of one structure.

    The start where none is found.

    Parameters
    ----------
    start : AffineTransform
        From the scan to the exemplar.
    scan, exemplar : Image
        Copies; that of the exemplar ends a little outside of the structure, that of the scan further outside.
    """
    try:
        with _one_thread():
            found = _sane(_optimised(exemplar, scan, _about(_centre(exemplar), inverse_of(start)), (2, 1)))
    except RuntimeError:
        return start  # they do not overlap any more
    return start if found is None else inverse_of(found)


def said(scan: Image, exemplar: Image, transform: AffineTransform) -> float:
    """How much two copies say of each other where they overlap.

    0 nothing, 1 all.

    Twice their mutual information over the sum of their entropies (symmetric uncertainty).
    """
    inside = SimpleITK.Resample(scan + 1, exemplar, inverse_of(transform), SimpleITK.sitkLinear, 0.0)
    laid, own = SimpleITK.GetArrayFromImage(inside).ravel() - 1, SimpleITK.GetArrayFromImage(exemplar).ravel()
    both = laid >= 0
    if both.sum() < BINS**2:
        return 0.0
    joint = np.histogram2d(laid[both], own[both], bins=BINS, range=((0, 1.0001), (0, 1.0001)))[0]
    joint /= joint.sum()
    a, b, ab = (_entropy(p) for p in (joint.sum(0), joint.sum(1), joint.ravel()))
    return float(2 * (a + b - ab) / (a + b)) if a + b else 0.0


def inverse_of(transform: AffineTransform) -> AffineTransform:
    """The way back."""
    return AffineTransform(transform.GetInverse())


def _rigid(scan: Image, other: Image) -> AffineTransform:
    start = SimpleITK.CenteredTransformInitializer(
        scan, other, Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.GEOMETRY
    )
    shifted = _best_shift(scan, other, Euler3DTransform(start))
    return _about(_centre(scan), _optimised(scan, other, shifted, (2, 1)))


def _best_shift(fixed: Image, moving: Image, start: Euler3DTransform) -> Euler3DTransform:
    """The start, shifted to the best of a coarse lattice, on small copies."""
    metric = _method()
    metric.SetMetricUseFixedImageGradientFilter(False)
    metric.SetMetricUseMovingImageGradientFilter(False)
    reach = REACH * (_extent(fixed) + _extent(moving)) / 2
    fixed, moving = _small(fixed), _small(moving)
    best, least = start, np.inf
    for steps in np.ndindex(SHIFTS, SHIFTS, SHIFTS):
        shifted = Euler3DTransform(start)
        away = (np.array(steps) / (SHIFTS - 1) * 2 - 1) * reach
        shifted.SetTranslation((np.array(start.GetTranslation()) + away).tolist())
        metric.SetInitialTransform(shifted, inPlace=False)
        try:
            value = metric.MetricEvaluate(fixed, moving)
        except RuntimeError:
            continue  # too little of them overlaps
        if value < least:
            best, least = shifted, value
    return best


def _small(image: Image) -> Image:
    """A copy with about `SHIFT_VOXELS` voxels."""
    factors = [max(1, min(int((image.GetNumberOfPixels() / SHIFT_VOXELS) ** (1 / 3)), n // 4)) for n in image.GetSize()]
    return SimpleITK.BinShrink(image, factors)


def _optimised(fixed: Image, moving: Image, start: SimpleITK.Transform, shrink: Sequence[int]) -> SimpleITK.Transform:
    """Start, moved downhill; every voxel counts, so that nothing is drawn by lot."""
    method = _method()
    step = float(np.mean(fixed.GetSpacing()))
    method.SetOptimizerAsRegularStepGradientDescent(step, LAST_STEP * step, STEPS, RELAXATION)
    # One unit of an angle or of the matrix moves a voxel at the mean radius by so many mm.
    radius = 0.25 * float(np.linalg.norm(_extent(fixed)))
    turning = len(start.GetParameters()) - 3
    method.SetOptimizerScales([radius**2] * turning + [1.0] * 3)
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([0.5 * (f - 1) for f in shrink])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _method() -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(SimpleITK.sitkLinear)
    return method


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order: a registration's own setting does not reach its metric (ITK 5.4)."""
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _about(centre: NDArray[np.float64], transform: SimpleITK.Transform) -> AffineTransform:
    """The same affine map, with its parameters about another centre."""
    matrix = np.reshape(transform.GetMatrix(), (3, 3))
    affine = AffineTransform(3)
    affine.SetCenter(centre.tolist())
    affine.SetMatrix(matrix.ravel().tolist())
    affine.SetTranslation((np.array(transform.TransformPoint(centre.tolist())) - centre).tolist())
    return affine


def _centre(image: Image) -> NDArray[np.float64]:
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def _sane(affine: AffineTransform) -> AffineTransform | None:
    """The transform, if it neither mirrors nor stretches beyond what persons differ."""
    matrix = np.reshape(affine.GetMatrix(), (3, 3))
    stretches = np.linalg.svd(matrix, compute_uv=False)
    fine = np.linalg.det(matrix) > 0 and STRETCH[0] < stretches.min() and stretches.max() < STRETCH[1]
    return affine if fine else None


def _extent(image: Image) -> NDArray[np.float64]:
    extent: NDArray[np.float64] = np.multiply(image.GetSize(), image.GetSpacing())
    return extent


def _entropy(shares: NDArray[np.float64]) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())
