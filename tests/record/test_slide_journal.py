"""A slide's session is found again after a crash: a real one, by SIGKILL."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import shapely

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.models import load_model
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.journal_files import HEAD
from napari_sam2.record.listing import look_at
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.objects import ObjectClass
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.session import SlideSession
from tests.slides.conftest import stained

BOX = SlideBox(150, 150, 250, 250)

ANNOTATE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.record.test_slide_journal import work
session, journal = work(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def new_session():
    return SlideSession(Slide(ArraySource(stained((600, 600), (200, 200, 50), (400, 420, 80))), "s.png"), MODEL)


MODEL = load_model("classical")


def work(folder):
    """A bit of everything, journalled."""
    session = new_session()
    journal = Journal(session, folder)
    gland = session.add_prompt(BOX, name="gland")
    session.add_prompt(SlidePoint(160, 160, positive=False), gland.object_id)
    session.set_class(gland.object_id, "Gland", (10, 20, 30))
    other = session.add_prompt(SlidePoint(400, 420), field=400)
    session.edit(other.object_id, shapely.box(10, 10, 60, 90).difference(shapely.box(20, 20, 30, 30)))
    session.set_mpp(Mpp(0.5, 0.5, "given"))
    session.set_overlap("first")
    session.remove(gland.object_id)
    session.undo()
    session.draw(shapely.box(300, 20, 340, 60))
    session.remove(session.draw(shapely.box(500, 500, 510, 510)).object_id)
    session.finish_object(other.object_id)
    return session, journal


def told(session):
    return [
        (o.object_id, o.name, o.class_name, o.shown_colour, o.finished, o.geometry.wkb, dict(o.measurements), prompts)
        for o, prompts in ((o, session.prompts_of(o.object_id)) for o in session.objects)
    ]


def test_after_a_kill_every_prompt_polygon_class_and_name_comes_back(tmp_path):
    folder = tmp_path / "journal"
    died = subprocess.run([sys.executable, "-c", ANNOTATE_AND_DIE, str(folder)], check=False)
    assert died.returncode == -signal.SIGKILL
    expected, _ = work(tmp_path / "other")
    note = look_at(folder)
    assert note is not None
    assert note.n_objects == len(expected.objects) == 3
    session = new_session()
    restore(session, folder)
    # Ids are drawn anew in each process; everything else is the same.
    assert [row[1:] for row in told(session)] == [row[1:] for row in told(expected)]
    assert session.overlap == "first"
    assert session.classes == expected.classes
    assert ObjectClass("Gland", (10, 20, 30)) in session.classes
    assert session.slide.mpp == Mpp(0.5, 0.5, "given")
    for _ in range(session.position):
        assert session.undo()
        assert expected.undo()
        assert [row[1:] for row in told(session)] == [row[1:] for row in told(expected)]


def test_a_torn_last_line_costs_one_action_and_work_goes_on(tmp_path):
    folder = tmp_path / "journal"
    before, journal = work(folder)
    journal.close()
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"t": "2026-01-01T00:00:00Z", "event": "pro')
    session = new_session()
    restore(session, folder)
    assert told(session) == told(before)
    Journal(session, folder, resumed=True)
    first = session.objects[0]
    corrected = session.add_prompt(SlidePoint(200, 200), first.object_id)
    assert corrected.geometry.intersection(first.geometry).area > 0.8 * first.geometry.area
    again = new_session()
    restore(again, folder)
    assert told(again) == told(session)


def test_a_journal_of_another_slide_or_of_a_volume_is_refused(tmp_path):
    work(tmp_path / "journal")
    other = SlideSession(Slide(ArraySource(np.zeros((600, 600, 3), np.uint8)), "s.png"), MODEL)
    with pytest.raises(UserInputError, match="another slide"):
        restore(other, tmp_path / "journal")
    head = tmp_path / "journal" / HEAD
    head.write_text(head.read_text().replace('"kind": "slide"', '"kind": "volume"'))
    with pytest.raises(UserInputError, match="not a session on a slide"):
        restore(new_session(), tmp_path / "journal")


def test_the_key_of_a_slide_is_that_of_its_pixels_whatever_is_shown():
    pixels = stained((600, 600), (200, 200, 50))
    assert Slide(ArraySource(pixels), "a").key == Slide(ArraySource(pixels), "b", mpp=Mpp(1, 1, "given")).key
    changed = pixels.copy()
    changed[:80, :80] = 0
    assert Slide(ArraySource(changed), "a").key != Slide(ArraySource(pixels), "a").key
