"""The page "Tune on finished scans": a real tuning in a process of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sam2.models.small.folder import write_folder
from napari_sam2.models.small.model import load_bundled
from napari_sam2.plugin.control.models import available_models
from napari_sam2.plugin.widgets.tune_box import TuneBox
from tests.phantoms import ball

SECONDS = 240


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are kept."""
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def box(qtbot, models):
    made = TuneBox(lambda: "bundled")
    qtbot.addWidget(made)
    made.expand(animate=False)
    made.show()
    return made


def manifest_of(folder: Path, subjects: int) -> Path:
    rows = ["case,image,labels,subject,name"]
    for n in range(subjects):
        volume, inside = ball((24, 22, 10), (12, 11, 5), (6, 6, 3), seed=n)
        nib.save(nib.Nifti1Image(volume.voxels, np.eye(4)), folder / f"{n}.nii.gz")
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), np.eye(4)), folder / f"{n}l.nii.gz")
        rows.append(f"c{n},{n}.nii.gz,{n}l.nii.gz,s{n},ball")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_scans_of_one_subject_are_refused_in_a_sentence(qtbot, box, tmp_path, models):
    box.manifest.setText(str(manifest_of(tmp_path, 1)))
    box.name.setText("mine")
    press(qtbot, box.start)
    assert box.running
    assert not box.start.isEnabled()
    qtbot.waitUntil(lambda: not box.running, timeout=SECONDS * 1000)
    assert "one subject" in box.text.text()
    assert not (models / "mine").exists()


def test_stop_leaves_a_run_that_tune_goes_on_with(qtbot, box, tmp_path, models):
    box.manifest.setText(str(manifest_of(tmp_path, 2)))
    box.name.setText("mine")
    press(qtbot, box.start)
    qtbot.waitUntil(lambda: "scoring" in box.text.text().lower(), timeout=SECONDS * 1000)
    press(qtbot, box.stop)
    qtbot.waitUntil(lambda: not box.running, timeout=SECONDS * 1000)
    assert "goes on from here" in box.text.text()
    assert (models / "mine" / "run" / "plan.json").is_file()
    assert box.start.isEnabled()


@pytest.mark.parametrize("name", ["", "bundled", "../up", "facebook/sam2.1-hiera-tiny"])
def test_a_name_that_no_model_can_have_starts_nothing(qtbot, box, tmp_path, name):
    box.manifest.setText(str(tmp_path / "manifest.csv"))
    box.name.setText(name)
    press(qtbot, box.start)
    assert not box.running
    assert "name" in box.text.text()


def test_a_tuned_model_is_in_the_list_under_its_name(models):
    (models / "my hippocampus").mkdir(parents=True)
    bundled = load_bundled()
    write_folder(models / "my hippocampus", bundled.net.state_dict(), bundled.weights)
    assert "my hippocampus" in available_models()


def test_channels_are_asked_for_where_the_table_has_some(qtbot, box, tmp_path):
    table = manifest_of(tmp_path, 2)
    box.manifest.setText(str(table))
    assert not box.channels.isVisible()
    header, *rows = table.read_text().splitlines()
    for n in range(len(rows)):
        shutil.copy(tmp_path / f"{n}.nii.gz", tmp_path / f"{n}b.nii.gz")
    lines = [f"{header},Channel_1", *(f"{row},{n}b.nii.gz" for n, row in enumerate(rows))]
    table.write_text("\n".join(lines).replace(",", ";") + "\n")
    box.manifest.setText(str(tmp_path / "other.csv"))
    assert not box.channels.isVisible()
    box.manifest.setText(str(table))
    assert box.channels.isVisible()
    box.fusion.setEditText("nothing such")
    box.name.setText("mine")
    press(qtbot, box.start)
    qtbot.waitUntil(lambda: not box.running, timeout=SECONDS * 1000)
    assert "nothing such" in box.text.text()
