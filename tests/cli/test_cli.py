"""The command line as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.phantoms import ball, box_on, dice

VOLUME, INSIDE = ball(affine=np.diag([-1.0, 1, 2, 1]))
BOX = box_on(INSIDE, 2, 20)
FLAG = ",".join(str(c) for corner in BOX.corners for c in corner)


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from napari_sam2.cli import main; sys.exit(main())", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
    )


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan of someone.nii.gz"
    nib.save(nib.Nifti1Image(VOLUME.voxels, VOLUME.affine), path)
    return path


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_box_becomes_a_label_map_on_the_scans_grid(scan, tmp_path):
    output = tmp_path / "ball.nii.gz"
    result = run("segment", scan, "-o", output, "--box", FLAG, "--json", "--model", "classical")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    label_map = nib.load(output)
    found = np.asarray(label_map.dataobj)
    assert dice(found == 1, INSIDE) > 0.9
    assert report["objects"][0]["voxels"] == (found == 1).sum()
    assert report["objects"][0]["volume_ml"] == pytest.approx((found == 1).sum() * 2e-3, abs=1e-3)
    assert report["model"]["name"] == "classical"
    source = nib.load(scan)
    for field in ("qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        assert np.array_equal(label_map.header[field], source.header[field])


def test_several_objects_come_from_a_prompt_file(scan, tmp_path):
    prompts = {
        "version": 1,
        "space": "voxel",
        "objects": [
            {"id": 3, "name": "ball", "prompts": [{"box": [list(c) for c in BOX.corners]}]},
            {"id": 9, "name": "centre", "prompts": [{"point": [24, 22, 20]}]},
        ],
    }
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    result = run("segment", scan, "-o", tmp_path / "o.nii.gz", "--prompts", tmp_path / "p.json", "--slices", "18:23")
    assert result.returncode == 0, result.stderr
    assert "ball" in result.stdout
    found = np.asarray(nib.load(tmp_path / "o.nii.gz").dataobj)
    assert set(np.unique(found)) <= {0, 3, 9}
    assert 3 in found
    assert not found[..., :18].any()
    assert not found[..., 23:].any()


def test_the_demo_shows_scores_and_writes_a_label_map_and_a_picture(tmp_path):
    result = run("demo", "--sample", "mr_spine", "--output", tmp_path, "--model", "classical")
    assert result.returncode == 0, result.stderr
    assert "spinal cord" in result.stdout
    assert "1 of " in result.stderr, "without a terminal there is no bar: it has to say that it goes on"
    assert "model classical" in result.stdout
    assert nib.load(tmp_path / "mr_spine_labels.nii.gz").shape == (60, 55, 52)
    with Image.open(tmp_path / "mr_spine_montage.png") as picture:
        assert min(picture.size) > 200


def test_all_faults_of_flags_and_prompts_are_one_sentence_each(scan, tmp_path):
    output = tmp_path / "o.nii.gz"
    assert_refused(run("segment", scan, "-o", output, "--box", "1,2,3"), 2, "--box 1,2,3: give 6 whole numbers")
    assert_refused(run("segment", scan, "-o", output), 2, "There is no prompt")
    assert_refused(
        run("segment", scan, "-o", output, "--box", "0,0,99,5,5,99", "--point", "1,1,nan"),
        2,
        "outside the volume in k = 99 (0 to 39)",
        "finite number",
    )
    assert_refused(run("segment", scan, "-o", output, "--point", "1,1,1", "--slices", "9:3"), 2, "holds no slice")
    assert_refused(run("segment", scan, "-o", output, "--point", "1,1,1", "--direction", "up"), 2, "choose one of both")
    assert_refused(run("segment", scan, "-o", output, "--point", "1,1,1", "--window", "x"), 2, "'x' is not known")
    assert not output.exists()


def test_usage_errors_exit_with_2_and_name_the_fault(scan):
    assert_refused(run("segmnt"), 2, "segmnt")
    assert_refused(run("segment", scan), 2, "--output")
    assert_refused(run("segment", scan, "-o", "x.nii.gz", "--speed", "9"), 2, "--speed")


def test_the_output_is_checked_before_any_work(scan, tmp_path):
    before = scan.read_bytes()
    assert_refused(
        run("segment", scan, "-o", scan, "--box", FLAG, "--overwrite"), 2, "is one of the inputs and is never replaced"
    )
    assert scan.read_bytes() == before
    missing = tmp_path / "nowhere" / "o.nii.gz"
    assert_refused(run("segment", scan, "-o", missing, "--box", FLAG), 2, "nowhere")
    existing = tmp_path / "old.nii.gz"
    existing.write_bytes(b"precious")
    assert_refused(run("segment", scan, "-o", existing, "--box", FLAG), 2, "exists already", "--overwrite")
    assert existing.read_bytes() == b"precious"


def test_a_damaged_scan_is_named_without_its_folder(tmp_path):
    broken = tmp_path / "secret-folder" / "broken.nii.gz"
    broken.parent.mkdir()
    broken.write_bytes(b"\x1f\x8b not really")
    result = run("segment", broken, "-o", tmp_path / "o.nii.gz", "--point", "1,1,1")
    assert_refused(result, 2, "broken.nii.gz")
    assert "secret-folder" not in result.stderr


def test_what_the_machine_lacks_exits_with_3(scan, tmp_path):
    model = run("segment", scan, "-o", tmp_path / "o.nii.gz", "--box", FLAG, "--model", "facebook/sam2.1-hiera-tiny")
    assert_refused(model, 3, "models fetch facebook/sam2.1-hiera-tiny")


def test_models_and_doctor_need_no_network():
    listed = run("models", "list")
    assert listed.returncode == 0, listed.stderr
    assert "facebook/sam2.1-hiera-large" in listed.stdout
    checked = run("doctor")
    assert checked.returncode == 0, checked.stderr
    assert "torch" in checked.stdout


def test_the_version_says_what_the_program_is_for():
    assert "research use only" in run("--version").stdout


def test_open_tells_slides_and_pictures_from_scans():
    from pathlib import Path

    from napari_sam2.plugin.slide.content import is_slide_file

    assert all(is_slide_file(Path(name)) for name in ("a.svs", "B.NDPI", "c.ome.tif", "d.png", "e.jpeg"))
    assert not any(is_slide_file(Path(name)) for name in ("a.nii.gz", "stack.tif", "folder", "c.nrrd"))
