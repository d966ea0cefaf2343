"""Finished scans as training volumes: whole structures, bounded memory."""

from __future__ import annotations

import numpy as np

from napari_sam2.core.volume import Volume
from napari_sam2.tuning.material import pool_volume
from tests.phantoms import ball


def back(pool, shape):
    """All objects of a pool volume as one mask."""
    mask = np.zeros(shape, bool)
    for item in pool.objects:
        mask[tuple(slice(c, c + n) for c, n in zip(item.corner, item.shape, strict=True))] |= item.mask()
    return mask


def test_a_structure_lies_on_its_own_voxels_after_the_cut():
    volume, inside = ball((40, 260, 240), (20, 200, 60), (6, 9, 8), affine=np.diag([4.0, 1, 1, 1]))
    pool = pool_volume("scan", volume, inside.astype(np.uint8), [1])
    mask = back(pool, pool.voxels.shape)
    assert mask.sum() == inside.sum()
    assert pool.voxels.size < volume.voxels.size / 2
    assert pool.voxels[mask].min() > np.median(pool.voxels)


def test_only_the_structures_asked_for_are_learned_from():
    volume, inside = ball((30, 60, 60), (15, 30, 30), (5, 8, 8))
    labels = inside.astype(np.uint8)
    labels[0:6, 0:8, 0:8] = 2
    assert len(pool_volume("scan", volume, labels, [1]).objects) == 1
    assert len(pool_volume("scan", volume, labels, {1: "a", 2: "b"}).objects) == 2


def test_a_scan_too_large_is_averaged_and_its_structure_stays_in_place():
    volume, inside = ball((20, 400, 380), (10, 200, 190), (6, 90, 80), affine=np.diag([4.0, 1, 1, 1]))
    pool = pool_volume("scan", volume, inside.astype(np.uint8), [1], most_voxels=10**6)
    assert pool.voxels.size <= 10**6
    mask = back(pool, pool.voxels.shape)
    assert abs(4 * mask.sum() / inside.sum() - 1) < 0.05
    assert pool.voxels[mask].min() > np.median(pool.voxels[~mask])


def test_colours_become_grey():
    rgb = np.zeros((30, 40, 20, 3), np.uint8)
    rgb[10:20, 10:20, 5:15] = (200, 100, 50)
    labels = (rgb[..., 0] > 0).astype(np.uint8)
    assert pool_volume("photo", Volume(rgb, np.eye(4)), labels, [1]).voxels.ndim == 3
