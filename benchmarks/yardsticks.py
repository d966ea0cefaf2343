"""What needs no network, with the same box and the same slices told: Dice over the volume.

    python benchmarks/yardsticks.py benchmarks/development.csv OUT

Each begins with the bundled model's answer to the box on the middle slice, and knows on which slices the object lies:
that answer copied through them; a random walker slice by slice (scikit-image); confidence-connected growth from the
answer's core, kept within one and a half boxes (SimpleITK, as in its examples: 2.5 deviations, 2 rounds).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK
from scipy import ndimage

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.engine.engine import Engine
from napari_sam2.evaluation.baselines import copy_through, walk_through
from napari_sam2.evaluation.cases import Case
from napari_sam2.evaluation.challenge import extent_of, middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.measures.metrics import dice
from napari_sam2.models.small.model import load_bundled

DEVIATIONS, ROUNDS = 2.5, 2
"""Of confidence-connected growth."""

WIDER = 0.25
"""Of the box's side, on either side: growth goes no further."""


def main() -> None:
    """Print one line per structure, and the means."""
    model, lines = load_bundled(), []
    for scan in find_scans(Path(sys.argv[1]), Path(sys.argv[2])):
        for case in cases_of(scan):
            lines.append(_scores(case, model))
            print(f"{case.name} {case.label}: " + " ".join(f"{n} {v:.3f}" for n, v in lines[-1].items()), flush=True)
    print("mean: " + " ".join(f"{name} {np.mean([line[name] for line in lines]):.3f}" for name in lines[0]))


def _scores(case: Case, model) -> dict[str, float]:  # type: ignore[no-untyped-def]
    engine = Engine(case.volume, model, case.window, case.axis)
    plane = engine.plane
    box = middle_box(case.truth, case.axis)
    start, extent = box.slice_index(case.axis), extent_of(case.truth, case.axis)
    prompts = SlicePrompts.of([box], case.volume, case.axis)[start]
    first = engine.predict(start, prompts).mask.full(plane.shape)
    grey = case.window.apply(case.volume.voxels)
    grey = grey.mean(axis=-1) if grey.ndim > 3 else grey
    told = slice(extent.start, extent.stop)
    image = np.stack([plane.take(grey, index) for index in extent]).astype(np.float32)
    truth = np.stack([plane.take(case.truth, index) for index in range(plane.n_slices)])
    here = start - extent.start
    found = {
        "copied": copy_through(first, here, np.ones(len(extent), bool)),
        "walker": walk_through(image, first, here),
        "grown": _grown(image, first, here),
    }
    scores = {}
    for name, mask in found.items():
        whole = np.zeros_like(truth)
        whole[told] = mask
        scores[name] = dice(whole, truth)
    return scores


def _grown(image: np.ndarray, first: np.ndarray, here: int) -> np.ndarray:
    core = ndimage.binary_erosion(first, iterations=2)
    core = core if core.any() else first
    if not core.any():
        return np.zeros(image.shape, bool)
    seeds = [(int(col), int(row), here) for row, col in np.argwhere(core)[:: max(1, int(core.sum()) // 200)]]
    smooth = SimpleITK.GetImageFromArray(ndimage.gaussian_filter(image, (0, 1, 1)))
    grown = SimpleITK.ConfidenceConnected(smooth, seeds, ROUNDS, DEVIATIONS, 1, 1)
    mask = SimpleITK.GetArrayFromImage(grown).astype(bool)
    rows, cols = np.nonzero(first)
    allowed = np.zeros(first.shape, bool)
    wider = [int(WIDER * (np.ptp(rows) + 1)), int(WIDER * (np.ptp(cols) + 1))]
    allowed[
        max(0, rows.min() - wider[0]) : rows.max() + wider[0] + 1,
        max(0, cols.min() - wider[1]) : cols.max() + wider[1] + 1,
    ] = True
    return mask & allowed


if __name__ == "__main__":
    main()
