from __future__ import annotations

import re

from napari_sam2.io.label_tables import write_itksnap_labels, write_slicer_colours
from napari_sam2.structures import structures_for

STRUCTURES = structures_for([1, 300], {1: 'left "kidney"\t2', 300: "Ödem"})


def test_itksnap_gets_one_line_per_label_in_its_columns(tmp_path):
    path = write_itksnap_labels(STRUCTURES, tmp_path / "labels.txt")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    # As ColorLabelTable.cxx of ITK-SNAP scans a line.
    parsed = [re.fullmatch(r"\s*(\d+)" + r"\s+([\d.]+)" * 6 + r'\s+"(.*)"', line) for line in lines]
    assert [(m[1], m[8]) for m in parsed] == [("0", "Clear Label"), ("1", "left 'kidney' 2"), ("300", "Ödem")]
    assert tuple(int(parsed[1][n]) for n in (2, 3, 4)) == STRUCTURES[0].colour


def test_slicer_gets_names_without_spaces(tmp_path):
    path = write_slicer_colours(STRUCTURES, tmp_path / "labels.ctbl")
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    assert [len(row) for row in rows] == [6, 6, 6]
    assert rows[2][:2] == ["300", "Ödem"]
