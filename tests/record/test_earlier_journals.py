"""Sessions that version 0.1.0 wrote are read, gone on with, and replayed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.models import load_model
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, look_at, restore
from napari_sam2.record.replay import replay, replay_slide
from napari_sam2.session.session import Session
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.session import SlideSession
from tests.phantoms import ball
from tests.slides.conftest import stained

FOLDER = Path(__file__).parents[1] / "data" / "journals"
SCAN, SLIDE = FOLDER / "scan-0.1.0.sam2session", FOLDER / "slide-0.1.0.sam2session"
VOLUME, _ = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


def expected(folder):
    return json.loads((folder / "expected.json").read_text())


def hash_of(labels):
    return hashlib.sha256(np.ascontiguousarray(labels.astype("<i4")).tobytes()).hexdigest()


def slide():
    return Slide(ArraySource(stained((300, 300), (100, 100, 40), (220, 220, 40))), "s.png")


def told(session):
    return [
        [o.object_id, o.name, o.class_name, list(o.shown_colour or ()), o.finished, o.geometry.wkb_hex,
         dict(o.measurements), len(session.prompts_of(o.object_id))]
        for o in session.objects
    ]  # fmt: skip


def test_a_scan_session_of_0_1_0_comes_back_as_it_was():
    session = Session(VOLUME, ClassicalModel())
    restore(session, SCAN)
    was, snapshot = expected(SCAN), session.snapshot()
    assert hash_of(session.label_map()) == was["sha256"]
    assert (snapshot.undo, snapshot.redo) == (was["undo"], was["redo"])
    now = [[o.object_id, o.name, len(o.prompts), sorted(o.accepted), o.finished] for o in snapshot.objects.values()]
    assert now == was["objects"]
    while session.undo():
        pass
    assert not session.label_map().any()


def test_a_scan_session_of_0_1_0_is_replayed_identically():
    found = replay(VOLUME, ClassicalModel(), SCAN, lambda described: ClassicalModel())
    assert found.identical
    assert hash_of(found.labels) == expected(SCAN)["sha256"]
    assert found.session.objects[1].code is not None


def test_a_slide_session_of_0_1_0_comes_back_as_it_was_and_is_replayed():
    session = SlideSession(slide(), load_model("classical"))
    restore(session, SLIDE)
    was = expected(SLIDE)
    assert told(session) == was["objects"]
    assert session.position == was["steps"]
    assert [[c.name, list(c.colour)] for c in session.classes] == was["classes"]
    assert session.overlap == was["overlap"]
    assert session.slide.mpp == Mpp(0.5, 0.5, "given")
    found = replay_slide(slide(), load_model("classical"), SLIDE)
    assert found.identical
    assert told(found.session) == was["objects"]
    assert "3 answers of version 0.1.0" in found.reasons[-1]


@pytest.mark.parametrize("kind", ["scan", "slide"])
def test_a_session_of_0_1_0_is_gone_on_with(tmp_path, kind):
    folder = tmp_path / "a.sam2session"
    shutil.copytree(SCAN if kind == "scan" else SLIDE, folder)
    assert look_at(folder).n_objects == len(expected(folder)["objects"])

    def fresh():
        return Session(VOLUME, ClassicalModel()) if kind == "scan" else SlideSession(slide(), load_model("classical"))

    session = fresh()
    journal = Journal.resume(session, folder)
    if kind == "scan":
        session.rename(1, "other")
    else:
        session.change(session.objects[0].object_id, name="other")
    journal.close()
    again = fresh()
    restore(again, folder)
    names = [o.name for o in (again.objects.values() if kind == "scan" else again.objects)]
    assert names[0] == "other"
