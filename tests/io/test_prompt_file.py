from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point
from napari_sam2.core.volume import Volume
from napari_sam2.errors import ImageFileError, PromptError
from napari_sam2.io import read_volume, write_labels
from napari_sam2.io.prompt_file import masks_named, read_prompt_file
from napari_sam2.io.prompt_file_write import write_prompt_file


@pytest.fixture
def volume(scan):
    return read_volume(scan)


def save(path, content, encoding="utf-8"):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding=encoding)
    return path


def faults_of(tmp_path, volume, content):
    with pytest.raises(PromptError) as error:
        read_prompt_file(save(tmp_path / "p.json", content), volume)
    return error.value.faults


def one(*prompts, **more):
    return {"version": 1, "objects": [{"id": 1, "prompts": list(prompts), **more}]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_points_boxes_and_names_are_read(tmp_path, volume, encoding):
    content = one({"box": [[1, 2, 3], [5, 9, 3]]}, {"point": [2, 3.5, 3]}, {"point": [0, 0, 3], "positive": False})
    content["objects"][0]["name"] = "Zyste links"
    objects = read_prompt_file(save(tmp_path / "p.json", content, encoding), volume)
    assert objects[0].name == "Zyste links"
    assert objects[0].prompts == (
        Box(((1, 2, 3), (5, 9, 3))),
        Point((2, 3.5, 3)),
        Point((0, 0, 3), positive=False),
    )


def test_world_coordinates_become_voxels(tmp_path, volume):
    voxel = np.array([[2.0, 3.0, 4.0], [7.0, 8.0, 4.0]])
    world = volume.voxel_to_world(voxel).tolist()
    content = one({"point": world[0]}, {"box": world}) | {"space": "world"}
    point, box = read_prompt_file(save(tmp_path / "p.json", content), volume)[0].prompts
    np.testing.assert_allclose(point.voxel, voxel[0], atol=1e-9)
    assert box == Box(((2, 3, 4), (7, 8, 4)))


def test_world_coordinates_need_a_known_orientation(tmp_path, volume):
    unknown = Volume(volume.voxels, np.eye(4), oriented=False)
    assert (
        "does not say where it lies" in faults_of(tmp_path, unknown, one({"point": [1, 1, 1]}) | {"space": "world"})[0]
    )


def test_masks_are_found_beside_the_file(tmp_path, volume, labels):
    (tmp_path / "sub").mkdir()
    write_labels(labels, volume, tmp_path / "sub" / "mask.nii.gz")
    content = one({"mask": "mask.nii.gz", "axis": 2, "slice": 3})
    mask = read_prompt_file(save(tmp_path / "sub" / "p.json", content), volume)[0].prompts[0]
    assert (mask.axis, mask.index) == (2, 3)
    np.testing.assert_array_equal(mask.mask, labels[:, :, 3] > 0)


def test_all_faults_of_a_file_are_listed_at_once(tmp_path, volume):
    content = {
        "version": 2,
        "space": "mm",
        "colour": "red",
        "objects": [
            {"id": "liver", "prompts": [{"point": [1, 2]}, {"point": [1, 2, None]}]},
            {"id": 2, "name": 7, "prompts": [{"box": [[1, 2, 3]]}, {"box": [[1, 2, 3], [4, 5.5, 3]]}, {}]},
            {"id": 3, "prompts": []},
            {"id": 4, "prompts": [{"point": [1, 2, 3], "box": []}, {"point": [1, 2, 3], "posititve": True}]},
            {
                "id": 5,
                "prompts": [{"point": [1, 2, 3], "positive": 1}, {"mask": "no.nii", "axis": 2, "slice": 1}],
            },
            {
                "id": 6,
                "prompts": [
                    {"mask": "m.nii", "axis": 3, "slice": 1},
                    {"mask": "m.nii", "axis": 2, "slice": 8},
                ],
            },
            "liver",
        ],
    }
    faults = faults_of(tmp_path, volume, content)
    for number, expected in enumerate(
        [
            "the key 'colour' is not known",
            '"version" must be 1; got 2',
            '"space" must be "voxel" or "world"; got "mm"',
            'object 1: "id" must be a whole number; got "liver"',
            'object 1, prompt 1: "point" must be three numbers [i, j, k]; got [1, 2]',
            'object 1, prompt 2: "point" must be three numbers',
            'object 2: "name" must be text; got 7',
            'object 2, prompt 1: "box" must be two corners',
            "object 2, prompt 2: the corners of a box are whole voxels; got [4, 5.5, 3]",
            "object 2, prompt 3: it must have exactly one of",
            'object 3: "prompts" must be a list',
            "object 4, prompt 1: it must have exactly one of",
            "object 4, prompt 2: the key 'posititve' is not known; known are point, positive",
            'object 5, prompt 1: "positive" must be true or false; got 1',
            "object 5, prompt 2: no.nii does not exist",
            'object 6, prompt 1: "axis" must be 0, 1 or 2; got 3',
            'object 6, prompt 2: "slice" must be 0 to 7 on axis 2; got 8',
            'object 7: it must be like {"id": 1, "prompts": [...]}; got "liver"',
        ]
    ):
        assert expected in faults[number]
    assert len(faults) == 18


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2"),
        ("[]", "must hold an object"),
        ('{"version": 1}', '"objects" must be a list'),
        ('{"version": 1, "version": 1}', "the key 'version' is given twice"),
        ('{"version": 1, "objects": [{"id": 1, "prompts": [{"point": [NaN, 1, 1]}]}]}', "three numbers"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_prompt_file_is_refused(tmp_path, volume, text, message):
    assert message in faults_of(tmp_path, volume, text)[0]


def test_bytes_that_are_no_text_are_refused(tmp_path, volume):
    (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(PromptError, match="UTF-8"):
        read_prompt_file(tmp_path / "p.json", volume)


def test_a_missing_file_is_an_error_of_its_own(tmp_path, volume):
    with pytest.raises(ImageFileError, match=r"p\.json does not exist"):
        read_prompt_file(tmp_path / "p.json", volume)


def test_what_is_written_is_read_back_exactly(tmp_path, volume, labels):
    objects = [
        ObjectPrompts(3, (Box(((1, 2, 3), (5, 9, 3))), Point((1 / 3, 2.0, 3), positive=False)), 'A "b" ü'),
        ObjectPrompts(70000, (MaskPrompt(labels[:, 5] == 1, axis=1, index=5), Point((0.1, 0.2, 0.3)))),
    ]
    path = write_prompt_file(objects, volume, tmp_path / "p.json")
    back = read_prompt_file(path, volume)
    assert [(o.object_id, o.name) for o in back] == [(3, 'A "b" ü'), (70000, "")]
    assert back[0].prompts == objects[0].prompts
    mask, point = back[1].prompts
    assert (mask.axis, mask.index) == (1, 5)
    np.testing.assert_array_equal(mask.mask, labels[:, 5] == 1)
    assert point == Point((0.1, 0.2, 0.3))


def test_an_object_that_is_given_as_a_whole_is_read_back_exactly(tmp_path, volume, labels):
    whole = ObjectPrompts(7, (), "liver", "placed from s00", labels == 1)
    write_prompt_file([whole], volume, tmp_path / "p.json")
    assert {path.name for path in tmp_path.iterdir()} >= {"p.json", "p_object7.nii.gz"}
    (back,) = read_prompt_file(tmp_path / "p.json", volume)
    assert (back.object_id, back.prompts, back.name, back.origin) == (7, (), "liver", "placed from s00")
    np.testing.assert_array_equal(back.whole, whole.whole)
    assert masks_named(tmp_path / "p.json") == [tmp_path / "p_object7.nii.gz"]


def test_faults_of_a_whole_object_are_told(tmp_path, volume):
    both = {"id": 1, "labels": "no.nii", "prompts": [{"point": [1, 2, 3]}]}
    content = {"version": 1, "objects": [both, {"id": 2, "labels": 3}]}
    with pytest.raises(PromptError) as told:
        read_prompt_file(save(tmp_path / "p.json", content), volume)
    assert 'either "prompts" or "labels"' in told.value.faults[0]
    assert "no.nii" in told.value.faults[1]
    assert '"labels" must be a file name; got 3' in told.value.faults[2]
