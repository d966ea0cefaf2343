from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import EnvironmentLacksError, GeometryError, ImageFileError, UserInputError
from napari_sam2.io import check_output, read_labels, read_volume, write_labels
from napari_sam2.io.nifti_header import GEOMETRY_FIELDS

from .conftest import OBLIQUE
from .test_nifti import affines, patched


def assert_same_geometry(one, other):
    """Compare raw header fields bit for bit."""
    a, b = nib.load(one).header, nib.load(other).header
    for name in GEOMETRY_FIELDS:
        assert a[name].astype(a[name].dtype.newbyteorder("=")).tobytes() == b[name].tobytes(), name
    assert a["pixdim"][:4].astype(b["pixdim"].dtype).tobytes() == b["pixdim"][:4].tobytes()
    assert int(a["xyzt_units"]) & 7 == int(b["xyzt_units"])
    assert a["sizeof_hdr"] == b["sizeof_hdr"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    affine=affines(),
    other=affines(),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    units=st.sampled_from([0, 1, 2, 3, 10]),
    kind=st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
    endian=st.sampled_from("<>"),
)
def test_a_label_map_has_the_raw_geometry_of_its_image(
    tmp_path, voxels, labels, affine, other, codes, units, kind, endian
):
    header = kind.header_class(endianness=endian)
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(np.int16)
    header.set_qform(other, codes[0])
    header.set_sform(affine, codes[1])
    header["xyzt_units"] = units
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out.nii.gz"
    nib.save(kind(voxels, None, header), scan)
    volume = read_volume(scan)
    write_labels(labels, volume, out, overwrite=True)
    assert_same_geometry(scan, out)
    np.testing.assert_array_equal(nib.load(out).dataobj, labels)
    np.testing.assert_array_equal(read_labels(out, volume), labels)


def test_simpleitk_sees_image_and_labels_on_exactly_the_same_grid(tmp_path, scan, labels):
    out = write_labels(labels, read_volume(scan), tmp_path / "out.nii.gz")
    image, written = sitk.ReadImage(str(scan)), sitk.ReadImage(str(out))
    assert image.GetOrigin() == written.GetOrigin()
    assert image.GetSpacing() == written.GetSpacing()
    assert image.GetDirection() == written.GetDirection()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), labels.transpose(2, 1, 0))


@pytest.mark.parametrize(("largest", "dtype"), [(1, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (70000, "i4")])
def test_the_type_on_disk_follows_the_largest_id(tmp_path, scan, labels, largest, dtype):
    big = labels.astype(np.int64)
    big[0, 0, 0] = largest
    volume = read_volume(scan)
    out = write_labels(big, volume, tmp_path / "out.nii.gz")
    image = nib.load(out)
    assert image.get_data_dtype() == np.dtype(dtype)
    assert (image.dataobj.slope, image.dataobj.inter) == (1.0, 0.0)
    assert image.header.get_intent() == ("label", (), "napari-sam2")
    np.testing.assert_array_equal(read_labels(out, volume), big)


def test_nothing_but_geometry_is_copied_from_the_source(tmp_path, voxels, labels):
    image = nib.Nifti1Image(voxels, OBLIQUE)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"CANARY"
    image.header["toffset"] = 7
    image.header["cal_max"] = 300
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"CANARY"))
    nib.save(image, tmp_path / "scan.nii")
    out = write_labels(labels, read_volume(tmp_path / "scan.nii"), tmp_path / "out.nii")
    assert b"CANARY" not in out.read_bytes()
    assert nib.load(out).header["toffset"] == 0
    assert nib.load(out).header["cal_max"] == 2


def test_equal_labels_give_equal_bytes(tmp_path, scan, labels):
    volume = read_volume(scan)
    one, two = (write_labels(labels, volume, tmp_path / f"{n}.nii.gz") for n in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_a_2d_file_gets_2d_labels(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((6, 5), np.int16), OBLIQUE), tmp_path / "flat.nii")
    volume = read_volume(tmp_path / "flat.nii")
    out = write_labels(np.ones((6, 5, 1), np.uint8), volume, tmp_path / "out.nii")
    assert nib.load(out).shape == (6, 5)
    assert read_labels(out, volume).shape == (6, 5, 1)


@pytest.mark.parametrize("oriented", [True, False])
def test_other_formats_get_a_header_from_the_affine(tmp_path, labels, oriented):
    volume = Volume(labels, OBLIQUE, oriented, Source("x.nrrd", file_format="nrrd"))
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    header = nib.load(out).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == ((1, 1) if oriented else (0, 0))
    np.testing.assert_allclose(header.get_zooms(), volume.spacing, rtol=1e-6)
    if oriented:
        np.testing.assert_allclose(nib.load(out).affine, OBLIQUE, atol=1e-5)
    np.testing.assert_array_equal(read_labels(out, volume), labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint64, ">i2"])
def test_labels_of_any_number_type_are_read_as_whole_numbers(tmp_path, scan, labels, dtype):
    nib.save(nib.Nifti1Image(labels.astype(dtype), OBLIQUE, dtype=np.dtype(dtype)), tmp_path / "l.nii.gz")
    read = read_labels(tmp_path / "l.nii.gz", read_volume(scan))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize(("value", "message"), [(0.5, "fractions"), (np.nan, "fractions"), (-1, "-1"), (3e9, "3e")])
def test_values_that_are_no_ids_are_refused(tmp_path, scan, labels, value, message):
    wrong = labels.astype(np.float64)
    wrong[0, 0, 0] = value
    nib.save(nib.Nifti1Image(wrong, OBLIQUE), tmp_path / "l.nii.gz")
    with pytest.raises(ImageFileError, match=message):
        read_labels(tmp_path / "l.nii.gz", read_volume(scan))


def test_labels_of_another_shape_are_refused_with_both_shapes(tmp_path, scan, labels):
    nib.save(nib.Nifti1Image(labels[1:], OBLIQUE), tmp_path / "l.nii.gz")
    with pytest.raises(GeometryError, match=r"l\.nii\.gz has 11 x 20 x 8 voxels, but scan\.nii\.gz has 12 x 20 x 8"):
        read_labels(tmp_path / "l.nii.gz", read_volume(scan))


@pytest.mark.parametrize(("shift", "fits"), [(0.0, True), (0.03, True), (0.1, False), (15, False)])
def test_labels_must_lie_on_the_image(tmp_path, scan, labels, shift, fits):
    moved = OBLIQUE.copy()
    moved[0, 3] += shift
    nib.save(nib.Nifti1Image(labels, moved), tmp_path / "l.nii.gz")
    volume = read_volume(scan)
    if fits:
        np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz", volume), labels)
    else:
        with pytest.raises(GeometryError, match="mm apart; resample"):
            read_labels(tmp_path / "l.nii.gz", volume)


def test_flipped_labels_of_the_same_shape_are_turned_and_never_taken_as_they_lie(tmp_path, scan, labels):
    flip = OBLIQUE @ np.diag([-1, 1, 1, 1.0])
    flip[:3, 3] += OBLIQUE[:3, 0] * 11
    nib.save(nib.Nifti1Image(labels, flip), tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz", read_volume(scan)), labels[::-1])


def test_without_orientation_only_voxel_sizes_are_compared(tmp_path, scan, labels):
    volume = read_volume(patched(scan, 252, "hh", 0, 0))
    zooms = np.diag([*volume.spacing, 1])
    nib.save(nib.Nifti1Image(labels, zooms), tmp_path / "fits.nii.gz")
    nib.save(nib.Nifti1Image(labels, zooms @ np.diag([2, 1, 1, 1])), tmp_path / "not.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "fits.nii.gz", volume), labels)
    with pytest.raises(GeometryError, match="has voxels of"):
        read_labels(tmp_path / "not.nii.gz", volume)


@pytest.mark.parametrize("wrong", ["float", "shape", "negative", "large"])
def test_arrays_that_are_no_label_maps_are_not_written(tmp_path, scan, labels, wrong):
    array = {
        "float": labels.astype(float),
        "shape": labels.transpose(2, 1, 0),
        "negative": labels.astype(int) - 1,
        "large": labels.astype(np.int64) * 2**31,
    }[wrong]
    with pytest.raises(UserInputError):
        write_labels(array, read_volume(scan), tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.parametrize("link", ["same", "symlink", "hard link"])
def test_the_image_itself_is_never_overwritten(tmp_path, scan, labels, link):
    before = scan.read_bytes()
    out = scan if link == "same" else tmp_path / "alias.nii.gz"
    if link == "symlink":
        out.symlink_to(scan)
    elif link == "hard link":
        os.link(scan, out)
    with pytest.raises(UserInputError, match="is the image itself"):
        write_labels(labels, read_volume(scan), out, overwrite=True)
    assert scan.read_bytes() == before


def test_an_existing_file_is_replaced_only_when_asked(tmp_path, scan, labels):
    volume = read_volume(scan)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    before = out.read_bytes()
    with pytest.raises(UserInputError, match="--overwrite"):
        write_labels(labels * 2, volume, out)
    assert out.read_bytes() == before
    write_labels(labels * 2, volume, out, overwrite=True)
    np.testing.assert_array_equal(read_labels(out, volume), labels * 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/out.nii.gz", "does not exist"),
        ("scan.nii.gz/out.nii.gz", "is a file"),
        ("out.mat", r"\.nii\.gz or \.nii"),
        (".nii.gz", "use such a name"),
        ("folder.nii.gz", "that is a folder"),
        ("scan.nii", "many programs refuse"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_beforehand(tmp_path, scan, name, message):
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(UserInputError, match=message) as error:
        check_output(tmp_path / name, read_volume(scan))
    assert str(tmp_path) not in str(error.value)


def test_a_full_disk_leaves_the_earlier_file_and_no_remains(tmp_path, scan, labels, monkeypatch):
    volume = read_volume(scan)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    before, listing = out.read_bytes(), sorted(tmp_path.iterdir())

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(EnvironmentLacksError, match=r"out\.nii\.gz \(No space left on device\).*free some space"):
        write_labels(labels * 3, volume, out, overwrite=True)
    assert out.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == listing


def test_a_file_that_reads_back_differently_is_not_kept(tmp_path, scan, labels, monkeypatch):
    volume = read_volume(scan)
    original = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: original(self, bytes(len(data))))
    with pytest.raises((EnvironmentLacksError, ImageFileError)):
        write_labels(labels, volume, tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()


def test_ids_that_rounding_left_a_little_off_are_rounded_and_said(tmp_path, scan, labels, caplog):
    volume = read_volume(scan)
    image = nib.Nifti1Image(labels.astype(np.float32) * np.float32(1 - 1e-7) + np.float32(1e-6), volume.affine)
    nib.save(image, tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz", volume), labels)
    assert "not quite whole numbers" in caplog.text


@pytest.mark.parametrize("ornt", [[[2, 1], [1, -1], [0, 1]], [[0, -1], [1, -1], [2, 1]], [[1, 1], [0, 1], [2, -1]]])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_label_map_stored_in_another_order_is_turned(tmp_path, scan, labels, ornt, suffix, caplog):
    volume = read_volume(scan)
    image = nib.Nifti1Image(labels, volume.affine).as_reoriented(np.array(ornt))
    nib.save(image, tmp_path / "l.nii.gz")
    if suffix == ".nrrd":
        sitk.WriteImage(sitk.ReadImage(str(tmp_path / "l.nii.gz")), str(tmp_path / "l.nrrd"))
    np.testing.assert_array_equal(read_labels(tmp_path / f"l{suffix}", volume), labels)
    assert "another order" in caplog.text


def test_one_mask_per_class_is_refused_with_what_is_meant(tmp_path, scan, labels):
    volume = read_volume(scan)
    one_hot = np.stack([labels == 0, labels == 1, labels == 2], axis=-1).astype(np.uint8)
    nib.save(nib.Nifti1Image(one_hot, volume.affine), tmp_path / "l.nii.gz")
    with pytest.raises(ImageFileError, match=r"no label map but one mask or probability per class \(one-hot\)"):
        read_labels(tmp_path / "l.nii.gz", volume)
