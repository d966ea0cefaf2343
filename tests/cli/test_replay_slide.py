"""``napari-sam2 replay`` on a slide's session."""

from __future__ import annotations

import pytest
from PIL import Image

from napari_sam2.cli import main
from napari_sam2.models import load_model
from napari_sam2.record.journal import Journal
from napari_sam2.slides.formats.geojson import read_geojson
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.reader import open_slide
from napari_sam2.slides.session import SlideSession
from tests.slides.conftest import stained


@pytest.fixture
def session(tmp_path):
    Image.fromarray(stained((400, 400), (200, 200, 50))).save(tmp_path / "s.png")
    with open_slide(tmp_path / "s.png") as slide:
        made = SlideSession(slide, load_model("classical"))
        journal = Journal(made, tmp_path / "s.sam2session")
        obj = made.add_prompt(SlideBox(150, 150, 250, 250), name="gland")
        made.add_prompt(SlidePoint(160, 160, positive=False), obj.object_id)
        journal.close()
    return tmp_path / "s.sam2session"


def test_the_picture_is_found_beside_the_session_and_the_outlines_are_the_same(session, capsys):
    output = session.with_name("again.geojson")
    assert main(["replay", str(session), "-o", str(output)]) == 0
    assert "identical: every outline is as it was recorded, in 1 objects" in capsys.readouterr().out
    assert [obj.name for obj in read_geojson(output)] == ["gland"]


def test_another_outcome_is_exit_code_4_and_damage_is_exit_code_2(session, capsys):
    events = session / "events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text(lines[0])
    with events.open("a") as file:
        file.write(lines[1].replace('"positive":false', '"positive":true'))
    assert main(["replay", str(session), "-o", str(session.with_name("a.geojson"))]) == 4
    assert "NOT identical: 1 objects differ" in capsys.readouterr().out
    events.write_text(lines[0] + "garbage\n")
    assert main(["replay", str(session), "-o", str(session.with_name("b.geojson"))]) == 2
    assert "s.sam2session/events.jsonl, line 2 cannot be read" in capsys.readouterr().err
