#!/usr/bin/env python
"""What a folder of features saves when a scan is opened again: seconds without it, at first, and again.

Example::

    python benchmarks/features_on_disk.py --slices 10 --size 512

SAM 2.1 tiny's architecture with random weights, whole slices, a box and a run on the sample CT.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from growth import random_model

from napari_sam2.core.prompts import Box
from napari_sam2.io import read_volume
from napari_sam2.models.quality import QUALITIES
from napari_sam2.sample_data import sample
from napari_sam2.session import Session

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--size", type=int, default=512, help="input of the model in pixels")
    options = parser.parse_args()
    model = random_model(options.size, QUALITIES["best"])
    run(model, None, 2)
    without = run(model, None, options.slices)
    with tempfile.TemporaryDirectory() as folder:
        first = run(model, Path(folder), options.slices)
        again = run(model, Path(folder), options.slices)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors")) / options.slices / MIB
    for name, (click, carried) in {"without": without, "at first": first, "again": again}.items():
        print(f"{name:>8}: box to mask {click:.2f} s, run {carried:.2f} s")
    print(f"again / without: box {again[0] / without[0]:.2f}, run {again[1] / without[1]:.2f}; {size:.1f} MiB a slice")


def run(model, folder: Path | None, count: int) -> tuple[float, float]:
    """Seconds of a box and of carrying it over `count` slices, in a new session."""
    volume = read_volume(sample("ct_abdomen")[0])
    middle = volume.shape[2] // 2
    session = Session(volume, model, axis=2, feature_folder=folder)
    started = time.perf_counter()
    session.add_prompt(1, Box(((40, 34, middle), (61, 50, middle))))
    clicked = time.perf_counter()
    for _ in session.propagate(slices=range(middle - count // 2, middle - count // 2 + count)):
        pass
    return clicked - started, time.perf_counter() - clicked


if __name__ == "__main__":
    main()
