"""Eight slices of structures after a box, and after five clicks: the truth in green, the answer in red.

    python benchmarks/click_pictures.py TABLE.csv ROOT OUT "liver" "hippocampus" ...

For the first structure of each word. Clicks as in protocol segfm.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_sam2.evaluation.cases import Case
from napari_sam2.evaluation.challenge import CLICKS, error_click, middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.evaluation.predictors import SessionPredictor
from napari_sam2.measures.metrics import dice
from napari_sam2.models.small.model import load_bundled

SLICES, SIDE, MARGIN = 8, 120, 0.25
GREYS = 32
"""Of the PNGs, beside the two outlines."""

TRUTH, ANSWER = (70, 220, 90), (255, 70, 60)


def main() -> None:
    """Write one PNG per word."""
    table, root, out, *words = sys.argv[1:]
    predictor = SessionPredictor(load_bundled())
    for word in words:
        found = (case for scan in find_scans(Path(table), Path(root)) for case in cases_of(scan))
        case = next(case for case in found if word in f"{case.name} {case.label}")
        before, after = _answers(case, predictor)
        name = f"{word.replace(' ', '-')}.png"
        picture = Image.fromarray(np.concatenate([_row(case, before), _row(case, after)]))
        few = picture.quantize(palette=_palette(), dither=Image.Dither.NONE)
        few.save(Path(out) / name, optimize=True)
        print(f"{name}: {case.name} {case.label}, {dice(before, case.truth):.3f}, {dice(after, case.truth):.3f}")


def _palette() -> Image.Image:
    greys = [level for grey in np.linspace(0, 255, GREYS).astype(int).tolist() for level in (grey, grey, grey)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys, *TRUTH, *ANSWER])
    return palette


def _answers(case: Case, predictor: SessionPredictor) -> tuple[np.ndarray, np.ndarray]:
    predictor.start(case.volume, case.window)
    predictor.box(middle_box(case.truth, case.axis), None)
    before = predictor.mask()
    for _ in range(CLICKS):
        click = error_click(predictor.mask(), case.truth)
        if click is not None:
            predictor.point(click)
    return before, predictor.mask()


def _row(case: Case, mask: np.ndarray) -> np.ndarray:
    plane = case.volume.plane(case.axis)
    grey = case.window.apply(case.volume.voxels)
    grey = grey.mean(axis=-1) if grey.ndim > 3 else grey
    held = np.flatnonzero(case.truth.any(tuple(a for a in range(3) if a != case.axis)))
    chosen = held[np.linspace(0, len(held) - 1, SLICES).round().astype(int)]
    shown = plane.take(case.truth | mask, int(chosen[SLICES // 2])) | np.any(
        [plane.take(case.truth, int(index)) for index in held], axis=0
    )
    rows, cols = np.nonzero(shown)
    heights = np.array(plane.spacing)
    side = max(np.ptp(rows) * heights[0], np.ptp(cols) * heights[1]) * (1 + 2 * MARGIN) + 8 * heights.min()
    middle = [(rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2]
    at = [c + (np.arange(SIDE) - SIDE / 2) * side / SIDE / h for c, h in zip(middle, heights, strict=True)]
    where = np.meshgrid(*at, indexing="ij")
    tiles = []
    for index in chosen:
        image = ndimage.map_coordinates(plane.take(grey, int(index)).astype(np.float32), where, order=1)
        tile = np.repeat((np.clip(image, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
        for volume, colour in ((case.truth, TRUTH), (mask, ANSWER)):
            inside = ndimage.map_coordinates(plane.take(volume, int(index)).astype(np.float32), where, order=1) > 0.5
            tile[inside & ~ndimage.binary_erosion(inside)] = colour
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


if __name__ == "__main__":
    main()
