"""Objects that a model finds without prompts: coins, and glands of a made slide.

    python benchmarks/regions.py [--models classical bundled] [--glands]

The coins are scikit-image's picture; their outlines come from its own example (markers, Sobel, watershed), and the size
is about that of a coin. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from scipy import ndimage
from skimage import data
from skimage.filters import sobel
from skimage.segmentation import watershed
from slide_phantom import TILE, Phantom

from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.automatic.run import AutomaticRequest, joined_objects, plan_of, run_tiles
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.polygons import mask_to_polygon

SMALLEST_COIN = 300
SMALLEST_PIECE = 300


def coins():
    """RGB picture and outlines."""
    grey = data.coins()
    markers = np.where(grey < 30, 1, np.where(grey > 150, 2, 0))
    labels, count = ndimage.label(ndimage.binary_fill_holes(watershed(sobel(grey), markers) == 2))
    masks = [labels == number for number in range(1, count + 1)]
    outlines = [mask_to_polygon(mask, tolerance=0) for mask in masks if mask.sum() > SMALLEST_COIN]
    return np.repeat(grey[..., None], 3, axis=2), outlines


def glands(side=1536):
    """A piece of the made slide, and the outlines that lie in it."""
    phantom = Phantom(16_000, 20_000, [], seed=3)
    patch = phantom.patches[0]
    top, left = (int(middle - side // 2) // TILE * TILE for middle in (patch.row, patch.col))
    pixels = np.full((side, side, 3), 240, dtype=np.uint8)
    for row in range(0, side, TILE):
        for col in range(0, side, TILE):
            tile = phantom.tile(top + row, left + col, 1)
            if tile is not None:
                pixels[row : row + TILE, col : col + TILE] = tile
    moved = [shapely.transform(gland.outline(), lambda xy: xy - (left, top)) for gland in phantom.glands]
    frame = shapely.box(0, 0, side, side)
    seen = [outline.intersection(frame) for outline in moved]
    # What the frame cuts is an object as well, as far as it is seen.
    return pixels, [piece for piece in seen if piece.area > SMALLEST_PIECE]


def found_on(pixels, model, size):
    engine = CropEngine(Slide(ArraySource(pixels), "picture"), model)
    rows, cols = pixels.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(engine, AutomaticRequest(shapely.box(0, 0, cols, rows), tissue_only=False, object_size=size))
        run_tiles(engine, plan, Path(folder) / "tiles.jsonl")
        return [obj.geometry for obj in joined_objects(engine, plan, Path(folder) / "tiles.jsonl")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["classical", "bundled"])
    parser.add_argument("--glands", action="store_true", help="the made slide as well: minutes")
    options = parser.parse_args()
    pictures = [("coins", *coins(), 50.0), *([("glands", *glands(), 120.0)] if options.glands else [])]
    print("| picture | model | objects | found | right (IoU above 0.5) | F1 | s |\n|---|---|---|---|---|---|---|")
    for name, pixels, truth, size in pictures:
        for model in options.models:
            began = time.perf_counter()
            found = found_on(pixels, load_model(model), size)
            ious = [[a.intersection(b).area / a.union(b).area for a in found] for b in truth]
            hits = sum(max(row, default=0) > 0.5 for row in ious)
            f1, seconds = 2 * hits / (len(found) + len(truth)), time.perf_counter() - began
            print(f"| {name} | {model} | {len(truth)} | {len(found)} | {hits} | {f1:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
