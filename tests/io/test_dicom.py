from __future__ import annotations

import shutil
import sys

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from napari_sam2.errors import EnvironmentLacksError, GeometryError, ImageFileError
from napari_sam2.io import read_labels, read_volume, write_labels

from .dicom_maker import COLUMN_SPACING, ORIGIN, ROTATION, ROW_SPACING, STEP, enhance, make_series


def itk_series(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ lps


def shift(k, along):
    """Move slice k."""

    def change(ds, index):
        if index == k:
            ds.ImagePositionPatient = [float(c) for c in np.array(ds.ImagePositionPatient) + along]

    return change


def leave_out(*ks):
    return lambda ds, k: k not in ks


def test_a_series_is_in_hounsfield_units_on_the_grid_that_itk_has(tmp_path):
    expected = make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.voxels, expected)
    voxels, affine = itk_series(tmp_path / "ct")
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    assert volume.source.modality == "CT"
    assert volume.spacing == pytest.approx((COLUMN_SPACING, ROW_SPACING, STEP), abs=1e-5)
    assert volume.source.notes == ()


def test_the_affine_follows_the_standard_of_image_position_and_orientation(tmp_path):
    make_series(tmp_path / "ct")
    lps = read_volume(tmp_path / "ct").affine * np.array([[-1], [-1], [1], [1]])
    np.testing.assert_allclose(lps[:3, 3], ORIGIN, atol=1e-5)
    np.testing.assert_allclose(lps[:3, :3], ROTATION * [COLUMN_SPACING, ROW_SPACING, STEP], atol=1e-5)


def test_labels_of_a_series_are_written_as_nifti_and_read_back(tmp_path):
    make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    labels = (volume.voxels > 0).astype(np.uint8)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(read_labels(out, volume), labels)
    written = sitk.ReadImage(str(out))
    np.testing.assert_allclose(np.array(written.GetOrigin()), ORIGIN, atol=1e-4)


def test_one_missing_slice_is_named_between_its_neighbours(tmp_path):
    make_series(tmp_path / "ct", change=leave_out(4))
    with pytest.raises(ImageFileError, match=r"lacks 1 slice between IM\d+\.dcm and IM\d+\.dcm"):
        read_volume(tmp_path / "ct")


def test_several_missing_slices_are_counted(tmp_path):
    make_series(tmp_path / "ct", count=12, change=leave_out(4, 5))
    with pytest.raises(ImageFileError, match="lacks 2 slices between"):
        read_volume(tmp_path / "ct")


def test_uneven_distances_are_refused_and_not_resampled(tmp_path):
    make_series(tmp_path / "ct", change=shift(4, ROTATION[:, 2] * 0.6))
    with pytest.raises(GeometryError, match=r"uneven slice distances: 3\.1 mm between"):
        read_volume(tmp_path / "ct")


def test_rounding_of_positions_is_tolerated(tmp_path):
    make_series(tmp_path / "ct", change=shift(4, ROTATION[:, 2] * 0.01))
    assert read_volume(tmp_path / "ct").shape == (16, 24, 8)


def test_a_doubled_slice_is_named_with_its_twin(tmp_path):
    make_series(tmp_path / "ct")
    again = pydicom.dcmread(tmp_path / "ct" / "IM003.dcm")
    again.SOPInstanceUID = generate_uid()
    again.save_as(tmp_path / "ct" / "copy.dcm")
    with pytest.raises(ImageFileError, match=r"doubled slices: .*copy\.dcm"):
        read_volume(tmp_path / "ct")


def test_a_slice_that_lies_differently_is_named(tmp_path):
    def turn(ds, k):
        if k == 2:
            ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    make_series(tmp_path / "ct", change=turn)
    with pytest.raises(GeometryError, match=r"mixes orientations: IM\d+\.dcm lie differently.*localizer"):
        read_volume(tmp_path / "ct")


def test_a_slice_of_another_size_is_named(tmp_path):
    def cut(ds, k):
        if k == 5:
            ds.Rows = 12
            ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]

    make_series(tmp_path / "ct", change=cut)
    with pytest.raises(ImageFileError, match=r"different size: IM\d+\.dcm differ"):
        read_volume(tmp_path / "ct")


def test_a_slice_aside_of_the_stack_is_refused(tmp_path):
    make_series(tmp_path / "ct", change=shift(4, ROTATION[:, 0] * 5))
    with pytest.raises(GeometryError, match="not a straight stack"):
        read_volume(tmp_path / "ct")


def test_slices_without_a_position_are_refused(tmp_path):
    def strip(ds, k):
        if k == 1:
            del ds.ImagePositionPatient

    make_series(tmp_path / "ct", change=strip)
    with pytest.raises(GeometryError, match="does not say where its slices lie"):
        read_volume(tmp_path / "ct")


def test_a_tilted_gantry_keeps_a_sheared_grid_and_says_so(tmp_path):
    def tilt(ds, k):
        ds.ImagePositionPatient = [float(c) for c in np.array(ds.ImagePositionPatient) + ROTATION[:, 1] * k]

    make_series(tmp_path / "ct", change=tilt)
    volume = read_volume(tmp_path / "ct")
    assert "tilted by 21.8 degrees" in volume.source.notes[0]
    lps = volume.affine * np.array([[-1], [-1], [1], [1]])
    np.testing.assert_allclose(lps[:3, 2], ROTATION[:, 2] * STEP + ROTATION[:, 1], atol=1e-5)


def test_several_series_are_listed_and_chosen_by_number_or_uid(tmp_path):
    uids = sorted([generate_uid(), generate_uid()])
    make_series(tmp_path / "dir" / "a", uid=uids[0])
    second = make_series(tmp_path / "dir" / "b", count=5, uid=uids[1])
    with pytest.raises(
        ImageFileError, match=r"dir holds 2 series.*--series N.*1: CT, 8 files of 16 x 24 pixels; 2: CT, 5"
    ):
        read_volume(tmp_path / "dir")
    for series in (2, "2", uids[1]):
        np.testing.assert_array_equal(read_volume(tmp_path / "dir", series=series).voxels, second)
    with pytest.raises(ImageFileError, match="no series 3"):
        read_volume(tmp_path / "dir", series=3)


def test_phases_at_one_place_are_volumes_to_choose(tmp_path):
    uid = generate_uid()

    def phase(number):
        def change(ds, k):
            ds.AcquisitionNumber = number
            ds.RescaleIntercept = -1024 + number

        return change

    make_series(tmp_path / "d" / "a", uid=uid, change=phase(1))
    second = make_series(tmp_path / "d" / "b", uid=uid, change=phase(2))
    with pytest.raises(ImageFileError, match=r"holds 2 volumes.*--volume N"):
        read_volume(tmp_path / "d")
    np.testing.assert_array_equal(read_volume(tmp_path / "d", volume_index=1).voxels, second + 2)


def test_files_that_are_no_images_are_passed_over(tmp_path):
    make_series(tmp_path / "ct")
    (tmp_path / "ct" / "README.txt").write_text("hello")
    (tmp_path / "ct" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + b"../../etc/passwd")
    (tmp_path / "ct" / ".DS_Store").write_bytes(b"x")
    shutil.copy(get_testdata_file("rtstruct.dcm"), tmp_path / "ct" / "rs.dcm")
    assert read_volume(tmp_path / "ct").shape == (16, 24, 8)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(ImageFileError, match="holds no DICOM images"):
        read_volume(tmp_path)


def test_rescaling_that_differs_by_slice_is_applied_by_slice(tmp_path):
    def scale(ds, k):
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 + k, -10

    stored = make_series(tmp_path / "pet", change=scale) + 1024
    expected = stored * (0.5 + np.arange(8)) - 10
    volume = read_volume(tmp_path / "pet")
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, expected, rtol=1e-6)


def test_an_enhanced_multiframe_file_equals_its_slices(tmp_path):
    expected = enhance(tmp_path / "single", tmp_path / "enhanced.dcm")
    single, enhanced = read_volume(tmp_path / "single"), read_volume(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(enhanced.voxels, expected)
    np.testing.assert_allclose(enhanced.affine, single.affine, atol=1e-9)


def test_monochrome1_keeps_its_values_and_says_so(tmp_path):
    def invert(ds, k):
        ds.PhotometricInterpretation = "MONOCHROME1"

    expected = make_series(tmp_path / "x", change=invert)
    volume = read_volume(tmp_path / "x")
    np.testing.assert_array_equal(volume.voxels, expected)
    assert "MONOCHROME1" in volume.source.notes[0]


def test_burned_in_text_is_noted(tmp_path):
    def burn(ds, k):
        ds.BurnedInAnnotation = "YES"

    make_series(tmp_path / "x", change=burn)
    assert "burned into the pixels" in read_volume(tmp_path / "x").source.notes[0]


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm"]
)
def test_compressed_files_have_the_values_of_the_plain_one(name):
    plain = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.T
    volume = read_volume(get_testdata_file(name))
    np.testing.assert_array_equal(volume.voxels[..., 0], plain)
    assert volume.shape[2] == 1


def test_a_colour_file_becomes_rgb():
    volume = read_volume(get_testdata_file("SC_rgb_rle.dcm"))
    assert volume.is_rgb
    assert not volume.oriented


def test_palette_colours_are_refused():
    with pytest.raises(ImageFileError, match="PALETTE COLOR pixels; export"):
        read_volume(get_testdata_file("examples_palette.dcm"))


def test_a_truncated_file_is_refused_by_name():
    with pytest.raises(ImageFileError, match=r"MR_truncated\.dcm is truncated or damaged"):
        read_volume(get_testdata_file("MR_truncated.dcm"))


def test_a_missing_decoder_says_what_to_install():
    with pytest.raises(EnvironmentLacksError, match="pip install pylibjpeg"):
        read_volume(get_testdata_file("JPGExtended.dcm"))


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    make_series(tmp_path / "ct", count=1)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(EnvironmentLacksError, match=r"napari-sam2\[dicom\]"):
        read_volume(tmp_path / "ct")


def test_nothing_of_the_patient_is_in_the_source(tmp_path):
    make_series(tmp_path / "ct")
    text = repr(read_volume(tmp_path / "ct").source)
    assert "ZYXW" not in text
    assert "MRN" not in text


def test_odd_values_are_neither_warned_of_nor_logged(tmp_path, caplog, recwarn):
    make_series(tmp_path / "ct")
    for file in (tmp_path / "ct").iterdir():  # pydicom itself would warn about writing it
        content = file.read_bytes()
        file.write_bytes(content.replace(b"ISO_IR 100", b"ISO_ZYXWVU").replace(b"19610203", b"ZYXWVUTS"))
    assert read_volume(tmp_path / "ct").shape == (16, 24, 8)
    assert "ZYXW" not in caplog.text
    assert [str(w.message) for w in recwarn if "ZYXW" in str(w.message)] == []


@pytest.mark.parametrize("value", [b"0.8\\ab", b"0.8\\-7"])
def test_a_tag_that_is_no_number_is_refused_without_quoting_it(tmp_path, value):
    make_series(tmp_path / "ct")
    for file in (tmp_path / "ct").iterdir():
        file.write_bytes(file.read_bytes().replace(b"0.8\\0.7", value.ljust(7)))
    with pytest.raises((ImageFileError, GeometryError)) as error:
        read_volume(tmp_path / "ct")
    assert "ab" not in str(error.value).replace("tags", "")


def test_the_hash_covers_all_files(tmp_path):
    make_series(tmp_path / "ct")
    before = read_volume(tmp_path / "ct").source.sha256
    one = next((tmp_path / "ct").iterdir())
    ds = pydicom.dcmread(one)
    ds.PatientName = "Other"
    ds.save_as(one)
    assert read_volume(tmp_path / "ct").source.sha256 != before
