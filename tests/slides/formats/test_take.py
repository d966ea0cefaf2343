"""Objects of other programs: label pictures, NumPy arrays, ImageJ regions, OME-Zarr labels."""

from __future__ import annotations

import csv
import json
import pickle
import zipfile

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from PIL import Image
from skimage.measure import label, regionprops

from napari_sam2.errors import GeometryError, ImageFileError, UserInputError
from napari_sam2.jobs.slide import segment_slide
from napari_sam2.slides.formats.take import take_objects
from tests.slides.formats.test_write import blobs
from tests.zarr_maker import write_group, write_image

SHAPE = (120, 150)
IDS = label(blobs(7, SHAPE)).astype(np.int32) * 3


def _saved(tmp_path, kind):
    if kind == "tif":
        tifffile.imwrite(tmp_path / "l.tif", IDS)
    elif kind == "png":
        Image.fromarray(IDS.astype(np.uint16)).save(tmp_path / "l.png")
    elif kind == "npy":
        np.save(tmp_path / "l.npy", IDS)
    elif kind == "one plane npy":
        np.save(tmp_path / "l.npy", IDS[np.newaxis].astype(np.float64))
        kind = "npy"
    else:
        image = write_image(tmp_path / "l.ome.zarr", np.zeros(SHAPE, np.uint8), "yx", (1, 1))
        write_image(image / "labels" / "cells", IDS, "yx", (1, 1), **{"image-label": {}})
        write_group(image / "labels", {"labels": ["cells"]}, "0.4")
        kind = "ome.zarr"
    return tmp_path / f"l.{kind}"


@pytest.mark.parametrize("kind", ["tif", "png", "npy", "one plane npy", "zarr"])
def test_every_id_of_a_label_picture_becomes_an_object_with_its_pixels(tmp_path, kind):
    taken = take_objects(_saved(tmp_path, kind), SHAPE)
    known = {f"object {p.label}": p.area for p in regionprops(IDS)}
    assert {obj.name: obj.geometry.area for obj in taken.objects} == known
    assert taken.notes == ()
    largest = max(regionprops(IDS), key=lambda p: p.area)
    obj = next(o for o in taken.objects if o.name == f"object {largest.label}")
    top, left, bottom, right = largest.bbox
    assert obj.geometry.bounds == (left, top, right, bottom)


def test_labels_of_another_size_are_refused(tmp_path):
    np.save(tmp_path / "l.npy", IDS[::2, ::2])
    with pytest.raises(GeometryError, match="has 75 x 60 pixels and the slide 150 x 120"):
        take_objects(tmp_path / "l.npy", SHAPE)


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (self.file.write_text, ("x",))


def test_cellposes_own_file_is_never_unpickled_and_the_remedy_is_told(tmp_path):
    ran = tmp_path / "ran"
    np.save(tmp_path / "a_seg.npy", np.array({"masks": Bomb(ran)}, dtype=object), allow_pickle=True)
    with pytest.raises(ImageFileError, match=r"a_seg\.npy holds Python objects.*cellpose --save_tif"):
        take_objects(tmp_path / "a_seg.npy", SHAPE)
    assert not ran.exists()
    # A plain pickle that is called .npy is no array either.
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb(ran)))
    with pytest.raises(ImageFileError, match=r"b\.npy holds no objects that can be read; supported are GeoJSON"):
        take_objects(tmp_path / "b.npy", SHAPE)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.full(SHAPE, 0.5), "holds fractions or non-numbers"),
        (np.full(SHAPE, np.nan), "holds fractions or non-numbers"),
        (np.full(SHAPE, -1, np.int16), "values that are no ids"),
        *((np.full(SHAPE, value, kind), "no ids") for value in (1e30, -1e30, np.inf) for kind in ("f4", "f8")),
        (np.zeros((3, *SHAPE), np.uint8), "pixels and the slide|has"),
    ],
)
def test_what_is_no_label_picture_is_refused(tmp_path, array, sentence):
    np.save(tmp_path / "l.npy", array)
    with pytest.raises(UserInputError, match=sentence):
        take_objects(tmp_path / "l.npy", SHAPE)


def test_an_array_that_announces_more_than_it_holds_is_refused(tmp_path):
    np.save(tmp_path / "l.npy", IDS)
    content = (tmp_path / "l.npy").read_bytes()
    (tmp_path / "l.npy").write_bytes(content[:-100])
    with pytest.raises(ImageFileError, match="is damaged: it is no array"):
        take_objects(tmp_path / "l.npy", SHAPE)


RING = np.array([[10, 20], [40, 20], [40, 60], [10, 60]], float)


def _zip(path, **rois):
    with zipfile.ZipFile(path, "w") as archive:
        for name, roi in rois.items():
            archive.writestr(f"{name}.roi", roi if isinstance(roi, bytes) else roi.tobytes())
    return path


def test_imagej_regions_become_objects_with_names_and_planes(tmp_path):
    polygon = roifile.ImagejRoi.frompoints(RING, name="cell one")
    polygon.z_position = 3
    box = roifile.ImagejRoi.frompoints([[50, 50], [90, 70]])
    box.roitype, box.n_coordinates = roifile.ROI_TYPE.RECT, 0
    box.left, box.top, box.right, box.bottom = 50, 50, 90, 70
    oval = roifile.ImagejRoi.frompoints([[50, 50], [90, 70]])
    oval.roitype, oval.left, oval.top, oval.right, oval.bottom = roifile.ROI_TYPE.OVAL, 50, 80, 90, 100
    points = roifile.ImagejRoi.frompoints(RING)
    points.roitype = roifile.ROI_TYPE.POINT
    taken = take_objects(_zip(tmp_path / "r.zip", a=polygon, b=box, c=oval, d=points, e=b"Iout rubbish"), SHAPE)
    first, second, third = taken.objects
    assert (first.name, first.plane) == ("cell one", (2, 0))
    assert first.geometry.equals(shapely.Polygon(RING))
    assert second.geometry.equals(shapely.box(50, 50, 90, 70))
    assert third.geometry.area == pytest.approx(np.pi * 20 * 10, rel=0.005)
    assert taken.notes == ("r.zip: 2 regions were left out: d is no area; e is damaged.",)


def test_a_region_keeps_the_one_number_of_a_stack_and_its_parts_of_a_pixel(tmp_path):
    box = roifile.ImagejRoi.frompoints([[10, 10], [13, 13]])
    box.roitype, box.n_coordinates, box.position = roifile.ROI_TYPE.RECT, 0, 4
    box.left, box.top, box.right, box.bottom = 10, 10, 14, 14
    box.options |= roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    box.version = 227
    box.xd, box.yd, box.widthd, box.heightd = 10.75, 10.75, 2.5, 2.5
    (obj,) = take_objects(_zip(tmp_path / "r.zip", a=box), SHAPE).objects
    assert obj.plane == (3, 0)
    assert obj.geometry.equals(shapely.box(10.75, 10.75, 13.25, 13.25))


def test_a_single_region_file_is_read(tmp_path):
    roifile.ImagejRoi.frompoints(RING, name="x").tofile(tmp_path / "x.roi")
    (obj,) = take_objects(tmp_path / "x.roi", SHAPE).objects
    assert obj.geometry.area == 1200


def test_regions_as_cellpose_saves_them_cover_their_masks(tmp_path):
    """Cellpose's save_rois: the contour of each mask through roifile.ImagejRoi.frompoints."""
    from skimage.measure import find_contours

    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    cells = {f"c{r}": (rows - r) ** 2 + (cols - 40) ** 2 <= 12**2 for r in (5, 50, 90)}
    rois = {}
    for name, mask in cells.items():
        contour = max(find_contours(np.pad(mask, 1), 0.5), key=len)[:, ::-1] - 0.5
        rois[name] = roifile.ImagejRoi.frompoints(contour)
    taken = take_objects(_zip(tmp_path / "rois.zip", **rois), SHAPE)
    assert len(taken.objects) == len(rois)
    for name, obj in zip(rois, taken.objects, strict=True):
        assert obj.geometry.area == pytest.approx(cells[name].sum(), rel=0.1)


def test_a_zip_without_regions_and_one_that_lies_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "n.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(ImageFileError, match=r"n\.zip holds no objects that can be read"):
        take_objects(tmp_path / "n.zip", SHAPE)
    whole = _zip(tmp_path / "w.zip", a=roifile.ImagejRoi.frompoints(RING)).read_bytes()
    (tmp_path / "w.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageFileError, match=r"w\.zip"):
        take_objects(tmp_path / "w.zip", SHAPE)


def test_objects_of_another_slide_are_refused_and_some_outside_are_told(tmp_path):
    far = roifile.ImagejRoi.frompoints(RING + 5000)
    with pytest.raises(UserInputError, match=r"None of the 1 objects of f\.zip lies on the slide"):
        take_objects(_zip(tmp_path / "f.zip", a=far), SHAPE)
    taken = take_objects(_zip(tmp_path / "g.zip", a=far, b=roifile.ImagejRoi.frompoints(RING)), SHAPE)
    assert taken.notes == ("g.zip: 1 of 2 objects lie outside the slide.",)


def test_objects_of_another_program_are_measured_and_written_without_a_model(tmp_path):
    Image.fromarray(np.full((*SHAPE, 3), 200, np.uint8)).save(tmp_path / "s.png")
    source = _saved(tmp_path, "tif")

    def no_model():
        raise AssertionError("no model is needed")

    for ending in ("csv", "geojson", "coco.json", "ome.tif", "ome.zarr"):
        run = segment_slide(tmp_path / "s.png", tmp_path / f"o.{ending}", objects=source, mpp=0.5, model=no_model)
        assert run.n_objects == len(regionprops(IDS))
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()))
    assert {r["name"]: float(r["area_um2"]) for r in rows} == {
        f"object {p.label}": p.area / 4 for p in regionprops(IDS)
    }
    facts = json.loads((tmp_path / "o.csv.json").read_text())
    assert facts["Model"] is None
    assert len(facts["Settings"]["taken"]["sha256"]) == 64
    dense = tifffile.imread(tmp_path / "o.ome.tif")
    np.testing.assert_array_equal(dense > 0, IDS > 0)
    with pytest.raises(UserInputError, match="one of --prompts with a file"):
        segment_slide(tmp_path / "s.png", tmp_path / "p.csv", objects=source, auto="tissue", model=no_model)


def test_a_damaged_header_of_an_array_or_a_zip_is_refused(tmp_path):
    """Found by benchmarks/fuzz.py: NumPy's header is Python text, and a zip file names a version of its own."""
    np.save(tmp_path / "l.npy", IDS)
    content = (tmp_path / "l.npy").read_bytes()
    (tmp_path / "l.npy").write_bytes(content.replace(b"}", b"{", 1))
    with pytest.raises(ImageFileError, match="it is no array of NumPy"):
        take_objects(tmp_path / "l.npy", SHAPE)
    whole = bytearray(_zip(tmp_path / "w.zip", a=roifile.ImagejRoi.frompoints(RING)).read_bytes())
    whole[whole.index(b"PK\1\2") + 6] = 127
    (tmp_path / "w.zip").write_bytes(whole)
    with pytest.raises(ImageFileError, match=r"w\.zip"):
        take_objects(tmp_path / "w.zip", SHAPE)
