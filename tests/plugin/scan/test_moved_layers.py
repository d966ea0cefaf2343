"""Layers that were cut, turned, thinned, projected or moved since our reader made them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, _layer_actions

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.control.base_work import NeedsReferenceError
from napari_sam2.plugin.reader import read
from napari_sam2.plugin.scan.label_saving import save_labels
from napari_sam2.plugin.scan.volumes import METADATA_KEY, shown_volume
from napari_sam2.plugin.writer import place_labels, write
from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)
MIRROR = np.diag([1.0, 1, -1, 1])
TURN = np.array([[1.0, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


def opened(path):
    array, arguments, _ = read(str(path))[0]
    return array, arguments


EDITS = {
    "cropped": lambda a: a[4:20, 8:30, 10:35].copy(),
    "mirrored": lambda a: np.flip(a, 2).copy(),
    "turned": lambda a: np.rot90(a, 2, (1, 2)).copy(),
    "thinned": lambda a: a[::2, ::2, ::2].copy(),
    "shifted": lambda a: np.roll(a, 3, 0),
    "projected": lambda a: a.max(axis=0),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_layer_that_was_edited_is_not_proven_by_the_metadata_it_inherited(ball_file, tmp_path, edit):
    array, arguments = opened(ball_file)
    edited = EDITS[edit](array)
    scale = arguments["scale"][-edited.ndim :]
    layer = Image(edited, metadata=arguments["metadata"], scale=scale, name=edit)
    shown = shown_volume(layer)
    assert not shown.proven
    assert "cut, turned or edited" in shown.note
    with pytest.raises(NeedsReferenceError):
        save_labels(np.ones(shown.volume.shape, np.uint8), shown, tmp_path / "out.nii.gz")


def test_naparis_own_projection_is_not_proven(ball_file):
    array, arguments = opened(ball_file)
    viewer = ViewerModel()
    viewer.layers.selection = {viewer.add_image(array, **arguments)}
    _layer_actions._project(viewer.layers, axis=0, mode="max")
    (flat,) = (layer for layer in viewer.layers if layer.ndim == 2)
    assert METADATA_KEY in flat.metadata
    assert not shown_volume(flat).proven


def test_a_mirrored_layer_that_knows_its_file_is_proven_by_the_file(ball_file):
    array, arguments = opened(ball_file)
    layer = Image(np.flip(array, 2).copy(), **{**arguments, "name": "mirrored"})
    layer._source = layer.source.__class__(path=str(ball_file), reader_plugin="napari-sam2")
    shown = shown_volume(layer)
    assert shown.proven
    assert shown.grid.axes_map.flips == (True, False, False)


def test_moving_the_image_alone_leaves_its_grid_proven(ball_file):
    array, arguments = opened(ball_file)
    assert shown_volume(Image(array, **{**arguments, "translate": (5, 0, 0), "rotate": TURN})).proven


@pytest.mark.parametrize(
    "moved",
    [
        {"affine": MIRROR},
        {"rotate": TURN},
        {"shear": [0.1, 0, 0]},
        {"translate": (0, 0, 2)},
        {"scale": (2, 1, 1.5)},
    ],
)
def test_labels_that_lie_elsewhere_are_not_saved_as_if_they_lay_on_the_image(ball_file, tmp_path, moved):
    array, arguments = opened(ball_file)
    image = Image(array, **arguments)
    labels = Labels(np.zeros(array.shape, np.uint8), **{"scale": image.scale, "units": image.units, **moved})
    assert not place_labels(labels.data, labels.as_layer_data_tuple()[1], [image]).proven
    # The same with the metadata of the image: napari hands them on to layers made of others.
    labels.metadata = dict(image.metadata)
    with pytest.raises(UserInputError, match="cut, turned or moved"):
        place_labels(labels.data, labels.as_layer_data_tuple()[1], [image])


def test_labels_that_were_cut_are_not_saved_by_the_metadata_they_inherited(ball_file, tmp_path):
    array, arguments = opened(ball_file)
    image = Image(array, **arguments)
    labels = Labels(np.ones((16, 22, 25), np.uint8), scale=image.scale, metadata=dict(image.metadata))
    with pytest.raises(UserInputError, match="cut, turned or moved"):
        write(str(tmp_path / "out.nii.gz"), labels.data, labels.as_layer_data_tuple()[1])
    assert not (tmp_path / "out.nii.gz").exists()


def test_labels_moved_with_their_image_are_on_its_grid(ball_file):
    array, arguments = opened(ball_file)
    image = Image(array, **{**arguments, "rotate": TURN, "affine": MIRROR})
    labels = Labels(np.zeros(array.shape, np.uint8), scale=image.scale, rotate=TURN, affine=MIRROR)
    assert place_labels(labels.data, labels.as_layer_data_tuple()[1], [image]).proven


def test_the_panels_own_layer_of_a_mirrored_scan_asks_in_naparis_save_too(bench, ball_file):
    array, arguments = opened(ball_file)
    layer = bench.viewer.add_image(np.flip(array, 2).copy(), **arguments)
    bench.controller.use_image(layer)
    bench.settle()
    assert any("cut, turned or edited" in warning for warning in bench.warnings)
    assert METADATA_KEY not in bench.controller.work.result.layer.metadata


def test_a_moved_segmentation_layer_is_not_saved_from_the_panel(ball_bench, tmp_path):
    ball_bench.box(LOW, HIGH)
    work = ball_bench.controller.work
    work.result.layer.affine = MIRROR
    work.save(tmp_path / "out.nii.gz")
    ball_bench.settle()
    assert "was moved" in ball_bench.controller.workspace.status
    assert not (tmp_path / "out.nii.gz").exists()
    work.result.layer.affine = np.eye(4)
    work.save(tmp_path / "out.nii.gz")
    ball_bench.settle()
    assert nib.load(tmp_path / "out.nii.gz").get_fdata()[tuple(CENTRE)] == 1
