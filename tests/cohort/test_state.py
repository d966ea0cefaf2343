from __future__ import annotations

import json

import pytest

from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import LABELS, SESSION
from napari_sam2.cohort.state import DONE, EDITED, TODO, standing
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


def test_a_torn_or_foreign_status_is_no_status(tmp_path, row, done):
    (done.folder / "status.json").write_text('{"version": 1, "state": "do')
    assert standing(job_of(tmp_path, row)) == TODO
