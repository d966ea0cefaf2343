import numpy as np
import pytest

from napari_sam2.training.pool import PoolObject, PoolVolume, write_pool
from napari_sam2.training.shapes import make_slab

TINY = """
name = "tiny"
seed = 3
synthetic_pools = ["slabs.npz"]
real_pools = ["textures.npz"]
held_out = 1
threads = 1
warm_up = 2
validate_every = 100
keep_every = 100
validation_clips = 2

[net]
widths = [8, 16, 16, 24]
heads = 2

[[stages]]
rollouts = 3
size = 32
batch = 3
steps = 2
correct = 0.5
teacher = 0.5
refine = 0.3
ending = 0.3
closest = 0.6
"""


@pytest.fixture(scope="session")
def slabs():
    return [make_slab(np.random.default_rng([9, k]), 64, 8) for k in range(3)]


@pytest.fixture(scope="session")
def texture():
    """A bright ball in noise."""
    z, y, x = np.mgrid[:20, :40, :40]
    ball = (z - 10) ** 2 + (y - 20) ** 2 + (x - 22) ** 2 < 64
    noise = np.random.default_rng(0).normal(0, 60, ball.shape)
    voxels = np.clip(1000 + 1500 * ball + noise, 0, 4095).astype(np.int16)
    return PoolVolume("ball", "image", voxels, True, [PoolObject.from_mask(ball)])


@pytest.fixture
def tiny_config(tmp_path, slabs, texture):
    write_pool(tmp_path / "slabs.npz", slabs)
    write_pool(tmp_path / "textures.npz", [texture])
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path
