from __future__ import annotations

import json
import sys

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cli.app import main
from napari_sam2.errors import UserInputError
from napari_sam2.finding.program import Program
from tests.finding.project import subject

SCRIPT = """
import sys
import nibabel as nib, numpy as np
image, output, names = sys.argv[1], sys.argv[2], sys.argv[3:]
scan = nib.load(image)
labels = np.zeros(scan.shape, np.uint8)
labels[5:12, 6:10, 4:9] = 1
labels[20:24, 6:10, 4:9] = 7
nib.save(nib.Nifti1Image(labels, scan.affine), output)
if "{table}":
    open(output.replace(".nii.gz", ".tsv"), "w").write("index\\tname\\n1\\tkidney_left\\n7\\tliver\\n")
"""


@pytest.fixture
def scan(tmp_path):
    voxels, _, affine = subject(0)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def command(tmp_path, table="yes", places="{image} {output} {names}"):
    script = tmp_path / "program.py"
    script.write_text(SCRIPT.replace("{table}", table))
    return f'"{sys.executable}" "{script}" {places}'


def test_labels_of_a_program_become_candidates_by_their_names(scan, tmp_path, capsys):
    arguments = ["find", str(scan), "Hepar", "64033007", "spleen", "--program", command(tmp_path), "--json"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(c["name"], c["low"], c["high"]) for c in answer["candidates"]] == [
        ("liver", [20, 6, 4], [23, 9, 8]),
        ("left kidney", [5, 6, 4], [11, 9, 8]),
    ]
    assert answer["candidates"][0]["score"] is None
    assert list(answer["not_found"]) == ["spleen"]


def test_without_a_table_labels_are_the_names_in_their_order(scan, tmp_path, capsys):
    assert main(["find", str(scan), "liver", "--program", command(tmp_path, table=""), "--json"]) == 0
    (candidate,) = json.loads(capsys.readouterr().out)["candidates"]
    assert (candidate["name"], candidate["low"]) == ("liver", [5, 6, 4])


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        ("nothing-of-this-name {image} {output}", 3, "cannot be run"),
        ("false {image} {output}", 3, "exit code 1"),
        ("true {image} {output}", 2, "has written no label map"),
        ("true {image}", 2, "needs {image} and {output}"),
        ("'true {image}", 2, "cannot be read"),
    ],
)
def test_what_goes_wrong_is_one_sentence(scan, capsys, given, code, sentence):
    assert main(["find", str(scan), "liver", "--program", given]) == code
    assert sentence in capsys.readouterr().err


def test_a_program_gets_no_text_of_the_header(scan, tmp_path):
    image = nib.load(scan)
    image.header["descrip"] = b"DOE^JANE"
    nib.save(image, tmp_path / "named.nii.gz")
    copy = tmp_path / "seen.nii.gz"
    from napari_sam2.io.read import read_volume

    volume = read_volume(tmp_path / "named.nii.gz")
    with pytest.raises(UserInputError, match="no label map"):
        Program(f"cp {{image}} {copy} --no-target-directory --backup=none --suffix={{output}}").propose(
            volume, None, ["liver"]
        )
    assert b"DOE" not in nib.load(copy).header["descrip"].tobytes()
    assert np.array_equal(np.asarray(nib.load(copy).dataobj), volume.voxels)
