"""Uptake values of PET, and channels of DICOM series."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from napari_sam2.channels.opening import open_channel
from napari_sam2.errors import GeometryError
from napari_sam2.io import read_volume
from napari_sam2.io.pet import suv_of, suv_window
from tests.io.dicom_maker import make_series

FRAME = "1.2.3.4"


def pet(*, correction="START", units="BQML", weight="70", started="100000", injected="090000"):
    """Tags of a series of FDG."""

    def change(ds, _):
        ds.Modality, ds.Units, ds.DecayCorrection = "PT", units, correction
        ds.PatientWeight, ds.SeriesDate, ds.SeriesTime = weight, "20200102", started
        ds.AcquisitionDate, ds.AcquisitionTime = "20200102", started
        ds.FrameOfReferenceUID = FRAME
        dose = Dataset()
        dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = "3.5e8", "6586.2"
        dose.RadiopharmaceuticalStartTime = injected
        ds.RadiopharmaceuticalInformationSequence = Sequence([dose])

    return change


@pytest.mark.parametrize(
    ("tags", "hours"),
    [({}, 1.0), ({"correction": "ADMIN"}, 0.0), ({"started": "001500", "injected": "233000"}, 0.75)],
)
def test_uptake_is_weighed_with_the_dose_that_was_left(tmp_path, tags, hours):
    make_series(tmp_path / "pet", change=pet(**tags))
    factor, reason = suv_of(read_volume(tmp_path / "pet"))
    assert not reason
    # 70 kg over 350 MBq, halved every 6586.2 s.
    assert factor == pytest.approx(70_000 / (3.5e8 * 0.5 ** (hours * 3600 / 6586.2)), rel=1e-6)


@pytest.mark.parametrize(
    "tags", [{"units": "CNTS"}, {"correction": "NONE"}, {"weight": ""}, {"injected": ""}, {"weight": "0"}]
)
def test_nothing_is_guessed_where_a_tag_is_missing(tmp_path, tags):
    make_series(tmp_path / "pet", change=pet(**tags))
    window, sentence = suv_window(read_volume(tmp_path / "pet"))
    assert window is None
    assert "SUV cannot be known" in sentence


def in_frame(frame, patient="MRN00123"):
    def change(ds, _):
        ds.FrameOfReferenceUID, ds.PatientID = frame, patient

    return change


def test_pet_on_ct_has_its_fixed_window(tmp_path):
    make_series(tmp_path / "ct", change=in_frame(FRAME))
    make_series(tmp_path / "pet", change=pet())
    ct, uptake = read_volume(tmp_path / "ct"), read_volume(tmp_path / "pet")
    channel = open_channel(ct, uptake, "PT-1")
    factor, _ = suv_of(uptake)
    assert (channel.window.low, channel.window.high * factor) == (0, pytest.approx(10))
    assert any("SUV by body weight" in note for note in channel.notes)


@pytest.mark.parametrize(
    ("frame", "patient", "words"),
    [("9.9", "MRN00123", "frame of reference differs"), (FRAME, "other", "another patient")],
)
def test_a_series_of_another_frame_or_patient_is_refused(tmp_path, frame, patient, words):
    make_series(tmp_path / "one", change=in_frame(FRAME))
    make_series(tmp_path / "two", change=in_frame(frame, patient))
    one, two = read_volume(tmp_path / "one"), read_volume(tmp_path / "two")
    with pytest.raises(GeometryError, match=words):
        open_channel(one, two, "CT-1")
