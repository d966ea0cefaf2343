"""Memory that label maps take beside themselves; figures of whole programs come from benchmarks/footprint.py."""

from __future__ import annotations

import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.seg_nrrd import write_seg_nrrd
from napari_sam2.measures.measure import measure
from napari_sam2.terms.structures import structures_for

SHAPE = (160, 160, 100)


@pytest.fixture
def scanned(tmp_path):
    """A scan of noise, with eight cubes as labels."""
    voxels = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(8):
        labels[20 * number : 20 * number + 15, 40:70, 30:60] = number + 1
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scan.nii")
    return read_volume(tmp_path / "scan.nii"), labels


def peak(work):
    """The most bytes that `work` holds at a time, beyond what was there before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_slicer_segmentation_is_written_without_a_copy_of_the_labels(scanned, tmp_path):
    volume, labels = scanned
    path = tmp_path / "x.seg.nrrd"
    assert peak(lambda: write_seg_nrrd(labels, volume, path, structures_for(range(1, 9)))) < 0.5 * labels.nbytes


def test_a_slicer_segmentation_is_read_with_one_copy_of_the_labels(scanned, tmp_path):
    volume, labels = scanned
    path = write_seg_nrrd(labels, volume, tmp_path / "x.seg.nrrd", structures_for(range(1, 9)))
    assert peak(lambda: read_labels(path, volume)) < 2.5 * labels.nbytes


def test_measuring_copies_objects_and_not_the_scan(scanned):
    volume, labels = scanned
    arrays = volume.voxels.nbytes + labels.nbytes
    assert peak(lambda: measure(labels, volume)) < 2 * arrays
