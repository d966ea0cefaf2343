"""A simulated PET of a real CT, as a pair for ``benchmarks/channels.py``.

    python benchmarks/pet_ct.py OUT CT.nii.gz LABELS.nii.gz
    python benchmarks/channels.py OUT/cases.csv --parts 1

No patient of the development cases has both. Uptake follows the tissue that the CT shows (air, fat, soft tissue, bone)
and the drawn tumour: a hot rim and a colder core, as large tumours have. It is blurred as a scanner does (6 mm),
sampled at 4 mm, and given noise that grows with the uptake. What comes out is what was put in: it shows that a pair on
two grids is laid on each other and mixed, and says nothing of PET in patients.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

TISSUE = ((-np.inf, -300, 0.05), (-300, -30, 0.3), (-30, 150, 0.9), (150, np.inf, 0.7))
"""Hounsfield units from and to, and uptake in SUV."""

RIM, CORE, RIM_MM = 5.0, 1.3, 9.0
"""Uptake of the tumour's rim and core, and how deep the rim is in mm."""

FWHM_MM, GRID_MM, NOISE = 6.0, 4.0, 0.12
FWHM_PER_SIGMA = 2.3548


def main() -> None:
    """Write both scans, the labels and their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("ct", type=Path)
    parser.add_argument("labels", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    scan, drawn = nib.load(given.ct), nib.load(given.labels)
    hu, tumour = np.asarray(scan.dataobj, np.float32), np.asarray(drawn.dataobj) > 0
    spacing = np.linalg.norm(scan.affine[:3, :3], axis=0)
    pet, affine = simulated(hu, tumour, spacing, scan.affine)
    nib.save(scan, given.out / "ct.nii.gz")
    nib.save(nib.Nifti1Image(tumour.astype(np.uint8), scan.affine), given.out / "labels.nii.gz")
    nib.save(nib.Nifti1Image(pet, affine), given.out / "pet.nii.gz")
    (given.out / "cases.csv").write_text(
        "case,image,labels,channel_1\nct first,ct.nii.gz,labels.nii.gz,PET=pet.nii.gz\n", encoding="utf-8"
    )


def simulated(
    hu: np.ndarray, tumour: np.ndarray, spacing: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Uptake in SUV on a grid of its own, and that grid's affine."""
    uptake = np.zeros(hu.shape, np.float32)
    for low, high, suv in TISSUE:
        uptake[(hu >= low) & (hu < high)] = suv
    depth = ndimage.distance_transform_edt(tumour, sampling=spacing)
    uptake[tumour] = np.where(depth > RIM_MM, CORE, RIM)[tumour]
    blurred = ndimage.gaussian_filter(uptake, FWHM_MM / FWHM_PER_SIGMA / spacing)
    steps = GRID_MM / spacing
    shape = np.maximum(np.ceil(np.array(hu.shape) / steps).astype(int), 1)
    coarse = ndimage.affine_transform(blurred, steps, 0.0, tuple(shape), order=1, mode="nearest")
    noise = np.random.default_rng(0).normal(0, 1, coarse.shape) * NOISE * np.sqrt(np.maximum(coarse, 0.05))
    return (coarse + noise).astype(np.float32), affine @ np.diag([*steps, 1.0])


if __name__ == "__main__":
    main()
