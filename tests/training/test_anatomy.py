import json

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.training.anatomy import anatomy_volumes, read_items
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.pool import read_pool
from napari_sam2.training.prepare import write_missing_pools
from napari_sam2.training.split import read_split
from napari_sam2.training.surroundings import with_surroundings

SPLIT = 'salt = "s"\nshare = 0.5\nlabelled = ["ct_held"]\n'


def write_item(folder, name, modality, image=None, labels=None, spacing=(1, 1, 1)):
    item = folder / name
    item.mkdir(parents=True)
    (item / "case.json").write_text(json.dumps({"modality": modality}))
    for part, voxels in (("image", image), ("labels", labels)):
        if voxels is not None:
            nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1.0])), item / f"{part}.nii.gz")


def body():
    """A CT of a cylinder of soft tissue with two balls of air and a rod of bone; the balls are labelled."""
    i, j, k = np.mgrid[:48, :48, :20]
    image = np.where((i - 24) ** 2 + (j - 24) ** 2 < 20**2, 40, -1000).astype(np.int16)
    labels = np.zeros(image.shape, np.uint8)
    for number, place in enumerate((14, 34), start=1):
        ball = (i - place) ** 2 + (j - 24) ** 2 + (k - 10) ** 2 < 7**2
        image[ball], labels[ball] = -800, number
    image[19:30, 8:16] = 600
    return image, labels


@pytest.fixture
def data(tmp_path):
    image, labels = body()
    folder = tmp_path / "data"
    write_item(folder, "ct_one", "CT", image, labels)
    write_item(folder, "ct_held", "CT, portal-venous", image, labels)
    write_item(folder, "atlas_one", "label map", labels=labels, spacing=(1, 1, 3))
    (tmp_path / "split.toml").write_text(SPLIT)
    return folder


def volumes(data, part, held_out=False):
    return list(anatomy_volumes(data, read_split(data.parent / "split.toml"), part, held_out, 7))


def whole(volume, item):
    mask = np.zeros(volume.voxels.shape, bool)
    mask[tuple(slice(c, c + n) for c, n in zip(item.corner, item.shape, strict=True))] = item.mask()
    return mask


def test_held_out_items_and_others_never_mix(data):
    assert [v.name for v in volumes(data, "labelled")] == ["ct_one"]
    assert [v.name for v in volumes(data, "labelled", held_out=True)] == ["ct_held"]


def test_labels_and_what_thresholds_find_become_objects(data):
    (volume,) = volumes(data, "labelled")
    labels = body()[1]
    assert volume.kind == "ct"
    masks = [whole(volume, item) for item in volume.objects]
    assert any((mask == (labels == 1)).all() for mask in masks)
    bone = [m for m in masks if m.any() and volume.voxels[m].min() > 190]
    assert bone
    tissue = max(masks, key=np.sum)
    assert tissue[24, 24, 10]
    assert tissue[14, 24, 10], "the body is filled where there is air inside it"


def test_the_coarsest_axis_numbers_the_slices(data):
    item = next(i for i in read_items(data) if i.name == "atlas_one")
    assert item.read("labels").shape == (20, 48, 48)
    assert item.turned_spacing() == (3.0, 1.0, 1.0)
    assert not item.isotropic


def test_a_map_keeps_its_labels_and_is_embedded_in_tissue(data):
    (volume,) = volumes(data, "maps")
    labels = np.moveaxis(body()[1], 2, 0)
    assert volume.kind == "air"
    assert (volume.voxels[labels > 0] == labels[labels > 0]).all()
    assert (volume.voxels > 2).any()
    assert (volume.voxels == 0).any()
    assert all(set(item.regions) <= {1, 2} and item.regions for item in volume.objects)


def test_surroundings_reach_around_the_labels_and_no_farther():
    labels = np.zeros((20, 60, 60), np.int16)
    labels[8:12, 25:35, 25:35] = 1
    filled = with_surroundings(np.random.default_rng(0), labels, (3.0, 1.0, 1.0))
    assert filled[10, 24, 30] > 1
    assert filled[10, 2, 2] == 0
    assert len(np.unique(filled)) > 4


def test_a_recipe_finds_the_data_folder_in_the_environment(data, monkeypatch):
    monkeypatch.setenv("SOME_DATA", str(data))
    recipe = PoolRecipe("pool.npz", 7, anatomy="labelled", folder="$SOME_DATA", split="split.toml")
    write_missing_pools([recipe], data.parent)
    assert [v.name for v in read_pool(data.parent / "pool.npz")] == ["ct_one"]


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserInputError, match="no items"):
        read_items(tmp_path)
