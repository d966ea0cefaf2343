from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.io.resolution import parse_size
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource, OpenSlideSource, TifffileSource, TiffSlideSource
from napari_sam2.slides.reader import open_slide
from tests.slides.conftest import levels_of, write_generic, write_ome


def test_every_piece_of_every_level_equals_what_was_written(noise_slide, noise_pixels):
    with open_slide(noise_slide) as slide:
        for level, written in enumerate(levels_of(noise_pixels)):
            np.testing.assert_array_equal(slide.read(level, 33, 21, 150, 190), written[33:183, 21:211])


def test_a_generic_pyramid_is_read_by_tiffslide_to_the_pixel(tmp_path, noise_pixels):
    with open_slide(write_generic(tmp_path / "g.tif", noise_pixels)) as slide:
        assert isinstance(slide._source, TiffSlideSource)
        for level, written in enumerate(levels_of(noise_pixels)):
            np.testing.assert_array_equal(slide.read(level, 101, 57, 130, 90), written[101:231, 57:147])


def test_openslide_reads_the_same_pixels_as_tiffslide(tmp_path, noise_pixels):
    openslide = pytest.importorskip("openslide")
    path = write_generic(tmp_path / "g.tif", noise_pixels)
    source = OpenSlideSource(path, openslide.OpenSlide(str(path)))
    np.testing.assert_array_equal(source.read(0, 40, 50, 60, 70), noise_pixels[40:100, 50:120])
    source.close()


def test_levels_know_their_whole_downsample_despite_odd_sizes(noise_slide):
    with open_slide(noise_slide) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert slide.shape == (1201, 903)


def test_what_lies_outside_a_brightfield_slide_is_white(noise_slide, noise_pixels):
    with open_slide(noise_slide) as slide:
        piece = slide.read(0, -10, 890, 30, 40)
    assert (piece[:10] == 255).all()
    assert (piece[:, 13:] == 255).all()
    np.testing.assert_array_equal(piece[10:, :13], noise_pixels[:20, 890:])


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_reading_at_a_scale_is_the_mean_over_areas(noise_pixels, scale):
    slide = Slide(ArraySource(noise_pixels), "array")
    rows, cols = 80, 60
    piece = slide.read_scaled(24, 48, rows, cols, scale).astype(float)
    block = noise_pixels[24 : 24 + rows * scale, 48 : 48 + cols * scale].astype(float)
    expected = block.reshape(rows, scale, cols, scale, 3).mean(axis=(1, 3))
    assert np.abs(piece - expected).max() <= 0.51


def test_a_coarse_piece_is_read_in_blocks_that_fit_together(noise_pixels, monkeypatch):
    slide = Slide(ArraySource(noise_pixels), "array")
    whole = slide.read_scaled(0, 0, 300, 225, 4)
    monkeypatch.setattr("napari_sam2.slides.image.pyramid.BLOCK", 256)
    np.testing.assert_array_equal(slide.read_scaled(0, 0, 300, 225, 4), whole)


def test_a_coarse_piece_comes_from_the_nearest_finer_level(noise_slide):
    with open_slide(noise_slide) as slide:
        assert [slide.level_for(scale) for scale in (1, 2, 3, 4, 64)] == [0, 1, 1, 2, 2]


def test_microns_per_pixel_come_from_ome_xml(noise_slide):
    with open_slide(noise_slide) as slide:
        assert (slide.mpp.row, slide.mpp.col, slide.mpp.origin) == (0.25, 0.25, "OME-XML PhysicalSize")


def test_units_of_ome_xml_are_taken_into_account(tmp_path, noise_pixels):
    metadata = {f"PhysicalSize{a}": 500.0 for a in "XY"} | {f"PhysicalSize{a}Unit": "nm" for a in "XY"}
    with open_slide(write_ome(tmp_path / "nm.ome.tif", noise_pixels, **metadata)) as slide:
        assert slide.mpp.mean == pytest.approx(0.5)


def test_microns_per_pixel_come_from_resolution_tags(tmp_path, noise_pixels):
    with open_slide(write_generic(tmp_path / "g.tif", noise_pixels, mpp=0.5)) as slide:
        assert slide.mpp.mean == pytest.approx(0.5, rel=1e-6)


def test_a_printers_density_is_not_taken_for_microns(tmp_path, noise_pixels):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, noise_pixels, photometric="rgb", resolution=(72, 72), resolutionunit="INCH")
    with open_slide(path) as slide:
        assert isinstance(slide._source, TifffileSource)
        assert slide.mpp is None


def test_missing_microns_are_asked_for_only_where_they_are_needed(tmp_path, noise_pixels):
    path = tmp_path / "p.png"
    Image.fromarray(noise_pixels).save(path)
    with open_slide(path) as slide:
        slide.read(0, 0, 0, 10, 10)
        with pytest.raises(UserInputError, match=r"p\.png .* --mpp"):
            parse_size("60um", slide.mpp, slide.name)
        assert parse_size("60px", slide.mpp, slide.name) == 60
    with open_slide(path, mpp=0.4) as slide:
        assert parse_size("60 um", slide.mpp, slide.name) == pytest.approx(150)
        assert slide.mpp.origin == "given"


def test_a_given_size_that_contradicts_the_file_is_used_and_noted(noise_slide):
    with open_slide(noise_slide, mpp="0.5,0.5") as slide:
        assert slide.mpp.mean == 0.5
        assert "states 0.25 microns" in slide.notes[0]


@pytest.mark.parametrize("wrong", ["nothing", "0", "-1", "1,2,3", "nan"])
def test_an_impossible_size_is_refused(noise_slide, wrong):
    with pytest.raises(UserInputError, match="--mpp"):
        open_slide(noise_slide, mpp=wrong)


@pytest.fixture
def fluorescence(tmp_path):
    raw = np.random.default_rng(2).integers(100, 4000, size=(3, 300, 280), dtype=np.uint16)
    path = tmp_path / "f.ome.tif"
    names = {"Name": ["DAPI", "FITC", "Cy5"]}
    tifffile.imwrite(path, raw, tile=(128, 128), photometric="minisblack", metadata={"axes": "CYX", "Channel": names})
    return path, raw


def test_a_chosen_fluorescence_channel_is_grey_and_windowed_once(fluorescence):
    path, raw = fluorescence
    with open_slide(path, channel="fitc") as slide:
        piece = slide.read(0, 10, 20, 50, 60)
        low, high = slide.mix.windows[0]
    expected = np.rint(np.clip((raw[1, 10:60, 20:80].astype(float) - low) / (high - low), 0, 1) * 255)
    assert np.abs(piece[..., 0] - expected).max() <= 1
    assert (piece[..., 0] == piece[..., 2]).all()


def test_merged_channels_keep_their_own_colours(fluorescence):
    path, raw = fluorescence
    with open_slide(path) as slide:
        assert slide.mix.names == ("DAPI", "FITC", "Cy5")
        piece = slide.read(0, 0, 0, 300, 280).astype(float)
    for channel, colour in enumerate((2, 1, 0)):
        assert np.corrcoef(piece[..., colour].ravel(), raw[channel].ravel())[0, 1] > 0.99


def test_a_channel_that_does_not_exist_is_named_with_those_that_do(fluorescence):
    with pytest.raises(UserInputError, match=r"no channel 'DRAQ5'; choose one of 0 \(DAPI\)"):
        open_slide(fluorescence[0], channel="DRAQ5")


def test_a_damaged_tile_is_one_sentence(tmp_path, noise_pixels):
    path = write_ome(tmp_path / "d.ome.tif", noise_pixels)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    with open_slide(path) as slide, pytest.raises(ImageFileError, match=r"d\.ome\.tif is damaged: a piece of level 0"):
        slide.read(0, 0, 0, 100, 100)


def test_a_file_that_is_no_slide_is_refused(tmp_path):
    path = tmp_path / "notes.svs"
    path.write_text("not a slide")
    with pytest.raises(ImageFileError, match=r"notes\.svs is not a slide"):
        open_slide(path)


def test_the_overview_holds_the_whole_slide_in_few_pixels(noise_slide):
    with open_slide(noise_slide) as slide:
        assert slide.overview_scale == 2
        assert slide.overview.shape == (601, 452, 3)


def test_a_slide_that_no_reader_takes_is_not_left_open(tmp_path):
    """By tiffslide, which opens it and fails at its first tile."""
    path = tmp_path / "s.tif"
    pixels = np.random.default_rng(1).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages[0].dataoffsets[0]
    content = path.read_bytes()
    path.write_bytes(content[:first] + b"\xff" * 40 + content[first + 40 :])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(ImageFileError), open_slide(path) as slide:
            slide.read(0, 0, 0, 64, 48)
        gc.collect()
    assert [str(w.message) for w in said if w.category is ResourceWarning] == []


def test_a_tile_that_no_memory_holds_is_refused_before_it_is_decoded(tmp_path, noise_pixels):
    """OpenSlide would end the process: it allocates a tile whole, whatever its size."""
    openslide = pytest.importorskip("openslide")
    path = tmp_path / "huge-tile.tif"
    tifffile.imwrite(path, noise_pixels, photometric="rgb", tile=(64, 64))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["TileLength"].overwrite(65520)
        file.pages[0].tags["TileWidth"].overwrite(65520)
    with pytest.raises(ImageFileError, match="65520 x 65520 pixels, which cannot be"):
        OpenSlideSource(path, openslide.OpenSlide(str(path)))
