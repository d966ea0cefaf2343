from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.channels.mix import named_mix, said_mix
from napari_sam2.channels.opening import open_channel
from napari_sam2.channels.weights import parted
from napari_sam2.core.mix import Mix, mix_from_json, mix_to_json
from napari_sam2.core.prompts import Point
from napari_sam2.core.window import Window
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.record import compaction
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.replay import needed_channels, replay
from napari_sam2.session.channels import chosen_mix
from napari_sam2.session.session import Session
from tests.channels.scans import stack_of, two_channels, volume
from tests.phantoms import box_on

FIRST, SECOND, INSIDE = two_channels()
BOX = box_on(INSIDE, 2, 8)


def session_of(*, several: bool = True, fusion: str = "auto") -> Session:
    reference = volume(FIRST)
    stack = stack_of(reference, volume(SECOND)) if several else None
    return Session(reference, load_model("classical"), channels=stack, fusion=fusion)


def worked(session: Session) -> None:
    """All that can be done with channels, with an undo among it."""
    session.add_prompt(1, BOX)
    list(session.propagate([1]))
    session.add_prompt(1, Point((36, 46, 10), positive=False))
    session.add_prompt(2, BOX)
    session.use_mix(2, "b=1,a=-0.8")
    list(session.propagate([2]))
    session.use_mix(1, "a")
    session.undo()
    session.use_channel_window(1, Window(300, 700, "level/width"))
    session.fusion = "b"
    session.add_prompt(3, BOX)


def test_what_a_model_sees_of_an_object_is_settled_with_its_first_prompt():
    session = session_of()
    session.add_prompt(1, BOX)
    mix = session.objects[1].mix
    assert mix is not None
    assert mix.kind == "fused"
    assert mix.weights[0][0] * mix.weights[0][1] < 0
    session.add_prompt(1, Point((36, 60, 12), positive=False))
    assert session.objects[1].mix == mix
    session.undo()
    session.undo()
    assert 1 not in session.objects


def test_one_channel_has_no_mix_and_is_seen_as_it_is():
    session = session_of(several=False)
    session.add_prompt(1, BOX)
    assert session.objects[1].mix is None
    alone = session_of(fusion="a")
    alone.add_prompt(1, BOX)
    for one in (session, alone):
        list(one.propagate())
    assert np.array_equal(session.label_map(), alone.label_map())


def test_one_channel_is_taken_where_it_parts_the_prompt():
    clear = np.where(INSIDE, 800.0, 200.0).astype(np.float32) + FIRST / 50
    reference = volume(FIRST)
    session = Session(reference, load_model("classical"), channels=stack_of(reference, volume(clear)))
    session.add_prompt(1, BOX)
    assert said_mix(session.objects[1].mix, ("a", "b")) == "b"


def test_two_channels_as_colours_have_their_mean_as_blue():
    session = session_of()
    mix = chosen_mix(session.state, 2, {}, "rgb")
    assert mix.weights == ((1, 0), (0, 1), (0.5, 0.5))
    image, window = session.channels.image(mix, session.window)
    assert image.is_rgb
    assert window.name == "rgb"
    grey = session.window.apply(FIRST)
    assert np.abs(image.voxels[..., 0] / 255 - grey).max() < 1 / 255


def test_a_session_with_channels_is_resumed_and_replayed_to_the_voxel(tmp_path):
    session = session_of()
    journal = Journal(session, tmp_path / "s.sam2session")
    worked(session)
    journal.close()
    again = session_of()
    restore(again, tmp_path / "s.sam2session")
    assert [o.mix for o in again.objects.values()] == [o.mix for o in session.objects.values()]
    assert np.array_equal(again.label_map(), session.label_map())
    assert again.channels.further[0].window == Window(300, 700, "level/width")
    assert again.fusion == "b"
    stack = session_of().channels
    result = replay(stack.reference, load_model("classical"), tmp_path / "s.sam2session", channels=stack)
    assert result.identical
    assert not result.reasons


def test_a_journal_made_smaller_keeps_the_mixes(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "FEWEST_LINES", 3)
    monkeypatch.setattr(compaction, "SMALLEST", 1)
    session = session_of()
    journal = Journal(session, tmp_path / "s.sam2session")
    worked(session)
    journal.close()
    assert '"snapshot"' in (tmp_path / "s.sam2session" / "events.jsonl").read_text().splitlines()[0]
    again = session_of()
    restore(again, tmp_path / "s.sam2session")
    assert [o.mix for o in again.objects.values()] == [o.mix for o in session.objects.values()]
    stack = session_of().channels
    assert replay(stack.reference, load_model("classical"), tmp_path / "s.sam2session", channels=stack).identical


def test_a_channel_that_came_later_is_needed_as_well(tmp_path):
    session = session_of(several=False)
    journal = Journal(session, tmp_path / "s.sam2session")
    session.add_prompt(1, BOX)
    session.add_channel(open_channel(session.volume, volume(SECOND), "b"))
    session.add_prompt(2, BOX)
    journal.close()
    assert session.objects[1].mix is None
    assert session.objects[2].mix is not None
    assert [one["name"] for one in needed_channels(tmp_path / "s.sam2session")] == ["b"]
    with pytest.raises(EnvironmentLacksError, match="channel b, which is not open"):
        restore(session_of(several=False), tmp_path / "s.sam2session")
    again = session_of()
    restore(again, tmp_path / "s.sam2session")
    assert again.objects[2].mix == session.objects[2].mix


def test_a_session_whose_channel_is_gone_or_another_scan_says_so(tmp_path):
    session = session_of()
    journal = Journal(session, tmp_path / "s.sam2session")
    session.add_prompt(1, BOX)
    journal.close()
    with pytest.raises(EnvironmentLacksError, match="channel b, which is not open"):
        restore(session_of(several=False), tmp_path / "s.sam2session")
    reference = volume(FIRST)
    other = Session(reference, load_model("classical"), channels=stack_of(reference, volume(SECOND + 1)))
    with pytest.raises(EnvironmentLacksError, match="another scan"):
        restore(other, tmp_path / "s.sam2session")


@pytest.mark.parametrize(
    ("spec", "said"),
    [("a", "a"), ("rgb:b,a", "b / a / 0.50 b + 0.50 a"), ("a=3,b=-1", "0.75 a - 0.25 b")],
)
def test_a_person_names_what_the_model_sees(spec, said):
    mix = named_mix(spec, ("a", "b"))
    assert said_mix(mix, ("a", "b")).replace("0.50 a + 0.50 b", "0.50 b + 0.50 a").startswith(said)
    assert mix_from_json(json.loads(json.dumps(mix_to_json(mix))), 2) == mix


@pytest.mark.parametrize("spec", ["c", "rgb:a", "rgb:a,a", "a=0", "a=x", "rgb:a,b,a,b", "a=1e9", ""])
def test_what_cannot_be_meant_is_refused(spec):
    with pytest.raises(UserInputError):
        named_mix(spec, ("a", "b"))


def test_some_channels_are_named_and_all_of_them_are_used():
    session = session_of(fusion="fused:b,a")
    session.add_prompt(1, BOX)
    weights = session.objects[1].mix.weights[0]
    assert weights[0] * weights[1] < 0
    assert chosen_mix(session.state, 2, {}, "prompt:b").channel == 1
    with pytest.raises(UserInputError, match="twice"):
        named_mix("prompt:a,a", ("a", "b"))


def test_the_reference_is_meant_whatever_its_file_is_called(tmp_path):
    session = session_of(fusion="a=1,b=-1")
    journal = Journal(session, tmp_path / "s.sam2session")
    session.add_prompt(1, BOX)
    session.fusion = "a"
    session.add_prompt(2, BOX)
    journal.close()
    renamed = replace(session_of().channels, name="another")
    again = Session(renamed.reference, load_model("classical"), channels=renamed)
    restore(again, tmp_path / "s.sam2session")
    assert again.fusion == "reference"
    assert again.objects[2].mix.channel == 0


def test_weights_go_from_black_to_white():
    mix = named_mix("a=3,b=-1", ("a", "b"))
    values = mix.of([np.array([0, 1, 1, 0], np.float32), np.array([1, 0, 1, 0], np.float32)])
    assert np.allclose(values, [0, 1, 0.75, 0.25])


@pytest.mark.parametrize(
    "written",
    [
        {"kind": "fused", "weights": [[1, 1, 1]], "offsets": [0]},
        {"kind": "rgb", "weights": [[1, 0]], "offsets": [0]},
        {"kind": "one", "weights": [[0.5, 0.5]], "offsets": [0]},
        {"kind": "fused", "weights": [[float("nan"), 1]], "offsets": [0]},
        {"kind": "other", "weights": [[1, 0]], "offsets": [0]},
    ],
)
def test_a_damaged_mix_is_refused(written):
    with pytest.raises(ValueError, match=r"mix|weight"):
        mix_from_json(written, 2)


def test_weights_of_channels_that_came_later_are_nothing():
    mix = Mix("fused", ((0.5,),), (0.0,))
    assert np.allclose(mix.of([np.ones(2, np.float32), np.ones(2, np.float32)]), 0.5)


def test_parted_is_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 5, 40).astype(float), rng.integers(1, 6, 30).astype(float)
    pairs = np.mean([(a > b) + 0.5 * (a == b) for a in one for b in two])
    assert parted(one, two) == pytest.approx(pairs)
