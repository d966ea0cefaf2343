from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.io import atomic
from napari_sam2.io.atomic import atomic_write, check_folder, check_new_folder, write_bytes, write_text


def test_text_is_written_as_it_is(tmp_path):
    path = write_text(tmp_path / "a.json", "ä\nb\n")
    assert path.read_bytes() == "ä\nb\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failing_block_changes_nothing(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic_write(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"

    def race():
        with atomic_write(path) as temporary:
            temporary.write_text("mine")
            path.write_text("theirs")

    with pytest.raises(UserInputError, match="exists already"):
        race()
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_file_systems_without_hard_links_work_too(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert write_text(tmp_path / "a.txt", "x").read_text() == "x"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_remains_of_a_killed_process_are_removed_but_fresh_ones_are_not(tmp_path):
    old, fresh = tmp_path / ".napari-sam2-1.part.nii.gz", tmp_path / ".napari-sam2-2.part.nii.gz"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    check_folder(tmp_path / "x.nii.gz")
    assert [p.name for p in tmp_path.iterdir()] == [fresh.name]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_refused_beforehand(tmp_path, monkeypatch, code):
    def refuse(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserInputError, match="its folder does not allow it"):
        check_folder(tmp_path / "a.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_size_limit_met_while_writing_is_an_error_and_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "a.bin", b"old")
    script = """
import resource, signal, sys
from napari_sam2.io.atomic import write_bytes
from napari_sam2.errors import EnvironmentLacksError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_bytes(sys.argv[1], bytes(1_000_000), overwrite=True)
except EnvironmentLacksError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.bin")], capture_output=True, text=True, check=True
    )
    assert "Cannot write a.bin (File too large)" in done.stdout, done.stderr
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_what_the_disk_did_not_keep_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: b"other")
    with pytest.raises(EnvironmentLacksError, match="read back differs"):
        write_bytes(tmp_path / "a.bin", b"mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["taken", "taken/below", "nowhere", "nowhere/below/it", "circle/it", "n" * 300])
def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path, where):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    named = r"(taken|gone|below|it|n{50}\.\.\.)"
    with pytest.raises(UserInputError, match=rf"^Cannot write into {named}: [^/]* give another folder"):
        check_new_folder(tmp_path / where)
    check_new_folder(tmp_path / "new" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "nowhere", "taken"]


def test_a_folder_given_as_a_dot_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_new_folder(Path())
    monkeypatch.setattr(atomic, "check_place", lambda target: pytest.fail(target.name))
    with pytest.raises(pytest.fail.Exception, match=tmp_path.name):
        check_new_folder(Path())
