"""Invented PET: hot objects in little background, blurred, in coarse pixels."""

from __future__ import annotations

import numpy as np
import torch

from napari_sam2.training.hot import coarsened, render_hot
from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.sampler import ClipSampler, Shares


def disc(side=60, radius=20):
    rows, columns = np.mgrid[:side, :side]
    inside = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < radius**2
    return np.repeat(inside[None], 4, 0)


def rendered(seed):
    inside = disc()
    mask = torch.from_numpy(inside.astype(np.float32))
    return render_hot(np.random.default_rng(seed), inside.astype(np.int16), (1,), mask), mask


def test_the_object_is_mostly_hotter_than_what_is_around_it_and_blurred():
    contrasts, steps = [], []
    for seed in range(20):
        image, mask = rendered(seed)
        assert image.shape == mask.shape
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        contrasts.append(float(image[mask > 0].median() - image[mask == 0].median()))
        # Across the border in steps of one pixel: a sharp border would make the whole step at once.
        steps.append(float(image[0, 30].diff().abs().max()) / max(contrasts[-1], 0.1))
    assert np.median(contrasts) > 0.3
    assert np.median(steps) < 0.4


def test_pixels_become_as_coarse_as_those_of_pet():
    image, mask = rendered(0)
    across = []
    for seed in range(10):
        coarse, small = coarsened(np.random.default_rng(seed), image, mask)
        assert coarse.shape == small.shape
        assert set(small.unique().tolist()) <= {0.0, 1.0}
        across.append(int(small[0].any(0).sum()))
    assert min(across) >= 7
    assert np.median(across) <= 20


def test_the_share_of_pet_like_clips_is_drawn():
    inside = disc()
    volume = PoolVolume("map", "air", inside.astype(np.uint8), False, [PoolObject.from_mask(inside, (1,))])

    def drawn(hot):
        sampler = ClipSampler([], [], Shares(0.0, 0.0, 0.0, 1.0, hot=hot), maps=[volume])
        rng = np.random.default_rng(1)
        return [sampler.draw(rng, 2) for _ in range(12)]

    assert all(clip.image.shape[1] == 60 for clip in drawn(0.0))
    assert sum(clip.image.shape[1] < 60 for clip in drawn(1.0)) >= 6


def test_labelled_pet_scans_can_count_more():
    inside = disc()
    volumes = [
        PoolVolume(name, "image", inside.astype(np.int16), False, [PoolObject.from_mask(inside)])
        for name in ("pet_sarcoma_1", "mr_sarcoma_1")
    ]
    sampler = ClipSampler([], [], Shares(labelled=1.0, pet=4.0), labelled=volumes)
    assert np.allclose(sampler.labelled.shares, [0.8, 0.2])
