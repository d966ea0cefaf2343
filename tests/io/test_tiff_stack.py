"""Stacks along z in TIFF: sizes, channels and moments as ImageJ, Fiji and OME-XML state them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam2.errors import SeveralVolumesError
from napari_sam2.io.read import read_volume
from napari_sam2.slides.reader import open_slide

RNG = np.random.default_rng(2)
STACK = RNG.integers(0, 4000, (6, 40, 50), dtype=np.uint16)


@pytest.mark.parametrize("unit", ["micron", "um", r"\u00B5m"])
def test_the_calibration_of_imagej_gives_all_three_sizes(tmp_path, unit):
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 1.5}
    tifffile.imwrite(tmp_path / "ij.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    volume = read_volume(tmp_path / "ij.tif")
    np.testing.assert_array_equal(volume.voxels, STACK.transpose(2, 1, 0))
    np.testing.assert_allclose(volume.spacing, (0.00025, 0.0005, 0.0015))
    assert volume.source.notes == ()
    assert not volume.oriented


def test_the_sizes_of_ome_xml_are_read_in_their_own_units(tmp_path):
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 0.002}
    metadata = {"axes": "ZYX", **sizes, "PhysicalSizeZUnit": "mm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", STACK, ome=True, metadata=metadata)
    np.testing.assert_allclose(read_volume(tmp_path / "o.ome.tif").spacing, (0.00025, 0.0005, 0.002))


def test_sizes_that_are_not_stated_are_not_guessed(tmp_path):
    tifffile.imwrite(tmp_path / "n.tif", STACK, imagej=True, resolution=(4, 4), metadata={"axes": "ZYX", "unit": "um"})
    volume = read_volume(tmp_path / "n.tif")
    assert volume.spacing == (1, 1, 1)
    assert volume.source.notes == ("The sizes of voxels are not stated along all axes; 1 mm is taken along each.",)


def test_of_channels_one_is_chosen_and_named(tmp_path):
    stack = np.stack([STACK, STACK // 2], axis=1)
    channels = {"Name": ["DAPI", "GFP"]}
    tifffile.imwrite(tmp_path / "c.ome.tif", stack, ome=True, metadata={"axes": "ZCYX", "Channel": channels})
    with pytest.raises(SeveralVolumesError, match=r"2 volumes \(2 along c; channels are 0 DAPI, 1 GFP\)"):
        read_volume(tmp_path / "c.ome.tif")
    volume = read_volume(tmp_path / "c.ome.tif", volume_index=1)
    np.testing.assert_array_equal(volume.voxels, (STACK // 2).transpose(2, 1, 0))
    assert "Volume 1 is the channel GFP." in volume.source.notes


def test_colours_stay_colours(tmp_path):
    stack = RNG.integers(0, 255, (4, 30, 20, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", stack, imagej=True, metadata={"axes": "ZYXS"})
    np.testing.assert_array_equal(read_volume(tmp_path / "rgb.tif").voxels, stack.transpose(2, 1, 0, 3))


def _lut(red, green, blue):
    ramp = np.arange(256)
    return np.stack([ramp * c // 255 for c in (red, green, blue)]).astype(np.uint8)


def test_ranges_labels_and_look_up_tables_of_imagej_are_how_channels_are_shown(tmp_path):
    stack = np.stack([STACK[0], STACK[1]])
    metadata = {
        "axes": "CYX", "mode": "composite", "Ranges": (100.0, 900.0, 0.0, 3000.0),
        "LUTs": [_lut(255, 0, 255), _lut(0, 255, 255)], "Labels": ["nuclei", "actin"], "unit": "um",
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "hyper.tif", stack, imagej=True, resolution=(5, 5), metadata=metadata)
    with open_slide(tmp_path / "hyper.tif") as slide:
        assert slide.mix.names == ("nuclei", "actin")
        assert slide.mix.colours == ((255, 0, 255), (0, 255, 255))
        assert slide.mix.windows == ((100, 900), (0, 3000))
        assert slide.mpp.mean == pytest.approx(0.2)


def test_an_inverted_look_up_table_gives_no_colour(tmp_path):
    stack = np.stack([STACK[0], STACK[1]])
    inverted = 255 - _lut(0, 255, 255)  # from white to red
    metadata = {"axes": "CYX", "mode": "composite", "LUTs": [inverted, _lut(255, 0, 0)]}
    tifffile.imwrite(tmp_path / "inv.tif", stack, imagej=True, metadata=metadata)
    with open_slide(tmp_path / "inv.tif") as slide:
        assert slide.mix.colours == ((0, 0, 255), (255, 0, 0))


def test_colours_of_ome_xml_are_those_of_the_channels(tmp_path):
    stack = np.stack([STACK[0], STACK[1]])
    packed = [int.from_bytes(bytes([0, 160, 255, 255]), "big", signed=True), -16776961]
    metadata = {"axes": "CYX", "Channel": {"Name": ["a", "b"], "Color": packed}}
    tifffile.imwrite(tmp_path / "c.ome.tif", stack, ome=True, metadata=metadata)
    with open_slide(tmp_path / "c.ome.tif") as slide:
        assert slide.mix.colours == ((0, 160, 255), (255, 0, 0))


def test_white_for_each_of_several_channels_says_nothing(tmp_path):
    stack = np.stack([STACK[0], STACK[1]])
    metadata = {"axes": "CYX", "Channel": {"Name": ["a", "b"], "Color": [-1, -1]}}
    tifffile.imwrite(tmp_path / "w.ome.tif", stack, ome=True, metadata=metadata)
    with open_slide(tmp_path / "w.ome.tif") as slide:
        assert slide.mix.colours == ((0, 0, 255), (0, 255, 0))


def test_the_plane_of_a_tiff_stack_is_chosen(tmp_path):
    tifffile.imwrite(tmp_path / "z.ome.tif", STACK, ome=True, metadata={"axes": "ZYX"})
    with open_slide(tmp_path / "z.ome.tif", plane=4) as slide:
        np.testing.assert_array_equal(slide._source.read(0, 0, 0, 40, 50)[..., 0], STACK[4])
