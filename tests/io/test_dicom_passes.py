"""Several volumes in one DICOM series, copies of files, and files without a preamble."""

from __future__ import annotations

import re
import shutil
import struct

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from napari_sam2.errors import ImageFileError
from napari_sam2.io import read_volume

from .dicom_maker import ORIGIN, ROTATION, STEP, enhance, make_series


def two(folder, mark, count=6, order="shuffled", second=lambda k: k):
    """A series in which each place was imaged twice, with pixels 100 and 200; `mark(dataset, volume)` tells them."""
    folder.mkdir()
    make_series(folder / "one", count)
    rng = np.random.default_rng(3)
    slices = sorted((pydicom.dcmread(f) for f in (folder / "one").iterdir()), key=lambda d: int(d.InstanceNumber))
    shutil.rmtree(folder / "one")
    for volume in (0, 1):
        for k, ds in enumerate(slices):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.RescaleIntercept = 0
            place = ORIGIN + ROTATION[:, 2] * STEP * (k if volume == 0 else second(k))
            ds.ImagePositionPatient = [round(float(c), 6) for c in place]
            ds.PixelData = np.full((24, 16), 100 * (volume + 1), np.int16).tobytes()
            if order == "none":
                ds.InstanceNumber = None
            elif order == "shared":
                ds.InstanceNumber = k + 1
            elif order == "alternating":
                ds.InstanceNumber = 2 * k + 1 + (volume if k % 2 == 0 else 1 - volume)
            else:
                ds.InstanceNumber = int(rng.integers(1, 1 << 20))
            mark(ds, volume)
            ds.save_as(folder / f"{rng.integers(1 << 40):011x}", enforce_file_format=True)


def set_tag(keyword, values):
    return lambda ds, volume: setattr(ds, keyword, values[volume])


def siemens_b_value(ds, volume):
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", (0, 1000)[volume])


MARKED = {
    "echo time": set_tag("EchoTime", (5.0, 12.7)),
    r"echo \d": set_tag("EchoNumbers", (1, 2)),
    "time point": set_tag("TemporalPositionIdentifier", (1, 2)),
    "b-value": set_tag("DiffusionBValue", (0.0, 1000.0)),
    r"b-value \d+": siemens_b_value,
    "gradient": set_tag("DiffusionGradientOrientation", ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0])),
    "image type": set_tag("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
    "kV": set_tag("KVP", (80, 140)),
    "flip angle": set_tag("FlipAngle", (4, 18)),
    "inversion time": set_tag("InversionTime", (400, 2200)),
    "acquisition": set_tag("AcquisitionNumber", (1, 2)),
}


@pytest.mark.parametrize(
    ("words", "order"),
    [*((words, "shared") for words in MARKED), *(("echo time", o) for o in ("shuffled", "none", "alternating"))],
)
def test_two_volumes_in_one_series_are_parted_by_their_tags_and_never_mixed(tmp_path, words, order):
    two(tmp_path / "mr", MARKED[words], order=order)
    with pytest.raises(ImageFileError, match=rf"holds 2 volumes; choose one .*0: .*{words}.*\(6 slices\); 1: "):
        read_volume(tmp_path / "mr")
    for index in (0, 1):
        volume = read_volume(tmp_path / "mr", volume_index=index)
        assert volume.shape == (16, 24, 6)
        assert set(np.unique(volume.voxels)) == {100 * (index + 1)}
        assert any(re.search(words, note) for note in volume.source.notes)


@pytest.mark.parametrize("order", ["none", "shared"])
def test_images_at_one_place_that_nothing_tells_apart_are_refused(tmp_path, order):
    two(tmp_path / "mr", lambda ds, volume: None, order=order)
    with pytest.raises(ImageFileError, match=r"2 images at each place.*nothing in their tags tells"):
        read_volume(tmp_path / "mr", volume_index=0)


def test_an_echo_time_that_wanders_from_slice_to_slice_does_not_make_a_volume_of_every_slice(tmp_path):
    def mark(ds, volume):
        ds.EchoTime = 5 + volume * 7 + int(ds.InstanceNumber) * 0.001
        ds.EchoNumbers = volume + 1

    two(tmp_path / "mr", mark, order="shared")
    volume = read_volume(tmp_path / "mr", volume_index=1)
    assert set(np.unique(volume.voxels)) == {200}


def test_cardiac_phases_are_in_the_order_of_their_trigger_times_at_every_place(tmp_path):
    def mark(ds, volume):
        ds.TriggerTime = volume * 300 + float(np.linalg.norm(np.array(ds.ImagePositionPatient) - ORIGIN))

    two(tmp_path / "mr", mark, order="alternating")
    assert set(np.unique(read_volume(tmp_path / "mr", volume_index=1).voxels)) == {200}


@pytest.mark.parametrize("shift", [0.5, 4])
def test_two_passes_that_lie_within_each_other_are_two_volumes(tmp_path, shift):
    two(tmp_path / "ct", MARKED["acquisition"], second=lambda k: k + shift)
    with pytest.raises(ImageFileError, match=r"0: acquisition 1 \(6 slices\); 1: acquisition 2 \(6 slices\)"):
        read_volume(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct", volume_index=1)
    assert set(np.unique(volume.voxels)) == {200}
    assert volume.spacing[2] == pytest.approx(STEP)
    first = volume.affine[:3, 3] * [-1, -1, 1]
    np.testing.assert_allclose(first, ORIGIN + ROTATION[:, 2] * STEP * shift, atol=1e-4)


def test_acquisitions_one_behind_the_other_are_one_volume(tmp_path):
    def mark(ds, k):
        ds.AcquisitionNumber = 1 + k // 4

    expected = make_series(tmp_path / "ct", change=mark)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").voxels, expected)


def test_an_acquisition_for_every_slice_is_one_volume(tmp_path):
    expected = make_series(tmp_path / "ct", change=lambda ds, k: setattr(ds, "AcquisitionNumber", 8 - k))
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").voxels, expected)


def test_echoes_of_an_enhanced_file_are_parted_by_their_functional_groups(tmp_path):
    enhance(tmp_path / "plain", tmp_path / "one.dcm")
    ds = pydicom.dcmread(tmp_path / "one.dcm")
    frames, pixels = [], []
    for echo in (0, 1):
        for item in ds.PerFrameFunctionalGroupsSequence:
            timing, frame = Dataset(), Dataset()
            timing.EffectiveEchoTime = (2.3, 4.6)[echo]
            frame.PlanePositionSequence = item.PlanePositionSequence
            frame.MREchoSequence = Sequence([timing])
            frames.append(frame)
            pixels.append(np.full((24, 16), 100 * (echo + 1), np.int16))
    order = np.random.default_rng(0).permutation(12)
    ds.PerFrameFunctionalGroupsSequence = Sequence([frames[i] for i in order])
    ds.PixelData = b"".join(pixels[i].tobytes() for i in order)
    ds.NumberOfFrames = 12
    ds.save_as(tmp_path / "two.dcm")
    with pytest.raises(ImageFileError, match=r"0: echo time 2.3 ms \(6 slices\); 1: echo time 4.6 ms"):
        read_volume(tmp_path / "two.dcm")
    assert set(np.unique(read_volume(tmp_path / "two.dcm", volume_index=1).voxels)) == {200 - 1024}


def test_a_file_copied_under_another_name_is_one_image_and_said(tmp_path):
    expected = make_series(tmp_path / "ct")
    for file in list((tmp_path / "ct").iterdir()):
        shutil.copy(file, file.with_name(f"{file.stem} (1).dcm"))
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.voxels, expected)
    assert volume.source.notes == ("8 files are copies of others and were left out.",)


def test_a_copy_that_was_changed_is_refused_with_its_twin(tmp_path):
    make_series(tmp_path / "ct")
    file = min((tmp_path / "ct").iterdir())
    ds = pydicom.dcmread(file)
    ds.PixelData = np.zeros((24, 16), np.int16).tobytes()
    ds.save_as(tmp_path / "ct" / "other.dcm")
    with pytest.raises(ImageFileError, match=rf"{file.name} and other.dcm claim to be the same image"):
        read_volume(tmp_path / "ct")


def stripped(file):
    file.write_bytes(file.read_bytes()[132:])


def gdcm_slice(file):
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    return sitk.GetArrayFromImage(reader.Execute())[0].T


def without_meta(file):
    ds = pydicom.dcmread(file)
    plain = Dataset()
    plain.update(ds)
    pydicom.dcmwrite(file, plain, implicit_vr=True, little_endian=True, enforce_file_format=False)


@pytest.mark.parametrize("strip", [stripped, without_meta])
def test_files_without_a_preamble_are_read_as_gdcm_reads_them(tmp_path, strip):
    expected = make_series(tmp_path / "ct")
    files = sorted((tmp_path / "ct").iterdir())
    for file in files[::2]:
        strip(file)
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.voxels, expected)
    other = gdcm_slice(files[0])
    assert any(np.array_equal(other, volume.voxels[:, :, k]) for k in range(8))
    np.testing.assert_array_equal(read_volume(files[0]).voxels[:, :, 0], other)


def test_a_file_that_only_begins_a_little_like_dicom_is_passed_over(tmp_path):
    expected = make_series(tmp_path / "ct")
    (tmp_path / "ct" / "thumbs.db").write_bytes(b"\x08\x00\xff\xff" + bytes(200))
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").voxels, expected)


def flat(folder, **tags):
    make_series(folder, 1)
    file = next(folder.iterdir())
    ds = pydicom.dcmread(file)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, name)
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.save_as(file)
    return read_volume(folder)


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_a_projection_takes_the_spacing_at_the_detector_and_says_so(tmp_path, keyword):
    volume = flat(tmp_path / "cr", **{keyword: [0.2, 0.143]})
    assert volume.spacing == pytest.approx((0.143, 0.2, 1.0))
    assert any("at the detector" in note for note in volume.source.notes)


def test_ultrasound_takes_the_spacing_of_its_regions(tmp_path):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.03
    volume = flat(tmp_path / "us", SequenceOfUltrasoundRegions=Sequence([region]))
    assert volume.spacing == pytest.approx((0.2, 0.3, 1.0))


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagePositionPatient", "RescaleSlope"])
def test_the_tag_that_is_not_valid_is_named_without_its_value(tmp_path, keyword):
    make_series(tmp_path / "ct")
    file = min((tmp_path / "ct").iterdir())
    raw = pydicom.dcmread(file)
    value = bytes(raw.get_item(keyword).value)
    content = file.read_bytes()
    tag = struct.pack("<HH", raw[keyword].tag.group, raw[keyword].tag.element) + b"DS"
    at = content.index(tag) + 8
    assert content[at : at + len(value)] == value
    file.write_bytes(content[:at] + re.sub(rb"\d", b"Z", value) + content[at + len(value) :])
    with pytest.raises(ImageFileError, match=rf"{file.name} has a value of {keyword} that is not valid") as told:
        read_volume(tmp_path / "ct")
    assert "ZZ" not in str(told.value)


def test_a_uid_without_a_value_representation_is_named(tmp_path):
    make_series(tmp_path / "ct")
    file = min((tmp_path / "ct").iterdir())
    file.write_bytes(file.read_bytes().replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x18\x00U\xa8"))
    with pytest.raises(ImageFileError, match="SOPInstanceUID that is not valid DICOM"):
        read_volume(tmp_path / "ct")
