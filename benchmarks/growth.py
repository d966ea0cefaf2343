#!/usr/bin/env python
"""How time and memory grow with slices, objects and in-plane size; a plot and its numbers.

Example::

    python benchmarks/growth.py --size 256 --out docs/images/growth

SAM 2.1 tiny's architecture with random weights, which cost what trained ones do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import threading
import time
from pathlib import Path

import numpy as np
import torch
from official import phantom
from ours import Ours
from transformers import Sam2VideoConfig, Sam2VideoModel

from napari_sam2.models.base import ModelCard
from napari_sam2.models.quality import QUALITIES, Quality
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.models.sam2.sizing import resize_config

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", type=int, default=512, help="input of the model in pixels")
    add("--slices", type=int, nargs="+", default=[16, 64, 256, 512])
    add("--objects", type=int, nargs="+", default=[1, 3, 10, 30])
    add("--sides", type=int, nargs="+", default=[128, 256, 512, 1024, 2048])
    add("--threads", type=int, default=1)
    add("--out", type=Path, default=Path("growth"))
    given = parser.parse_args()
    measured = {
        "slices": [run_alone(given, n, 256, 1) for n in given.slices],
        "objects": [run_alone(given, 8, 256, n) for n in given.objects],
        "voxels along a side": [run_alone(given, 4, n, 1) for n in given.sides],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    axes = {"slices": given.slices, "objects": given.objects, "voxels along a side": given.sides}
    plot(measured, axes, given.out.with_suffix(".svg"))
    print(json.dumps(measured, indent=1))


def random_model(size: int, quality: Quality = QUALITIES["best"]) -> Sam2Model:
    torch.manual_seed(0)
    config = Sam2VideoConfig()
    resize_config(config, size)
    network = Sam2VideoModel(config).eval()
    with torch.no_grad():
        network.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(6.0)
    return Sam2Model(network, ModelCard("random", "sam2"), quality.policy, half=quality.half)


def run_alone(given: argparse.Namespace, n_slices: int, side: int, n_objects: int) -> dict[str, float]:
    """One run in a process of its own, so that it takes no memory that another has freed."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(warm_run, (given.size, given.threads, n_slices, side, n_objects))


def warm_run(size: int, threads: int, n_slices: int, side: int, n_objects: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    model = random_model(size)
    run(model, 2, 128, 1)
    return run(model, n_slices, side, n_objects)


def run(model: Sam2Model, n_slices: int, side: int, n_objects: int) -> dict[str, float]:
    """CPU seconds, and memory beyond what there was before the model saw anything."""
    voxels = phantom(n_slices, side)
    rng = np.random.default_rng(2)
    engine = Ours(model)
    with torch.inference_mode(), PeakMemory() as memory:
        start = time.process_time()
        engine.open(voxels)
        engine.click({n: (0, *rng.uniform(0.3, 0.7, 2) * side) for n in range(1, n_objects + 1)})
        engine.run()
        seconds = time.process_time() - start
    features = engine.engine.features.nbytes
    return {"seconds": round(seconds, 2), "MiB": round(memory.peak / MIB), "MiB of features": round(features / MIB)}


class PeakMemory:
    """The largest resident size while it is open, beyond that at its start; looked at fifty times a second."""

    def __enter__(self) -> PeakMemory:
        self.start, self.peak, self.stop = resident(), 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stop.wait(0.02):
            self.peak = max(self.peak, resident() - self.start)


def resident() -> int:
    """Bytes that are resident now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def plot(measured: dict[str, list[dict[str, float]]], axes: dict[str, list[int]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
    for panel, (what, rows) in zip(panels, measured.items(), strict=True):
        panel.loglog(axes[what], [row["seconds"] for row in rows], "o-", color="tab:blue")
        if max(row["seconds"] for row in rows) < 4 * min(row["seconds"] for row in rows):
            panel.set_yscale("linear")
            panel.set_ylim(0, None)
        panel.set_xlabel(what)
        panel.set_ylabel("CPU seconds", color="tab:blue")
        memory = panel.twinx()
        memory.semilogx(axes[what], [row["MiB"] for row in rows], "s--", color="tab:orange", ms=4)
        memory.set_ylim(0, None)
        memory.set_ylabel("MiB beyond model and volume", color="tab:orange")
        panel.set_xticks(axes[what], [str(n) for n in axes[what]])
        panel.minorticks_off()
    figure.savefig(path)


if __name__ == "__main__":
    main()
