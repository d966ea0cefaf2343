import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.training.pool import PoolObject, read_pool, write_pool


def test_an_object_packs_and_unpacks():
    mask = np.zeros((5, 9, 7), bool)
    mask[1:4, 2:8, 3:6] = np.random.default_rng(0).random((3, 6, 3)) > 0.4
    item = PoolObject.from_mask(mask, [3])
    box = tuple(slice(c, c + n) for c, n in zip(item.corner, item.shape, strict=True))
    again = np.zeros_like(mask)
    again[box] = item.mask()
    assert np.array_equal(again, mask)
    assert item.areas.sum() == mask.sum()


def test_a_pool_comes_back_as_it_was_written(tmp_path, slabs, texture):
    write_pool(tmp_path / "p.npz", [*slabs, texture])
    again = read_pool(tmp_path / "p.npz")
    assert [v.name for v in again] == [v.name for v in [*slabs, texture]]
    for one, two in zip([*slabs, texture], again, strict=True):
        assert np.array_equal(one.voxels, two.voxels)
        for a, b in zip(one.objects, two.objects, strict=True):
            assert np.array_equal(a.mask(), b.mask())
            assert a.regions == b.regions


def test_a_missing_pool_is_named(tmp_path):
    with pytest.raises(UserInputError, match=r"nothing\.npz"):
        read_pool(tmp_path / "nothing.npz")
