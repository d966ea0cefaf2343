from __future__ import annotations

import csv
import io

import pytest

from napari_sam2.tables import csv_text, safe_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("liver", "liver"),
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("\t=x", "'=x"),
        ("a\nb", "a b"),
    ],
)
def test_cells_cannot_be_formulas(text, cell):
    assert safe_cell(text) == cell


def test_rows_survive_a_csv_reader():
    rows = [{"name": 'a "b", c', "ml": 1234567.891, "bad": float("nan"), "n": 3}]
    read = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert read == [{"name": 'a "b", c', "ml": "1.23457e+06", "bad": "", "n": "3"}]


def test_no_rows_give_no_text():
    assert csv_text([]) == ""
