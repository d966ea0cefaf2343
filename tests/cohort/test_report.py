from __future__ import annotations

import base64
import csv
import hashlib
import re
from html.parser import HTMLParser

import pytest

from napari_sam2.cohort.job import CohortSettings
from napari_sam2.cohort.report import write_report
from napari_sam2.cohort.run import Workers, run_cohort
from napari_sam2.errors import UserInputError
from napari_sam2.io.manifest import read_manifest
from tests.cohort.cases import write_case, write_manifest

CANARY = "JANE_ZYXW"


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Seven balls measured, one of them much smaller, and a damaged one; the patient is in every file name."""
    root = tmp_path_factory.mktemp("cohort")
    rows = []
    for n in range(8):
        radii = (2, 2, 2) if n == 3 else (6, 5, 4 + 0.1 * n)
        rows.append({**write_case(root / CANARY, f"{CANARY}{n}", radii=radii), "case": f"c{n}", "subject": CANARY})
    damaged = root / rows[7]["image"]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    manifest = write_manifest(root / "manifest.csv", rows, "labels", "subject")
    result = run_cohort(
        manifest, read_manifest(manifest), root / "out", CohortSettings(task="measure"), workers=Workers(alone=True)
    )
    assert result.counts == {"done": 7, "failed": 1}
    write_report(root / "out")
    return root / "out"


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.rows, self.text = [], 0, []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        self.rows += tag == "tr"

    def handle_data(self, content):
        self.text.append(content)


def test_the_page_needs_nothing_but_its_folder(output):
    page = (output / "report.html").read_text()
    seen = Seen()
    seen.feed(page)
    assert len(seen.links) == 14
    for link in seen.links:
        assert (output / link).is_file()
    assert "://" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;")
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        content = page.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{rule} &#x27;sha256-{digest}&#x27;" in policy[1]


def test_failures_have_their_sentence_and_oddities_come_first(output):
    page = (output / "report.html").read_text()
    assert "The image is truncated" in page
    body = page.split("<h2>All cases</h2>")[1]
    order = re.findall(r"<tr><td>(c\d)", body)
    assert order[0] == "c3"
    assert sorted(order) == [f"c{n}" for n in range(8)]


def test_the_table_holds_what_the_page_shows(output):
    with (output / "cohort.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert len(rows) == 8
    assert rows["c7"]["state"] == "failed"
    assert "truncated" in rows["c7"]["error"]
    assert "mL, usual is" in rows["c3"]["flags"]
    assert all(rows[f"c{n}"]["flags"] == "" for n in (0, 1, 2, 4, 5, 6))


def test_the_patients_name_is_nowhere_in_the_results(output):
    files = [path for path in output.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path.name
        assert CANARY not in path.name


def test_text_of_the_manifest_cannot_become_markup(tmp_path):
    row = {**write_case(tmp_path / "scans", "a"), "group": "<script>alert(1)</script>"}
    manifest = write_manifest(tmp_path / "manifest.csv", [row], "labels", "group")
    settings = CohortSettings(task="measure")
    run_cohort(manifest, read_manifest(manifest), tmp_path / "out", settings, workers=Workers(alone=True))
    page, _ = write_report(tmp_path / "out")
    assert "<script>alert" not in page.read_text()
    assert "&lt;script&gt;alert" in page.read_text()


def test_a_folder_without_a_cohort_is_refused(tmp_path):
    with pytest.raises(UserInputError, match=r"holds no cohort\.json"):
        write_report(tmp_path)
