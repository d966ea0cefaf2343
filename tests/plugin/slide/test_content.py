"""What is opened as a slide and what as a volume, in napari and on the command line, by content."""

from __future__ import annotations

import nibabel as nib
import npe2
import numpy as np
import pydicom
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Labels
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset

from napari_sam2.errors import UserInputError
from napari_sam2.io import read_volume
from napari_sam2.io.formats import all_suffixes
from napari_sam2.io.names import stem_of
from napari_sam2.plugin.reader import get_reader, read
from napari_sam2.plugin.slide.content import is_slide_file
from napari_sam2.plugin.slide.reader import napari_get_slide_reader, read_slide_layers
from napari_sam2.slides.image.dicom_slide import WHOLE_SLIDE
from napari_sam2.slides.reader import open_slide
from tests.zarr_maker import write_group, write_image

STACK = np.random.default_rng(4).integers(0, 4000, (5, 40, 50), dtype=np.uint16)
PIXELS = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)


def pyramid(path):
    with tifffile.TiffWriter(path) as tiff:
        options = {"photometric": "rgb", "tile": (128, 128)}
        tiff.write(PIXELS, subifds=1, **options)
        tiff.write(PIXELS[::2, ::2], subfiletype=1, **options)


def dicom(path, sop_class):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("name", ["slide.tif", "slide.TIFF", "slide.qptiff", "slide.btf"])
def test_a_pyramid_in_any_tiff_is_a_slide(tmp_path, name):
    pyramid(tmp_path / name)
    assert is_slide_file(tmp_path / name)


@pytest.mark.parametrize("ending", [".qptiff", ".btf", ".tf8"])
def test_a_tiff_slide_under_a_name_of_its_maker_is_read_and_gives_its_outputs_their_name(tmp_path, ending):
    pyramid(tmp_path / f"case.1{ending}")
    with open_slide(tmp_path / f"case.1{ending}") as slide:
        assert slide.shape == PIXELS.shape[:2]
    assert stem_of(tmp_path / f"case.1{ending}") == "case.1"
    assert ending in all_suffixes()


@pytest.mark.parametrize("reader", [open_slide, read_volume])
@pytest.mark.parametrize("name", ["x.tga", "x.ppm"])
def test_pictures_that_are_not_read_are_refused_with_their_name(tmp_path, reader, name):
    Image.fromarray(PIXELS).save(tmp_path / name)
    with pytest.raises(UserInputError, match=name):
        reader(tmp_path / name)


@pytest.mark.parametrize(
    ("pixels", "options", "slide"),
    [
        (PIXELS, {"photometric": "rgb"}, True),
        (PIXELS[..., 0], {}, True),
        (np.zeros((5, 30, 40), np.uint16), {}, False),
        (np.zeros((5, 30, 40), np.uint16), {"imagej": True, "metadata": {"axes": "ZYX"}}, False),
        (np.zeros((5, 30, 40, 3), np.uint8), {"photometric": "rgb"}, False),
    ],
)
def test_one_picture_is_a_slide_and_a_stack_is_none(tmp_path, pixels, options, slide):
    tifffile.imwrite(tmp_path / "x.tif", pixels, **options)
    assert is_slide_file(tmp_path / "x.tif") is slide
    assert (napari_get_slide_reader(str(tmp_path / "x.tif")) is not None) is slide


def test_a_dicom_slide_goes_to_the_slide_reader_and_a_scan_to_the_other(tmp_path):
    dicom(tmp_path / "slide.dcm", WHOLE_SLIDE)
    dicom(tmp_path / "ct.dcm", "1.2.840.10008.5.1.4.1.1.2")
    assert napari_get_slide_reader(str(tmp_path / "slide.dcm")) is not None
    assert get_reader(str(tmp_path / "slide.dcm")) is None
    assert napari_get_slide_reader(str(tmp_path / "ct.dcm")) is None
    assert get_reader(str(tmp_path / "ct.dcm")) is not None


def test_what_is_damaged_or_gone_is_left_to_the_reader_that_says_why(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"II*\0 and nothing else")
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    for name in ("x.tif", "x.dcm", "gone.tif", "gone.dcm"):
        assert not is_slide_file(tmp_path / name)


def test_napari_opens_a_plain_tiff_slide_with_our_reader(tmp_path):
    pyramid(tmp_path / "slide.tif")
    npe2.PluginManager.instance().discover()
    (layer,) = ViewerModel().open(str(tmp_path / "slide.tif"), plugin="napari-sam2")
    assert layer.multiscale
    assert layer.rgb
    layer.metadata["napari_sam2_slide"].close()


@pytest.mark.parametrize("shape", [(12, 10, 6), (12, 10, 1)])
def test_a_colour_volume_opens(tmp_path, shape):
    colours = np.zeros(shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["G"] = np.arange(12, dtype=np.uint8)[:, None, None]
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "colour.nii.gz")
    array, arguments, kind = read(str(tmp_path / "colour.nii.gz"))[0]
    assert kind == "image"
    assert arguments["rgb"] is True
    assert array.shape[-1] == 3
    assert array[..., 1].max() == 11
    assert "contrast_limits" not in arguments


def test_a_flat_ome_zarr_is_a_slide_and_a_stack_of_planes_a_volume(tmp_path):
    flat = write_image(tmp_path / "flat.ome.zarr", STACK[0], "yx", (1, 1))
    deep = write_image(tmp_path / "deep.ome.zarr", STACK, "zyx", (1, 1, 1))
    assert is_slide_file(flat)
    assert not is_slide_file(deep)
    assert napari_get_slide_reader(str(flat)) is not None
    assert get_reader(str(flat)) is None
    assert get_reader(str(deep)) is not None
    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / "folder")) is None
    assert napari_get_slide_reader(str(tmp_path / "folder")) is None


def test_an_ome_zarr_opens_with_its_channels_and_label_groups(tmp_path):
    omero = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    path = write_image(tmp_path / "deep.ome.zarr", np.stack([STACK, STACK // 2]), "czyx", (1, 2, 1, 1), omero=omero)
    write_image(path / "labels" / "cells", STACK // 1000, "zyx", (2, 1, 1), **{"image-label": {}})
    write_image(path / "labels" / "small", STACK[:, :9, :9] // 1000, "zyx", (2, 1, 1), **{"image-label": {}})
    write_group(path / "labels", {"labels": ["cells", "small"]}, "0.4")
    layers = read(str(path))
    named = [(fields["name"], kind) for _, fields, kind in layers]
    assert named == [("deep DAPI", "image"), ("deep GFP", "image"), ("cells", "labels")]
    np.testing.assert_array_equal(layers[1][0], STACK // 2)
    np.testing.assert_array_equal(layers[2][0], STACK // 1000)
    np.testing.assert_allclose(layers[2][1]["scale"], layers[0][1]["scale"])


def test_channels_of_an_ome_zarr_have_their_colours_and_windows_and_labels_have_none(tmp_path):
    entry = {"color": "FF00FF", "window": {"start": 500, "end": 30000}}
    channels = [{"label": "DAPI", **entry}, {"label": "GFP", "color": "00FF00", "active": False}]
    both = np.stack([STACK, STACK // 2])
    path = write_image(tmp_path / "deep.ome.zarr", both, "czyx", (1, 2, 1, 1), omero={"channels": channels})
    write_image(path / "labels" / "cells", STACK // 1000, "zyx", (2, 1, 1), **{"image-label": {}})
    write_group(path / "labels", {"labels": ["cells"]}, "0.4")
    viewer = ViewerModel()
    for array, fields, kind in read(str(path)):
        viewer._add_layer_from_data(array, fields, kind)
    first, second, labels = viewer.layers
    assert first.contrast_limits == [500, 30000]
    assert first.colormap.map(np.array([1.0])).tolist() == [[1, 0, 1, 1]]
    assert second.colormap.map(np.array([1.0])).tolist() == [[0, 1, 0, 1]]
    assert (first.visible, second.visible) == (True, False)
    assert {first.blending, second.blending} == {"additive"}
    assert isinstance(labels, Labels)


def test_a_flat_ome_zarr_opens_with_its_label_groups(tmp_path):
    path = write_image(tmp_path / "flat.ome.zarr", STACK[0], "yx", (0.5, 0.5), levels=2)
    write_image(path / "labels" / "cells", STACK[0] // 1000, "yx", (0.5, 0.5), **{"image-label": {}})
    write_group(path / "labels", {"labels": ["cells"]}, "0.4")
    (_, fields, _), (labels, more, kind) = read_slide_layers(path)
    fields["metadata"]["napari_sam2_slide"].close()
    np.testing.assert_array_equal(np.asarray(labels), STACK[0] // 1000)
    assert (more["name"], more["scale"], kind) == ("cells", (0.5, 0.5), "labels")
