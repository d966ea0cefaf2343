from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.core.window import choose_window
from napari_sam2.errors import ImageFileError
from napari_sam2.io import read_labels, read_volume, write_labels
from napari_sam2.sample_data import sample

from .test_labels import assert_same_geometry

DATA = Path(__file__).parents[1] / "data"


def test_a_diffusion_series_is_read_one_volume_at_a_time(tmp_path):
    path = DATA / "4d_dmri.nii.gz"
    with pytest.raises(ImageFileError, match="holds 7 volumes"):
        read_volume(path)
    volume = read_volume(path, volume_index=6)
    np.testing.assert_array_equal(volume.voxels, np.asarray(nib.load(path).dataobj)[..., 6])
    assert volume.default_slice_axis == 2
    assert_same_geometry(path, write_labels(volume.voxels > 50, volume, tmp_path / "l.nii.gz"))


def test_labels_stored_as_float64_are_read_as_whole_numbers():
    labels = read_labels(DATA / "float64_labels.nii.gz", read_volume(sample("mr_spine")[0]))
    assert labels.dtype == np.uint8
    assert np.unique(labels).tolist() == [0, 2, 3, 4, 5]


def test_labels_stored_as_int64_are_read_on_their_own_grid():
    path = DATA / "int64_labels.nii.gz"
    labels = read_labels(path, read_volume(path))
    np.testing.assert_array_equal(labels, np.asarray(nib.load(path).dataobj))


def test_infinite_voxels_do_not_spoil_the_window():
    volume = read_volume(DATA / "inf_mtr.nii.gz")
    window = choose_window(volume)
    assert np.isfinite([window.low, window.high]).all()
    assert "633 voxels" in volume.source.notes[0]


def test_complex_files_are_refused():
    with pytest.raises(ImageFileError, match="magnitude"):
        read_volume(DATA / "complex64.nii.gz")


@pytest.mark.parametrize("name", ["ct_abdomen", "mr_spine"])
def test_labels_for_the_samples_have_their_raw_geometry(tmp_path, name):
    image, labels, _ = sample(name)
    volume = read_volume(image)
    assert_same_geometry(image, write_labels(read_labels(labels, volume), volume, tmp_path / "l.nii.gz"))
