#!/usr/bin/env python
"""Memory over a long run, beyond model and volume; and, with a limit, whether the run survives it.

Example::

    python benchmarks/memory.py --slices 300 --side 512 --out docs/images/memory
    python benchmarks/memory.py --slices 24 --limit 150

SAM 2.1 tiny's architecture with random weights, quality ``balanced``, objects held by discs (see `Ours.run`).
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from pathlib import Path

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
    add("--limit", type=int, help="MiB of address space that the run may take beyond what the process has")
    add("--out", type=Path, help="where the plot goes, without its ending")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = random_model(given.size, QUALITIES["balanced"])
    engine = Ours(model)
    voxels = phantom(given.slices, given.side)
    rng = np.random.default_rng(2)
    clicks = {n: (0, *rng.uniform(0.3, 0.7, 2) * given.side) for n in range(1, given.objects + 1)}
    engine.open(voxels[:, :, :2])
    engine.click(clicks)
    engine.run()
    engine.open(voxels)
    warnings = Warnings()
    logging.getLogger("napari_sam2").addHandler(warnings)
    if given.limit is not None:
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (space + given.limit * MIB,) * 2)
    begin, start = resident(), time.process_time()
    with torch.inference_mode(), PeakMemory() as memory:
        engine.click(clicks)
        now = [(resident() - begin) / MIB for _ in engine.by_slice()]
    report = {
        "command": {k: str(v) for k, v in vars(given).items()},
        "CPU seconds": round(time.process_time() - start, 1),
        "slices answered": len(now) // given.objects,
        "peak MiB": round(memory.peak / MIB),
        "MiB of features at the end": round(engine.engine.features.nbytes / MIB),
        "times memory ran out": warnings.count,
    }
    print(json.dumps(report, indent=1))
    if given.out is not None:
        plot(now[:: given.objects], given.out.with_suffix(".svg"))
        given.out.with_suffix(".json").write_text(json.dumps(report | {"MiB": [round(n, 1) for n in now]}) + "\n")


class Warnings(logging.Handler):
    """Counts how often the engine said that memory has run out."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "Memory has run out" in record.getMessage()


def plot(mib: list[float], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, panel = plt.subplots(figsize=(6, 2.8), layout="constrained")
    panel.plot(range(1, len(mib) + 1), mib, color="tab:orange")
    panel.axhline(1536, color="0.6", ls=":", label="1.5 GiB")
    panel.set(xlabel="slices propagated", ylabel="MiB beyond model and volume", ylim=(0, 1700))
    panel.legend(loc="lower right", frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
