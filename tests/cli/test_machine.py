"""Machines that lack something: little memory, and folders that are none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cli import main

IN_LITTLE_MEMORY = """
import os, resource, sys
from napari_sam2.cli import main
os.environ["OPENBLAS_NUM_THREADS"] = "1"
output = sys.argv.index("-o") + 1
first = [*sys.argv[1:output], sys.argv[output].replace("o.nii", "first.nii"), *sys.argv[output + 1 :]]
assert main(first) == 0  # brings every library in: one that cannot be loaded may end the process by itself
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, used))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set by what Linux tells of a process")
def test_little_memory_ends_in_one_sentence_and_leaves_nothing(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 1000, (200, 200, 60)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scan.nii.gz")
    given = ["segment", tmp_path / "scan.nii.gz", "-o", tmp_path / "o.nii.gz", "--box", "50,50,30,150,150,30"]
    run = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY, *map(str, given), "--model", "classical"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode in (2, 3), run.stderr
    assert "Traceback" not in run.stderr
    assert "memory" in run.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first.json", "first.nii.gz", "first.tsv", "scan.nii.gz"]


def test_doctor_works_where_the_models_folder_is_none(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path / "file" / "models"))
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "free for models" in told
    assert str(tmp_path) not in told


@pytest.mark.parametrize(
    "command",
    [
        ["segment", "{scan}", "-o", "{closed}/out.nii.gz", "--box", "5,5,6,20,20,6", "--model", "classical"],
        ["measure", "{scan}", "{labels}", "--csv", "{closed}/out.csv"],
        ["export", "{labels}", "--reference", "{scan}", "-o", "{closed}/out.seg.nrrd"],
        ["export", "{labels}", "--reference", "{scan}", "-o", "{closed}/out.ome.zarr"],
    ],
)
def test_every_command_says_of_a_closed_folder_the_same(tmp_path, monkeypatch, capsys, command):
    scan, labels, closed = tmp_path / "scan.nii.gz", tmp_path / "labels.nii.gz", tmp_path / "closed"
    closed.mkdir()
    voxels = np.random.default_rng(0).integers(0, 100, (30, 28, 12)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), scan)
    nib.save(nib.Nifti1Image((voxels > 50).astype(np.uint8), np.eye(4)), labels)
    really = os.open

    def refuse(path, flags, *how, **more):
        # A closed folder is open to the administrator, as whom tests are often run.
        if str(path).startswith(str(closed)) and flags & os.O_CREAT:
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return really(path, flags, *how, **more)

    monkeypatch.setattr(os, "open", refuse)
    words = [word.format(scan=scan, labels=labels, closed=closed) for word in command]
    assert main(words) == 2
    name = next(Path(word).name for word in words if word.startswith(str(closed)))
    sentence = f"Cannot write {name}: its folder does not allow it (Permission denied); choose another folder."
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not list(closed.iterdir())
