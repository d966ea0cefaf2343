"""One channel against several, on real scans with the same prompts, and what several cost.

``python -m benchmarks.channels CASES.csv`` with the columns case, image, labels, channel_1, channel_2 and so on (paths
beside the table). Every structure gets a box on its largest slice, or three clicks inside and two outside of it; each
channel alone, the mix that the prompt chooses, and colours where the model knows them are carried through the scan.
The table says Dice of the whole structure, and seconds per slice with the opening of channels left out and in.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam2.channels.mix import said_mix
from napari_sam2.channels.opening import channel_files, read_stack
from napari_sam2.core.prompts import Box, Point
from napari_sam2.io import read_labels, read_volume
from napari_sam2.models import load_model
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.models.base import SegmentationModel

PARTS = 3
"""Largest connected parts of a label that are prompted one by one: lesions are many."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--register", default="")
    parser.add_argument("--parts", type=int, default=PARTS)
    given = parser.parse_args()
    model = load_model(given.model)
    print("| case | structure | prompt | seen as | Dice | s/slice |\n|---|---|---|---|---|---|")
    with given.cases.open(newline="") as file:
        for row in csv.DictReader(file):
            compare(row, given.cases.parent, model, given.register, given.parts)


def compare(row: dict[str, str], folder: Path, model: SegmentationModel, register: str, parts: int) -> None:
    """All ways of seeing one case."""
    reference = read_volume(folder / row["image"])
    labels = read_labels(folder / row["labels"], reference)
    files = channel_files([folder / text for name, text in sorted(row.items()) if name.startswith("channel_") and text])
    begun = time.perf_counter()
    stack = read_stack(reference, files, register=register, say=lambda note: print(f"<!-- {row['case']}: {note} -->"))
    opened = time.perf_counter() - begun
    print(f"<!-- {row['case']}: channels opened in {opened:.1f} s -->")
    axis = reference.default_slice_axis
    for label in np.unique(labels[labels > 0]).tolist():
        for number, truth in enumerate(largest_parts(labels == label, parts), start=1):
            for said, prompts in (("box", box_of(truth, axis)), ("clicks", clicks_of(truth, axis))):
                for fusion in (*stack.names, "prompt"):
                    line = one_run(stack, model, prompts, fusion, truth)
                    print(f"| {row['case']} | {label}.{number} | {said} | {line} |", flush=True)


def one_run(
    stack: ChannelStack, model: SegmentationModel, prompts: Sequence[Prompt], fusion: str, truth: np.ndarray
) -> str:
    """Cells of the table for one way of seeing."""
    session = Session(stack.reference, model, channels=stack, fusion=fusion)
    begun = time.perf_counter()
    session.set_prompts(1, prompts)
    n_slices = sum(1 for _ in session.propagate())
    seconds = time.perf_counter() - begun
    found = session.label_map() == 1
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    kind = "prompt: " if fusion == "prompt" else ""
    return f"{kind}{said_mix(session.objects[1].mix, stack.names)} | {dice:.3f} | {seconds / max(n_slices, 1):.3f}"


def largest_parts(mask: np.ndarray, count: int) -> list[np.ndarray]:
    """The largest connected parts, the largest first."""
    numbered, n = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(numbered.ravel())[1:]
    return [numbered == 1 + int(i) for i in sizes.argsort()[::-1][: min(count, n)]]


def box_of(truth: np.ndarray, axis: int) -> list[Prompt]:
    """The box around the largest section."""
    index = int(truth.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())
    section = truth.take(index, axis)
    corners = np.array([(hit.min(), hit.max()) for hit in section.nonzero()]).T
    first, last = (np.insert(corner, axis, index) for corner in corners)
    return [Box((tuple(map(int, first)), tuple(map(int, last))))]


def clicks_of(truth: np.ndarray, axis: int) -> list[Prompt]:
    """Three clicks inside the largest section and two outside of it, each as far from a border as can be."""
    index = int(truth.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())
    section = truth.take(index, axis)
    clicks: list[Prompt] = []
    for side, count in ((section, 3), (ndimage.binary_dilation(section, iterations=8) & ~section, 2)):
        left = side.copy()
        for _ in range(count):
            depth = ndimage.distance_transform_edt(np.pad(left, 1))[1:-1, 1:-1]
            place = np.unravel_index(int(depth.argmax()), depth.shape)
            clicks.append(Point(tuple(float(c) for c in np.insert(place, axis, index)), positive=side is section))
            away = np.ones(side.shape, dtype=bool)
            away[place] = False
            left &= ndimage.distance_transform_edt(away) > depth.max()
            if not left.any():
                break
    return clicks


if __name__ == "__main__":
    main()
