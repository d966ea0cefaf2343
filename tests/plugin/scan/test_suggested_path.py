"""Labels are suggested beside their scan, under a name that says which case they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam2.plugin.scan.suggested_path import PACKAGE, suggested_path

CASE = Path("/study/case_07")


@pytest.mark.parametrize(
    ("name", "source", "suggested"),
    [
        ("liver07.nii.gz", CASE / "liver07.nii.gz", CASE / "liver07_labels.nii.gz"),
        ("image.nii.gz", CASE / "image.nii.gz", CASE / "case_07_image_labels.nii.gz"),
        ("FLAIR", CASE / "FLAIR.nii", CASE / "case_07_FLAIR_labels.nii.gz"),
        ("series", CASE / "series", CASE / "series_labels.nii.gz"),
        ("unsaved", None, Path("~/unsaved_labels.nii.gz")),
        ("ct_abdomen", PACKAGE / "sample_data" / "ct_abdomen.nii.gz", Path("~/ct_abdomen_labels.nii.gz")),
    ],
)
def test_labels_go_beside_the_scan_under_the_name_of_its_case(name, source, suggested):
    assert suggested_path(name, source, ".nii.gz") == suggested
