"""What the command line says, whatever it is given and wherever it prints: sentences, never tracebacks."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.cli.app import explained
from napari_sam2.cli.printing import plain
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 12), centre=(15, 14, 6), radii=(9, 7, 4), affine=np.diag([-1.0, 1, 2, 1]))
CORNERS = [list(corner) for corner in box_on(INSIDE, 2, 6).corners]
FLAG = ",".join(str(c) for corner in CORNERS for c in corner)
MAIN = [sys.executable, "-c", "import sys; from napari_sam2.cli import main; sys.exit(main())"]
MANY = "9" * 5000


def run(*given: object, **how: object) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*MAIN, *map(os.fspath, map(_text, given))], check=False, **{"capture_output": True, **how})
    assert b"Traceback" not in (done.stderr or b""), done.stderr
    return done


def _text(part: object) -> str | Path:
    return part if isinstance(part, Path) else str(part)


@pytest.fixture
def scan(tmp_path) -> Path:
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(VOLUME.voxels, VOLUME.affine), path)
    return path


@given(st.text())
def test_plain_text_holds_nothing_that_a_terminal_obeys(text):
    shown = plain(text)
    assert "\x1b" not in shown
    assert not any(0xD800 <= ord(c) < 0xE000 for c in shown)
    shown.encode("utf-8")
    assert plain(shown) == shown


@pytest.mark.parametrize("text", ["Leber, grün", "肝臓", "kidney [left] (1)", "a\tb\nc"])
def test_plain_text_keeps_what_people_write(text):
    assert plain(text) == text


def test_names_reach_terminal_and_files_whatever_they_hold(scan, tmp_path):
    odd = tmp_path / os.fsdecode(b"bad\xff[red]\x1b[2J.nii.gz")
    scan.rename(odd)
    prompts = tmp_path / "p.json"
    name = "[bold]liver[/] \x1b[31m \ud800 x"
    objects = [{"id": 1, "name": name, "prompts": [{"box": CORNERS}]}]
    prompts.write_text(json.dumps({"version": 1, "objects": objects}))
    out = tmp_path / os.fsdecode(b"out\xfe[x].nii.gz")
    done = subprocess.run(
        [*MAIN, "segment", odd, "-o", out, "--prompts", str(prompts), "--model", "classical"],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"[bold]liver[/]" in done.stdout
    assert b"out\\udcfe[x].nii.gz" in done.stdout
    beside = os.fsdecode(b"out\xfe[x]")
    facts = json.loads((tmp_path / f"{beside}.json").read_text(encoding="utf-8"))
    assert facts["Sources"] == ["bad\udcff[red]\x1b[2J.nii.gz"]
    table = (tmp_path / f"{beside}.tsv").read_text(encoding="utf-8")
    assert next(csv.DictReader(table.splitlines(), delimiter="\t"))["index"] == "1"


@pytest.mark.parametrize(
    "given",
    [
        ["--volume", MANY],
        ["--volume", "²"],
        ["--series", MANY],
        ["--series", "²"],
        ["--slices", f"{MANY}:"],
        ["--slices", "²:"],
        ["--device", "cpu:abc"],
        ["--device", "cpu:7" + MANY],
        ["--device", "cuda:9"],
        ["--window", f"{MANY}/{MANY}"],
        ["--box", f"{MANY},1,1,1,1,1"],
        ["--point", "nan,nan,nan"],
        ["--point", "1e400,0,0"],
        ["--plane", "²"],
        ["--model", "²"],
        ["--model", "/"],
        ["--quality", MANY],
    ],
    ids=lambda given: " ".join(given)[:24],
)
def test_any_argument_ends_in_one_sentence(scan, tmp_path, given, capsys):
    from napari_sam2.cli import main

    code = main(["segment", str(scan), "-o", str(tmp_path / "o.nii.gz"), "--box", FLAG, "--model", "bundled", *given])
    told = capsys.readouterr()
    assert code in (0, 2, 3), told.err
    assert "should not have happened" not in told.err
    assert "Traceback" not in told.err
    assert len(told.err) < 12_000 + len(told.err.splitlines()) * 200


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("export", ["--name", f"{MANY}=x"]),
        ("export", ["--name", "²=x"]),
        ("evaluate", ["--labels", "²"]),
        ("evaluate", ["--labels", MANY]),
        ("measure", ["--tolerance", "nan", "--against", "LABELS"]),
    ],
)
def test_numbers_of_other_commands_end_in_one_sentence(scan, tmp_path, command, given, capsys):
    from napari_sam2.cli import main

    labels = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(INSIDE.astype(np.uint8), VOLUME.affine), labels)
    where = {
        "export": [labels, "--reference", scan, "-o", tmp_path / "o.nii.gz"],
        "evaluate": [scan, labels, "--model", "classical", "--protocol", "box"],
        "measure": [scan, labels],
    }[command]
    given = [str(labels) if part == "LABELS" else part for part in given]
    code = main([command, *map(str, where), *given])
    told = capsys.readouterr()
    assert code in (0, 2), told.err
    assert "should not have happened" not in told.err


def test_a_reader_that_goes_away_does_not_undo_a_good_save(scan, tmp_path):
    """As in ``napari-sam2 segment ... | head -c 1``."""
    out = tmp_path / "o.nii.gz"
    shell = subprocess.Popen(
        [*MAIN, "segment", str(scan), "-o", str(out), "--box", FLAG, "--model", "classical"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    shell.stdout.close()
    told = shell.stderr.read()
    shell.stderr.close()
    assert shell.wait() == 0, told
    assert told == b""
    assert out.is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_printing_to_a_full_disk_is_said(scan, tmp_path):
    out = tmp_path / "o.nii.gz"
    with Path("/dev/full").open("wb") as full:
        done = run("segment", scan, "-o", out, "--box", FLAG, "--model", "classical", stdout=full,
                   stderr=subprocess.PIPE, capture_output=False)  # fmt: skip
    assert done.returncode == 3
    assert b"No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert out.is_file()


def test_a_terminal_without_unicode_shows_escapes(scan, tmp_path):
    prompts = tmp_path / "p.json"
    objects = [{"id": 1, "name": "肝臓", "prompts": [{"box": CORNERS}]}]
    prompts.write_text(json.dumps({"version": 1, "objects": objects}))
    done = run("segment", scan, "-o", tmp_path / "o.nii.gz", "--prompts", prompts, "--model", "classical",
               env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"\\u809d" in done.stdout


def test_errors_of_the_system_name_the_file_and_not_its_folder(tmp_path):
    sentence, code = explained(PermissionError(13, "Permission denied", str(tmp_path / "ct.nii")))
    assert code == 3
    assert sentence.startswith("ct.nii: Permission denied")
    assert str(tmp_path) not in sentence
    assert explained(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))[1] == 3
    assert explained(MemoryError())[1] == 3
    sentence, code = explained(KeyError("/home/anna/ct"))
    assert code == 1
    assert "anna" not in sentence


def test_a_zarr_that_exists_is_replaced_when_that_is_asked_for(scan, tmp_path):
    pytest.importorskip("zarr")
    from napari_sam2.cli import main

    labels, out = tmp_path / "labels.nii.gz", tmp_path / "o.ome.zarr"
    nib.save(nib.Nifti1Image(INSIDE.astype(np.uint8), VOLUME.affine), labels)
    given = ["export", str(labels), "--reference", str(scan), "-o", str(out)]
    assert main(given) == 0
    assert main(given) == 2
    assert main([*given, "--overwrite"]) == 0
    assert (out / "labels").is_dir()


def test_the_demo_replaces_nothing_unasked(tmp_path, capsys):
    from napari_sam2.cli import main

    (tmp_path / "mr_spine_montage.png").write_text("mine")
    assert main(["demo", "--sample", "mr_spine", "-o", str(tmp_path), "--model", "classical"]) == 2
    assert "mr_spine_montage.png exists already" in capsys.readouterr().err
    assert (tmp_path / "mr_spine_montage.png").read_text() == "mine"
