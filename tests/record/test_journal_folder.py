"""Writing a journal on a bad day: a full disk, three processes at once, something else in the way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.record.journal_files import EVENTS, HEAD, journal_lines
from napari_sam2.record.journal_folder import JournalFolder
from napari_sam2.record.listing import look_at, sessions_of
from napari_sam2.record.ownership import is_owned


def head():
    return {
        "version": 1,
        "begun": "2026-01-02T03:04:05Z",
        "source": {"key": "abc"},
        "model": {},
        "overlap": "first",
    }


def events_in(folder):
    return [line["number"] for _, line in journal_lines(folder)]


def test_what_a_full_disk_refused_is_written_when_there_is_room_again(tmp_path, full_disk):
    told = []
    journal = JournalFolder(tmp_path / "a.sam2session", head, warn=told.append)
    journal.write("prompt", number=1)
    size = (journal.folder / EVENTS).stat().st_size
    full_disk(size + 20)
    for number in (2, 3, 4):
        journal.write("prompt", number=number)
    assert len(told) == 1
    assert "a.sam2session cannot be written" in told[0]
    assert str(tmp_path) not in told[0]
    assert (journal.folder / EVENTS).stat().st_size == size
    assert not journal.catch_up()
    full_disk(None)
    assert journal.catch_up()
    assert events_in(journal.folder) == [1, 2, 3, 4]
    journal.write("prompt", number=5)
    assert events_in(journal.folder) == [1, 2, 3, 4, 5]
    assert journal.trouble == ""
    journal.close()


def test_lines_that_wait_are_written_at_the_end_or_named_as_missing(tmp_path, full_disk):
    told = []
    journal = JournalFolder(tmp_path / "a.sam2session", head, warn=told.append)
    full_disk(10)
    journal.write("prompt", number=1)
    journal.write("prompt", number=2)
    full_disk(None)
    journal.close()
    assert events_in(journal.folder) == [1, 2]
    other = JournalFolder(tmp_path / "b.sam2session", head, warn=told.append)
    full_disk(10)
    other.write("prompt", number=1)
    other.close()
    assert told[-1] == "The last 1 action could not be written to b.sam2session."


def test_a_half_written_line_is_cut_off_before_a_session_goes_on(tmp_path):
    journal = JournalFolder(tmp_path / "a", head)
    journal.write("prompt", number=1)
    journal.close()
    with (tmp_path / "a" / EVENTS).open("ab") as file:
        file.write(b'{"t":"2026-01-01T00:00:00Z","event":"pro')
    resumed = JournalFolder(tmp_path / "a", head, resumed=True)
    resumed.write("prompt", number=2)
    resumed.close()
    assert events_in(tmp_path / "a") == [1, 2]


WRITE = """
import sys, time
from pathlib import Path
from napari_sam2.record.journal_folder import JournalFolder
from tests.record.test_journal_folder import head
journal = JournalFolder(Path(sys.argv[1]), head)
for _ in range(60):
    journal.write("prompt", number=int(sys.argv[2]))
print(journal.folder.name, flush=True)
time.sleep(1)
journal.close()
"""


@pytest.mark.parametrize("earlier", [False, True])
def test_three_processes_with_one_name_never_mix(tmp_path, earlier):
    folder = tmp_path / "out.sam2session"
    if earlier:
        journal = JournalFolder(folder, head)
        journal.write("prompt", number=0)
        journal.close()
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(folder), str(number)], stdout=subprocess.PIPE, text=True)
        for number in (1, 2, 3)
    ]
    names = [process.communicate()[0].strip() for process in processes]
    assert len(set(names)) == 3
    assert folder.name in names
    for number, name in enumerate(names, start=1):
        assert events_in(tmp_path / name) == [number] * 60
    assert len(sessions_of(tmp_path)) == 3 + earlier


def test_a_journal_is_free_again_when_its_process_was_killed(tmp_path):
    code = WRITE.replace("sleep(1)", "sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a"), "1"], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    assert is_owned(tmp_path / "a")
    assert look_at(tmp_path / "a") is None
    with pytest.raises(UserInputError, match="open in another window"):
        JournalFolder(tmp_path / "a", head, resumed=True)
    process.kill()
    process.communicate()
    assert look_at(tmp_path / "a").n_actions == 60


def test_foreign_folders_and_files_are_left_alone(tmp_path):
    for name in ("out.sam2session", "out.sam2session.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("precious")
    with pytest.raises(UserInputError, match="not a session of this program"):
        JournalFolder(tmp_path / "out.sam2session", head)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserInputError, match="not a session of this program"):
        JournalFolder(tmp_path / "file", head)
    journal = JournalFolder(tmp_path / "b", head)
    journal.write("prompt", number=1)
    with pytest.raises(UserInputError, match="not a session of this program"):
        journal.copy_to(tmp_path / "out.sam2session")
    journal.close()
    assert (tmp_path / "out.sam2session" / "mine").read_text() == "precious"
    assert (tmp_path / "out.sam2session.old" / "mine").read_text() == "precious"


def test_a_copy_replaces_its_own_earlier_copy_and_keeps_that_of_another_session(tmp_path):
    first = JournalFolder(tmp_path / "1", head)
    first.write("prompt", number=1)
    first.copy_to(tmp_path / "out.sam2session")
    first.write("prompt", number=2)
    first.copy_to(tmp_path / "out.sam2session")
    first.close()
    assert events_in(tmp_path / "out.sam2session") == [1, 2]
    second = JournalFolder(tmp_path / "2", lambda: {**head(), "begun": "2026-02-02T03:04:05Z"})
    second.write("prompt", number=3)
    second.copy_to(tmp_path / "out.sam2session")
    second.close()
    assert events_in(tmp_path / "out.sam2session") == [3]
    assert events_in(tmp_path / "out-2026-01-02-030405.sam2session") == [1, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "1",
        "2",
        "out-2026-01-02-030405.sam2session",
        "out.sam2session",
    ]


@pytest.mark.parametrize(
    "damage", [b"garbage\n", b'{"t": 1}\n', b"\xff\xfe\n", b"[]\n", b"\n", b'{"a":' * 50000 + b"\n"]
)
def test_damage_in_the_middle_is_named_with_its_line(tmp_path, damage):
    folder = tmp_path / "a.sam2session"
    folder.mkdir()
    line = json.dumps({"t": "2026-01-01T00:00:00Z", "event": "prompt"}).encode() + b"\n"
    (folder / EVENTS).write_bytes(line + damage + line)
    with pytest.raises(UserInputError, match=r"a\.sam2session/events\.jsonl, line 2 cannot be read"):
        list(journal_lines(folder))


def test_a_damaged_session_is_not_offered(tmp_path):
    journal = JournalFolder(tmp_path / "a", head)
    journal.write("prompt", number=1)
    journal.close()
    (tmp_path / "a" / HEAD).write_text("{}")
    assert sessions_of(tmp_path) == []
