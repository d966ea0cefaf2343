from __future__ import annotations

import pytest

from napari_sam2.errors import ManifestError
from napari_sam2.io.manifest import read_manifest
from tests.cohort.cases import write_case


def faults_of(path, **kwargs):
    with pytest.raises(ManifestError) as raised:
        read_manifest(path, **kwargs)
    return raised.value.faults


def test_paths_are_relative_to_the_table_and_further_columns_are_left_alone(tmp_path, monkeypatch):
    write_case(tmp_path / "scans", "a")
    table = tmp_path / "manifest.csv"
    table.write_text("case,age,image,prompts,group\na,44,scans/a.nii.gz,scans/a.json,controls\n")
    monkeypatch.chdir("/")
    (row,) = read_manifest(table, needs=[("prompts",)])
    assert (row.line, row.case, row.group, row.labels) == (2, "a", "controls", None)
    assert row.image == tmp_path / "scans" / "a.nii.gz"
    assert row.prompts == tmp_path / "scans" / "a.json"


@pytest.mark.parametrize("text", ["case;image\na;scans/a.nii.gz\n", "case\timage\r\na\tscans/a.nii.gz\r\n"])
def test_spreadsheets_of_other_countries_are_read(tmp_path, text):
    write_case(tmp_path / "scans", "a")
    table = tmp_path / "manifest.csv"
    table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [row.case for row in read_manifest(table)] == ["a"]


def test_all_faults_come_at_once_with_the_lines_they_are_on(tmp_path):
    write_case(tmp_path / "scans", "a")
    (tmp_path / "scans" / "wrong.json").write_text('{"version": 1, "objects": [{"id": 1, "prompts": [{"bix": 1}]}]}')
    (tmp_path / "scans" / "text.nii.gz").write_text("")
    table = tmp_path / "manifest.csv"
    table.write_text(
        "case,image,prompts\n"
        "a,scans/a.nii.gz,scans/a.json\n"
        "\n"
        "A,scans/a.nii.gz,scans/a.json\n"
        "../up,scans/missing.nii.gz,scans/a.json\n"
        "b,scans/text.nii.gz,scans/wrong.json\n"
        "c,scans/a.nii.gz\n"
        "d,,\n"
    )
    faults = faults_of(table, needs=[("prompts",)])
    by_line = {line: [f for f in faults if f"line {line}:" in f] for line in range(1, 9)}
    assert {line: len(found) for line, found in by_line.items()} == {1: 0, 2: 0, 3: 0, 4: 1, 5: 2, 6: 2, 7: 1, 8: 2}
    assert "on line 2 already" in by_line[4][0]
    assert "names a folder" in by_line[5][0]
    assert "missing.nii.gz does not exist" in by_line[5][1]
    assert "is empty (0 bytes)" in by_line[6][0]
    assert "exactly one of" in by_line[6][1]
    assert "2 cells, the header has 3" in by_line[7][0]


def test_a_header_without_what_is_needed_says_what_it_has(tmp_path):
    table = tmp_path / "manifest.csv"
    table.write_text("case,image,lables\na,b,c\n")
    (fault,) = faults_of(table, needs=[("prompts", "labels")])
    assert "line 1" in fault
    assert "'prompts' or 'labels'" in fault
    assert "lables" in fault


@pytest.mark.parametrize("text", ["case,image\n", 'case,image\na,"b\n', ""])
def test_a_table_without_cases_or_with_open_quotes_is_refused(tmp_path, text):
    table = tmp_path / "manifest.csv"
    table.write_text(text or "\n")
    assert faults_of(table)


def test_a_prompt_files_form_is_checked_but_its_image_is_not_read(tmp_path):
    write_case(tmp_path / "scans", "a")
    (tmp_path / "scans" / "a.nii.gz").write_bytes((tmp_path / "scans" / "a.nii.gz").read_bytes()[:-40])
    world = '{"version": 1, "space": "world", "objects": [{"id": 1, "prompts": [{"point": [900.5, 0, 0]}]}]}'
    (tmp_path / "scans" / "a.json").write_text(world)
    table = tmp_path / "manifest.csv"
    table.write_text("case,image,prompts\na,scans/a.nii.gz,scans/a.json\n")
    assert len(read_manifest(table, needs=[("prompts",)])) == 1
    mask = '{"version": 1, "objects": [{"id": 1, "prompts": [{"mask": "none.nii.gz", "axis": 2, "slice": 3}]}]}'
    (tmp_path / "scans" / "a.json").write_text(mask)
    (fault,) = faults_of(table, needs=[("prompts",)])
    assert "none.nii.gz does not exist" in fault


@pytest.mark.parametrize("case", ["CON", "nul.1", "lpt3", "a."])
def test_a_case_is_called_so_that_its_folder_can_be_made_on_any_system(tmp_path, case):
    write_case(tmp_path / "scans", "a")
    (tmp_path / "manifest.csv").write_text(f"case,image\n{case},scans/a.nii.gz\n")
    (fault,) = faults_of(tmp_path / "manifest.csv")
    assert "on every system" in fault


def test_channels_of_a_table_are_read_in_order_and_looked_at(tmp_path):
    write_case(tmp_path / "scans", "a")
    write_case(tmp_path / "scans", "b")
    cells = "a,scans/a.nii.gz,FLAIR=scans/b.nii.gz:2,scans/b.nii.gz"
    (tmp_path / "cases.csv").write_text(f"case,image,channel_2,channel_1\n{cells}\n")
    (row,) = read_manifest(tmp_path / "cases.csv")
    assert [(file.name, file.path.name, file.volume_index) for file in row.channels] == [
        ("channel_1", "b.nii.gz", None),
        ("FLAIR", "b.nii.gz", 2),
    ]
    (tmp_path / "cases.csv").write_text("case,image,channel_1\na,scans/a.nii.gz,gone.nii.gz\n")
    with pytest.raises(ManifestError, match=r"line 2: channel_1: .*gone"):
        read_manifest(tmp_path / "cases.csv")


def test_labels_that_are_the_image_and_folders_without_dicom_are_told(tmp_path):
    write_case(tmp_path / "scans", "a")
    (tmp_path / "manifest.csv").write_text("case,image,labels\na,scans/a.nii.gz,scans/../scans/a.nii.gz\nb,scans,\n")
    first, second = faults_of(tmp_path / "manifest.csv")
    assert "line 2: labels: it is the image itself" in first
    assert "line 3: image: scans is a folder without DICOM files" in second


def test_a_channel_that_is_the_image_itself_is_a_fault_and_another_volume_of_it_is_none(tmp_path):
    write_case(tmp_path, "a")
    for text, fault in (("a.nii.gz", True), ("T2=./a.nii.gz", True), ("a.nii.gz:1", False), ("a.nii.gz:all", False)):
        (tmp_path / "cases.csv").write_text(f"case,image,channel_1\na,a.nii.gz,{text}\n")
        if fault:
            with pytest.raises(ManifestError, match="line 2: channel_1: it is the image itself; give another scan"):
                read_manifest(tmp_path / "cases.csv", needs=())
        else:
            assert len(read_manifest(tmp_path / "cases.csv", needs=())) == 1


def test_an_id_with_two_names_and_a_channel_that_is_the_label_map_are_faults(tmp_path):
    """The last name won before, and the answers could become the image that is learned from."""
    write_case(tmp_path, "a")
    (tmp_path / "a_labels.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes())
    table = tmp_path / "manifest.csv"
    table.write_text(
        'case,image,labels,name,channel_1\na,a.nii.gz,a_labels.nii.gz,"1=liver;01=spleen",PET=a_labels.nii.gz\n'
    )
    assert faults_of(table) == [
        "manifest.csv, line 2: the id 1 has two names; keep one.",
        "manifest.csv, line 2: channel_1: it is the label map of the scan; give an image.",
    ]


def test_names_that_cannot_be_meant_are_faults(tmp_path):
    """With a comma between them the second was a part of the first one's name."""
    write_case(tmp_path, "a")
    table = tmp_path / "manifest.csv"
    table.write_text("case;image;name\na;a.nii.gz;1=liver,2=spleen\n")
    (sentence,) = faults_of(table)
    assert "'1=liver,2=spleen' holds '=' twice; part names with ';'" in sentence
    table.write_text('case,image,name,group\na,a.nii.gz,"1=li\nver",b\x07\n')
    assert [fault.partition(": ")[2] for fault in faults_of(table)] == [
        "the cell 'group' holds a line break or a control character; type it again.",
        "the cell 'name' holds a line break or a control character; type it again.",
    ]
