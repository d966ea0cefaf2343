from __future__ import annotations

import numpy as np
import pytest
import shapely
import zarr
from ome_zarr_models import v05 as models

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import GeometryError, ImageFileError, UserInputError
from napari_sam2.io.labels import read_labels, write_labels
from napari_sam2.io.ome_zarr import write_ome_zarr
from napari_sam2.io.read import read_volume
from napari_sam2.io.zarr_labels import read_zarr_labels
from napari_sam2.slides.formats.label_mosaic import write_label_zarr
from napari_sam2.slides.objects import SlideObject
from napari_sam2.terms.structures import structures_for
from tests.zarr_maker import write_group, write_image

AFFINE = np.array([[-0.8, 0.1, 0, 40], [0.1, 0.8, 0, -30], [0, 0, 3, 7], [0, 0, 0, 1.0]])
VOLUME = Volume(np.zeros((5, 6, 7), np.int16), AFFINE, source=Source(name="scan.nii.gz"))


@pytest.fixture
def labels():
    found = np.zeros(VOLUME.shape, dtype=np.int64)
    found[1:3, 2:5, 3] = 4
    found[0, 0, 6] = 300
    return found


def written(labels, tmp_path, **options):
    return write_ome_zarr(labels, VOLUME, tmp_path / "o.ome.zarr", structures_for([4, 300], {4: "liver"}), **options)


def test_labels_come_back_with_their_names(labels, tmp_path):
    path = written(labels, tmp_path)
    found, names = read_zarr_labels(path, VOLUME)
    assert np.array_equal(found, labels)
    assert names == {4: "liver", 300: "object 300"}
    assert [p.name for p in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_any_reader_of_ngff_finds_array_scale_names_and_colours(labels, tmp_path):
    root = zarr.open_group(written(labels, tmp_path), mode="r")
    assert root["labels"].attrs["ome"]["labels"] == ["segmentation"]
    ome = root["labels/segmentation"].attrs["ome"]
    scale = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == pytest.approx(np.linalg.norm(AFFINE[:3, :3], axis=0)[::-1])
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["z", "y", "x"]
    array = root["labels/segmentation/0"]
    assert array.dtype == np.uint16
    assert array[3, 2, 1] == 4
    assert {p["label-value"] for p in ome["image-label"]["colors"]} == {4, 300}


def test_an_existing_folder_is_replaced_only_when_asked(labels, tmp_path):
    path = written(labels, tmp_path)
    with pytest.raises(UserInputError, match="exists already"):
        written(labels * 0, tmp_path)
    assert (read_zarr_labels(path, VOLUME)[0] == labels).all()
    written(labels * 0, tmp_path, overwrite=True)
    assert not read_zarr_labels(path, VOLUME)[0].any()
    assert [p.name for p in tmp_path.iterdir()] == ["o.ome.zarr"]


def test_labels_of_another_grid_are_refused(labels, tmp_path):
    path = written(labels, tmp_path)
    moved = AFFINE.copy()
    moved[0, 3] += 15
    with pytest.raises(GeometryError, match="15 mm off"):
        read_zarr_labels(path, Volume(VOLUME.voxels, moved))
    with pytest.raises(GeometryError, match="voxels"):
        read_zarr_labels(path, Volume(np.zeros((5, 6, 8)), AFFINE))


def test_a_folder_that_holds_something_else_is_named(tmp_path):
    (tmp_path / "x.ome.zarr").mkdir()
    with pytest.raises(ImageFileError, match=r"x\.ome\.zarr is damaged, or no group of OME-Zarr"):
        read_zarr_labels(tmp_path / "x.ome.zarr", VOLUME)


def test_another_ending_is_refused(labels, tmp_path):
    with pytest.raises(UserInputError, match=r"\.ome\.zarr"):
        write_ome_zarr(labels, VOLUME, tmp_path / "o.zip", [])


def opened_at_the_root(path):
    """Arrays that a reader finds which follows the metadata from the root, as NGFF 0.5 describes it."""
    root = zarr.open_group(path, mode="r")
    (multiscale,) = root.attrs["ome"]["multiscales"]
    names = tuple(axis["name"] for axis in multiscale["axes"])
    levels = [root[level["path"]] for level in multiscale["datasets"]]
    assert all(tuple(level.metadata.dimension_names) == names for level in levels)
    assert all(len(level["coordinateTransformations"]) >= 1 for level in multiscale["datasets"])
    assert root.attrs["ome"]["version"] == root["labels"].attrs["ome"]["version"] == "0.5"
    return levels


def test_a_reader_that_begins_at_the_root_finds_the_labels_with_named_axes(labels, tmp_path):
    (level,) = opened_at_the_root(written(labels, tmp_path))
    np.testing.assert_array_equal(level[:].transpose(2, 1, 0), labels)
    group = zarr.open_group(tmp_path / "o.ome.zarr", mode="r")["labels/segmentation"]
    assert group.attrs["ome"]["image-label"]["source"] == {"image": "../../"}


def test_a_slides_labels_are_found_from_the_root_as_well(tmp_path):
    objects = [SlideObject(shapely.box(3, 4, 20, 30))]
    write_label_zarr(objects, tmp_path / "s.ome.zarr", (40, 50))
    (level,) = opened_at_the_root(tmp_path / "s.ome.zarr")
    assert level[:].sum() == 17 * 26


def test_labels_of_another_program_are_read_with_their_names(tmp_path):
    values = np.zeros((4, 40, 50), np.uint32)
    values[1, 3:9, 4:11] = 7
    image = write_image(tmp_path / "s.zarr", values.astype(np.uint16), "zyx", (2, 1, 1), translation=(5, 0, 0))
    group = image / "labels" / "cells"
    label = {"image-label": {"properties": [{"label-value": 7, "name": "a cell"}]}}
    write_image(group, values, "zyx", (2, 1, 1), translation=(5, 0, 0), **label)
    write_group(image / "labels", {"labels": ["cells"]}, "0.4")
    volume = read_volume(image)
    for path in (image, group):
        found, names = read_zarr_labels(path, volume)
        np.testing.assert_array_equal(found, values.transpose(2, 1, 0))
        assert names == {7: "a cell"}
        np.testing.assert_array_equal(read_labels(path, volume), found)
    write_group(image / "labels", {"labels": ["cells", "more"]}, "0.4")
    with pytest.raises(ImageFileError, match=r"2 label groups \(cells, more\); give the folder of one"):
        read_labels(image, volume)


def test_labels_of_another_program_that_lie_elsewhere_are_refused(tmp_path):
    values = np.zeros((4, 40, 50), np.uint16)
    volume = read_volume(write_image(tmp_path / "s.zarr", values, "zyx", (2, 1, 1), translation=(5, 0, 0)))
    label = {"image-label": {}}
    for number, (scale, place, sentence) in enumerate(
        (((2, 1, 1), (9, 0, 0), "lies 2 voxels off"), ((2, 1, 2), (5, 0, 0), "has voxels of"))
    ):
        other = write_image(tmp_path / f"l{number}.zarr", values, "zyx", scale, translation=place, **label)
        with pytest.raises(GeometryError, match=sentence):
            read_labels(other, volume)


def test_labels_of_an_ome_zarr_image_lie_where_it_lies(tmp_path):
    """An image with scale and place: its labels are written with the same, so that any viewer lays them on it."""
    values = np.zeros((4, 40, 50), np.uint16)
    volume = read_volume(write_image(tmp_path / "s.zarr", values, "zyx", (2, 1, 0.5), translation=(5, 6, 7)))
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:9, 4:6, 1] = 2
    write_ome_zarr(labels, volume, tmp_path / "l.ome.zarr", structures_for([2], {2: "x"}))
    level = zarr.open_group(tmp_path / "l.ome.zarr", mode="r").attrs["ome"]["multiscales"][0]["datasets"][0]
    scale, place = level["coordinateTransformations"]
    np.testing.assert_allclose(scale["scale"], (0.002, 0.001, 0.0005))
    np.testing.assert_allclose(place["translation"], (0.005, 0.006, 0.007))
    np.testing.assert_array_equal(read_labels(tmp_path / "l.ome.zarr", volume), labels)
    write_labels(labels, volume, tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz", volume), labels)


@pytest.mark.parametrize("kind", ["scan", "oblique scan", "slide"])
def test_what_is_written_is_valid_by_ome_zarr_models(tmp_path, labels, kind):
    path = tmp_path / "v.ome.zarr"
    if kind == "slide":
        objects = [SlideObject(shapely.box(3, 4, 20, 30), name="a"), SlideObject(shapely.box(30, 4, 40, 30))]
        write_label_zarr(objects, path, (2100, 2500), Mpp(0.5, 0.5, "given"))
    elif kind == "scan":
        write_ome_zarr(labels, Volume(VOLUME.voxels, np.diag([1, 2, 3, 1])), path, structures_for([4, 300], {}))
    else:
        written(labels, tmp_path)
        path = tmp_path / "o.ome.zarr"
    root = zarr.open_group(path, mode="r")
    image = models.Image.from_zarr(root)
    assert image.labels.ome_attributes.labels == ["segmentation"]
    label = models.ImageLabel.from_zarr(root["labels/segmentation"])
    assert len(label.ome_attributes.multiscales[0].datasets) == (3 if kind == "slide" else 1)
