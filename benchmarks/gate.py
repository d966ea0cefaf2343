"""Print the gate's table for a model on a folder of labelled volumes.

    python benchmarks/gate.py CASES [--model bundled|classical|WEIGHTS.safetensors] [--json OUT] [--only NAME]
    python benchmarks/gate.py TRAIN_DATA --split docs/models/small-2/split.toml ...

CASES holds one folder per volume with image.nii.gz, labels.nii.gz, labels.json (id to name) and case.json,
whose "good_targets" lists the names of the objects that count; or image.png and labels.png. Without
"good_targets" the largest labels count. With a split, only the labelled items that it holds out are used.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.io import imread

from napari_sam2.evaluation.cases import Case, make_case
from napari_sam2.evaluation.evaluate import evaluate
from napari_sam2.evaluation.gate import gate, table
from napari_sam2.evaluation.protocols import PROTOCOLS
from napari_sam2.io.labels import read_labels
from napari_sam2.io.read import read_volume
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled, load_small

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.models.base import SegmentationModel


SMALLEST = 30
"""Pixels; smaller objects of a picture are left out."""
MOST_TARGETS = 6
"""Labels of a volume that names no targets: so many, the largest first."""


def cases_in(folder: Path, only: list[str]) -> list[Case]:
    found = []
    for path in sorted(folder.iterdir()):
        if only and path.name not in only:
            continue
        if (path / "image.png").is_file():
            found += picture_cases(path)
        if not (path / "image.nii.gz").is_file():
            continue
        volume = read_volume(path / "image.nii.gz")
        labels = read_labels(path / "labels.nii.gz", volume)
        ids = {name: int(number) for number, name in json.loads((path / "labels.json").read_text()).items()}
        described = json.loads((path / "case.json").read_text())
        for target in described.get("good_targets") or largest_targets(labels, ids):
            found.append(make_case(path.name, target, volume, labels == ids[target]))
    return found


def largest_targets(labels: NDArray[np.integer], ids: dict[str, int]) -> list[str]:
    sizes = np.bincount(labels.ravel(), minlength=max(ids.values()) + 1)
    return sorted((name for name in ids if sizes[ids[name]]), key=lambda name: -int(sizes[ids[name]]))[:MOST_TARGETS]


def held_out(split: Path) -> list[str]:
    """The labelled items that a split keeps from training."""
    return list(tomllib.loads(split.read_text(encoding="utf-8"))["labelled"])


def picture_cases(path: Path) -> list[Case]:
    """Every object of a picture, for a table of its own."""
    volume = read_volume(path / "image.png")
    labels = imread(path / "labels.png")[:, :, None]
    ids = [int(i) for i in np.unique(labels) if i and (labels == i).sum() >= SMALLEST]
    return [make_case(path.name, f"object {i}", volume, labels == i) for i in ids]


def named_model(name: str) -> SegmentationModel:
    if name == "classical":
        return ClassicalModel()
    return load_bundled() if name == "bundled" else load_small(Path(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--split", type=Path)
    parser.add_argument("--no-blank", action="store_true")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.split:
        options.only += held_out(options.split)
    options.protocol = options.protocol or list(PROTOCOLS)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    began = time.monotonic()
    scores = evaluate(
        cases_in(options.cases, options.only),
        named_model(options.model),
        protocols=options.protocol,
        blank=not options.no_blank,
        baselines=not options.no_baselines,
    )
    if options.json:
        options.json.write_text(json.dumps([asdict(s) for s in scores], indent=1))
    print(table(scores))
    if not (options.no_blank or options.no_baselines or "box-propagate" not in options.protocol):
        print()
        for number, line in enumerate(gate(scores), start=1):
            print(f"{number}. {'passed' if line.passed else 'FAILED'}: {line.text}")
    print(f"\n{len(scores)} objects, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
