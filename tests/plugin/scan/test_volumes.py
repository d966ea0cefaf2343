from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.reader import get_reader, read
from napari_sam2.plugin.scan.label_saving import NeedsReferenceError, save_labels
from napari_sam2.plugin.scan.volumes import shown_volume
from napari_sam2.plugin.writer import place_labels, write
from tests.plugin.conftest import BALL_AFFINE, ball_truth, ball_voxels


def image_of(path):
    array, arguments, kind = read(str(path))[0]
    assert kind == "image"
    return Image(array, **arguments)


def as_another_reader_shows_it(path, *, flips=(True, False, True)):
    """Another axis order, negative scale, no metadata of ours; only the path is known."""
    voxels = np.asarray(nib.load(path).dataobj)
    array = voxels[tuple(slice(None, None, -1 if f else 1) for f in flips)].transpose(1, 2, 0)
    layer = Image(array, scale=(-1, 2, 1), translate=(30, 0, 0), name="theirs")
    layer._source = layer.source.__class__(path=str(path), reader_plugin="another")
    return layer


def test_our_reader_keeps_stored_order_scale_units_and_the_affine(ball_file):
    layer = image_of(ball_file)
    assert layer.data.shape == (24, 36, 40)
    assert np.allclose(layer.scale, (2, 1, 1))
    assert [str(u) for u in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("k", "j", "i")
    shown = shown_volume(layer)
    assert shown.proven
    assert np.allclose(shown.volume.affine, BALL_AFFINE)
    assert np.array_equal(shown.volume.voxels, ball_voxels())
    assert np.shares_memory(shown.volume.voxels, layer.data)


def test_several_files_are_left_to_other_readers(ball_file):
    assert get_reader([str(ball_file), str(ball_file)]) is None
    assert get_reader(str(ball_file)) is not None


@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (True, True, True)])
def test_a_layer_of_another_reader_is_proven_against_its_file(ball_file, flips):
    layer = as_another_reader_shows_it(ball_file, flips=flips)
    shown = shown_volume(layer)
    assert shown.proven
    assert np.allclose(shown.volume.affine, BALL_AFFINE)
    assert np.array_equal(shown.volume.voxels, ball_voxels())


def test_labels_on_another_readers_layer_are_saved_on_the_files_grid(ball_file, tmp_path):
    shown = shown_volume(as_another_reader_shows_it(ball_file))
    target = tmp_path / "out.nii.gz"
    save_labels(ball_truth().astype(np.uint8), shown, target)
    saved = nib.load(target)
    assert np.array_equal(np.asarray(saved.dataobj), ball_truth())
    for field in ("qform_code", "sform_code", "srow_x", "quatern_b", "qoffset_x", "pixdim"):
        assert np.array_equal(saved.header[field], nib.load(ball_file).header[field]), field


def test_an_edited_layer_is_segmented_but_not_saved_without_a_reference(ball_file, tmp_path):
    layer = as_another_reader_shows_it(ball_file)
    layer.data = layer.data + 1
    shown = shown_volume(layer)
    assert not shown.proven
    assert "edited or resampled" in shown.note
    with pytest.raises(NeedsReferenceError, match="Choose the image file"):
        save_labels(np.ones(shown.volume.shape, np.uint8), shown, tmp_path / "out.nii.gz")
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_reference_file_places_the_labels_of_a_plain_array(ball_file, tmp_path):
    layer = Image(ball_voxels().transpose(2, 1, 0)[::-1].copy())
    shown = shown_volume(layer)
    labels = shown.grid.stored(ball_truth().transpose(2, 1, 0)[::-1]).astype(np.uint8)
    save_labels(labels, shown, tmp_path / "out.nii.gz", reference=ball_file)
    assert np.array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), ball_truth())


def test_a_plain_array_may_be_saved_with_voxel_sizes_only_and_says_so(tmp_path):
    shown = shown_volume(Image(ball_voxels().transpose(2, 1, 0), scale=(2, 1, 1)))
    told = save_labels(ball_truth().astype(np.uint8), shown, tmp_path / "out.nii.gz", without_geometry=True)
    assert "no anatomical geometry" in told
    assert np.allclose(nib.load(tmp_path / "out.nii.gz").header.get_zooms(), (1, 1, 2))


def test_labels_without_metadata_find_the_image_at_the_same_place(ball_file):
    image = image_of(ball_file)
    labels = Labels(np.zeros(image.data.shape, np.uint8), scale=image.scale, translate=image.translate)
    meta = labels.as_layer_data_tuple()[1]
    assert place_labels(labels.data, meta, [image]).proven
    assert not place_labels(labels.data, meta, []).proven
    moved = {**meta, "translate": labels.translate + 1}
    assert not place_labels(labels.data, moved, [image]).proven


def test_labels_beside_an_edited_image_are_refused_rather_than_guessed(ball_file):
    image = as_another_reader_shows_it(ball_file)
    image.data = image.data + 1
    labels = Labels(np.zeros(image.data.shape, np.uint8), scale=image.scale, translate=image.translate)
    with pytest.raises(UserInputError, match="edited or resampled"):
        place_labels(labels.data, labels.as_layer_data_tuple()[1], [image])


def test_the_writer_puts_our_layers_back_on_their_grid(ball_file, tmp_path):
    image = image_of(ball_file)
    labels = Labels(ball_truth().transpose(2, 1, 0).astype(np.uint16), scale=image.scale, metadata=dict(image.metadata))
    target = tmp_path / "saved.nii.gz"
    assert write(str(target), labels.data, labels.as_layer_data_tuple()[1]) == [str(target)]
    saved = nib.load(target)
    assert np.array_equal(np.asarray(saved.dataobj), ball_truth())
    assert saved.header["sform_code"] == 2


def test_rgb_pictures_and_alpha_are_accepted():
    picture = np.random.default_rng(0).integers(0, 255, (12, 10, 4)).astype(np.uint8)
    shown = shown_volume(Image(picture, rgb=True))
    assert shown.volume.shape == (12, 10, 1)
    assert shown.volume.is_rgb
    assert np.array_equal(shown.volume.voxels[:, :, 0], picture[..., :3])


def test_the_finest_level_of_a_multiscale_image_counts():
    fine = np.random.default_rng(0).random((8, 16, 16))
    shown = shown_volume(Image([fine, fine[:, ::2, ::2]], multiscale=True))
    assert shown.volume.shape == (16, 16, 8)


def test_a_slide_is_refused_before_any_of_it_is_read():
    class Slide:
        shape, dtype, ndim = (80_000, 100_000, 3), np.dtype(np.uint8), 3

        def __array__(self, *_, **__):
            raise AssertionError("it was read")

    layer = Image(np.zeros((4, 4, 3), np.uint8), rgb=True, name="slide")
    shown = SimpleNamespace(data=Slide(), multiscale=False, name="slide", ndim=2, rgb=True, metadata=layer.metadata)
    with pytest.raises(UserInputError, match="slide holds 22 GiB"):
        shown_volume(shown)


def test_a_label_map_opens_as_labels_when_that_is_asked_for(ball_file, tmp_path):
    import npe2
    from napari.components import ViewerModel

    npe2.PluginManager.instance().discover()
    save_labels(ball_truth().astype(np.uint8), shown_volume(image_of(ball_file)), tmp_path / "labels.nii.gz")
    viewer = ViewerModel()
    layer = viewer.open(str(tmp_path / "labels.nii.gz"), plugin="napari-sam2", layer_type="labels")[0]
    assert isinstance(layer, Labels)
    assert np.array_equal(layer.data, ball_truth().transpose(2, 1, 0))
