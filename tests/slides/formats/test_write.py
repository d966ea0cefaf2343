from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import shapely
import tifffile
from scipy import ndimage

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.slides.formats.coco import category_id, run_lengths, write_coco
from napari_sam2.slides.formats.label_mosaic import write_label_mosaic, write_label_zarr
from napari_sam2.slides.formats.write import FORMATS, write_objects
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.objects import ObjectClass, SlideObject
from napari_sam2.slides.polygons import mask_to_polygon


def blobs(seed, shape):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3) > 0.05


def decoded(text):
    """COCO's string as run lengths, written from its description: 5 bits a letter, bit 6 goes on, bit 5 is a sign."""
    counts, value, shift = [], 0, 0
    for letter in text:
        code = ord(letter) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def painted(counts, size):
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(size[1], size[0]).T


@pytest.mark.parametrize("ending", list(FORMATS))
@pytest.mark.parametrize("overwrite", [False, True])
def test_objects_and_how_they_were_made_are_written_both_or_none(tmp_path, ending, overwrite, monkeypatch):
    slide = Slide(ArraySource(np.zeros((40, 50, 3), np.uint8)), "s.png")
    objects = [SlideObject(shapely.box(3, 4, 20, 30))]
    path, sidecar = tmp_path / f"o{ending}", tmp_path / f"o{ending}.json"
    if overwrite:
        write_objects(objects, path, slide, "{}")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    # A folder takes its name before the record of its sidecar is written.
    places = ["atomic.flush", "file_set._write_record"] if ending != ".ome.zarr" else []
    for place in places:
        with monkeypatch.context() as disk:
            disk.setattr(f"napari_sam2.io.{place}", full)
            with pytest.raises(EnvironmentLacksError, match=rf"Cannot write o{ending}"):
                write_objects(objects, path, slide, '{"new": 1}', overwrite=overwrite)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before, place
    assert write_objects(objects, path, slide, '{"new": 1}', overwrite=overwrite) == 1
    assert json.loads(sidecar.read_text()) == {"new": 1}


@pytest.mark.parametrize("seed", range(4))
def test_coco_masks_come_back_to_the_pixel(tmp_path, seed):
    mask = blobs(seed, (70, 90))
    mask[:, 40] = True  # a run from the head to the foot of a column, and on
    obj = SlideObject(mask_to_polygon(mask, tolerance=0), object_class=ObjectClass("Tumor"))
    assert write_coco([obj], tmp_path / "o.coco.json", "s.svs", mask.shape) == 1
    content = json.loads((tmp_path / "o.coco.json").read_text())
    entry = content["annotations"][0]
    np.testing.assert_array_equal(painted(decoded(entry["segmentation"]["counts"]), mask.shape), mask)
    assert entry["area"] == mask.sum()
    assert content["categories"] == [{"id": category_id("Tumor"), "name": "Tumor"}]


def test_run_lengths_do_not_depend_on_how_an_object_is_cut_into_strips(monkeypatch):
    mask = blobs(5, (50, 80))
    obj = SlideObject(mask_to_polygon(mask, tolerance=0))
    whole = run_lengths(obj, mask.shape)
    monkeypatch.setattr("napari_sam2.slides.formats.coco.STRIP", 300)
    assert run_lengths(obj, mask.shape) == whole
    assert sum(whole) == mask.size


def test_coco_refuses_what_its_readers_cannot_count(tmp_path):
    with pytest.raises(UserInputError, match="more than COCO's run lengths can count"):
        write_coco([], tmp_path / "o.coco.json", "large.svs", (80_000, 100_000))
    write_coco([SlideObject(shapely.box(0, 0, 800, 80))], tmp_path / "o.coco.json", "l", (80_000, 100_000), scale=8)
    assert json.loads((tmp_path / "o.coco.json").read_text())["annotations"][0]["area"] == 1000


def test_a_label_mosaic_shows_every_object_at_every_level(tmp_path):
    rng = np.random.default_rng(0)
    objects, expected = [], np.zeros((1100, 1300), dtype=int)
    for label in range(1, 8):
        mask = blobs(label, (150, 160))
        row, col = int(rng.integers(0, 950)), int(rng.integers(0, 1140))
        objects.append(SlideObject(mask_to_polygon(mask, row, col, tolerance=0)))
        expected[row : row + 150, col : col + 160][mask] = label
    write_label_mosaic(objects, tmp_path / "l.ome.tif", expected.shape, Mpp(0.25, 0.5, "given"))
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as file:
        levels = file.series[0].levels
        np.testing.assert_array_equal(levels[0].asarray(), expected)
        half = levels[1].asarray()
        assert half.shape == (550, 650)
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
        assert file.pages[0].is_tiled
    assert (half == expected[1::2, 1::2]).mean() > 0.97
    assert half.dtype == np.uint8


def test_a_label_zarr_holds_the_same_levels_with_names_and_places(tmp_path):
    zarr = pytest.importorskip("zarr")
    mask = blobs(3, (1300, 2100))
    labels = ndimage.label(mask)[0]
    objects = [
        SlideObject(mask_to_polygon(labels == n, tolerance=0), name=f"o{n}", object_class=ObjectClass("A", (n, 0, 9)))
        for n in (1, 2, 3)
    ]
    mpp = Mpp(0.25, 0.5, "given")
    write_label_mosaic(objects, tmp_path / "l.ome.tif", mask.shape, mpp)
    write_label_zarr(objects, tmp_path / "l.ome.zarr", mask.shape, mpp)
    group = zarr.open_group(tmp_path / "l.ome.zarr", mode="r")["labels/segmentation"]
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as file:
        for number, level in enumerate(file.series[0].levels):
            np.testing.assert_array_equal(group[str(number)][:], level.asarray())
    told = group.attrs["ome"]
    second = told["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert second[0]["scale"] == [0.5, 1.0]
    assert second[1]["translation"] == [0.125, 0.25]
    assert [p["name"] for p in told["image-label"]["properties"]] == ["o1", "o2", "o3"]
    with pytest.raises(UserInputError, match="exists"):
        write_label_zarr(objects, tmp_path / "l.ome.zarr", mask.shape, mpp)
    write_label_zarr(objects[:1], tmp_path / "l.ome.zarr", mask.shape, mpp, overwrite=True)
    assert zarr.open_group(tmp_path / "l.ome.zarr", mode="r")["labels/segmentation/0"][:].max() == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l.ome.tif", "l.ome.zarr"]


@pytest.mark.parametrize(
    "geometry",
    [shapely.Polygon(), shapely.box(-50, -20, 10.4, 9.6), shapely.box(200, 200, 210, 210), shapely.Point(3, 3)],
)
def test_coco_boxes_are_those_of_the_pixels_and_the_file_is_strict_json(tmp_path, geometry):
    obj = SlideObject(geometry, measurements={"SAM2 predicted IoU": float("nan")})
    write_coco([obj], tmp_path / "o.coco.json", "s.svs", (60, 90))

    def refuse(text):
        raise AssertionError(text)

    content = json.loads((tmp_path / "o.coco.json").read_text(), parse_constant=refuse)
    (entry,) = content["annotations"]
    mask = painted(decoded(entry["segmentation"]["counts"]), (60, 90))
    rows, cols = np.nonzero(mask)
    box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1] if mask.any() else [0, 0, 0, 0]
    assert entry["bbox"] == box
    assert entry["area"] == mask.sum()
    assert entry["score"] is None


@pytest.mark.parametrize("seed", range(4))
def test_coco_boxes_of_ragged_masks_are_those_of_their_pixels(tmp_path, seed):
    mask = blobs(seed, (40, 50)) & blobs(seed + 9, (40, 50))
    mask[:, 30:32] |= seed % 2 == 0  # runs that go on from column to column
    write_coco([SlideObject(mask_to_polygon(mask, tolerance=0))], tmp_path / "o.coco.json", "s", mask.shape)
    rows, cols = np.nonzero(mask)
    (entry,) = json.loads((tmp_path / "o.coco.json").read_text())["annotations"]
    assert entry["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]


# pycocotools 2.0.11 has an __array__ of the time before numpy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_cocos_own_library_reads_masks_boxes_and_areas(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    mask_api = pytest.importorskip("pycocotools.mask")
    masks = [blobs(seed, (60, 90)) for seed in range(4)]
    classes = [ObjectClass("Tumor"), ObjectClass("Stroma"), ObjectClass("Tumor"), None]
    objects = [
        SlideObject(mask_to_polygon(mask, tolerance=0), object_class=kind)
        for mask, kind in zip(masks, classes, strict=True)
    ]
    write_coco(objects, tmp_path / "o.coco.json", "s.svs", (60, 90))
    read = coco.COCO(str(tmp_path / "o.coco.json"))
    for mask, kind, entry in zip(masks, classes, read.loadAnns(read.getAnnIds()), strict=True):
        np.testing.assert_array_equal(read.annToMask(entry), mask)
        assert mask_api.area(entry["segmentation"]) == entry["area"] == mask.sum()
        assert mask_api.toBbox(entry["segmentation"]).tolist() == entry["bbox"]
        (category,) = read.loadCats([entry["category_id"]])
        assert category["name"] == (kind.name if kind else "object")


def test_a_class_has_the_same_number_in_every_coco_file(tmp_path):
    numbers = []
    for file, names in (("a", ("Tumor", "Stroma")), ("b", ("Stroma",)), ("c", ("Necrosis", "Stroma", "Tumor"))):
        objects = [SlideObject(shapely.box(0, 0, 5, 5), object_class=ObjectClass(name)) for name in names]
        write_coco(objects, tmp_path / f"{file}.coco.json", "s", (60, 90))
        content = json.loads((tmp_path / f"{file}.coco.json").read_text())
        numbers.append({c["name"]: c["id"] for c in content["categories"]})
        assert {a["category_id"] for a in content["annotations"]} == set(numbers[-1].values())
    assert numbers[0].items() <= numbers[2].items()
    assert numbers[1].items() <= numbers[2].items()
    # By sha256sum: printf Tumor | sha256sum | cut -c 1-8, halved.
    assert numbers[0]["Tumor"] == int(hashlib.sha256(b"Tumor").hexdigest()[:8], 16) // 2
