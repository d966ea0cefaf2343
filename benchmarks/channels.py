"""One channel against several, with the same prompts, and what several cost.

    python benchmarks/channels.py CASES.csv [--model NAME] [--register rigid] [--parts 3]
    python benchmarks/channels.py phantom [--model NAME]
    python benchmarks/channels.py cost [--model NAME]

A table has the columns case, image, labels, channel_1, channel_2 and so on (paths beside the table). Every structure
gets a box on its largest slice, or three clicks inside and two outside of it; each channel alone and the mix that the
prompt chooses are carried through the scan: Dice of the whole structure, and seconds per slice. ``phantom`` does so
with an object that neither of two channels shows. ``cost`` carries an object with one channel and with two that show
the same, in turns, and says what mixing, prompt and carrying take of one thread's time per slice.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.channels.scans import stack_of, two_channels, volume

from napari_sam2.channels.mix import named_mix, said_mix
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

COSTS = ("mixing", "prompt", "carrying")
"""What is timed, one after the other."""

REPEATS = 7
"""Runs of each kind; the median counts."""

PARTS = 3
"""Largest connected parts of a label that are prompted one by one: lesions are many."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", help="a table of cases, 'phantom' or 'cost'")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--register", default="")
    parser.add_argument("--parts", type=int, default=PARTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model)
    if given.cases == "cost":
        cost(model)
        return
    print("| case | structure | prompt | seen as | Dice | s/slice |\n|---|---|---|---|---|---|")
    if given.cases == "phantom":
        for seed in range(3):
            phantom(model, seed)
        return
    table = Path(given.cases)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            compare(row, table.parent, model, given.register, given.parts)


def phantom(model: SegmentationModel, seed: int) -> None:
    """All ways of seeing an object that neither of two channels shows."""
    first, second, truth = two_channels(seed)
    stack = stack_of(volume(first), volume(second))
    axis = stack.reference.default_slice_axis
    for said, prompts in (("box", box_of(truth, axis)), ("clicks", clicks_of(truth, axis))):
        for fusion in (*stack.names, "prompt"):
            print(f"| phantom {seed} | 1 | {said} | {one_run(stack, model, prompts, fusion, truth)} |", flush=True)


def cost(model: SegmentationModel) -> None:
    """Ratio of the times per slice with two channels and with one, of what is the same work.

    Both channels are the same scan and both weigh a half, so that the model sees one picture either way (but for the
    rounding to 16 bits) and the same slices are carried: what differs is what channels cost. Processor time, in turns.
    """
    first, second, truth = two_channels()
    seen = (first + second + 100 * truth).astype(np.float32)
    box = box_of(truth, 2)
    times: dict[str, dict[str, list[float]]] = {name: {"one": [], "two": []} for name in COSTS}
    for turn in range(1 + REPEATS):
        for kind, spec in (("one", "a"), ("two", "a=0.5,b=0.5")):
            stack = stack_of(volume(seen), volume(seen.copy()))  # with nothing mixed yet
            # Without the fit, which is made where the first pass is unsure.
            session = Session(stack.reference, model, channels=stack, fusion=spec, fit=None)
            marks = [time.process_time()]
            stack.image(named_mix(spec, stack.names), session.window)
            marks.append(time.process_time())
            session.set_prompts(1, box)
            marks.append(time.process_time())
            slices = sum(1 for _ in session.propagate())
            marks.append(time.process_time())
            if turn:  # the first one warms up
                for name, seconds in zip(COSTS, np.diff(marks) / slices, strict=True):
                    times[name][kind].append(seconds)
    for name in COSTS:
        say_ratio(name, times[name])
    whole = {kind: list(np.sum([times[name][kind] for name in COSTS], axis=0)) for kind in ("one", "two")}
    say_ratio("all of it", whole)


def say_ratio(name: str, seconds: dict[str, list[float]]) -> None:
    """The least of each kind, which other programs disturb least, and medians."""
    one, two = (min(values) * 1000 for values in seconds.values())
    medians = [statistics.median(values) * 1000 for values in seconds.values()]
    ratio = f": {two / one:.2f} x" if one > 0.01 else ""
    said = f"(medians {medians[0]:.2f}, {medians[1]:.2f})"
    print(f"{name}: {one:.2f} ms per slice with one channel, {two:.2f} with two{ratio} {said}")


def compare(row: dict[str, str], folder: Path, model: SegmentationModel, register: str, parts: int) -> None:
    """All ways of seeing one case."""
    reference = read_volume(folder / row["image"])
    labels = read_labels(folder / row["labels"], reference)
    files = channel_files([text for name, text in sorted(row.items()) if name.startswith("channel_") and text], folder)
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
