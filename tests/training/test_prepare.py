import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.pool import read_pool
from napari_sam2.training.prepare import read_sources, write_missing_pools

LIST = """
[[textures]]
name = "ball"
path = "ball.npy"
isotropic = true
rounds = 2

[[textures]]
name = "picture"
path = "picture.npy"
shrink = 2
rounds = 2
"""


@pytest.fixture
def folder(tmp_path):
    z, y, x = np.mgrid[:32, :48, :48]
    noise = np.random.default_rng(0).normal(0, 0.03, z.shape)
    volume = ((z - 16) ** 2 + (y - 24) ** 2 + (x - 22) ** 2 < 100) + noise
    np.save(tmp_path / "ball.npy", volume.astype(np.float32))
    np.save(tmp_path / "picture.npy", np.kron(volume[16], np.ones((2, 2))).astype(np.float32))
    (tmp_path / "list.toml").write_text(LIST)
    return tmp_path


def test_pools_are_made_once_and_depend_on_the_seed_alone(folder):
    recipes = [PoolRecipe("slabs.npz", 3, slabs=2, size=48, depth=6), PoolRecipe("t.npz", 4, textures="list.toml")]
    write_missing_pools(recipes, folder)
    slabs, textures = read_pool(folder / "slabs.npz"), read_pool(folder / "t.npz")
    assert len(slabs) == 2
    assert [t.voxels.shape for t in textures] == [(32, 48, 48), (1, 48, 48)]
    (folder / "slabs.npz").unlink()
    write_missing_pools(recipes, folder)
    assert all(np.array_equal(a.voxels, b.voxels) for a, b in zip(slabs, read_pool(folder / "slabs.npz"), strict=True))


def test_a_ball_in_noise_is_found_as_an_object(folder):
    write_missing_pools([PoolRecipe("t.npz", 4, textures="list.toml")], folder)
    ball = read_pool(folder / "t.npz")[0]
    assert ball.objects
    best = max(ball.objects, key=lambda o: o.areas.sum())
    assert 0.7 < best.areas.sum() / (4 / 3 * np.pi * 1000) < 1.3


def test_an_unknown_key_in_the_list_is_named(folder):
    (folder / "list.toml").write_text(LIST.replace("rounds", "repeats"))
    with pytest.raises(UserInputError, match="repeats"):
        read_sources(folder / "list.toml")
