"""A canary in every place where a file may name the patient; no output, message or log may hold it."""

from __future__ import annotations

import gzip
import json
import logging

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts
from napari_sam2.errors import NapariSam2Error
from napari_sam2.io import read_volume, write_labels
from napari_sam2.io.bids import write_bids_derivative
from napari_sam2.io.export import export_labels, notices_before
from napari_sam2.io.measurements import measure_file, write_rows
from napari_sam2.io.prompt_file_write import write_prompt_file
from napari_sam2.io.sidecar import Provenance, write_sidecars
from tests.io.dicom_maker import make_series

CANARIES = ("ZYXW", "JANE", "MRN00123", "19610203", "1961-02-03")


def canaries_in(content: bytes) -> list[str]:
    return [c for c in CANARIES if c.lower().encode() in content.lower()]


def assert_clean(folder, but=()):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in but]
    assert files
    for path in files:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        assert canaries_in(content) == [], path.name
        assert canaries_in(path.name.encode()) == []


@pytest.fixture(params=["nifti", "dicom"])
def source(request, tmp_path):
    """An image in a folder named after the patient, with the patient in every header field that takes text."""
    secret = tmp_path / "ZYXW_JANE_1961-02-03"
    secret.mkdir()
    if request.param == "dicom":
        make_series(secret / "series")
        return secret / "series"
    image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 900, (16, 24, 8)).astype(np.int16), np.eye(4))
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"ZYXW^JANE MRN00123"[: image.header[field].dtype.itemsize]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"PatientName=ZYXW^JANE 1961-02-03"))
    nib.save(image, secret / "scan.nii.gz")
    return secret / "scan.nii.gz"


@pytest.fixture
def outputs(source, tmp_path, caplog):
    """Everything that can be written of a case."""
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    volume = read_volume(source)
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:9, 4:12, 2:6] = 1
    mask = MaskPrompt(labels[:, :, 3] > 0, axis=2, index=3)
    objects = [ObjectPrompts(1, (Box(((3, 4, 3), (8, 11, 3))), mask), "liver")]
    provenance = Provenance(model={"name": "classical"}, objects=objects, slice_axis=2)
    path = write_labels(labels, volume, out / "labels.nii.gz")
    write_sidecars(path, labels, volume, provenance)
    write_prompt_file(objects, volume, out / "prompts.json")
    write_rows(measure_file(source, path), out / "measure.csv")
    write_bids_derivative(labels, volume, out / "bids", provenance, subject="01")
    for name in ("a.seg.nrrd", "b.nii", "c.txt", "d.ctbl"):
        export_labels(path, source, out / name)
    export_labels(path, source, out / "e.nii.gz", consecutive=True)
    return volume, out


def test_no_output_and_no_log_holds_anything_of_the_patient(outputs, caplog):
    volume, out = outputs
    assert len([p for p in out.rglob("*") if p.is_file()]) >= 14
    assert_clean(out)
    assert canaries_in(caplog.text.encode()) == []
    assert canaries_in("".join(volume.source.notes).encode()) == []
    if volume.source.file_format == "nifti":
        assert canaries_in(repr(volume.source.header).encode()) == []


def test_a_file_name_that_tells_who_it_is_can_be_left_out(source, tmp_path):
    renamed = source.rename(source.with_name("ZYXW_JANE" + "".join(source.suffixes)))
    volume = read_volume(renamed)
    out = tmp_path / "out"
    out.mkdir()
    labels = np.ones(volume.shape, np.uint8)
    path = write_labels(labels, volume, out / "labels.nii.gz")
    json_path, _ = write_sidecars(path, labels, volume, Provenance(hide_source_name=True))
    assert json.loads(json_path.read_text())["Sources"] == [f"sha256:{volume.source.sha256}"]
    assert_clean(out)


def test_only_a_dicom_seg_carries_the_patient_and_it_is_announced(tmp_path):
    make_series(tmp_path / "series")
    volume = read_volume(tmp_path / "series")
    out = tmp_path / "out"
    out.mkdir()
    path = write_labels(np.ones(volume.shape, np.uint8), volume, out / "labels.nii.gz")
    done = export_labels(path, tmp_path / "series", out / "seg.dcm")
    assert "carries the patient's" in notices_before(done.path)[0]
    assert notices_before(path) == ()
    assert canaries_in(done.path.read_bytes()) != []
    assert_clean(out, but=("seg.dcm",))


@pytest.mark.parametrize("damage", ["cut", "tag", "geometry", "empty folder"])
def test_error_messages_name_the_file_and_not_the_patient_or_the_folder(tmp_path, damage, caplog):
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "ZYXW_JANE"

    def change(ds, k):
        if damage == "tag":
            ds.PixelSpacing = None
        if damage == "geometry" and k == 3:
            ds.ImagePositionPatient = [1, 2, 3]

    make_series(secret / "series", change=change)
    files = sorted((secret / "series").iterdir())
    if damage == "cut":
        files[2].write_bytes(files[2].read_bytes()[:-200])
    if damage == "empty folder":
        for file in files:
            file.unlink()
    with pytest.raises(NapariSam2Error) as error:
        read_volume(secret / "series")
    assert canaries_in(str(error.value).encode()) == []
    assert canaries_in(caplog.text.encode()) == []
