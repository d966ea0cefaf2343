"""A project of invented subjects: one head-like scan each, with two kidneys of different size and a liver."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.core.volume import Volume

NAMES = {1: "liver", 2: "kidney_left", 3: "Ren dexter"}
SHAPE = (36, 32, 30)
SPACING = 3.0


def subject(seed: int, *, move: float = 4.0) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64]]:
    """Voxels, labels and affine of a subject; x grows to the right, so the left kidney has the smaller x."""
    rng = np.random.default_rng(seed)
    stretch, shift = rng.uniform(0.92, 1.08, 3), rng.uniform(-move, move, 3) / SPACING
    grid = (np.indices(SHAPE).astype(float).T - (np.array(SHAPE) - 1) / 2 - shift) / stretch

    def inside(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        return ((((grid - centre) / radii) ** 2).sum(axis=-1) <= 1).T

    labels = np.zeros(SHAPE, np.uint8)
    labels[inside((4, 2, 4), (7, 5, 5))] = 1
    labels[inside((-7, -5, -4), (3, 3, 5))] = 2
    labels[inside((7, -5, -5), (3, 3, 4))] = 3
    body = inside((0, 0, 0), (15, 12, 13))
    spine = inside((0, -8, 0), (2, 2, 12))
    voxels = 300.0 * body + 250.0 * spine + np.array([0, 150, 350, 350])[labels]
    voxels = ndimage.gaussian_filter(voxels, 0.6) + rng.normal(0, 12, SHAPE)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = rng.uniform(-40, 40, 3)
    return voxels.astype(np.float32), labels, affine


def volume_of(seed: int, **how: float) -> tuple[Volume, NDArray[np.uint8]]:
    """A subject in memory, and its labels."""
    voxels, labels, affine = subject(seed, **how)
    return Volume(voxels, affine), labels


def mirrored(volume: Volume, labels: NDArray[np.uint8]) -> tuple[Volume, NDArray[np.uint8]]:
    """The same scan stored from the other side; its place in the world stays."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.voxel_to_world([volume.shape[0] - 1, 0, 0])
    affine[:3, 0] *= -1
    return Volume(np.flip(volume.voxels, 0).copy(), affine), np.flip(labels, 0)


def write_project(folder: Path, finished: int = 2, new: int = 1) -> Path:
    """A manifest with finished scans and new ones; returns it."""
    lines = ["case,image,labels"]
    for number in range(finished + new):
        voxels, labels, affine = subject(number)
        case = f"s{number:02}"
        nib.save(nib.Nifti1Image(voxels, affine), folder / f"{case}.nii.gz")
        if number < finished:
            nib.save(nib.Nifti1Image(labels, affine), folder / f"{case}_labels.nii.gz")
            rows = "".join(f"{label_id}\t{name}\n" for label_id, name in NAMES.items())
            (folder / f"{case}_labels.tsv").write_text("index\tname\n" + rows)
        lines.append(f"{case},{case}.nii.gz,{f'{case}_labels.nii.gz' if number < finished else ''}")
    manifest = folder / "project.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def noise_scan(folder: Path) -> Path:
    """A scan of nothing that the project knows."""
    rng = np.random.default_rng(9)
    voxels = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 2) * 1000
    path = folder / "foreign.nii.gz"
    nib.save(nib.Nifti1Image(voxels.astype(np.float32), np.diag([SPACING, SPACING, SPACING, 1.0])), path)
    return path
