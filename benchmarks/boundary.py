#!/usr/bin/env python
"""How exactly a boundary can be drawn in each view, whatever the weights: wrong voxels per voxel of boundary.

Every cell of the mask grid is given the exact share of it that the object covers; what is wrong afterwards
is what the grid cannot express. The object is a flower with twelve petals in a slice of 512 x 512 voxels.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_sam2.core.volume import Volume
from napari_sam2.engine.view import View, whole_view, zoom_view
from napari_sam2.models.quality import QUALITIES

SIDE = 512
FINE = 8
"""Samples along the side of a cell."""


def main() -> None:
    plane = Volume(np.zeros((SIDE, SIDE, 1), np.uint8), np.eye(4), oriented=False).plane(2)
    policy = QUALITIES["balanced"].policy
    print("radius  fast (whole, 512)  balanced (follows, 512)  best (whole, 1024)")
    for radius in (10, 20, 40, 80, 160):
        edge = SIDE / 2 - 1.17 * radius, SIDE / 2 + 1.17 * radius
        bounds = (edge[0], edge[0], edge[1], edge[1])
        zoomed = zoom_view(plane, bounds, policy.follow_factor, policy.min_side, 512)
        views = (whole_view(plane, 512), zoomed, whole_view(plane, 1024))
        print(f"{radius:6d}  " + "  ".join(f"{wrong_share(view, radius):.3f}" for view in views))


def wrong_share(view: View, radius: float) -> float:
    cells = view.size // 4
    at = (np.arange(cells * FINE) + 0.5) / (cells * FINE)
    inside = flower(view.row + at * view.rows, view.col + at * view.cols, radius)
    coverage = inside.reshape(cells, FINE, cells, FINE).mean((1, 3))
    mask = view.to_slice(torch.from_numpy(coverage - 0.5).float(), (SIDE, SIDE)).numpy() > 0
    truth = flower(np.arange(SIDE), np.arange(SIDE), radius)
    boundary = (truth[1:] != truth[:-1]).sum() + (truth[:, 1:] != truth[:, :-1]).sum()
    return float((mask != truth).sum() / boundary)


def flower(rows: np.ndarray, cols: np.ndarray, radius: float) -> np.ndarray:
    y, x = rows[:, None] - SIDE / 2, cols[None, :] - SIDE / 2
    return np.hypot(y, x) < radius * (1 + np.cos(12 * np.arctan2(y, x)) / 6)


if __name__ == "__main__":
    main()
