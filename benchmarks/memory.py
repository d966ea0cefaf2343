#!/usr/bin/env python
"""Memory over a long run, beyond model and volume; and, with a limit, whether the run survives it.

Example::

    python benchmarks/memory.py --slices 300 --side 512 --out docs/images/memory
    python benchmarks/memory.py --slices 40 --budgets 1024 --limit 250

SAM 2.1 tiny's architecture with random weights, quality ``balanced``, objects held by discs (see `Ours.run`).
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from growth import MIB, PeakMemory, random_model, resident
from official import phantom
from ours import Ours

from napari_sam2.models.quality import QUALITIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--slices", type=int, default=300)
    add("--side", type=int, default=512, help="voxels of the slice in plane")
    add("--objects", type=int, default=1)
    add("--size", type=int, default=512, help="input of the model in pixels")
    add("--budgets", type=int, nargs="+", default=[128, 1024], help="MiB of features that are kept, a run for each")
    add("--limit", type=int, help="MiB of address space that the runs may take beyond what the process has")
    add("--out", type=Path, help="where the plot goes, without its ending")
    given = parser.parse_args()
    torch.set_num_threads(1)
    engine = Ours(random_model(given.size, QUALITIES["balanced"]))
    voxels = phantom(given.slices, given.side)
    run(engine, voxels[:, :, :2], given.objects, 1024)
    if given.limit is not None:
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (space + given.limit * MIB,) * 2)
    # The smallest first, since what a run has freed the next may take without its showing.
    reports = [run(engine, voxels, given.objects, budget) for budget in sorted(given.budgets)]
    curves = {report["MiB of budget"]: report.pop("MiB after each slice") for report in reports}
    print(json.dumps(reports, indent=1))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        plot(curves, given.out.with_suffix(".svg"))


def run(engine: Ours, voxels: np.ndarray, n_objects: int, budget: int) -> dict[str, Any]:
    """Propagate objects from the first slice to the last, and watch the resident size."""
    rng = np.random.default_rng(2)
    clicks = {n: (0, *rng.uniform(0.3, 0.7, 2) * len(voxels)) for n in range(1, n_objects + 1)}
    warnings = Warnings()
    logging.getLogger("napari_sam2").addHandler(warnings)
    begin, start = resident(), time.process_time()
    with torch.inference_mode(), PeakMemory() as memory:
        engine.open(voxels, budget * MIB)
        engine.click(clicks)
        now = [round((resident() - begin) / MIB) for _ in engine.by_slice()][::n_objects]
    logging.getLogger("napari_sam2").removeHandler(warnings)
    return {
        "MiB of budget": budget,
        "CPU seconds": round(time.process_time() - start, 1),
        "slices answered": len(now),
        "peak MiB": round(memory.peak / MIB),
        "MiB of features at the end": round(engine.engine.features.nbytes / MIB),
        "times memory ran out": warnings.count,
        "MiB after each slice": now,
    }


class Warnings(logging.Handler):
    """Counts how often the engine said that memory has run out."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "Memory has run out" in record.getMessage()


def plot(curves: dict[int, list[int]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, panel = plt.subplots(figsize=(6, 2.8), layout="constrained")
    for budget, mib in curves.items():
        panel.plot(range(1, len(mib) + 1), mib, label=f"{budget} MiB of features kept")
    panel.axhline(1536, color="0.6", ls=":", label="1.5 GiB")
    panel.set(xlabel="slices propagated", ylabel="MiB beyond model and volume", ylim=(0, 1700))
    panel.legend(loc="upper left", bbox_to_anchor=(0, 0.92), frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
