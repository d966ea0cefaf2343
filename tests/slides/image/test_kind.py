"""Pictures of every kind show what was meant, whatever type, photometric tag or place in the file they have."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.io import read_volume
from napari_sam2.slides.image.tissue import find_tissue
from napari_sam2.slides.reader import open_slide
from tests.slides.conftest import stained

TILED = {"tile": (64, 64)}
HE = stained((200, 260), (90, 120, 50))
GREY = np.asarray(Image.fromarray(HE).convert("L"))
HIGH = HE.astype(np.uint16) * 257
COLOUR = {
    "rgb": lambda p: tifffile.imwrite(p, HE, photometric="rgb", **TILED),
    "rgb16": lambda p: tifffile.imwrite(p, HIGH, photometric="rgb", **TILED),
    "rgb16 strips": lambda p: tifffile.imwrite(p, HIGH, photometric="rgb"),
    "rgb of 12 bits": lambda p: tifffile.imwrite(p, HIGH >> 4, photometric="rgb", **TILED),
    "float": lambda p: tifffile.imwrite(p, (HE / 255).astype(np.float32), photometric="rgb"),
    "planes apart": lambda p: tifffile.imwrite(p, np.moveaxis(HE, -1, 0), photometric="rgb", planarconfig="separate"),
    "cmyk": lambda p: Image.fromarray(HE).convert("CMYK").save(p, "TIFF"),
    "palette": lambda p: Image.fromarray(HE).quantize(256).save(p, "TIFF"),
    "opaque alpha": lambda p: Image.fromarray(np.dstack([HE, np.full_like(GREY, 255)])).save(p, "TIFF"),
    "ome samples": lambda p: tifffile.imwrite(p, HE, ome=True, photometric="rgb", **TILED),
    "ome channels": lambda p: tifffile.imwrite(
        p, np.moveaxis(HE, -1, 0), ome=True, photometric="minisblack", metadata={"axes": "CYX"}, **TILED
    ),
    "ome named channels": lambda p: tifffile.imwrite(
        p,
        np.moveaxis(HIGH, -1, 0),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}},
    ),
    "png": lambda p: Image.fromarray(HE).save(p, "PNG"),
}
BRIGHT_GREY = {
    "grey8": lambda p: tifffile.imwrite(p, GREY, **TILED),
    "grey8 png": lambda p: Image.fromarray(GREY).save(p, "PNG"),
    "white is zero": lambda p: tifffile.imwrite(p, 255 - GREY, photometric="miniswhite", **TILED),
    "white is zero, strips": lambda p: tifffile.imwrite(p, 255 - GREY, photometric="miniswhite"),
    "white is zero in 16 bits": lambda p: tifffile.imwrite(
        p, 65535 - GREY.astype(np.uint16) * 257, photometric="miniswhite", **TILED
    ),
    "grey16": lambda p: tifffile.imwrite(p, GREY.astype(np.uint16) * 100, **TILED),
    "one bit": lambda p: Image.fromarray(HE).convert("1", dither=0).save(p, "TIFF"),
    "one bit png": lambda p: Image.fromarray(HE).convert("1", dither=0).save(p, "PNG"),
}


@pytest.mark.parametrize("kind", COLOUR)
def test_colours_are_those_that_were_meant_and_lie_on_white(tmp_path, kind):
    path = tmp_path / "p.tif"
    COLOUR[kind](path)
    tolerance = 30 if kind == "palette" else 2  # 256 colours
    with open_slide(path) as slide:
        assert not slide.is_fluorescence
        assert slide.background == 255
        assert np.abs(slide.read(0, 0, 0, 200, 260).astype(int) - HE).max() <= tolerance
        assert find_tissue(slide).mask.sum() == pytest.approx(np.pi * 50**2, rel=0.1)
    if kind not in ("ome channels", "ome named channels"):
        voxels = read_volume(path).voxels[:, :, 0]
        assert np.abs(voxels.astype(int) - HE).max() <= tolerance


@pytest.mark.parametrize("kind", BRIGHT_GREY)
def test_grey_brightfield_is_bright_and_its_tissue_dark(tmp_path, kind):
    path = tmp_path / "g.tif"
    BRIGHT_GREY[kind](path)
    with open_slide(path) as slide:
        assert slide.background == 255
        shown = slide.read(0, 0, 0, 200, 260)
        assert shown[5, 5].mean() > 200 > 150 > shown[90, 120].mean()
        assert find_tissue(slide).mask.sum() == pytest.approx(np.pi * 50**2, rel=0.1)
    voxels = read_volume(path).voxels[:, :, 0]
    assert voxels[5, 5].mean() > voxels[90, 120].mean()


def test_grey_of_8_bits_is_shown_as_it_is(tmp_path):
    tifffile.imwrite(tmp_path / "g.tif", GREY, **TILED)
    with open_slide(tmp_path / "g.tif") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 0, 200, 260)[..., 1], GREY)


def cells(dtype, top):
    rows, cols = np.ogrid[:200, :260]
    spots = sum((np.hypot(rows - r, cols - c) < 9).astype(float) for r, c in ((50, 60), (120, 200), (160, 80)))
    noise = np.random.default_rng(0).uniform(0, 0.05, (200, 260))
    return ((spots * 0.9 + noise) * top).astype(dtype)


def fluorescence(path, dtype=np.uint8, top=200, names=("DAPI", "FITC", "Cy5")):
    planes = np.stack([cells(dtype, top), cells(dtype, top // 3)[::-1], cells(dtype, top // 2)[:, ::-1]])
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}} if names else {"axes": "CYX"}
    tifffile.imwrite(path, planes, ome=True, photometric="minisblack", metadata=metadata, **TILED)
    return planes


@pytest.mark.parametrize("names", [("DAPI", "FITC", "Cy5"), None])
def test_fluorescence_of_8_bits_is_no_rgb_and_its_channels_can_be_chosen(tmp_path, names):
    planes = fluorescence(tmp_path / "f.ome.tif", names=names)
    with open_slide(tmp_path / "f.ome.tif") as slide:
        assert slide.is_fluorescence
        assert slide.background == 0
    with open_slide(tmp_path / "f.ome.tif", channel="DAPI" if names else 0) as slide:
        shown = slide.read(0, 0, 0, 200, 260)
    assert (shown == shown[..., :1]).all()
    assert np.corrcoef(shown[..., 0].ravel(), planes[0].ravel())[0, 1] > 0.99


def test_a_colour_picture_of_fluorescence_lies_on_black(tmp_path):
    rgb = np.moveaxis(fluorescence(tmp_path / "f.ome.tif"), 0, -1)
    Image.fromarray(rgb).save(tmp_path / "f.png")
    with open_slide(tmp_path / "f.png") as slide:
        assert slide.background == 0
        np.testing.assert_array_equal(slide.read(0, 0, 0, 200, 260), rgb)
        assert find_tissue(slide).mask[50, 60]
        assert not find_tissue(slide).mask[5, 5]


@pytest.mark.parametrize(("polarity", "background"), [("bright", 255), ("dark", 0)])
@pytest.mark.parametrize("kind", ["rgb", "grey8"])
def test_a_person_may_overrule_what_the_picture_looks_like(tmp_path, kind, polarity, background):
    path = tmp_path / "p.tif"
    {**COLOUR, **BRIGHT_GREY}[kind](path)
    with open_slide(path, polarity=polarity) as slide:
        assert slide.background == background


def test_an_unknown_polarity_is_refused(tmp_path):
    COLOUR["rgb"](tmp_path / "p.tif")
    with pytest.raises(UserInputError, match="'white' is not known; choose one of auto, bright, dark"):
        open_slide(tmp_path / "p.tif", polarity="white")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_do_not_blacken_the_rest(tmp_path, value):
    picture = cells(np.float32, 1000)
    plain = picture.copy()
    picture[3, 3] = value
    tifffile.imwrite(tmp_path / "n.tif", picture, **TILED)
    tifffile.imwrite(tmp_path / "p.tif", plain, **TILED)
    with open_slide(tmp_path / "n.tif") as slide, open_slide(tmp_path / "p.tif") as other:
        shown, expected = (s.read(0, 0, 0, 200, 260) for s in (slide, other))
        assert any("not numbers or infinite" in note for note in slide.notes)
    expected[3, 3] = shown[3, 3]
    assert np.abs(shown.astype(int) - expected).max() <= 1
    assert shown[3, 3, 0] == (255 if value == np.inf else 0)


def test_partly_transparent_places_are_white(tmp_path):
    alpha = np.full_like(GREY, 255)
    alpha[:50] = 0
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([HE, alpha]), photometric="rgb", extrasamples=["unassalpha"], **TILED
    )
    with open_slide(tmp_path / "a.tif") as slide:
        shown = slide.read(0, 0, 0, 200, 260)
    assert (shown[:50] == 255).all()
    np.testing.assert_array_equal(shown[50:], HE[50:])


@pytest.mark.parametrize("reader", [open_slide, read_volume])
def test_colours_that_are_not_turned_into_rgb_are_refused_by_name(tmp_path, reader):
    Image.fromarray(HE).convert("LAB").save(tmp_path / "lab.tif")
    with pytest.raises(ImageFileError, match="stores its colours as CIELAB"):
        reader(tmp_path / "lab.tif")


def several(path, *pictures, ome=False):
    with tifffile.TiffWriter(path, ome=ome) as file:
        for name, pixels in pictures:
            options = {"metadata": {"axes": "YXS", "Name": name}} if ome else {"description": name, "metadata": None}
            file.write(pixels, photometric="rgb", **(TILED if min(pixels.shape[:2]) > 64 else {}), **options)


@pytest.mark.parametrize("ome", [True, False])
def test_the_scan_is_the_largest_picture_wherever_it_stands(tmp_path, ome):
    several(tmp_path / "m.tif", ("label", HE[:40, :30]), ("macro image", HE[::5, ::5]), ("scan", HE), ome=ome)
    with open_slide(tmp_path / "m.tif") as slide:
        assert slide.shape == (200, 260)
        np.testing.assert_array_equal(slide.read(0, 0, 0, 200, 260), HE)
        assert slide.notes == ()
    with open_slide(tmp_path / "m.tif", image=1) as slide:
        assert slide.shape == (40, 52)


def test_two_scans_are_listed_and_one_can_be_chosen_by_number_or_name(tmp_path):
    mirrored = np.ascontiguousarray(HE[:, ::-1])
    several(tmp_path / "two.ome.tif", ("scan A", HE), ("scan B", mirrored), ome=True)
    with open_slide(tmp_path / "two.ome.tif") as slide:
        assert "holds several pictures (0: scan A, 260 x 200; 1: scan B, 260 x 200); 0 is read" in slide.notes[0]
    for choice in (1, "1", "scan B"):
        with open_slide(tmp_path / "two.ome.tif", image=choice) as slide:
            np.testing.assert_array_equal(slide.read(0, 0, 0, 200, 260), mirrored)
    with pytest.raises(UserInputError, match="no picture '7'; it holds 0: scan A"):
        open_slide(tmp_path / "two.ome.tif", image=7)


def test_microns_are_those_of_the_picture_that_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.ome.tif", ome=True) as file:
        for name, pixels, size in (("macro", HE[::5, ::5], 5.0), ("scan", HE, 0.5)):
            metadata = {"axes": "YXS", "Name": name, "PhysicalSizeX": size, "PhysicalSizeY": size}
            file.write(pixels, photometric="rgb", metadata=metadata)
    with open_slide(tmp_path / "m.ome.tif") as slide:
        assert slide.mpp.mean == 0.5


def test_further_planes_are_not_passed_over_in_silence(tmp_path):
    stack = np.stack([cells(np.uint16, 1000)] * 5)
    tifffile.imwrite(tmp_path / "z.ome.tif", stack, ome=True, metadata={"axes": "ZYX"})
    with open_slide(tmp_path / "z.ome.tif") as slide:
        assert slide.notes == ("z.ome.tif holds several planes (5 along Z); z=0 is read, choose another with --plane.",)


def test_a_vsi_is_refused_because_it_holds_an_overview_only(tmp_path):
    COLOUR["rgb"](tmp_path / "s.vsi")
    with pytest.raises(ImageFileError, match=r"s\.vsi is an Olympus VSI"):
        open_slide(tmp_path / "s.vsi")


@pytest.mark.parametrize("unit", ["micron", "um", r"\u00B5m", "microns"])
def test_fijis_calibration_is_read(tmp_path, unit):
    tifffile.imwrite(tmp_path / "ij.tif", HE, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    with open_slide(tmp_path / "ij.tif") as slide:
        assert slide.mpp.mean == pytest.approx(0.25)
        assert slide.mpp.origin == "ImageJ calibration"


def test_a_calibration_in_other_units_states_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "ij.tif", HE, imagej=True, resolution=(4, 4), metadata={"unit": "furlong"})
    with open_slide(tmp_path / "ij.tif") as slide:
        assert slide.mpp is None


@pytest.mark.parametrize("reader", [open_slide, read_volume])
@pytest.mark.parametrize("tag", [256, 257])
def test_tags_that_announce_more_than_the_file_can_hold_are_refused_at_once(tmp_path, reader, tag):
    path = tmp_path / "p.tif"
    tifffile.imwrite(path, HE, photometric="rgb", compression="zlib", metadata=None, **TILED)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        entry = tiff.pages[0].tags[tag]
        entry.overwrite(4_194_304 if reader is open_slide else 1_000_000)
    with pytest.raises(ImageFileError, match=r"cannot hold|more than a flat picture may have"):
        reader(path)
