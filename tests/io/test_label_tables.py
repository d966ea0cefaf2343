from __future__ import annotations

import re

import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.io.label_tables import read_terms, write_itksnap_labels, write_slicer_colours
from napari_sam2.terms.structures import structures_for
from napari_sam2.terms.terminology import Code, Term

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


def test_an_itksnap_file_comes_back_with_ids_names_and_colours(tmp_path):
    path = write_itksnap_labels(STRUCTURES, tmp_path / "labels.txt")
    terms = read_terms(path)
    assert [(t.label_id, t.name, t.colour) for t in terms] == [
        (1, "left 'kidney' 2", STRUCTURES[0].colour),
        (300, "Ödem", STRUCTURES[1].colour),
    ]


def test_a_file_as_itksnap_itself_writes_it(tmp_path):
    path = tmp_path / "labels.label"
    path.write_text(
        "# ITK-SnAP Label Description File\n"
        '    0     0    0    0        0  0  0    "Clear Label"\n'
        '    4   205  133   63     0.50  1  1    "Caudate"\n'
    )
    assert read_terms(path) == [Term("Caudate", None, (205, 133, 63), 4)]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("name,code\nliver,10200004\n", Term("liver", Code("10200004", "liver", "structure"))),
        (
            "index\tname\tcolor\tcode\tmeaning\tcategory\n2\tx\t#0a0b0c\t99L:7\tX\torgan\n",
            Term("x", Code("7", "X", "organ", "99L"), (10, 11, 12), 2),
        ),
        ("\ufeffID;Structure;R;G;B\n7;Leber;1;2;3\n", Term("Leber", None, (1, 2, 3), 7)),
        ("name,code,color\n'=x,n/a,n/a\n", Term("=x")),
    ],
)
def test_tables_of_several_kinds_are_understood(tmp_path, table, expected):
    path = tmp_path / "terms.csv"
    path.write_text(table, encoding="utf-8")
    assert read_terms(path) == [expected]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"structur,code\nliver,1\n", "no column 'name'"),
        (b"name,color\nliver,red\n", "Line 2.*#rrggbb"),
        (b"name,r,g,b\nliver,1,2,300\n", "Line 2.*0 to 255"),
        (b"name,code,category\nliver,1,thing\n", "Line 2.*category"),
        (b"id,name\none,liver\n", "Line 2.*whole number"),
        (b"name\n", "no names"),
        (b"", "no column"),
        (b"\xff\xfe\x00name", "cannot be read"),
        (b'1 2 3 4 1 1 1 "a"\nnonsense\n', "nonsense"),
        (b'1 999 3 4 1 1 1 "a"\n', "ITK-SNAP"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_its_line(tmp_path, content, told):
    path = tmp_path / "terms.csv"
    path.write_bytes(content)
    with pytest.raises(UserInputError, match=rf"(?s)terms\.csv.*{told}"):
        read_terms(path)
