"""The boxed slices that the bundled model answers worst: the truth in green, the answer in red.

    python benchmarks/boxed_pictures.py benchmarks/development.csv ROOT OUT.png

The middle slice of each structure with its tight box, and the eight lowest Dice, lowest first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from boxed import Section, drawn, of_table
from click_pictures import ANSWER, TRUTH, _palette
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.engine.engine import Engine
from napari_sam2.measures.metrics import dice
from napari_sam2.models.small.model import load_bundled

SHOWN, ACROSS, SIDE, FACTOR = 8, 4, 220, 1.5


def answered(section: Section, engine: Engine) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Truth, answer and box on the slice."""
    truth = np.asarray(engine.plane.take(section.truth, section.index), bool)
    box = drawn(truth, 0.0, 0.0, section.name)
    prompts = SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), box=box)
    return truth, engine.predict(section.index, prompts).mask.full(truth.shape), box


def tile(engine: Engine, index: int, truth: NDArray[np.bool_], answer: NDArray[np.bool_], box: NDArray) -> NDArray:
    """A square around the box, (SIDE, SIDE, 3)."""
    spacing = np.array(engine.plane.spacing)
    side = float(((box[2:] - box[:2]) * spacing).max()) * FACTOR
    middle = (box[:2] + box[2:]) / 2
    at = [m + (np.arange(SIDE) - SIDE / 2) * side / SIDE / mm for m, mm in zip(middle, spacing, strict=True)]
    where = np.meshgrid(*at, indexing="ij")
    grey = engine.slice_image(index)
    image = ndimage.map_coordinates(grey.mean(-1) if grey.ndim > 2 else grey, where, order=1)
    picture = np.repeat((np.clip(image, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for mask, colour in ((truth, TRUTH), (answer, ANSWER)):
        inside = ndimage.map_coordinates(mask.astype(np.float32), where, order=1) > 0.5
        picture[inside & ~ndimage.binary_erosion(inside)] = colour
    return picture


def main() -> None:
    """Write one PNG."""
    table, root, out = (Path(word) for word in sys.argv[1:])
    model, tiles = load_bundled(), []
    for section in of_table(table, root):
        engine = Engine(section.volume, model, section.window, section.axis)
        truth, answer, box = answered(section, engine)
        tiles.append((dice(answer, truth), section.name, tile(engine, section.index, truth, answer, box)))
    worst = sorted(tiles, key=lambda one: one[0])[:SHOWN]
    for value, name, _ in worst:
        print(f"{value:.3f} {name}")
    rows = [np.concatenate([t for *_, t in worst[k : k + ACROSS]], axis=1) for k in range(0, SHOWN, ACROSS)]
    picture = Image.fromarray(np.concatenate(rows))
    picture.quantize(palette=_palette(), dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main()
