"""The development cases of protocol segfm: makes the one derived scan, and lays all folders beside each other.

    python benchmarks/development_set.py DATA TRAINING_DATA OUT
    napari-sam2 evaluate benchmarks/development.csv --root OUT --protocol segfm --json now.json

DATA holds the development cases, TRAINING_DATA those for training, of which only the held-out part is used
(``docs/models/small-2/split.toml``). How the structures of ``development.csv`` were chosen, before any figure was
seen: every labelled case but slides and volumes without labels; of ``ct_abdomen_organs`` the nine structures that
its ``case.json`` calls good targets; of a scan with many labels those at the quantiles 0.25, 0.5, 0.75 and 1 of
size among labels of at least 500 voxels (PET: 100, the upper three); lesions and structures in two halves count with
their largest part; hippocampus: head and body in turn.

Derived: ``ct_abdomen_fine`` is ``ct_abdomen_organs`` with voxels a third as wide in plane (1 mm, 366 x 303), noise of
12 HU added, and label borders smoothed: a large even organ in the matrix of a clinical scan, which none of the real
development cases has. It comes from interpolated data, and says nothing about real texture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

FACTOR = 3
NOISE_HU = 12.0
SEED = 0
ORGANS = (1, 2, 5, 6, 21)
"""Spleen, right kidney, liver, stomach, bladder."""


def main() -> None:
    """Make the folder."""
    data, training, out = (Path(argument).resolve() for argument in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    for name, target in (("data", data), ("train_data", training)):
        link = out / name
        if not link.exists():
            link.symlink_to(target, target_is_directory=True)
    _fine(data / "ct_abdomen_organs", out / "derived" / "ct_abdomen_fine")


def _fine(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    image, labels = nib.load(source / "image.nii.gz"), nib.load(source / "labels.nii.gz")
    zoom = (FACTOR, FACTOR, 1)
    voxels = ndimage.zoom(np.asarray(image.dataobj, np.float32), zoom, order=3, grid_mode=True, mode="nearest")
    voxels += np.random.default_rng(SEED).normal(0, NOISE_HU, voxels.shape)
    known, fine, best = np.asarray(labels.dataobj), np.zeros(voxels.shape, np.uint8), np.full(voxels.shape, 0.5)
    for label in ORGANS:
        smooth = ndimage.gaussian_filter((known == label).astype(np.float32), (0.5, 0.5, 0))
        share = ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest")
        inside = share > best
        fine[inside], best[inside] = label, share[inside]
    affine = image.affine @ np.diag([1 / FACTOR, 1 / FACTOR, 1, 1])
    affine[:3, 3] = image.affine[:3] @ np.array([(1 / FACTOR - 1) / 2, (1 / FACTOR - 1) / 2, 0, 1])
    nib.save(nib.Nifti1Image(np.rint(voxels).astype(np.int16), affine), target / "image.nii.gz")
    nib.save(nib.Nifti1Image(fine, affine), target / "labels.nii.gz")


if __name__ == "__main__":
    main()
