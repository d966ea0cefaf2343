import numpy as np
import pytest
import torch

from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.render import render_regions
from napari_sam2.training.sampler import ClipSampler, Shares


def ball_volume(name, kind="image", centre=10, depth=20):
    z, y, x = np.mgrid[:depth, :40, :40]
    ball = (z - centre) ** 2 + (y - 20) ** 2 + (x - 22) ** 2 < 64
    if kind == "image":
        voxels = np.where(ball, 2500, 1000).astype(np.int16)
        return PoolVolume(name, kind, voxels, False, [PoolObject.from_mask(ball)])
    regions = np.where(ball, 300, 1 + (y > 20)).astype(np.int16)
    return PoolVolume(name, kind, regions, False, [PoolObject.from_mask(ball, (300,))])


def last_areas(sampler, ending, draws=40):
    rng = np.random.default_rng(0)
    return np.array([float(sampler.draw(rng, 6, ending).mask[-1].sum()) for _ in range(draws)])


def test_a_clip_that_is_to_end_does_so():
    sampler = ClipSampler([], [], Shares(0, 0, 1.0, 0), [ball_volume("ball")])
    assert (last_areas(sampler, 1.0) == 0).mean() > 0.9
    assert (last_areas(sampler, 0.0) == 0).mean() < 0.7


def test_an_object_that_touches_the_volumes_border_ends_on_the_other_side():
    sampler = ClipSampler([], [], Shares(0, 0, 1.0, 0), [ball_volume("ball", centre=18)])
    assert (last_areas(sampler, 1.0) == 0).mean() > 0.9


@pytest.mark.parametrize(("shares", "kind"), [(Shares(0, 0, 1.0, 0), "labelled"), (Shares(0, 0, 0, 1.0), "maps")])
def test_the_shares_decide_which_pool_is_drawn_from(shares, kind):
    labelled, maps = [ball_volume("image")], [ball_volume("map", "air")]
    sampler = ClipSampler([], [ball_volume("texture")], shares, labelled, maps)
    chosen = sampler._group(0.5)
    assert chosen.volumes == {"labelled": labelled, "maps": maps}[kind]


def test_many_volumes_of_one_family_count_less_than_their_number():
    volumes = [ball_volume(f"mr_sarcoma_{k:03d}") for k in range(9)] + [ball_volume("pet_lung_001")]
    shares = ClipSampler([], [], None, volumes).labelled.shares
    assert shares[-1] == pytest.approx(3 * shares[0])


def test_region_numbers_above_a_byte_keep_their_own_intensity():
    volume = ball_volume("map", "air")
    rng = np.random.default_rng(3)
    mask = np.zeros((3, 40, 40), np.float32)
    mask[:] = volume.voxels[9:12] == 300
    image = render_regions(rng, volume.voxels[9:12], (300,), torch.from_numpy(mask), True)
    assert image.shape == (3, 40, 40)
    assert bool(image.isfinite().all())
    assert float(image.max()) <= 1
