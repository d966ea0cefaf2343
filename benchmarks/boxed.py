"""Boxed slices: the network alone, its answer made to agree with the box, and the second network's answer.

See `napari_sam2.models.small.boxed` and `napari_sam2.models.small.box_net`.

    python benchmarks/boxed.py benchmarks/development.csv --root OUT
    python benchmarks/boxed.py TRAIN_DATA --split docs/models/small-2/split.toml [--held-out] [--grow 0.1]

A table of scans (as for `napari-sam2 evaluate`): one box on the middle slice of each structure, then three clicks, each
deepest in the larger error. A data folder: up to four labels an item, the slices that hold the 30th and 60th percent of
its voxels, or the middle one across each axis of a volume with equal spacing. Boxes are tight; --grow makes them larger
by a share of their sides, --jitter moves each edge by a normal number of such a size. --names keeps sections whose
names begin with one of these words. --second takes another file than the second network that ships. --blank hides the
images: what is left of the Dice then says what boxes alone tell.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window, choose_window
from napari_sam2.engine.engine import Engine
from napari_sam2.evaluation.cases import largest_component
from napari_sam2.evaluation.challenge import middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.io.labels import read_labels
from napari_sam2.io.read import read_volume
from napari_sam2.measures.metrics import dice
from napari_sam2.models.small.box_net import read_box_net
from napari_sam2.models.small.model import BOXED, SmallModel, load_bundled, load_small
from napari_sam2.training.split import read_split

MOST_LABELS, SMALLEST, ISOTROPIC = 4, 16, 1.7


@dataclass(frozen=True, eq=False)
class Section:
    """A structure on one slice."""

    name: str
    volume: Volume
    window: Window
    axis: int
    index: int
    truth: NDArray[np.bool_]


def of_table(table: Path, root: Path) -> Iterator[Section]:
    for scan in find_scans(table, root):
        for case in cases_of(scan):
            index = middle_box(case.truth, case.axis).slice_index(case.axis)
            yield Section(f"{scan.case} {case.label}", case.volume, case.window, case.axis, index, case.truth)


def of_folder(folder: Path, split: Path, held_out: bool) -> Iterator[Section]:
    parts = read_split(split)
    for item in sorted(path.parent for path in folder.glob("*/case.json")):
        files = item / "image.nii.gz", item / "labels.nii.gz"
        if parts.holds_out(item.name) != held_out or not all(file.is_file() for file in files):
            continue
        volume = read_volume(files[0])
        labels, window = read_labels(files[1], volume), choose_window(volume)
        ids = sorted((int(i) for i in np.unique(labels) if i), key=lambda i: zlib.crc32(f"{item.name}/{i}".encode()))
        same = max(volume.spacing) / min(volume.spacing) < ISOTROPIC
        for number in ids[:MOST_LABELS]:
            truth = largest_component(labels == number)
            for axis in (0, 1, 2) if same else (volume.default_slice_axis,):
                held = np.sort(np.nonzero(truth)[axis])
                for share in (0.5,) if len(ids) > 2 or same else (0.3, 0.6):
                    yield Section(
                        f"{item.name} {number}", volume, window, axis, int(held[int(len(held) * share)]), truth
                    )


def drawn(truth: NDArray[np.bool_], grow: float, jitter: float, name: str) -> NDArray[np.float64]:
    """Edges row0, column0, row1, column1 as somebody draws them."""
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    tight = np.array([rows[0] - 0.5, columns[0] - 0.5, rows[-1] + 0.5, columns[-1] + 0.5])
    sides = np.array([tight[2] - tight[0], tight[3] - tight[1]] * 2)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return tight + sides * (jitter * rng.normal(0, 1, 4) + grow * np.array([-0.5, -0.5, 0.5, 0.5]))


def scored(section: Section, model: SmallModel, grow: float, jitter: float, clicks: int) -> list[float] | None:
    """Dice after the box and after each click; None for sections that are too small."""
    engine = Engine(section.volume, model, section.window, section.axis)
    truth = np.asarray(engine.plane.take(section.truth, section.index), bool)
    if truth.sum() < SMALLEST or min(np.ptp(np.flatnonzero(truth.any(a))) for a in (0, 1)) < 2:
        return None
    box, points, positive = drawn(truth, grow, jitter, section.name), [], []
    answer = engine.predict(section.index, SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), box=box))
    values = [dice(answer.mask.full(truth.shape), truth)]
    for _ in range(clicks):
        mask = answer.mask.full(truth.shape)
        missed, extra = (
            ndimage.distance_transform_edt(np.pad(m, 1))[1:-1, 1:-1] for m in (truth & ~mask, mask & ~truth)
        )
        deepest = missed if missed.max() >= extra.max() else extra
        if deepest.max() > 0:
            points.append(np.unravel_index(int(deepest.argmax()), deepest.shape))
            positive.append(deepest is missed)
            prompts = SlicePrompts(np.array(points, float), np.array(positive), box=box)
            answer = engine.predict(section.index, prompts, previous=answer)
        values.append(dice(answer.mask.full(truth.shape), truth))
    return values


def blank(volume: Volume) -> Volume:
    """The same volume without its image."""
    return Volume(np.full(volume.shape, float(np.mean(volume.voxels)), np.float32), volume.affine, volume.oriented)


def modality(name: str) -> str:
    return "PET" if name.startswith("pet") else "CT" if name.startswith(("ct", "cbct", "dicom_ct")) else "MR"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--split", type=Path)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--grow", type=float, default=0.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--names", nargs="*", default=[""])
    parser.add_argument("--second", type=Path)
    parser.add_argument("--blank", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    boxed = load_bundled() if options.model == "bundled" else load_small(Path(options.model))
    if options.second:
        boxed = SmallModel(boxed.weights, box_net=read_box_net(options.second))
    models = {"plain": boxed.at_revision(""), "rule": boxed.at_revision(BOXED), "second": boxed}
    sections = (
        of_folder(options.scans, options.split, options.held_out)
        if options.split
        else of_table(options.scans, options.root)
    )
    scores: dict[str, dict[str, list[list[float]]]] = {name: defaultdict(list) for name in models}
    rows = []
    for section in sections:
        if not section.name.startswith(tuple(options.names)):
            continue
        seen = replace(section, volume=blank(section.volume)) if options.blank else section
        both = {
            name: scored(seen, model, options.grow, options.jitter, options.clicks) for name, model in models.items()
        }
        for name, values in both.items():
            if values is not None:
                scores[name][modality(section.name)].append(values)
                scores[name]["all"].append(values)
        rows.append([section.name, section.index, both])
    for kind in ("CT", "MR", "PET", "all"):
        for name in models:
            if scores[name][kind]:
                mean = " ".join(f"{value:.4f}" for value in np.mean(scores[name][kind], axis=0))
                print(f"{kind:4s} {len(scores[name][kind]):3d} {name:6s} box and {options.clicks} clicks: {mean}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
