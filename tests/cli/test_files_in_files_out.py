"""Commands that turn files into files, run in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sam2.cli import main
from tests.phantoms import ball, box_on
from tests.tiny_sam2 import tiny_network

VOLUME, INSIDE = ball(shape=(30, 28, 12), centre=(15, 14, 6), radii=(9, 7, 4), affine=np.diag([-1.0, 1, 2, 1]))
FLAG = ",".join(str(c) for corner in box_on(INSIDE, 2, 6).corners for c in corner)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(VOLUME.voxels, VOLUME.affine), path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "known.nii.gz"
    nib.save(nib.Nifti1Image(INSIDE.astype(np.uint8) * 7, VOLUME.affine), path)
    return path


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def first_row(table: Path, delimiter: str = ",") -> dict[str, str]:
    return next(csv.DictReader(table.read_text().splitlines(), delimiter=delimiter))


def test_a_segmentation_comes_with_its_provenance_and_a_table(scan, tmp_path, capsys):
    arguments = ["--box", FLAG, "--model", "classical", "--methods"]
    assert run("segment", scan, "-o", tmp_path / "o.nii.gz", *arguments) == 0
    assert "napari-sam2" in capsys.readouterr().out
    facts = json.loads((tmp_path / "o.json").read_text())
    assert facts["Model"]["name"] == "classical"
    assert "Research only" in facts["IntendedUse"]
    assert str(tmp_path) not in (tmp_path / "o.json").read_text()
    row = first_row(tmp_path / "o.tsv", "\t")
    assert int(row["voxels"]) == (np.asarray(nib.load(tmp_path / "o.nii.gz").dataobj) == 1).sum()


def test_the_planes_are_compared_on_request_and_the_label_map_is_the_same(scan, tmp_path, capsys):
    arguments = ["--box", FLAG, "--model", "classical"]
    assert run("segment", scan, "-o", tmp_path / "a.nii.gz", *arguments) == 0
    capsys.readouterr()
    assert run("segment", scan, "-o", tmp_path / "b.nii.gz", *arguments, "--check-planes", "--json") == 0
    planes = json.loads(capsys.readouterr().out)["objects"][0]["planes"]
    assert set(planes["dice"]) == {"sagittal-coronal", "sagittal-axial", "coronal-axial"}
    assert all(0.5 < value <= 1 for value in planes["dice"].values())
    assert len(planes["least_agreement"]) == 5
    assert run("segment", scan, "-o", tmp_path / "c.nii.gz", *arguments, "--check-planes") == 0
    assert "least agreement on slices" in capsys.readouterr().out
    first, second = (np.asarray(nib.load(tmp_path / f"{name}.nii.gz").dataobj) for name in "ab")
    assert np.array_equal(first, second)


def test_an_existing_sidecar_is_not_replaced_unasked(scan, tmp_path, capsys):
    (tmp_path / "o.json").write_text("mine")
    assert run("segment", scan, "-o", tmp_path / "o.nii.gz", "--box", FLAG) == 2
    assert "o.json exists already" in capsys.readouterr().err
    assert (tmp_path / "o.json").read_text() == "mine"
    assert not (tmp_path / "o.nii.gz").exists()


def test_a_scan_is_not_measured_as_its_own_labels(scan, tmp_path, capsys):
    link = tmp_path / "labels.nii.gz"
    link.symlink_to(scan)
    assert main(["measure", str(scan), str(link)]) == 2
    assert "is given as the scan and as its labels" in " ".join(capsys.readouterr().err.split())


def test_measurements_are_shown_and_written(scan, labels, tmp_path, capsys):
    assert run("measure", scan, labels, "--csv", tmp_path / "m.csv") == 0
    row = first_row(tmp_path / "m.csv")
    assert int(row["voxels"]) == INSIDE.sum()
    assert float(row["volume_ml"]) == pytest.approx(INSIDE.sum() * 2e-3, rel=1e-5)
    assert "object 7" in capsys.readouterr().out


def test_a_label_map_agrees_with_itself(scan, labels, tmp_path):
    assert run("measure", scan, labels, "--against", labels, "--csv", tmp_path / "a.csv") == 0
    row = first_row(tmp_path / "a.csv")
    assert (float(row["dice"]), float(row["hd95_mm"]), float(row["nsd"])) == (1, 0, 1)


def test_labels_of_another_grid_are_refused(scan, tmp_path, capsys):
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "other.nii.gz")
    assert run("measure", scan, tmp_path / "other.nii.gz") == 2
    assert "other.nii.gz" in capsys.readouterr().err


def test_slicer_gets_names_and_the_same_voxels(scan, labels, tmp_path):
    output = tmp_path / "o.seg.nrrd"
    assert run("export", labels, "--reference", scan, "-o", output, "--name", "7=liver") == 0
    image = sitk.ReadImage(str(output))
    assert image.GetMetaData("Segment0_Name") == "liver"
    assert (sitk.GetArrayFromImage(image) == 7).sum() == INSIDE.sum()


def test_nnunet_gets_consecutive_ids_and_the_mapping_is_kept(scan, labels, tmp_path):
    assert run("export", labels, "--reference", scan, "-o", tmp_path / "o.nii.gz", "--consecutive-ids") == 0
    assert set(np.unique(np.asarray(nib.load(tmp_path / "o.nii.gz").dataobj))) == {0, 1}
    kept = json.loads((tmp_path / "o_ids.json").read_text())[0]
    assert {1, 7} <= set(kept.values())


def test_an_unknown_format_is_named_with_the_known_ones(scan, labels, tmp_path, capsys):
    assert run("export", labels, "--reference", scan, "-o", tmp_path / "o.stl") == 2
    assert "must be one of .nii.gz" in capsys.readouterr().err


def test_a_model_is_scored_with_simulated_prompts(scan, labels, tmp_path, capsys):
    arguments = ["--model", "classical", "--protocol", "box", "--no-baselines", "--json", tmp_path / "s.json"]
    assert run("evaluate", scan, labels, "--labels", "7", *arguments) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores[0]["model"]["box"] > 0.85
    assert scores[0]["blank"]["box"] < scores[0]["model"]["box"]
    assert "object 7" in capsys.readouterr().out


def test_an_unknown_label_or_protocol_is_named(scan, labels, capsys):
    assert run("evaluate", scan, labels, "--labels", "7,8") == 2
    assert "there is no label 8" in capsys.readouterr().err
    assert run("evaluate", scan, labels, "--protocol", "guess") == 2
    assert "choose among box" in capsys.readouterr().err


def test_a_kept_session_replays_to_the_identical_label_map(scan, tmp_path, capsys):
    assert run("segment", scan, "-o", tmp_path / "o.nii.gz", "--box", FLAG, "--model", "classical", "--session") == 0
    assert run("replay", tmp_path / "o.sam2session", "-o", tmp_path / "again.nii.gz") == 0
    assert "identical: every voxel" in capsys.readouterr().out
    first, second = (np.asarray(nib.load(tmp_path / n).dataobj) for n in ("o.nii.gz", "again.nii.gz"))
    assert np.array_equal(first, second)
    scan.unlink()
    assert run("replay", tmp_path / "o.sam2session", "-o", tmp_path / "third.nii.gz") == 2
    assert "--image" in capsys.readouterr().err


def test_a_session_is_replayed_with_the_quality_that_it_was_made_with(scan, tmp_path, capsys):
    checkpoint = tmp_path / "tiny"
    tiny_network().save_pretrained(checkpoint)
    capsys.readouterr()
    with_tiny = ["--model", checkpoint, "--device", "cpu"]
    segment = ["segment", scan, "-o", tmp_path / "o.nii.gz", "--box", FLAG, "--quality", "fast", "--session"]
    assert run(*segment, *with_tiny) == 0
    made_with = json.loads((tmp_path / "o.json").read_text())["Model"]
    assert (made_with["quality"], made_with["views"]) == ("fast", "whole slice")
    replay = ["replay", tmp_path / "o.sam2session", *with_tiny]
    assert run(*replay, "-o", tmp_path / "again.nii.gz") == 0
    assert "the model's" not in capsys.readouterr().err
    run(*replay, "-o", tmp_path / "other.nii.gz", "--quality", "balanced")
    assert "note: the model's quality was fast and is balanced" in capsys.readouterr().err


def test_an_object_that_leaks_or_is_empty_is_said(tmp_path, capsys):
    bright = np.random.default_rng(0).normal(200, 3, (20, 20, 3))
    bright[:, :2] = 0
    nib.save(nib.Nifti1Image(bright.astype(np.float32), np.eye(4)), tmp_path / "bright.nii.gz")
    mask = np.ones((20, 20, 3), dtype=np.uint8)
    nib.save(nib.Nifti1Image(mask, np.eye(4)), tmp_path / "mask.nii.gz")
    prompts = {"version": 1, "space": "voxel", "objects": [
        {"id": 1, "prompts": [{"mask": "mask.nii.gz", "axis": 2, "slice": 1}]}]}  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    arguments = ["-o", tmp_path / "o.nii.gz", "--prompts", tmp_path / "p.json", "--direction", "none"]
    assert run("segment", tmp_path / "bright.nii.gz", *arguments) == 0
    assert "object 1 fills 100% of slice k 1" in capsys.readouterr().err


def test_growth_between_two_scans_is_shown(scan, labels, tmp_path, capsys):
    smaller = INSIDE & (np.arange(12) < 6)
    nib.save(nib.Nifti1Image(smaller.astype(np.uint8) * 7, VOLUME.affine), tmp_path / "before.nii.gz")
    assert run("measure", scan, labels, "--earlier", scan, tmp_path / "before.nii.gz", "--csv", tmp_path / "g.csv") == 0
    row = first_row(tmp_path / "g.csv")
    percent = float(row["volume_change_percent"])
    assert percent == pytest.approx(100 * (INSIDE.sum() / smaller.sum() - 1), rel=1e-3)


def test_a_label_map_becomes_a_bids_derivative(scan, labels, tmp_path, capsys):
    assert run("bids", labels, "--reference", scan, "--root", tmp_path / "d", "--subject", "01") == 0
    assert (tmp_path / "d" / "dataset_description.json").is_file()
    written = next((tmp_path / "d").rglob("*_dseg.nii.gz"))
    assert (np.asarray(nib.load(written).dataobj) == 7).sum() == INSIDE.sum()


def test_segfm_scores_a_table_of_scans_and_two_runs_are_compared(scan, labels, tmp_path, capsys):
    table = tmp_path / "set.csv"
    table.write_text(f"case,image,labels,ids,names\nball,{scan.name},{labels.name},7,lesion\n")
    arguments = ["--protocol", "segfm", "--model", "classical", "--clicks", "1", "--json"]
    assert run("evaluate", table, *arguments, tmp_path / "a.json") == 0
    assert "| ball | lesion |" in capsys.readouterr().out
    assert run("evaluate", scan, labels, "--labels", "7", *arguments, tmp_path / "b.json") == 0
    scored = [json.loads((tmp_path / name).read_text())["scores"][0] for name in ("a.json", "b.json")]
    assert scored[0]["dice"] == scored[1]["dice"]
    assert scored[0]["box_dice"] > 0.85
    assert run("evaluate", "--compare", tmp_path / "a.json", tmp_path / "a.json") == 0
    assert "1 structures in both" in capsys.readouterr().out


def test_wishes_that_segfm_cannot_fulfil_are_refused(scan, labels, tmp_path, capsys):
    for wrong, words in (
        (["evaluate"], "Give a scan"),
        (["evaluate", scan, labels, "--protocol", "segfm", "--protocol", "box"], "without the others"),
        (["evaluate", scan, labels, "--predictor", "true"], "with --protocol segfm"),
        (["evaluate", scan, labels, "--protocol", "segfm", "--clicks-after", "x"], "choose box or range"),
        (["evaluate", tmp_path, "--labels", "7"], "for one scan"),
        (["evaluate", "--compare", scan, scan], "holds no scores"),
    ):
        assert run(*wrong) == 2
        assert words in capsys.readouterr().err


def test_boxes_on_two_planes_bound_the_object_from_flags_and_from_a_file(scan, tmp_path, capsys):
    boxes = [[list(corner) for corner in box_on(INSIDE, axis, index).corners] for axis, index in ((2, 6), (0, 15))]
    flags = [word for box in boxes for word in ("--box", ",".join(str(c) for corner in box for c in corner))]
    assert run("segment", scan, "-o", tmp_path / "a.nii.gz", *flags, "--model", "classical", "--session") == 0
    prompts = {"version": 1, "space": "voxel", "objects": [{"id": 1, "prompts": [{"box": box} for box in boxes]}]}
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    arguments = ["--prompts", tmp_path / "p.json", "--model", "classical"]
    assert run("segment", scan, "-o", tmp_path / "b.nii.gz", *arguments) == 0
    first, second = (np.asarray(nib.load(tmp_path / name).dataobj) for name in ("a.nii.gz", "b.nii.gz"))
    assert np.array_equal(first, second)
    low, high = boxes[1][0][2], boxes[1][1][2]
    assert first.any()
    assert not first[:, :, :low].any()
    assert not first[:, :, high + 1 :].any()
    assert run("replay", tmp_path / "a.sam2session", "-o", tmp_path / "again.nii.gz") == 0
    assert "identical: every voxel" in capsys.readouterr().out


def test_features_on_disk_are_found_again_and_change_no_voxel(scan, tmp_path):
    folder, features = tmp_path / "sam", tmp_path / "features"
    tiny_network().save_pretrained(folder)
    arguments = ["--box", FLAG, "--model", folder, "--quality", "best", "--device", "cpu"]
    assert run("segment", scan, "-o", tmp_path / "a.nii.gz", *arguments) == 0
    assert run("segment", scan, "-o", tmp_path / "b.nii.gz", *arguments, "--feature-folder", features) == 0
    written = {file: file.stat().st_ino for file in features.rglob("*.safetensors")}
    assert len(written) >= 3
    assert run("segment", scan, "-o", tmp_path / "c.nii.gz", *arguments, "--feature-folder", features) == 0
    assert {file: file.stat().st_ino for file in features.rglob("*.safetensors")} == written
    first, *others = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in "abc")
    assert others == [first, first]


def test_a_feature_folder_that_cannot_be_used_is_refused_and_a_needless_one_is_said(scan, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    arguments = ["--box", FLAG, "--model", "classical"]
    assert run("segment", scan, "-o", tmp_path / "o.nii.gz", *arguments, "--feature-folder", tmp_path / "file") == 2
    assert "choose another folder" in capsys.readouterr().err
    assert not (tmp_path / "o.nii.gz").exists()
    assert run("segment", scan, "-o", tmp_path / "o.nii.gz", *arguments, "--feature-folder", tmp_path / "new") == 0
    assert "nothing is kept in new" in capsys.readouterr().err
