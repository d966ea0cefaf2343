from __future__ import annotations

import json
from dataclasses import replace

import nibabel as nib
import pytest

from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import LABELS, SESSION
from napari_sam2.cohort.state import DAMAGED, DONE, EDITED, TODO, read_status, standing
from tests.cohort.cases import job_of, write_case


@pytest.fixture
def row(tmp_path):
    return write_case(tmp_path / "scans", "a")


@pytest.fixture
def done(tmp_path, row):
    job = job_of(tmp_path, row)
    assert run_case(job)["state"] == DONE
    return job


def test_a_finished_case_stays_done_while_nothing_changes(tmp_path, row, done):
    assert standing(job_of(tmp_path, row)) == DONE
    assert standing(job_of(tmp_path, row, device="cpu")) == DONE


@pytest.mark.parametrize("what", ["image", "prompts"])
def test_a_case_whose_inputs_change_is_to_be_done_again(tmp_path, row, done, what):
    if what == "image":
        write_case(tmp_path / "scans", "a", seed=1)
    else:
        path = tmp_path / row["prompts"]
        path.write_text(path.read_text().replace("ball", "bell"))
    assert standing(job_of(tmp_path, row)) == TODO


def test_a_mask_that_a_prompt_file_points_to_counts_as_input(tmp_path, row):
    path = tmp_path / row["prompts"]
    mask = {"mask": "a_labels.nii.gz", "axis": 2, "slice": 6}
    path.write_text(json.dumps({"version": 1, "objects": [{"id": 1, "prompts": [mask]}]}))
    assert run_case(job_of(tmp_path, row))["state"] == DONE
    assert standing(job_of(tmp_path, row)) == DONE
    write_case(tmp_path / "scans", "b", radii=(4, 4, 4))
    (tmp_path / "scans" / "b_labels.nii.gz").replace(tmp_path / "scans" / "a_labels.nii.gz")
    assert standing(job_of(tmp_path, row)) == TODO


@pytest.mark.parametrize("settings", [{"window": "50/200"}, {"direction": "forward"}])
def test_other_settings_are_another_result(tmp_path, row, done, settings):
    assert standing(job_of(tmp_path, row, **settings)) == TODO


@pytest.mark.parametrize("name", ["labels.tsv", "measurements.csv", LABELS])
def test_a_lost_output_is_made_again(tmp_path, row, done, name):
    (done.folder / name).unlink()
    assert standing(job_of(tmp_path, row)) == TODO
    assert run_case(done)["state"] == DONE
    assert standing(job_of(tmp_path, row)) == DONE


@pytest.mark.parametrize("name", [LABELS, f"{SESSION}/events.jsonl"])
def test_what_a_person_has_changed_is_kept_even_if_the_inputs_change_too(tmp_path, row, done, name):
    path = done.folder / name
    path.write_bytes(path.read_bytes() + b"\n")
    edited = path.read_bytes()
    assert standing(job_of(tmp_path, row)) == EDITED
    write_case(tmp_path / "scans", "a", seed=1)
    again = job_of(tmp_path, row)
    assert run_case(again)["state"] == EDITED
    assert path.read_bytes() == edited


def torn(text):
    return text[: len(text) // 2]


def altered(text):
    return text.replace('"voxels": ', '"voxels": 1')


def without_objects(text):
    return json.dumps({**json.loads(text), "objects": None})


@pytest.mark.parametrize("damage", [torn, altered, without_objects, lambda _: "", lambda _: "[]", lambda _: "[" * 9999])
def test_a_damaged_status_fails_by_name_and_what_a_person_may_have_done_is_kept(tmp_path, row, done, damage):
    status, labels = done.folder / "status.json", done.folder / LABELS
    good = status.read_text()
    status.write_text(damage(good))
    before = labels.read_bytes()
    again = job_of(tmp_path, row)
    assert standing(again) == DAMAGED
    outcome = run_case(again)
    assert outcome["state"] == "failed"
    assert "--overwrite" in outcome["error"]
    assert labels.read_bytes() == before
    assert (done.folder / SESSION / "events.jsonl").is_file()
    assert run_case(replace(again, redo=True))["state"] == DONE
    assert read_status(done.folder)["objects"] == json.loads(good)["objects"]
    assert len(list(done.folder.glob("*.sam2session"))) == 2  # the earlier session is kept under its date


def test_a_status_of_nothing_is_to_be_done_unless_somebody_has_reviewed_it(tmp_path, row, done):
    (done.folder / "status.json").unlink()
    assert standing(job_of(tmp_path, row)) == TODO
    (done.folder / "review.json").write_text('{"decisions": []}')
    assert standing(job_of(tmp_path, row)) == EDITED


def test_the_second_file_of_an_image_counts_as_input(tmp_path, row):
    image = nib.load(tmp_path / row["image"])
    pair = tmp_path / "scans" / "a.hdr"
    nib.save(nib.Nifti1Pair(image.get_fdata().astype("int16"), image.affine), pair)
    row = {**row, "image": "scans/a.hdr"}
    assert run_case(job_of(tmp_path, row))["state"] == DONE
    voxels = bytearray((tmp_path / "scans" / "a.img").read_bytes())
    voxels[:200] = bytes(200)
    (tmp_path / "scans" / "a.img").write_bytes(voxels)
    assert standing(job_of(tmp_path, row)) == TODO
