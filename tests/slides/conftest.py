"""Small slides, written with tifffile alone so that nothing of the package makes its own test data."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from napari_sam2.models.base import Decoded, ModelCard, ViewPolicy

MPP = 0.25


def halved(pixels):
    rows, cols = (n // 2 * 2 for n in pixels.shape[:2])
    blocks = pixels[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def levels_of(pixels, count=3):
    levels = [pixels]
    while len(levels) < count:
        levels.append(halved(levels[-1]))
    return levels


def write_ome(path, pixels, count=3, **metadata):
    levels = levels_of(pixels, count)
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(levels[0], subifds=count - 1, metadata={"axes": "YXS", **metadata}, **options)
        for level in levels[1:]:
            file.write(level, subfiletype=1, **options)
    return path


def write_generic(path, pixels, count=3, mpp=None):
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for i, level in enumerate(levels_of(pixels, count)):
            if mpp is not None:
                options |= {"resolution": (1e4 / (mpp * 2**i),) * 2, "resolutionunit": "CENTIMETER"}
            file.write(level, subfiletype=int(i > 0), **options)
    return path


def stained(shape, *discs):
    """White glass with purple discs (row, column, radius), slightly noisy."""
    pixels = np.full((*shape, 3), 240, dtype=np.uint8)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    for row, col, radius in discs:
        pixels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = (150, 70, 160)
    noise = np.random.default_rng(0).integers(-6, 7, size=pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def cell_pixels():
    """A pale cell of radius 200 with a dark nucleus of radius 70, around (450, 450): a click may mean either."""
    pixels = stained((900, 900))
    rows, cols = np.ogrid[:900, :900]
    away = np.hypot(rows - 450, cols - 450)
    pixels[away < 200], pixels[away < 70] = (200, 150, 190), (110, 60, 140)
    return pixels


def disc(shape, row, col, radius):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


class ComponentModel:
    """Knows the answer: the connected dark component under the first positive click, seen whole."""

    def __init__(self, input_size=256, threshold=0.7):
        self.card = ModelCard("component", "classical")
        self.view_policy = ViewPolicy(zoom=False)
        self.input_size = input_size
        self.max_memories = 0
        self.device = torch.device("cpu")
        self.threshold = threshold
        self.n_decoded = 0

    def encode(self, images):
        return [(torch.from_numpy(self._components(image.numpy())),) for image in images]

    def _components(self, image):
        dark = (image.mean(axis=0) < self.threshold) & (image.max(axis=0) > 0)
        return ndimage.label(dark)[0]

    def decode(self, requests):
        self.n_decoded += len(requests)
        return [self._decode(request) for request in requests]

    def remember(self, requests):
        return [None for _ in requests]

    def _decode(self, request):
        labels = request.features[0]
        x, y = np.clip(np.rint(request.prompts.points[0].numpy()).astype(int), 0, self.input_size - 1)
        mask = (labels == labels[y, x]) & (labels > 0)
        return Decoded(20.0 * mask - 10.0, 5.0 if mask.any() else -5.0, 0.9)


@pytest.fixture(scope="session")
def noise_pixels():
    return np.random.default_rng(1).integers(0, 256, size=(1201, 903, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def noise_slide(tmp_path_factory, noise_pixels):
    metadata = {f"PhysicalSize{a}": MPP for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    return write_ome(tmp_path_factory.mktemp("slides") / "noise.ome.tif", noise_pixels, **metadata)
