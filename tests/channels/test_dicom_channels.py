"""DICOM series as channels of each other: whose they are, where they lie, and what no sentence repeats."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_sam2.channels.facts import changed_channels
from napari_sam2.channels.opening import channel_files, open_channel, read_stack
from napari_sam2.cli import main
from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.io import read_volume
from tests.io.dicom_maker import COLUMN_SPACING, ROW_SPACING, make_series

FRAME, STUDY = "1.2.3.4", "1.2.3.5"
SECRETS = ("ZYXW", "MRN00123", "19610203", "OTHER77", FRAME, STUDY, "9.9.9")


def tags(**values):
    """A change of a series in one frame and study, with further tags; None takes one away."""

    def change(ds, _):
        ds.FrameOfReferenceUID, ds.StudyInstanceUID = FRAME, STUDY
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return change


def pair(folder, one=None, two=None):
    for name, values in (("one", one or {}), ("two", two or {})):
        make_series(folder / name, change=tags(**values))
    return read_volume(folder / "one"), read_volume(folder / "two")


def silent(text):
    assert not any(secret in text for secret in SECRETS), text


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ({}, {"PatientID": "OTHER77"}, "another patient"),
        ({}, {"PatientBirthDate": "19700101"}, "another patient"),
        ({}, {"FrameOfReferenceUID": "9.9.9"}, "frame of reference differs"),
        ({}, {"FrameOfReferenceUID": "9.9.9", "StudyInstanceUID": "9.9.9"}, "frame of reference differs"),
    ],
)
def test_another_patient_or_frame_is_refused_without_a_name(tmp_path, one, two, words):
    volumes = pair(tmp_path, one, two)
    with pytest.raises(GeometryError, match=words) as refused:
        open_channel(*volumes, "CT-1")
    silent(str(refused.value))


def test_another_patient_is_refused_also_when_registered(tmp_path):
    with pytest.raises(GeometryError, match="another patient"):
        open_channel(*pair(tmp_path, {}, {"PatientID": "OTHER77"}), "CT-1", register=True)


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ({}, {}, 0),
        ({}, {"PatientID": "MRN00123  "}, 0),
        ({}, {"PatientID": ""}, 0),  # one frame: they were taken together
        ({}, {"StudyInstanceUID": "9.9.9"}, 1),
        ({"PatientID": "", "FrameOfReferenceUID": None}, {"StudyInstanceUID": "9.9.9"}, 2),
        ({"PatientID": None, "FrameOfReferenceUID": None}, {"PatientID": None, "StudyInstanceUID": "9.9.9"}, 2),
    ],
)
def test_what_dicom_leaves_open_is_told_without_a_name(tmp_path, one, two, said):
    notes = [n for n in open_channel(*pair(tmp_path, one, two), "CT-1").notes if "the reference;" in n]
    assert len(notes) == said
    silent(" ".join(notes))


def test_a_command_refuses_another_patient_and_names_nobody(tmp_path, capsys):
    pair(tmp_path, {}, {"PatientID": "OTHER77"})
    out = tmp_path / "out.nii.gz"
    how = ["--model", "classical", "--point", "8,12,4", "-o", str(out)]
    assert main(["segment", str(tmp_path / "one"), "--channel", str(tmp_path / "two"), *how]) == 2
    silent(capsys.readouterr().err)
    assert not out.exists()


def test_a_channel_in_reversed_order_and_of_other_spacing_lies_where_it_lies(tmp_path):
    """A series of each other slice, numbered from the other end: the same places have the same values."""
    values = make_series(tmp_path / "one", 9, change=tags())

    def thinned(ds, k):
        tags()(ds, k)
        ds.InstanceNumber = 100 - k
        return k % 2 == 0

    make_series(tmp_path / "two", 9, change=thinned)
    one, two = read_volume(tmp_path / "one"), read_volume(tmp_path / "two")
    assert two.shape[2] == 5
    channel = open_channel(one, two, "CT-1")
    assert channel.placed == "resampled"
    assert any("its grid is another" in note for note in channel.notes)
    lattice = one.voxel_to_world(np.array([[3, 4, k] for k in range(9)], float))
    expected = two.voxels[tuple(np.rint(two.world_to_voxel(lattice[::2])).astype(int).T)]
    np.testing.assert_allclose(channel.laid.voxels[3, 4, ::2], expected, atol=1e-3)
    assert set(values[..., 0].ravel()) & set(np.unique(two.voxels))


def test_a_tilted_gantry_is_laid_straight(tmp_path):
    """Values that are a plane in the patient's space: a sheared series of it must agree with an upright one."""
    gradient = np.array([3.0, -2.0, 5.0])

    def upright(shear):
        def change(ds, k):
            tags()(ds, k)
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            position = np.array([0.0, shear * k, 2.0 * k])
            ds.ImagePositionPatient = position.tolist()
            rows, cols = np.indices((24, 16))
            at = position + np.stack([cols * COLUMN_SPACING, rows * ROW_SPACING, np.zeros_like(rows)], -1)
            ds.PixelData = np.rint(at @ gradient + 1500).astype(np.int16).tobytes()

        return change

    make_series(tmp_path / "one", change=upright(0.0))
    make_series(tmp_path / "two", change=upright(0.6))
    one, two = read_volume(tmp_path / "one"), read_volume(tmp_path / "two")
    channel = open_channel(one, two, "CT-1")
    assert any("gantry" in note for note in channel.notes)
    both = np.isfinite(channel.laid.voxels)
    assert both.mean() > 0.7
    assert np.abs(channel.laid.voxels - one.voxels)[both].max() <= 2.5  # half a value of rounding, on either side


def test_a_series_that_lacks_a_slice_is_refused_as_a_channel(tmp_path):
    make_series(tmp_path / "one", change=tags())
    make_series(tmp_path / "two", change=lambda ds, k: (tags()(ds, k), k != 3)[1])
    reference = read_volume(tmp_path / "one")
    with pytest.raises(ImageFileError, match="lacks 1 slice"):
        read_stack(reference, channel_files([str(tmp_path / "two")]))


@pytest.mark.parametrize("what", ["changed", "deleted"])
def test_a_channel_that_changes_or_goes_while_a_session_is_open_is_told(tmp_path, what):
    pair(tmp_path)
    reference = read_volume(tmp_path / "one")
    stack = read_stack(reference, channel_files([str(tmp_path / "two")]))
    assert changed_channels(stack) == []
    before = stack.further[0].laid.voxels.copy()
    shutil.rmtree(tmp_path / "two")
    if what == "changed":
        make_series(tmp_path / "two", change=lambda ds, k: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    (sentence,) = changed_channels(stack)
    assert ("has changed on disk" if what == "changed" else "is gone from the disk") in sentence
    assert np.array_equal(stack.further[0].laid.voxels, before)
