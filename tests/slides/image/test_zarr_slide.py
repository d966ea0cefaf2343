"""OME-Zarr as slides: pieces, levels, planes, channels and colours."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.slides.reader import open_slide
from tests.zarr_maker import write_group, write_image

RNG = np.random.default_rng(3)
CHANNELS = RNG.integers(0, 3000, (2, 4, 300, 260), dtype=np.uint16)
OMERO = {
    "channels": [
        {"label": "DAPI", "color": "0000FF", "active": True, "window": {"start": 100, "end": 2000}},
        {"label": "GFP", "color": "00ff00", "active": True, "window": {"start": 0, "end": 65535}},
    ]
}


@pytest.fixture(params=["0.4", "0.5"])
def stack(tmp_path, request):
    return write_image(
        tmp_path / "s.ome.zarr", CHANNELS, "czyx", (1, 2, 0.5, 0.5), version=request.param, levels=3, omero=OMERO
    )


def test_every_piece_of_every_level_is_what_was_written(stack):
    with open_slide(stack, plane=2) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        for level in range(3):
            step = 2**level
            written = CHANNELS[:, 2, ::step, ::step]
            piece = slide._source.read(level, 11, 7, 40, 50)
            np.testing.assert_array_equal(piece, written[:, 11:51, 7:57].transpose(1, 2, 0))
        assert (slide.mpp.row, slide.mpp.col, slide.mpp.origin) == (0.5, 0.5, "OME-Zarr scale")


def test_colours_and_ranges_are_the_files_and_a_range_of_the_whole_type_says_nothing(stack):
    with open_slide(stack) as slide:
        assert slide.mix.names == ("DAPI", "GFP")
        assert slide.mix.colours == ((0, 0, 255), (0, 255, 0))
        assert slide.mix.windows[0] == (100, 2000)
        low, high = slide.mix.windows[1]
        assert 0 < low < high < 3000
        rgb = slide.read(0, 0, 0, 300, 260)
    expected = np.clip((CHANNELS[0, 0].astype(float) - 100) / 1900, 0, 1) * 255
    np.testing.assert_allclose(rgb[..., 2], expected, atol=1)
    assert not rgb[..., 0].any()


def test_a_channel_that_the_file_switches_off_is_not_shown_unless_asked_for(tmp_path):
    omero = {"channels": [{**OMERO["channels"][0]}, {**OMERO["channels"][1], "active": False}]}
    path = write_image(tmp_path / "s.zarr", CHANNELS, "czyx", (1, 1, 1, 1), omero=omero)
    with open_slide(path) as slide:
        assert slide.mix.chosen == (0,)
    with open_slide(path, channel="gfp") as slide:
        assert slide.mix.chosen == (1,)


def test_channels_by_hand_override_the_file(stack):
    with open_slide(stack, channel=["GFP=ff8000:10:500", "DAPI=red"]) as slide:
        assert slide.mix.chosen == (1, 0)
        assert slide.mix.colours == ((255, 128, 0), (255, 0, 0))
        assert slide.mix.windows == ((10, 500), (100, 2000))
    with open_slide(stack, channel="DAPI:5:50") as slide:
        assert (slide.mix.colours, slide.mix.windows) == (((255, 255, 255),), ((5, 50),))
    for wrong, sentence in (
        ("DAPI=mauve", "colour 'mauve' is not known"),
        ("DAPI:9:9", "range 9 to 9 of a channel is empty"),
        ("Cy5", "has no channel 'Cy5'; choose one of 0 .DAPI., 1 .GFP."),
        (["DAPI", "0"], "DAPI is wanted twice"),
    ):
        with pytest.raises(UserInputError, match=sentence):
            open_slide(stack, channel=wrong)


def test_a_plane_is_chosen_by_number_or_axis_and_what_is_not_shown_is_told(stack):
    with open_slide(stack) as slide:
        assert slide.planes == {"Z": 4}
        assert slide.plane == {"Z": 0}
        assert slide.notes == (
            "s.ome.zarr holds several planes (4 along Z); z=0 is read, choose another with --plane.",
        )
        key, first = slide.key, slide.read(0, 0, 0, 20, 20)
        third = slide.at({"Z": 3})
        np.testing.assert_array_equal(slide.read(0, 0, 0, 20, 20), first)
        assert (third.read(0, 0, 0, 20, 20) != first).any()
    for wanted in (3, "3", "z=3", "Z = 3"):
        with open_slide(stack, plane=wanted) as slide:
            assert slide.z_and_t == (3, 0)
            assert slide.key == key
            assert slide.notes == ()
    for wrong, sentence in (
        (4, r"no plane z=4; it holds z 0 to 3"),
        ("t=1", "no plane t=1"),
        ("upper", "'upper' is not understood"),
        (-1, "'-1' is not understood"),
    ):
        with pytest.raises(UserInputError, match=sentence):
            open_slide(stack, plane=wrong)


def test_planes_over_time_and_depth_are_both_chosen(tmp_path):
    values = RNG.integers(0, 250, (3, 2, 60, 50), dtype=np.uint8)
    path = write_image(tmp_path / "tz.zarr", values, "tzyx", (1, 1, 1, 1))
    with open_slide(path, plane="t=2,z=1") as slide:
        np.testing.assert_array_equal(slide._source.read(0, 0, 0, 60, 50)[..., 0], values[2, 1])
        assert slide.z_and_t == (1, 2)


def test_colours_of_eight_bits_are_colours(tmp_path):
    pixels = RNG.integers(0, 255, (3, 80, 90), dtype=np.uint8)
    channels = [{"color": c, "window": {"start": 0, "end": 255}} for c in ("FF0000", "00FF00", "0000FF")]
    path = write_image(tmp_path / "he.zarr", pixels, "cyx", (1, 0.25, 0.25), omero={"channels": channels})
    with open_slide(path) as slide:
        assert slide.mix is None
        np.testing.assert_array_equal(slide.read(0, 0, 0, 80, 90), pixels.transpose(1, 2, 0))


def test_without_a_unit_the_size_of_a_pixel_is_unknown(tmp_path):
    with open_slide(write_image(tmp_path / "u.zarr", CHANNELS[0, 0], "yx", (0.5, 0.5), units={})) as slide:
        assert slide.mpp is None


def test_of_several_images_the_largest_is_read_and_another_can_be_chosen(tmp_path):
    root = tmp_path / "two.ome.zarr"
    write_group(root, {"bioformats2raw.layout": 3}, "0.4")
    write_image(root / "0", CHANNELS[0, 0], "yx", (1, 1))
    write_image(root / "1", CHANNELS[0, 1, :100, :100], "yx", (1, 1))
    with open_slide(root) as slide:
        assert slide.shape == (300, 260)
    with open_slide(root, image=1) as slide:
        assert slide.shape == (100, 100)
    with pytest.raises(UserInputError, match="no picture '2'; it holds 0: 0, 260 x 300; 1: 1, 100 x 100"):
        open_slide(root, image=2)


def test_a_level_that_does_not_fit_is_left_out_and_told(tmp_path):
    path = write_image(tmp_path / "s.zarr", CHANNELS[0, 0], "yx", (1, 1), levels=3)
    said = json.loads((path / ".zattrs").read_text())
    said["multiscales"][0]["datasets"][1]["coordinateTransformations"][0]["scale"] = [3, 3]
    (path / ".zattrs").write_text(json.dumps(said))
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 4]
        assert "1 of its smaller levels do not fit" in slide.notes[0]


def test_label_groups_are_read_as_pictures_by_their_folder(tmp_path):
    path = write_image(tmp_path / "s.zarr", CHANNELS[0, 0], "yx", (1, 1))
    ids = (CHANNELS[0, 0] // 100).astype(np.int32)
    write_image(path / "labels" / "cells", ids, "yx", (1, 1), **{"image-label": {}})
    with open_slide(path / "labels" / "cells") as slide:
        np.testing.assert_array_equal(slide._source.read(0, 0, 0, 300, 260)[..., 0], ids)


def test_a_damaged_piece_is_refused_when_it_is_looked_at(tmp_path):
    path = write_image(tmp_path / "s.zarr", CHANNELS[0, 0], "yx", (1, 1), levels=2, packed=True)
    piece = path / "0" / "2" / "2"
    piece.write_bytes(piece.read_bytes()[:100])
    with open_slide(path) as slide:
        slide.read(0, 0, 0, 64, 64)
        with pytest.raises(ImageFileError, match=r"s\.zarr is damaged: a piece of it cannot be decoded"):
            slide.read(0, 130, 130, 40, 40)
