"""Nuclei on a large piece of tissue: time, memory, seams.

    python benchmarks/nuclei_region.py --side 10000

The tissue is made: one ellipse per cell of a jittered grid, stained, with noise. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely

from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.automatic.run import AutomaticRequest, joined_objects, plan_of, run_tiles
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource

STEP = 56
HALF = 12
"""Pixels between nuclei, and of their longer half axis."""


def tissue(side):
    """RGB picture, and the middles (x, y) of its nuclei."""
    chance = np.random.default_rng(0)
    pixels = np.empty((side, side, 3), dtype=np.uint8)
    pixels[:] = (225, 170, 205)
    rows, cols = np.ogrid[-HALF : HALF + 1, -HALF : HALF + 1]
    middles = []
    for row in range(STEP, side - STEP, STEP):
        for col in range(STEP, side - STEP, STEP):
            r, c = row + int(chance.integers(-12, 13)), col + int(chance.integers(-12, 13))
            turn = chance.uniform(0, np.pi)
            long, short = rows * np.cos(turn) + cols * np.sin(turn), cols * np.cos(turn) - rows * np.sin(turn)
            inside = (long / HALF) ** 2 + (short / (0.7 * HALF)) ** 2 <= 1
            pixels[r - HALF : r + HALF + 1, c - HALF : c + HALF + 1][inside] = (110, 70, 150)
            middles.append((c + 0.5, r + 0.5))
    for row in range(0, side, 1000):
        piece = pixels[row : row + 1000]
        piece[:] = np.clip(piece + chance.normal(0, 6, size=piece.shape), 0, 255)
    return pixels, np.array(middles)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10_000)
    side = parser.parse_args().side
    pixels, middles = tissue(side)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    engine = CropEngine(Slide(ArraySource(pixels), "tissue"), load_model("classical"))
    request = AutomaticRequest(shapely.box(0, 0, side, side), tissue_only=False, object_size=20.0, nuclei=True)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        plan = plan_of(engine, request)
        run_tiles(engine, plan, Path(folder) / "tiles.jsonl")
        objects = list(joined_objects(engine, plan, Path(folder) / "tiles.jsonl"))
        seconds = time.perf_counter() - began
    outlines = np.array([obj.geometry for obj in objects])
    tree = shapely.STRtree(outlines)
    holding = np.bincount(tree.query(shapely.points(middles), predicate="within")[0], minlength=len(middles))
    areas = shapely.area(outlines)
    lines = {tile.core[k] * plan.scale for tile in plan.tiles() for k in range(4)}
    bounds = shapely.bounds(outlines)
    flat = sum(float(edge) in lines for edges in bounds for edge in edges)
    first, _ = tree.query(outlines, predicate="overlaps")
    doubled, small = int((holding > 1).sum()), int((areas < np.median(areas) / 2).sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tiles = sum(1 for _ in plan.tiles())
    print(f"{side} x {side} px, {tiles} tiles, {len(middles)} nuclei: {len(objects)} found in {seconds:.0f} s")
    print(f"peak memory {peak:.0f} MiB, of which before {before:.0f}")
    print(f"nuclei in no outline {int((holding == 0).sum())}, in two {doubled}")
    print(f"outlines that overlap {len(set(first.tolist()))}; smaller than half the median {small}")
    chance = 4 * len(objects) / plan.core / plan.scale
    print(f"sides of outlines that lie on a border of tiles {flat}; by chance {chance:.0f}")


if __name__ == "__main__":
    main()
