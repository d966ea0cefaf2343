"""Several files that take their names together: at every moment all are old, or all new after the next write."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.io import file_set as module
from napari_sam2.io.file_set import file_set, finish_sets

NAMES = ("x.nii.gz", "x.json", "x.tsv")


def write(folder: Path, content: str, *, overwrite: bool = False) -> None:
    with file_set([folder / name for name in NAMES], overwrite=overwrite) as temporaries:
        for temporary in temporaries:
            temporary.write_text(content)


def state(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_all_files_take_their_names_and_nothing_else_is_left(tmp_path):
    write(tmp_path, "one")
    assert state(tmp_path) == dict.fromkeys(NAMES, "one")
    write(tmp_path, "two", overwrite=True)
    assert state(tmp_path) == dict.fromkeys(NAMES, "two")


@pytest.mark.parametrize("taken", NAMES)
def test_one_name_that_is_taken_refuses_all(tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(UserInputError, match=rf"{taken} exists already"):
        write(tmp_path, "one")
    assert state(tmp_path) == {taken: "mine"}


def test_an_error_in_the_block_changes_nothing(tmp_path):
    write(tmp_path, "one")

    def fail() -> None:
        with file_set([tmp_path / n for n in NAMES], overwrite=True) as temporaries:
            temporaries[0].write_text("two")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state(tmp_path) == dict.fromkeys(NAMES, "one")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_an_error_while_names_are_taken_puts_everything_back(tmp_path, monkeypatch, overwrite, at):
    if overwrite:
        write(tmp_path, "one")
    taken, real = [], module._take_name

    def fail_at(temporary, target, *, overwrite):
        if len(taken) == at:
            raise OSError(5, "Input/output error")
        taken.append(target)
        real(temporary, target, overwrite=overwrite)

    monkeypatch.setattr(module, "_take_name", fail_at)
    with pytest.raises(EnvironmentLacksError, match="Input/output error"):
        write(tmp_path, "two", overwrite=overwrite)
    assert state(tmp_path) == (dict.fromkeys(NAMES, "one") if overwrite else {})


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_a_kill_while_names_are_taken_is_finished_by_the_next_write(tmp_path, overwrite, at):
    if overwrite:
        write(tmp_path, "one")
    script = f"""
import os, signal
from pathlib import Path
from napari_sam2.io import file_set as module
real, done = module._take_name, []
def kill_at(temporary, target, *, overwrite):
    if len(done) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(target)
    real(temporary, target, overwrite=overwrite)
module._take_name = kill_at
targets = [Path({str(tmp_path)!r}) / name for name in {NAMES!r}]
with module.file_set(targets, overwrite={overwrite}) as temporaries:
    for temporary in temporaries:
        temporary.write_text("two")
if {at} == 3:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    finish_sets(tmp_path)
    left = {name: text for name, text in state(tmp_path).items() if not name.startswith(".napari-sam2-")}
    assert left == dict.fromkeys(NAMES, "two")
    finish_sets(tmp_path)


def test_a_full_disk_leaves_everything_as_it_was(tmp_path):
    write(tmp_path, "one")
    script = f"""
import resource, signal, sys
from pathlib import Path
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.io.file_set import file_set
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with file_set([Path({str(tmp_path)!r}) / name for name in {NAMES!r}], overwrite=True) as temporaries:
        for size, temporary in zip((10, 100, 100_000), temporaries):
            temporary.write_bytes(bytes(size))
except EnvironmentLacksError as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert "Cannot write x.nii.gz" in done.stderr
    assert state(tmp_path) == dict.fromkeys(NAMES, "one")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        '{"files": 3, "overwrite": true}',
        json.dumps(
            {"overwrite": True, "files": [{"temporary": b"mine.txt".hex(), "target": b"x".hex(), "sha256": ""}]}
        ),
        json.dumps(
            {"overwrite": True, "files": [{"temporary": b"../mine.txt".hex(), "target": b"x".hex(), "sha256": ""}]}
        ),
        json.dumps({"overwrite": True, "files": [{"temporary": "zz", "target": 5, "sha256": None}]}),
        "[" * 50_000,
    ],
)
def test_a_record_that_is_damaged_or_foreign_moves_nothing(tmp_path, content):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / f"{module.PREFIX}0{module.RECORD}").write_text(content)
    finish_sets(tmp_path)
    assert state(tmp_path) == {"mine.txt": "mine"}


def test_a_name_that_was_taken_after_a_kill_is_left_alone(tmp_path):
    targets = [tmp_path / name for name in NAMES]
    temporaries = []
    for target in targets:
        temporary = module.temporary_beside(target)
        temporary.write_text("two")
        temporaries.append(temporary)
    module._write_record(temporaries, targets, overwrite=False)
    targets[1].write_text("somebody's")
    finish_sets(tmp_path)
    assert targets[0].read_text() == "two"
    assert targets[1].read_text() == "somebody's"
    assert targets[2].read_text() == "two"


def test_names_that_are_no_text_are_kept(tmp_path):
    odd = [tmp_path / os.fsdecode(b"x\xff.json"), tmp_path / os.fsdecode(b"x\xff.tsv")]
    with file_set(odd) as temporaries:
        for temporary in temporaries:
            temporary.write_text("one")
    assert sorted(os.fsencode(path.name) for path in tmp_path.iterdir()) == [b"x\xff.json", b"x\xff.tsv"]
