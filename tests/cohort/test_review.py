from __future__ import annotations

import json

import pytest

from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import CohortSettings
from napari_sam2.cohort.plan import make_plan
from napari_sam2.cohort.review import ACCEPTED, FLAGGED, ReviewItem, decide, review_items
from napari_sam2.cohort.state import EDITED, standing
from napari_sam2.cohort.summary import summarise
from napari_sam2.errors import UserInputError
from napari_sam2.io.manifest import read_manifest
from tests.cohort.cases import job_of, write_case, write_manifest


@pytest.fixture
def output(tmp_path):
    rows = [write_case(tmp_path / "scans", f"c{n}", radii=(6, 5, 3 + n)) for n in range(2)]
    manifest = write_manifest(tmp_path / "manifest.csv", rows, "prompts")
    settings = CohortSettings(model="classical")
    for job in make_plan(manifest, read_manifest(manifest), tmp_path / "out", settings).todo:
        assert run_case(job)["state"] == "done"
    return tmp_path / "out"


def test_the_queue_runs_over_all_cases_by_doubt_or_by_what_may_be_wrong(output):
    by_doubt = review_items(output)
    assert {item.case for item in by_doubt} == {"c0", "c1"}
    assert [item.doubt for item in by_doubt] == sorted((item.doubt for item in by_doubt), reverse=True)
    weights = [item.doubt * item.voxels for item in review_items(output, "voxels")]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == len(by_doubt)
    by_case = [item.case for item in review_items(output, "case")]
    assert by_case[0] == by_doubt[0].case
    assert by_case in (sorted(by_case), sorted(by_case, reverse=True))
    # The prompted slice needs no review.
    assert all(item.index != 6 for item in by_doubt)
    with pytest.raises(UserInputError, match="--by age"):
        review_items(output, "age")


def test_what_was_decided_leaves_the_queue_and_is_never_overwritten_by_a_run(output, tmp_path):
    first, second, *rest = review_items(output)
    decide(output, first, ACCEPTED)
    decide(output, second, FLAGGED)
    assert review_items(output) == rest
    row = {"case": second.case, "image": f"scans/{second.case}.nii.gz", "prompts": f"scans/{second.case}.json"}
    assert standing(job_of(tmp_path, row)) == EDITED
    flags = {case.case: [flag.sentence for flag in case.flags] for case in summarise(output).cases}
    assert flags[second.case] == [f"ball: slice {second.index} was flagged by a person"]


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"decisions": [{}]}', '{"decisions": 7}'])
def test_damaged_decisions_are_told_and_not_forgotten(output, content):
    (output / "c0" / "review.json").write_text(content)
    for ask in (review_items, summarise):
        with pytest.raises(UserInputError, match=r"c0/review\.json is damaged"):
            ask(output)
    with pytest.raises(UserInputError, match="damaged"):
        decide(output, ReviewItem("c0", 1, "ball", 2, 6, 0.5, 10), ACCEPTED)
    assert (output / "c0" / "review.json").read_text() == content


@pytest.mark.parametrize(
    "change",
    [
        lambda cohort: cohort.pop("cases"),
        lambda cohort: cohort.update(settings=7),
        lambda cohort: cohort["cases"].append({"case": "../../elsewhere", "group": ""}),
        lambda cohort: cohort["cases"].append({"case": "<script>", "group": ""}),
        lambda cohort: cohort["cases"].append({"case": "a"}),
        lambda cohort: cohort.update(source=None),
    ],
)
def test_a_damaged_list_of_cases_is_one_sentence(output, change):
    path = output / "cohort.json"
    cohort = json.loads(path.read_text())
    change(cohort)
    path.write_text(json.dumps(cohort))
    with pytest.raises(UserInputError, match="damaged or of another program"):
        summarise(output)
