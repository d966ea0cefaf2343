"""Films: the overlap with known outlines, frame by frame.

    python benchmarks/films.py [--models classical bundled]

Three clips of 16 frames with a box on frame 8: a disc that rests, one that wanders and grows, and speckle as in
ultrasound, in which a dark cavity beats. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from napari_sam2.core.prompts import Box, ObjectPrompts
from napari_sam2.jobs.film import segment_film

FRAMES, ROWS, COLS = 16, 160, 200
AT = 8
"""The frame with the box."""


def discs(row, col, radius):
    """A disc (T, rows, columns) whose place and radius follow time."""
    rows, cols = np.mgrid[:ROWS, :COLS]
    times = range(FRAMES)
    return np.stack([np.hypot(rows - row(t), cols - col(t)) <= radius(t) for t in times])


def noisy(truth, chance):
    return 30 + 120.0 * truth + chance.normal(0, 8, truth.shape)


def ultrasound(truth, chance):
    """Speckle: the amplitude of blurred complex noise, compressed by the logarithm, dark inside the cavity."""
    frames = []
    for inside in truth:
        real, imaginary = (ndimage.gaussian_filter(chance.normal(size=inside.shape), (1.0, 1.8)) for _ in range(2))
        echo = np.where(inside, 0.12, 1.0) * np.hypot(real, imaginary)
        decibels = 20 * np.log10(echo + 1e-3)
        frames.append(255 * np.clip((decibels + 45) / 45, 0, 1))
    return np.stack(frames)


def clips():
    """Name, frames (T, rows, columns) uint8 and truth."""
    chance = np.random.default_rng(1)
    resting = discs(lambda t: 80, lambda t: 100, lambda t: 18)
    moving = discs(lambda t: 50 + 2 * t, lambda t: 50 + 4 * t, lambda t: 14 + 2 * np.sin(t / 2))
    beating = discs(lambda t: 80, lambda t: 100 + 3 * np.sin(t / 2), lambda t: 32 + 9 * np.sin(t / 2.5))
    for name, truth, paint in (
        ("resting disc, no noise", resting, lambda truth, _: 70.0 + 110 * truth),
        ("resting disc", resting, noisy),
        ("moving disc", moving, noisy),
        ("ultrasound", beating, ultrasound),
    ):
        yield name, np.clip(paint(truth, chance), 0, 255).astype(np.uint8), truth


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["classical", "bundled"])
    models = parser.parse_args().models
    print("| clip | model | IoU at the box | median | least | first, last frame | s |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, frames, truth in clips():
            source = Path(folder) / "clip.ome.tif"
            tifffile.imwrite(source, frames, photometric="minisblack", metadata={"axes": "TYX"})
            rows, cols = (np.flatnonzero(truth[AT].any(axis=axis)) for axis in (1, 0))
            box = Box(((int(cols[0]), int(rows[0]), AT), (int(cols[-1]), int(rows[-1]), AT)))
            for model in models:
                out, began = Path(folder) / "labels.ome.tif", time.perf_counter()
                segment_film(source, out, [ObjectPrompts(1, (box,))], model=model, overwrite=True)
                seconds = time.perf_counter() - began
                labels = tifffile.imread(out) > 0
                ious = [float((a & b).sum() / (a | b).sum()) for a, b in zip(labels, truth, strict=True)]
                print(f"| {name} | {model} | {ious[AT]:.2f} | {np.median(ious):.2f} | {min(ious):.2f} | "
                      f"{ious[0]:.2f}, {ious[-1]:.2f} | {seconds:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
