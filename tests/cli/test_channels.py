from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from tests.channels.scans import two_channels
from tests.cli.test_cli import assert_refused, run
from tests.phantoms import box_on

FIRST, SECOND, INSIDE = two_channels()
AFFINE = np.diag([1.0, 1, 2, 1])
FLAG = ",".join(str(c) for corner in box_on(INSIDE, 2, 8).corners for c in corner)


@pytest.fixture
def folder(tmp_path):
    nib.save(nib.Nifti1Image(FIRST, AFFINE), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(SECOND, AFFINE), tmp_path / "b.nii.gz")
    return tmp_path


def segment(folder, *more):
    return run("segment", "a.nii.gz", "-o", "out.nii.gz", "--model", "classical", "--box", FLAG, *more, cwd=folder)


def test_a_scan_with_a_channel_is_segmented_told_and_replayed(folder):
    result = segment(folder, "--channel", "stain=b.nii.gz", "--session", "--methods")
    assert result.returncode == 0, result.stderr
    assert "further channels were stain (SHA-256" in " ".join(result.stdout.split())
    facts = json.loads((folder / "out.json").read_text())
    assert [one["Name"] for one in facts["Channels"]] == ["a", "stain"]
    assert facts["ImageOfObject"]["1"]["kind"] == "fused"
    assert str(folder) not in json.dumps(facts)
    again = run("replay", "out.sam2session", "-o", "again.nii.gz", cwd=folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "identical" in again.stdout
    (folder / "b.nii.gz").unlink()
    gone = run("replay", "out.sam2session", "-o", "third.nii.gz", cwd=folder)
    assert_refused(gone, 2, "The channel stain", "--channel")


def test_volumes_of_one_file_are_channels_on_request(folder):
    nib.save(nib.Nifti1Image(np.stack([FIRST, SECOND, FIRST], -1), AFFINE), folder / "all.nii.gz")
    assert_refused(segment(folder, "--channel", "all.nii.gz"), 2, "holds 3 volumes", "FILE:all")
    command = ("segment", "all.nii.gz", "--volume", "0", "-o", "out.nii.gz", "--model", "classical", "--box", FLAG)
    result = run(*command, "--channel", "all.nii.gz:all", "--session", cwd=folder)
    assert result.returncode == 0, result.stderr
    facts = json.loads((folder / "out.json").read_text())
    assert [one["Name"] for one in facts["Channels"]] == ["all", "all-1", "all-2"]
    again = run("replay", "out.sam2session", "-o", "again.nii.gz", "--volume", "0", cwd=folder)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--channel", "b.nii.gz", "--register", "soft"), ("there is only rigid",)),
        (("--register", "rigid"), ("--channel",)),
        (("--fusion", "b"), ("--channel",)),
        (("--channel", "b.nii.gz", "--fusion", "c"), ("auto, prompt, rgb",)),
        (("--channel", "nowhere.nii.gz"), ("nowhere.nii.gz",)),
        (("--channel", "b.nii.gz", "-o", "b.nii.gz", "--overwrite"), ("never replaced",)),
        (("--channel", "b.nii.gz:0", "-o", "b.nii.gz", "--overwrite"), ("never replaced",)),
        (("--channel", "far.nii.gz"), ("500 mm", "do not overlap", "--register rigid")),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_in_a_sentence(folder, more, words):
    away = AFFINE.copy()
    away[1, 3] = 500
    nib.save(nib.Nifti1Image(SECOND, away), folder / "far.nii.gz")
    before = (folder / "b.nii.gz").read_bytes()
    assert_refused(segment(folder, *more), 2, *words)
    assert (folder / "b.nii.gz").read_bytes() == before


def test_intensities_are_measured_in_every_channel(folder):
    nib.save(nib.Nifti1Image(INSIDE.astype(np.uint8), AFFINE), folder / "labels.nii.gz")
    # Another grid: coarser, and it ends inside of the object.
    part = np.ascontiguousarray(SECOND[:40:2, ::2])
    nib.save(nib.Nifti1Image(part, AFFINE @ np.diag([2, 2, 1, 1])), folder / "part.nii.gz")
    command = ("measure", "a.nii.gz", "labels.nii.gz", "--channel", "b.nii.gz", "--channel", "part.nii.gz")
    result = run(*command, "--csv", "rows.csv", cwd=folder)
    assert result.returncode == 0, result.stderr
    header, values = (line.split(",") for line in (folder / "rows.csv").read_text().splitlines())
    row = dict(zip(header, values, strict=True))
    assert float(row["intensity_mean"]) == pytest.approx(FIRST[INSIDE].mean(), rel=1e-5)
    assert float(row["b_mean"]) == pytest.approx(SECOND[INSIDE].mean(), rel=1e-5)
    assert float(row["part_mean"]) == pytest.approx(SECOND[:40][INSIDE[:40]].mean(), rel=0.01)
    assert_refused(run(*command, "--against", "labels.nii.gz", cwd=folder), 2, "--channel is for intensities")
