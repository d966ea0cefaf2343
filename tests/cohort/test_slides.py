"""Slides of a folder or a manifest as a cohort."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import shapely

from napari_sam2.cli import main
from napari_sam2.cli.cohort import _slide_wish
from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import CohortSettings
from napari_sam2.cohort.plan import make_plan
from napari_sam2.cohort.slide_wish import SlideWish
from napari_sam2.cohort.slides import slides_in
from napari_sam2.errors import UserInputError
from napari_sam2.slides.formats.geojson import read_geojson, write_geojson
from napari_sam2.slides.objects import SlideObject
from tests.slides.conftest import stained, write_ome
from tests.zarr_maker import write_image

SIZE = {f"PhysicalSize{a}": 0.5 for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
DISC = (150, 200, 60)


@pytest.fixture
def run(capsys):
    """Runs a command in this process; its exit code, stdout and stderr."""

    def command(*arguments):
        code = main(list(map(str, arguments)))
        return Result(code, *capsys.readouterr())

    return command


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str

    def assert_refused(self, sentence):
        assert (self.returncode, self.stdout) == (2, ""), self.stderr
        assert sentence in self.stderr.replace("\n", " ")


@pytest.fixture
def folder(tmp_path):
    """Three slides, one of them damaged, and a text beside them."""
    slides = tmp_path / "slides"
    slides.mkdir()
    pixels = stained((320, 400), DISC)
    write_ome(slides / "one.ome.tif", pixels, **SIZE)
    write_ome(slides / "patient Müller.ome.tif", pixels[::-1], **SIZE)
    write_image(slides / "zarr.ome.zarr", np.ascontiguousarray(pixels.transpose(2, 0, 1)), "cyx", (1, 0.5, 0.5))
    (slides / "bad.tif").write_bytes((slides / "one.ome.tif").read_bytes()[:300])
    (slides / "notes.txt").write_text("x")
    return slides


def _prompts(path, row=150):
    box = [[row - 70, 130], [row + 70, 270]]
    content = {"version": 1, "objects": [{"id": 1, "name": "gland", "class": "Tumor", "prompts": [{"box": box}]}]}
    path.write_text(json.dumps(content))
    return path.name


@pytest.fixture
def manifest(folder):
    rows = ["case,image,prompts", f"a,slides/one.ome.tif,{_prompts(folder.parent / 'a.json')}"]
    rows.append(f"b,slides/patient Müller.ome.tif,{_prompts(folder.parent / 'b.json', 169)}")
    rows.append(f"c,slides/bad.tif,{_prompts(folder.parent / 'c.json')}")
    (folder.parent / "m.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder.parent / "m.csv"


def test_the_slides_of_a_folder_are_cases_by_their_names(folder):
    assert {row.case: row.image.name for row in slides_in(folder)} == {
        "bad": "bad.tif", "one": "one.ome.tif", "patient_M_ller": "patient Müller.ome.tif", "zarr": "zarr.ome.zarr"
    }  # fmt: skip
    with pytest.raises(UserInputError, match="holds no slides"):
        slides_in(folder / "zarr.ome.zarr" / "0")


def test_every_slide_gets_its_objects_and_a_bad_one_does_not_stop_the_rest(manifest, tmp_path, run):
    out = tmp_path / "out"
    arguments = ("cohort", "run", manifest, "-o", out, "--task", "slide", "--model", "classical", "--shard", "1/1")
    result = run(*arguments)
    assert result.returncode == 1, result.stderr
    assert "FAILED c: The image is damaged" in result.stderr
    assert "2 done, 0 skipped, 1 failed" in result.stdout
    assert "Müller" not in result.stderr
    known = shapely.Point(DISC[1] + 0.5, DISC[0] + 0.5).buffer(DISC[2] + 0.5)
    (obj,) = read_geojson(out / "a" / "objects.geojson")
    assert obj.geometry.intersection(known).area / obj.geometry.union(known).area > 0.9
    assert obj.class_name == "Tumor"
    names = {"objects.geojson", "objects.geojson.json", "objects.csv", "overview.jpg", "status.json", ".lock"}
    assert {path.name for path in (out / "a").iterdir()} == names
    status = (out / "b" / "status.json").read_text()
    assert "Müller" not in status
    assert run("cohort", "report", out).returncode == 0
    rows = list(csv.DictReader((out / "cohort.csv").read_text().splitlines()))
    assert [(r["case"], r["state"], r["class"], r["objects"]) for r in rows] == [
        ("a", "done", "Tumor", "1"), ("b", "done", "Tumor", "1"), ("c", "failed", "", "")
    ]  # fmt: skip
    assert float(rows[0]["area_mm2"]) == pytest.approx(obj.geometry.area * 0.25 / 1e6, rel=1e-4)
    assert "Tumor: 1 objects" in (out / "report.html").read_text()
    run("cohort", "review", out, "--list").assert_refused("Slides have no slices to go through")

    _prompts(tmp_path / "a.json", 151)
    again = json.loads(run(*arguments, "--json").stdout)
    assert (again["done"], again["skipped"], list(again["failed"])) == (1, 1, ["c"])


def _done(folder, out, **wish):
    """How many slides of a folder are done now, in this process."""
    settings = CohortSettings(task="slide", model="classical", slide=SlideWish(**wish))
    plan = make_plan(folder, slides_in(folder), out, settings)
    outcomes = [run_case(job) for job in plan.todo]
    assert {outcome["state"] for outcome in outcomes} <= {"done"}, outcomes
    return len(outcomes)


NUCLEI = "nuclei:100,100,220,300"


def test_a_folder_is_searched_for_objects_and_another_choice_means_other_results(folder, tmp_path):
    out = tmp_path / "out"
    (folder / "bad.tif").unlink()
    assert _done(folder, out, auto=NUCLEI, object_size="60um") == 3
    assert len(read_geojson(out / "zarr" / "objects.geojson")) == 1
    assert _done(folder, out, auto=NUCLEI, object_size="60um") == 0
    assert _done(folder, out, auto=NUCLEI, object_size="50um") == 3


def test_a_region_file_counts_by_its_content_and_its_name_is_written_nowhere(folder, tmp_path):
    for name in ("bad.tif", "one.ome.tif"):
        (folder / name).unlink()
    region, out = tmp_path / "region of Müller.geojson", tmp_path / "out"

    def done():
        wish = _slide_wish(f"nuclei:{region}", "60um", None, None, [], "auto", None)
        return _done(folder, out, **asdict(wish))

    write_geojson([SlideObject(shapely.box(100, 100, 300, 220))], region)
    assert done() == 2
    assert region.name not in (out / "zarr" / "status.json").read_text(encoding="utf-8")
    assert done() == 0
    write_geojson([SlideObject(shapely.box(0, 0, 90, 90))], region, overwrite=True)
    assert done() == 2


def test_tiles_of_other_inputs_are_not_gone_on_with(folder, tmp_path):
    for name in ("bad.tif", "patient Müller.ome.tif"):
        (folder / name).unlink()
    out = tmp_path / "out"
    (out / "one").mkdir(parents=True)
    (out / "one" / ".lock").write_text("")
    (out / "one" / "objects.geojson.tiles.jsonl").write_text('{"journal": 1}\n')
    (out / "one" / "objects.tiles.of").write_text("another run")
    assert _done(folder, out, auto=NUCLEI, object_size="60um") == 2
    assert not [*(out / "one").glob("objects.tiles*"), *(out / "one").glob("*.jsonl")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "has no prompts; name them in the manifest, or give --auto"),
        (("--task", "measure", "--auto", "tissue"), "do not go with --task measure"),
        (("--auto", "tissue", "--remote", "http://127.0.0.1:1", "--token-file", "x"), "--remote"),
        (("--auto", "tissue", "--like", "absent.geojson"), "absent.geojson does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder, tmp_path, run, arguments, sentence):
    task = () if "--task" in arguments else ("--task", "slide")
    run("cohort", "run", folder, "-o", tmp_path / "out", *task, *arguments).assert_refused(sentence)
    assert not (tmp_path / "out").exists()
