"""Memory that label maps take beside themselves; figures of whole programs come from benchmarks/footprint.py."""

from __future__ import annotations

import gc
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.seg_nrrd import write_seg_nrrd
from napari_sam2.measures.measure import measure
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.session import Session
from napari_sam2.terms.structures import structures_for
from tests.phantoms import ball, box_on

SHAPE = (160, 160, 100)
CLICKS = 12


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


def test_clicks_and_their_undo_hold_what_they_change_and_no_more():
    """300 clicks may hold 5 MiB; here the same per click, and every one of them can be taken back."""
    volume, inside = ball(shape=(48, 48, 24), centre=(24, 24, 12), radii=(15, 13, 8))
    session = Session(volume, ClassicalModel())
    session.add_prompt(1, box_on(inside, 2, 12))
    list(session.propagate([1], slices=range(5, 20)))
    places = np.random.default_rng(0).permutation(np.argwhere(inside & (np.arange(24) != 12)))
    session.add_prompt(1, Point(tuple(map(float, places[-1])), positive=False))  # loads what answers clicks
    before = session.label_map()
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(CLICKS):
            session.add_prompt(1, Point(tuple(map(float, places[number])), positive=bool(number % 2)))
            session.snapshot()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < CLICKS * (5 << 20) / 300
    assert not np.array_equal(session.label_map(), before)
    for _ in range(CLICKS):
        session.undo()
    assert np.array_equal(session.label_map(), before)


def test_a_mask_is_held_as_a_small_part_of_its_voxels():
    rows, columns = np.ogrid[:512, :512]
    masks = [(rows - 256) ** 2 + (columns - 256) ** 2 < radius**2 for radius in range(180, 200)]
    tracemalloc.start()
    try:
        held = [SliceMask.of(mask) for mask in masks]
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size < 0.02 * sum(mask.n_voxels for mask in held)
    for mask, whole in zip(held, masks, strict=True):
        assert np.array_equal(mask.full((512, 512)), whole)


def test_measuring_copies_objects_and_not_the_scan(scanned):
    volume, labels = scanned
    arrays = volume.voxels.nbytes + labels.nbytes
    assert peak(lambda: measure(labels, volume)) < 2 * arrays
