"""Sessions that anybody may have written: whatever is in them, one sentence, and never much memory."""

from __future__ import annotations

import base64
import copy
import json
import shutil
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam2.core.hand_tools.tools import Grow
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record import compaction
from napari_sam2.record.journal import Journal, look_at, restore
from napari_sam2.record.journal_files import EVENTS, HEAD
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from napari_sam2.slides.session import SlideSession
from tests.phantoms import ball, box_on
from tests.record.test_compaction import annotate
from tests.record.test_earlier_journals import SCAN, SLIDE, slide

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["gone", "results", "prompts", "object", "undo", "1" * 5000, "\ud800"]),
    st.lists(st.integers(-3, 3), max_size=4),
    st.dictionaries(st.sampled_from(["shape", "bits", "point", "box", "value"]), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """One of each kind: as lines, as a snapshot with lines, on a slide; and how an empty session is made."""
    folder = tmp_path_factory.mktemp("sessions")
    shutil.copytree(SCAN, folder / "lines")
    shutil.copytree(SLIDE, folder / "slide")
    before = compaction.FEWEST_LINES, compaction.SMALLEST
    compaction.FEWEST_LINES, compaction.SMALLEST = 10, 1
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder / "snapshot")
    annotate(session, 3)
    journal.close()
    compaction.FEWEST_LINES, compaction.SMALLEST = before
    assert (folder / "snapshot" / EVENTS).read_text().startswith('{"t":')
    return folder


def fresh(name):
    return SlideSession(slide(), ClassicalModel()) if name == "slide" else Session(VOLUME, ClassicalModel())


def places(value, path=()):
    """The path of every value inside a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(value, path, junk, drop):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = junk
    return value


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["lines", "snapshot", "slide"]))
def test_a_session_with_any_value_replaced_is_read_or_refused_with_one_sentence(sessions, data, name):
    folder = sessions / f"{name} changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sessions / name, folder)
    lines = [json.loads(line) for line in (folder / EVENTS).read_bytes().splitlines()]
    number = data.draw(st.integers(-1, len(lines) - 1))
    content = json.loads((folder / HEAD).read_text()) if number < 0 else lines[number]
    path = data.draw(st.sampled_from(list(places(content))))
    content = changed(content, path, data.draw(JUNK), data.draw(st.booleans()))
    if number < 0:
        (folder / HEAD).write_text(json.dumps(content))
    else:
        lines[number] = content
        (folder / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    check(name, folder)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["lines", "snapshot", "slide"]))
def test_a_session_with_any_byte_replaced_is_read_or_refused_with_one_sentence(sessions, data, name):
    folder = sessions / f"{name} changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sessions / name, folder)
    path = folder / data.draw(st.sampled_from([HEAD, EVENTS]))
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    check(name, folder)


def check(name, folder):
    look_at(folder)
    session = fresh(name)
    sentence = ""
    try:
        restore(session, folder)
    except UserInputError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 700
    assert str(folder.parent) not in sentence
    if sentence:
        # What the session held before is untouched.
        assert not session.objects
        return
    session.snapshot()
    if name != "slide":
        session.label_map()


def test_the_undamaged_sessions_are_read(sessions):
    for name in ("lines", "snapshot", "slide"):
        session = fresh(name)
        restore(session, sessions / name)
        assert session.objects


@pytest.mark.parametrize(
    ("shape", "bits"),
    [
        ([100_000, 100_000], zlib.compress(b"\x00" * 10)),
        ([13, 17], zlib.compress(b"\x00" * 200_000_000)),
        ([0, 10**12], zlib.compress(b"")),
        ([-5, -5], zlib.compress(b"\x00" * 4)),
    ],
    ids=["huge shape", "bomb", "huge and empty", "negative"],
)
def test_a_small_file_never_takes_much_memory(tmp_path, shape, bits):
    folder = tmp_path / "a"
    shutil.copytree(SCAN, folder)
    lines = [json.loads(line) for line in (folder / EVENTS).read_bytes().splitlines()]
    result = next(change for change in lines[0]["changes"] if change["field"] == "results")
    result["value"]["mask"] = {"shape": shape, "bits": base64.b64encode(bits).decode()}
    (folder / EVENTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    session = Session(VOLUME, ClassicalModel())
    tracemalloc.start()
    with pytest.raises(UserInputError, match=r"line 1 cannot be read: .*mask"):
        restore(session, folder)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b'{"t":"2026'], ids=["empty", "torn"])
def test_a_session_without_an_action_is_refused(tmp_path, content):
    folder = tmp_path / "a"
    shutil.copytree(SCAN, folder)
    (folder / EVENTS).write_bytes(content)
    with pytest.raises(UserInputError, match="holds no action"):
        replay(VOLUME, ClassicalModel(), folder)
    assert look_at(Path(folder)) is None


def test_damage_in_the_middle_is_never_replayed_as_identical(tmp_path):
    folder = tmp_path / "a"
    shutil.copytree(SCAN, folder)
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    for damage in (b"garbage\n", b"\xff\xfe\n", lines[3][:40] + b"\n"):
        (folder / EVENTS).write_bytes(b"".join([*lines[:3], damage, *lines[4:]]))
        with pytest.raises(UserInputError, match="line 4 cannot be read"):
            replay(VOLUME, ClassicalModel(), folder)


@pytest.mark.parametrize(
    ("event", "change"),
    [("propagation", {"looked_over": "consolidation-9"}), ("prompt", {"around": "correction-9"}),
     ("propagation", {"event": "something new"}), ("overlap", {"rule": "surest"}), ("hand tool", {"tool": "magnet"}),
     ("hand tool", {"event": "correction", "objects": [1], "slice": 10, "joined": "time"}),
     ("prompt", {"changes": [{"object": 1, "field": "object", "value": {"name": "", "axis": 2}},
                             {"object": 1, "field": "mood", "value": 1}]}),
     ("prompt", {"changes": [{"object": 1, "field": "object", "value": {"name": "", "axis": 2}},
                             {"object": 1, "field": "prompts", "value": [{"ellipse": [1, 2]}]}]})],
)  # fmt: skip
def test_what_a_newer_version_wrote_is_not_called_damaged(tmp_path, event, change):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    next(session.propagate())
    session.overlap = "first"
    session.use_tool(1, Grow(1.0), 10)
    journal.close()
    file = tmp_path / "a.sam2session" / "events.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line | (change if line["event"] == event else {})) + "\n" for line in lines))
    with pytest.raises(UserInputError, match="which this version does not know; open the session with the"):
        restore(Session(VOLUME, ClassicalModel()), tmp_path / "a.sam2session")


@pytest.mark.parametrize("change", [{"version": 3}, {"overlap": "surest"}])
@pytest.mark.parametrize("kind", ["lines", "slide"])
def test_what_a_newer_version_wrote_into_the_head_is_not_called_damaged(sessions, tmp_path, kind, change):
    folder = tmp_path / "a"
    shutil.copytree(sessions / kind, folder)
    head = json.loads((folder / HEAD).read_text())
    (folder / HEAD).write_text(json.dumps(head | change))
    with pytest.raises(UserInputError, match=r"a/session\.json: .* which this version does not know; open the"):
        restore(fresh(kind), folder)
