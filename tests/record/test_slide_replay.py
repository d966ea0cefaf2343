"""A slide's session is asked again, also when models, channels and much else changed meanwhile."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.journal_files import read_head
from napari_sam2.record.replay import replay_slide
from napari_sam2.slides.formats.write import FORMATS
from napari_sam2.slides.image.channels import ChannelMix
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.objects import ObjectClass, SlideObject
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.reader import open_slide
from napari_sam2.slides.session import SlideSession
from tests.slides.conftest import cell_pixels, stained
from tests.zarr_maker import write_image

MIX = ChannelMix(("a", "b", "c"), (0, 1), ((255, 0, 0), (0, 255, 0)), ((0.0, 255.0), (0.0, 200.0)))
OTHER = ChannelMix(("a", "b", "c"), (1,), ((255, 255, 255),), ((10.0, 150.0),))


def slide(mix=None):
    pixels = stained((600, 600), (200, 200, 50), (400, 420, 80))
    return Slide(ArraySource(255 - pixels if mix else pixels), "s.png", mix=mix)


@pytest.fixture
def worked(tmp_path):
    """Every action there is."""
    session = SlideSession(slide(MIX), ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    gland = session.add_prompt(SlideBox(150, 150, 250, 250), name="gland")
    session.add_prompt(SlidePoint(160, 160, positive=False), gland.object_id)
    session.refine(gland.object_id)
    session.set_class(gland.object_id, "Gland", (10, 20, 30))
    session.show_channels(OTHER)
    session.use_model(ClassicalModel())
    other = session.add_prompt(SlidePoint(400, 420), field=400)
    session.set_mpp(Mpp(0.5, 0.5, "given"))
    session.set_overlap("first")
    session.edit(other.object_id, shapely.box(10, 10, 60, 90))
    session.draw(shapely.box(40, 40, 90, 90))
    session.set_classes([ObjectClass("Gland", (9, 9, 9))])
    session.undo()
    session.redo()
    session.add_objects([SlideObject(shapely.box(300, 300, 320, 320), object_class=ObjectClass("Nucleus", (1, 2, 3)))])
    session.finish_object(other.object_id)
    session.remove(gland.object_id)
    session.undo()
    clicked = session.add_prompt(SlidePoint(400, 420), field=400, class_name="Cell")
    session.classify([gland.object_id, other.object_id, clicked.object_id], "Necrosis")
    session.finish_objects([gland.object_id, clicked.object_id])
    session.finish_objects([clicked.object_id], False)
    session.remove_objects([gland.object_id, clicked.object_id])
    session.undo()
    session.add_prompt(SlidePoint(200, 200), field=400, class_name="Cell")
    session.draw(shapely.box(500, 20, 540, 60), class_name="Cell")
    session.remove_objects([clicked.object_id])
    session.undo()
    journal.close()
    return session, tmp_path / "a.sam2session"


def told(session):
    return [
        (o.object_id, o.name, o.class_name, o.shown_colour, o.finished, o.geometry.wkb, dict(o.measurements), prompts)
        for o, prompts in ((o, session.prompts_of(o.object_id)) for o in session.objects)
    ]


def test_every_action_is_done_again_with_the_same_outcome(worked):
    session, folder = worked
    found = replay_slide(slide(MIX), ClassicalModel(), folder, lambda described: ClassicalModel())
    assert found.identical
    assert found.reasons == ()
    assert told(found.session) == told(session)
    assert found.session.classes == session.classes
    assert found.session.position == session.position
    assert found.session.slide.mix == OTHER


def test_a_session_comes_back_without_the_model(worked):
    session, folder = worked
    again = SlideSession(slide(MIX), ClassicalModel())
    restore(again, folder)
    assert told(again) == told(session)
    assert again.classes == session.classes
    # What is shown stays as it is.
    assert again.slide.mix == MIX


def test_another_answer_is_found_out(worked, monkeypatch):
    _, folder = worked
    monkeypatch.setattr("napari_sam2.models.classical.SMOOTHING", 4.0)
    found = replay_slide(slide(MIX), ClassicalModel(), folder, lambda described: ClassicalModel())
    assert not found.identical
    assert all(area > 0 for area in found.differing.values())


def test_no_journal_holds_what_a_file_calls_its_channels_unless_it_is_a_stain(tmp_path):
    names = ("DAPI", "Jane Doe 1954", "c")
    named, folder = slide(MIX), tmp_path / "a.sam2session"
    named.mix = ChannelMix(names, MIX.chosen, MIX.colours, MIX.windows)
    session = SlideSession(named, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(SlideBox(150, 150, 250, 250))
    session.show_channels(ChannelMix(names, OTHER.chosen, OTHER.colours, OTHER.windows))
    session.add_prompt(SlidePoint(400, 420), field=400)
    journal.close()
    written = b"".join(file.read_bytes() for file in folder.iterdir())
    assert b"Jane" not in written
    assert b"DAPI" in written
    fresh = slide(MIX)
    fresh.mix = ChannelMix(names, MIX.chosen, MIX.colours, MIX.windows)
    found = replay_slide(fresh, ClassicalModel(), folder)
    assert found.identical
    assert found.session.slide.mix == ChannelMix(names, OTHER.chosen, OTHER.colours, OTHER.windows)


def test_the_head_says_how_the_model_looked(worked):
    head = read_head(worked[1])
    assert head["model"]["views"] == "around the object"
    assert head["channels"]["chosen"] == [0, 1]


def test_a_resumed_session_notes_the_channels_that_are_shown_then(worked):
    _, folder = worked
    session = SlideSession(slide(MIX), ClassicalModel())
    journal = Journal.resume(session, folder)
    session.add_prompt(SlidePoint(300, 310))
    journal.close()
    found = replay_slide(slide(MIX), ClassicalModel(), folder, lambda described: ClassicalModel())
    assert found.identical
    assert found.session.slide.mix == MIX


def test_a_step_costs_what_it_changes(tmp_path):
    """50,000 objects: a name is one change of one object, in the history as in the journal."""
    rng = np.random.default_rng(0)
    objects = [SlideObject(shapely.box(c, r, c + 2, r + 2)) for r, c in rng.integers(0, 590, (2000, 2)).tolist()]
    session = SlideSession(slide(), ClassicalModel())
    session.add_objects(objects)
    journal = Journal(session, tmp_path / "a")
    session.change(objects[7].object_id, name="other")
    journal.close()
    assert len(session.state.history.done[-1]) == 1
    assert (tmp_path / "a" / "events.jsonl").stat().st_size < 1500


def test_a_choice_among_masks_is_resumed_without_the_model_and_replayed_with_it(tmp_path):
    def new_session():
        return SlideSession(Slide(ArraySource(cell_pixels()), "cell"), ClassicalModel())

    session, folder = new_session(), tmp_path / "a.sam2session"
    journal = Journal(session, folder)
    clicked = session.add_prompt(SlidePoint(450, 450), field=900)
    session.choose_mask(clicked.object_id, 1, field=900)
    session.choose_mask(clicked.object_id, 2, field=900)
    journal.close()
    resumed = new_session()
    restore(resumed, folder)
    assert told(resumed) == told(session)
    assert resumed.undo()
    again = replay_slide(Slide(ArraySource(cell_pixels()), "cell"), ClassicalModel(), folder)
    assert again.identical
    assert told(again.session) == told(session)
    assert not again.reasons


def test_planes_are_asked_again_where_they_were(tmp_path):
    planes = np.stack([stained((600, 600), place) for place in ((200, 200, 50), (400, 420, 80))])
    colours = [{"color": c, "window": {"start": 0, "end": 255}} for c in ("FF0000", "00FF00", "0000FF")]
    values = np.ascontiguousarray(planes.transpose(3, 0, 1, 2))
    path = write_image(tmp_path / "s.ome.zarr", values, "czyx", (1, 1, 1, 1), omero={"channels": colours})
    with open_slide(path, plane=1) as stack:
        session = SlideSession(stack, ClassicalModel())
        journal = Journal(session, tmp_path / "a.sam2session")
        session.add_prompt(SlideBox(310, 330, 490, 510))
        session.show_plane({"Z": 0})
        first = session.add_prompt(SlideBox(140, 140, 260, 260))
        session.show_plane({"Z": 1})
        with pytest.raises(UserInputError, match="lies on plane z=0, t=0; go there to correct it"):
            session.add_prompt(SlidePoint(400, 420), first.object_id)
        journal.close()
    with open_slide(path) as stack:
        found = replay_slide(stack, ClassicalModel(), tmp_path / "a.sam2session", lambda described: ClassicalModel())
        assert found.identical
        assert [obj.plane for obj in found.session.objects] == [(1, 0), (0, 0)]
        assert told(found.session) == told(session)
    for ending in FORMATS:
        with open_slide(path) as stack:
            again = replay_slide(
                stack, ClassicalModel(), tmp_path / "a.sam2session", lambda described: ClassicalModel()
            )
            assert again.session.export(tmp_path / f"o{ending}") == 2
            facts = json.loads((tmp_path / f"o{ending}.json").read_text())
            assert facts["Slide"]["key"] == stack.key
