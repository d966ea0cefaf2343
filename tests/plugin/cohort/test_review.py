"""The review of a whole cohort, without Qt: real cases, their own sessions, the real controller."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import LABELS, SESSION, CohortSettings
from napari_sam2.cohort.plan import make_plan
from napari_sam2.cohort.review import decisions_of, review_items
from napari_sam2.cohort.state import DONE, read_status, result_standing
from napari_sam2.io.manifest import read_manifest
from napari_sam2.plugin.cohort.review import CohortReview
from tests.cohort.cases import write_case, write_manifest


@pytest.fixture
def output(tmp_path):
    rows = [write_case(tmp_path / "scans", f"c{n}", radii=(6, 5, 3 + n)) for n in range(2)]
    manifest = write_manifest(tmp_path / "manifest.csv", rows, "prompts")
    for job in make_plan(manifest, read_manifest(manifest), tmp_path / "out", CohortSettings(model="classical")).todo:
        assert run_case(job)["state"] == "done"
    return tmp_path / "out"


@pytest.fixture
def review(bench, output):
    made = CohortReview(bench.controller, output)
    yield made
    made.close()
    bench.settle()


def labels(output, case):
    return np.asarray(nib.load(output / case / LABELS).dataobj)


def events(output, case):
    return [json.loads(line)["event"] for line in (output / case / SESSION / "events.jsonl").read_text().splitlines()]


def test_every_doubtful_slice_of_every_case_comes_on_view_in_order(bench, review, output):
    for item in review_items(output):
        review.next()
        bench.settle()
        assert review.item == item
        assert review.shown
        work = bench.controller.work
        assert work.image.name == item.case
        assert work.view.slice() == (item.axis, item.index)
        assert np.array_equal(bench.labels(), labels(output, item.case))
        assert len([layer for layer in bench.viewer.layers if layer.name in ("c0", "c1")]) == 1
    review.next()
    assert review.item is None
    assert len(bench.viewer.layers) == 0


def test_to_look_at_a_case_is_not_to_edit_it(bench, review, output):
    review.next()
    bench.settle()
    case = review.item.case
    review.close()
    bench.settle()
    assert events(output, case)[-1] == "resumed"
    assert result_standing(output / case, read_status(output / case)) == DONE


def test_accepted_flagged_and_passed_over(bench, review, output):
    first, second, third, *_ = review_items(output)
    review.next()
    bench.settle()
    review.accept()
    bench.settle()
    assert review.item == second
    review.flag()
    bench.settle()
    review.next()
    bench.settle()
    review.close()
    bench.settle()
    assert [d["decision"] for d in decisions_of(output / first.case) if d["slice"] == first.index] == ["accepted"]
    assert [d["decision"] for d in decisions_of(output / second.case) if d["slice"] == second.index] == ["flagged"]
    # What was passed over comes again, first.
    assert review_items(output)[0] == third
    # The acceptance is in the case's own journal.
    assert events(output, first.case)[-1] == "accepted slice"


def test_a_correction_is_in_the_cases_own_session_and_label_map(bench, review, output):
    review.next()
    bench.settle()
    case, before = review.item.case, labels(output, review.item.case).copy()
    n_events = len(events(output, case))
    work = bench.controller.work
    inside = np.argwhere(before[:, :, review.item.index])
    voxel = (*(int(c) for c in np.median(inside, axis=0)), review.item.index) if len(inside) else (12, 11, 6)
    bench.click(voxel, positive=False)
    expected = bench.labels().copy()
    assert not np.array_equal(expected, before)
    while review.item is not None and review.item.case == case:
        review.next()
        bench.settle()
    assert np.array_equal(labels(output, case), expected)
    assert len(events(output, case)) > n_events
    assert work.closed


def test_a_case_whose_scan_is_gone_is_told_and_passed_over(bench, review, output):
    first = review_items(output)[0]
    (output.parent / "scans" / f"{first.case}.nii.gz").unlink()
    review.next()
    bench.settle()
    assert "does not exist" in bench.warnings[-1]
    while review.item is not None and review.item.case == first.case:
        review.next()
        bench.settle()
    assert bench.controller.work.image.name == review.item.case
