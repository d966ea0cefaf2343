from __future__ import annotations

import sys

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest

from napari_sam2.errors import EnvironmentLacksError, GeometryError, ImageFileError, UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.dicom_seg import write_dicom_seg
from napari_sam2.io.dicom_seg_read import read_dicom_seg
from napari_sam2.io.export import export_labels
from napari_sam2.terms.structures import structures_for

from .dicom_maker import ROTATION, enhance, make_series

MODEL = {"name": "classical", "sha256": "abc", "license": "Apache-2.0"}
NAMES = {5: "liver", 9: "left kidney", 70000: "thing"}


@pytest.fixture
def volume(tmp_path):
    make_series(tmp_path / "ct")
    return read_volume(tmp_path / "ct")


@pytest.fixture
def drawn(volume):
    labels = np.zeros(volume.shape, np.int32)
    labels[2:9, 3:12, 1:4] = 5
    labels[10:14, 3:12, 2:6] = 9
    labels[2:5, 15:20, 5:6] = 70000
    return labels


@pytest.mark.parametrize("labelmap", [False, True])
def test_a_series_makes_the_round_trip_through_seg(tmp_path, volume, drawn, labelmap):
    path = tmp_path / "seg.dcm"
    numbers = write_dicom_seg(drawn, volume, path, structures_for(NAMES, NAMES), model=MODEL, labelmap=labelmap)
    assert numbers == {5: 1, 9: 2, 70000: 3}
    labels, names = read_dicom_seg(path, volume)
    for label_id, number in numbers.items():
        np.testing.assert_array_equal(labels == number, drawn == label_id)
    assert names == {1: "liver", 2: "left kidney", 3: "thing"}
    np.testing.assert_array_equal(read_labels(path, volume), labels)


def test_an_empty_character_set_in_the_source_is_taken_as_the_default(tmp_path):
    def change(ds, k):
        ds.SpecificCharacterSet = None

    make_series(tmp_path / "ct", change=change)
    volume = read_volume(tmp_path / "ct")
    labels = (volume.voxels > 0).astype(np.uint8)
    write_dicom_seg(labels, volume, tmp_path / "seg.dcm", structures_for([1]), model=MODEL)
    np.testing.assert_array_equal(read_labels(tmp_path / "seg.dcm", volume), labels)


def test_tags_that_are_not_valid_are_refused_without_quoting_them(tmp_path):
    make_series(tmp_path / "ct")
    for file in (tmp_path / "ct").iterdir():  # pydicom itself would warn about writing it
        content = file.read_bytes()
        file.write_bytes(content.replace(b"ISO_IR 100", b"ISO_ZYXWVU"))
    volume = read_volume(tmp_path / "ct")
    with pytest.raises(ImageFileError, match="not valid DICOM") as error:
        write_dicom_seg(np.ones(volume.shape, np.uint8), volume, tmp_path / "s.dcm", structures_for([1]), model=MODEL)
    assert "ZYXW" not in str(error.value)


@pytest.mark.parametrize("repeated", [False, True], ids=["shared groups", "groups in each frame"])
def test_an_enhanced_file_makes_the_round_trip(tmp_path, repeated):
    enhance(tmp_path / "single", tmp_path / "enhanced.dcm")
    if repeated:
        ds = pydicom.dcmread(tmp_path / "enhanced.dcm")
        shared = ds.SharedFunctionalGroupsSequence[0]
        for group in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            for frame in ds.PerFrameFunctionalGroupsSequence:
                setattr(frame, group, shared[group].value)
            delattr(shared, group)
        ds.save_as(tmp_path / "enhanced.dcm")
    volume = read_volume(tmp_path / "enhanced.dcm")
    labels = (volume.voxels > 0).astype(np.uint8)
    write_dicom_seg(labels, volume, tmp_path / "seg.dcm", structures_for([1]), model=MODEL)
    np.testing.assert_array_equal(read_labels(tmp_path / "seg.dcm", volume), labels)


def test_an_independent_reader_finds_codes_colours_and_the_source(tmp_path, volume, drawn):
    structures = structures_for(NAMES, NAMES)
    write_dicom_seg(drawn, volume, tmp_path / "seg.dcm", structures, model=MODEL)
    ds = pydicom.dcmread(tmp_path / "seg.dcm")
    assert ds.SegmentationType == "BINARY"
    liver, kidney, thing = ds.SegmentSequence
    assert liver.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert kidney.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91772007"
    assert thing.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    identification = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert "classical" in identification.AlgorithmParameters
    colour = highdicom.color.CIELabColor.from_dicom_value(liver.RecommendedDisplayCIELabValue).to_rgb()
    np.testing.assert_allclose(colour, structures[0].colour, atol=2)
    instances = {i.ReferencedSOPInstanceUID for i in ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    sources = {pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in (tmp_path / "ct").iterdir()}
    assert instances <= sources
    assert ds.PatientID == "MRN00123"  # as the standard demands


def test_frames_are_the_planes_of_the_source(tmp_path, volume, drawn):
    write_dicom_seg(drawn, volume, tmp_path / "seg.dcm", structures_for(NAMES, NAMES), model=MODEL)
    ds = pydicom.dcmread(tmp_path / "seg.dcm")
    sources = [pydicom.dcmread(f, stop_before_pixels=True) for f in (tmp_path / "ct").iterdir()]
    assert (ds.Rows, ds.Columns) == (sources[0].Rows, sources[0].Columns)
    assert ds.NumberOfFrames == 3 + 4 + 1
    by_uid = {s.SOPInstanceUID: s for s in sources}
    for frame in ds.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_allclose(place, by_uid[source].ImagePositionPatient, atol=1e-4)


def test_a_seg_of_one_frame_and_with_gaps_is_put_in_its_place(tmp_path, volume):
    for slices in ([6], [1, 4], [0, 7]):
        labels = np.zeros(volume.shape, np.uint8)
        labels[3:6, 4:9, slices] = 1
        path = tmp_path / f"seg{slices[0]}.dcm"
        write_dicom_seg(labels, volume, path, structures_for([1]), model=MODEL)
        np.testing.assert_array_equal(read_labels(path, volume), labels)


def test_overlapping_segments_are_refused(tmp_path, volume, drawn):
    path = tmp_path / "seg.dcm"
    labels = (drawn == 5).astype(np.uint8) + 2 * (drawn == 9).astype(np.uint8)
    write_dicom_seg(labels, volume, path, structures_for([1, 2]), model=MODEL)
    ds = pydicom.dcmread(path)
    ds.PixelData = b"\xff" * len(ds.PixelData)
    ds.SegmentsOverlap = "UNDEFINED"
    ds.save_as(path)
    with pytest.raises(ImageFileError, match="overlapping segments"):
        read_labels(path, volume)


def test_a_seg_of_another_scan_is_refused(tmp_path, volume, drawn):
    write_dicom_seg(drawn, volume, tmp_path / "seg.dcm", structures_for(NAMES, NAMES), model=MODEL)
    make_series(tmp_path / "other")
    with pytest.raises(GeometryError, match="frame of reference differs"):
        read_labels(tmp_path / "seg.dcm", read_volume(tmp_path / "other"))


def test_a_seg_on_another_grid_is_refused(tmp_path, volume, drawn):
    write_dicom_seg(drawn, volume, tmp_path / "seg.dcm", structures_for(NAMES, NAMES), model=MODEL)

    def shift(ds, k):
        ds.FrameOfReferenceUID = pydicom.dcmread(tmp_path / "seg.dcm").FrameOfReferenceUID
        ds.ImagePositionPatient = [float(c) + 0.3 for c in ds.ImagePositionPatient]

    make_series(tmp_path / "other", change=shift)
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        read_labels(tmp_path / "seg.dcm", read_volume(tmp_path / "other"))


@pytest.mark.parametrize("tag", ["PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
def test_a_missing_tag_is_named(tmp_path, tag):
    def strip(ds, k):
        if tag in ds and not (tag == "SOPInstanceUID" and k):
            delattr(ds, tag)

    folder = tmp_path / "ct"
    make_series(folder)
    volume = read_volume(folder)
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        delattr(ds, tag)
        ds.save_as(file)
    with pytest.raises(ImageFileError, match=f"lacks the tag {tag}.*write NIfTI"):
        write_dicom_seg(np.ones(volume.shape, np.uint8), volume, tmp_path / "s.dcm", structures_for([1]), model=MODEL)
    assert not (tmp_path / "s.dcm").exists()


def test_a_sheared_grid_is_refused(tmp_path):
    def tilt(ds, k):
        ds.ImagePositionPatient = [float(c) for c in np.array(ds.ImagePositionPatient) + ROTATION[:, 1] * k]

    make_series(tmp_path / "ct", change=tilt)
    volume = read_volume(tmp_path / "ct")
    with pytest.raises(GeometryError, match="sheared"):
        write_dicom_seg(np.ones(volume.shape, np.uint8), volume, tmp_path / "s.dcm", structures_for([1]), model=MODEL)


def test_an_empty_label_map_and_other_sources_are_refused(tmp_path, volume, scan, labels):
    with pytest.raises(UserInputError, match="Nothing is labelled"):
        write_dicom_seg(np.zeros(volume.shape, np.uint8), volume, tmp_path / "s.dcm", [], model=MODEL)
    with pytest.raises(UserInputError, match="is not DICOM"):
        write_dicom_seg(labels, read_volume(scan), tmp_path / "s.dcm", structures_for([1, 2]), model=MODEL)


def test_a_damaged_seg_is_refused(tmp_path, volume, drawn):
    path = tmp_path / "seg.dcm"
    write_dicom_seg(drawn, volume, path, structures_for(NAMES, NAMES), model=MODEL)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(ImageFileError, match=r"seg\.dcm"):
        read_labels(path, volume)


def test_without_highdicom_the_extra_is_named(tmp_path, volume, drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(EnvironmentLacksError, match=r"napari-sam2\[dicom\]"):
        write_dicom_seg(drawn, volume, tmp_path / "s.dcm", structures_for(NAMES), model=MODEL)


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", None])
def test_names_in_any_script_are_written_as_unicode_and_read_back(tmp_path, labelmap, charset):
    make_series(tmp_path / "ct", change=lambda ds, k: setattr(ds, "SpecificCharacterSet", charset))
    volume = read_volume(tmp_path / "ct")
    names = {1: "肝臓", 2: "Läsion", 3: "почка левая"}
    labels = np.zeros(volume.shape, np.uint8)
    labels[2:5], labels[6:8], labels[9:11] = 1, 2, 3
    path = tmp_path / "seg.dcm"
    write_dicom_seg(labels, volume, path, structures_for(names, names), model=MODEL, labelmap=labelmap)
    assert read_dicom_seg(path, volume)[1] == names
    raw = pydicom.dcmread(path)
    assert raw.SpecificCharacterSet == "ISO_IR 192"
    assert [s.SegmentLabel for s in raw.SegmentSequence if s.SegmentNumber] == list(names.values())
    assert "肝臓".encode() in path.read_bytes()


def test_a_patient_in_another_character_set_stays_readable(tmp_path):
    def change(ds, k):
        ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 100", "Müller^Jörg"

    make_series(tmp_path / "ct", change=change)
    volume = read_volume(tmp_path / "ct")
    labels = np.ones(volume.shape, np.uint8)
    write_dicom_seg(labels, volume, tmp_path / "seg.dcm", structures_for([1], {1: "肝"}), model=MODEL)
    assert str(pydicom.dcmread(tmp_path / "seg.dcm").PatientName) == "Müller^Jörg"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("left\\right", "left/right"),
        ("a\nb\tc", "a b c"),
        ("x" * 80, "x" * 64),
        ("\x1b[31m", "[31m"),
        ("\n", "object 1"),
    ],
)
def test_what_dicom_cannot_hold_in_a_name_is_replaced_and_said(tmp_path, volume, drawn, name, written):
    nibabel.save(nibabel.Nifti1Image((drawn == 5).astype(np.uint8), volume.affine), tmp_path / "l.nii.gz")
    made = export_labels(tmp_path / "l.nii.gz", tmp_path / "ct", tmp_path / "s.dcm", names={1: name})
    assert read_dicom_seg(tmp_path / "s.dcm", volume)[1] == {1: written}
    assert pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence[0].SegmentLabel == written
    assert any(written in note for note in made.notes)


def test_groups_that_each_frame_repeats_are_looked_at_as_well(tmp_path, volume, drawn):
    path = tmp_path / "seg.dcm"
    write_dicom_seg(drawn, volume, path, structures_for(NAMES, NAMES), model=MODEL)
    expected, _ = read_dicom_seg(path, volume)
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    for group in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        for frame in ds.PerFrameFunctionalGroupsSequence:
            setattr(frame, group, shared[group].value)
        del shared[group]
    ds.save_as(path)
    other = highdicom.seg.segread(path).get_volume(combine_segments=True)
    labels, names = read_dicom_seg(path, volume)
    np.testing.assert_array_equal(labels, expected)
    assert np.count_nonzero(other.array) == np.count_nonzero(labels)
    assert names == {1: "liver", 2: "left kidney", 3: "thing"}


def test_fractions_are_refused_with_the_true_reason(tmp_path, volume, drawn):
    path = tmp_path / "seg.dcm"
    write_dicom_seg(drawn, volume, path, structures_for(NAMES, NAMES), model=MODEL)
    source = [pydicom.dcmread(s.path) for s in volume.source.header.slices]
    described = highdicom.seg.segread(path).get_segment_description(1)
    probabilities = np.random.default_rng(0).random((len(source), 24, 16)).astype(np.float32)
    seg = highdicom.seg.Segmentation(
        source, probabilities, "FRACTIONAL", [described], pydicom.uid.generate_uid(), 1, pydicom.uid.generate_uid(), 1,
        "m", "m", "1", "0", fractional_type="PROBABILITY",
    )  # fmt: skip
    seg.save_as(tmp_path / "f.dcm")
    with pytest.raises(ImageFileError, match="SegmentationType FRACTIONAL"):
        read_dicom_seg(tmp_path / "f.dcm", volume)
