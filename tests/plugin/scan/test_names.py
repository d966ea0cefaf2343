"""Names, codes and colours of objects, without Qt."""

from __future__ import annotations

import json

import pytest

from napari_sam2.io.label_tables import find_terms, read_terms
from napari_sam2.plugin.scan.table_rows import object_rows
from napari_sam2.terms.templates import template_files
from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def own_list(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(
        "index,name,color,code,meaning,category\n1,target,#ff0080,99L:T1,Target,abnormal\n2,liver,#00ff00,99L:L,,organ\n"
    )
    return path


def test_a_name_from_the_list_brings_its_code_into_journal_and_files(ball_bench, tmp_path, sessions_folder):
    ball_bench.box(LOW, HIGH)
    naming = ball_bench.controller.names
    assert "left kidney" in naming.names
    ball_bench.controller.name_object(1, "Left Kidney")
    ball_bench.settle()
    assert object_rows(ball_bench.controller.work)[0].code == "SCT:64033007 Kidney"
    last = next(sessions_folder.glob("*/events.jsonl")).read_text().splitlines()[-1]
    assert {c["field"]: c["value"] for c in json.loads(last)["changes"]}["code"]["value"] == "64033007"
    ball_bench.controller.work.save(tmp_path / "out.nii.gz")
    ball_bench.settle()
    assert find_terms(tmp_path / "out.nii.gz")[1].code.value == "64033007"


def test_a_name_of_ones_own_has_no_code_and_undo_brings_the_old_one_back(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.name_object(1, "liver")
    ball_bench.controller.name_object(1, "the bright thing")
    ball_bench.settle()
    assert ball_bench.controller.work.object(1).code is None
    ball_bench.controller.do("undo")
    ball_bench.settle()
    obj = ball_bench.controller.work.object(1)
    assert (obj.name, obj.code.value) == ("liver", "10200004")


def test_a_list_of_ones_own_names_objects_by_id_with_its_colours(ball_bench, own_list):
    ball_bench.box(LOW, HIGH)
    naming = ball_bench.controller.names
    assert ball_bench.controller.load_names(own_list)
    ball_bench.settle()
    annotation = ball_bench.controller.work
    assert annotation.object(1).name == "target"
    assert annotation.result.colour_of(1) == pytest.approx((1, 0, 128 / 255))
    assert tuple(annotation.result.layer.colormap.color_dict[1][:3]) == pytest.approx((1, 0, 128 / 255), abs=1e-3)
    ball_bench.controller.do("next_object")
    ball_bench.box((2, 2, 3), (9, 9, 3))
    assert annotation.object(2).code.value == "L"
    assert naming.names[:2] == ["target", "liver"]
    ball_bench.controller.do("undo")
    ball_bench.settle()
    assert 2 not in annotation.snapshot.objects
    naming.forget_list()
    ball_bench.controller.do("next_object")
    ball_bench.box((2, 2, 3), (9, 9, 3))
    assert annotation.object(2).name == ""


def test_the_colour_of_the_list_is_in_the_saved_table(ball_bench, own_list, tmp_path):
    ball_bench.controller.load_names(own_list)
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.work.save(tmp_path / "out.nii.gz")
    ball_bench.settle()
    term = find_terms(tmp_path / "out.nii.gz")[1]
    assert (term.name, term.colour, str(term.code)) == ("target", (255, 0, 128), "99L:T1")


def test_an_object_has_the_same_colour_when_its_labels_are_opened_the_next_day(ball_bench, tmp_path):
    ball_bench.box(LOW, HIGH)
    seen = ball_bench.controller.work.result.colour_of(1)
    ball_bench.controller.work.save(tmp_path / "out.nii.gz")
    ball_bench.settle()
    ball_bench.controller.open_labels(tmp_path / "out.nii.gz")
    ball_bench.settle()
    work = ball_bench.controller.work
    (opened,) = set(work.snapshot.objects) - {1}
    assert work.result.colour_of(opened) == pytest.approx(seen)


def test_a_list_that_cannot_be_read_is_explained_and_changes_nothing(ball_bench, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("name,color\nliver,red\n")
    before = ball_bench.controller.names.names
    assert not ball_bench.controller.load_names(path)
    assert "Line 2" in ball_bench.warnings[-1]
    assert ball_bench.controller.names.names == before


def test_a_template_brings_its_structures_one_after_the_other_with_their_ids(ball_bench):
    controller = ball_bench.controller
    assert controller.load_names(template_files()["TotalSegmentator"])
    ball_bench.settle()
    work = controller.work
    assert work.current == 1
    assert work.name_of(1) == "spleen"
    ball_bench.box(BALL_CENTRE.astype(int) - (9, 9, 0), BALL_CENTRE.astype(int) + (9, 9, 0))
    assert work.object(1).name == "spleen"
    controller.do("next_object")
    assert (work.current, work.name_of(2)) == (2, "kidney_right")
    assert "1 of 117" in controller.workspace.status
    ball_bench.click(BALL_CENTRE.astype(int))
    assert work.object(2).code.value == "64033007"


@pytest.mark.parametrize(("name", "count"), [("TotalSegmentator", 117), ("BraTS", 3), ("FreeSurfer", 32)])
def test_bundled_templates_have_one_id_for_each_structure(name, count):
    terms = read_terms(template_files()[name])
    assert len({term.label_id for term in terms}) == len({term.name for term in terms}) == count
