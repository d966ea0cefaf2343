#!/usr/bin/env python
"""How much faster than the official predictor, measured in turn in one process on the same random weights.

Example::

    python benchmarks/against_official.py --sam2-src ~/sam2 --quality balanced --official-size 1024

Prints one JSON object. Times are CPU seconds per slice of the steady state (all memories in use): random
weights cost what trained ones do, and CPU seconds do not count what other programs take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from official import Official, build, enliven, phantom
from ours import Ours

from napari_sam2.models import load_model
from napari_sam2.models.official import convert_official


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sam2-src", type=Path, required=True, help="folder of the official source")
    add("--config", default="configs/sam2.1/sam2.1_hiera_t.yaml")
    add("--official-size", type=int, default=512, help="input of the official predictor in pixels")
    add("--quality", default="best", help="fast, balanced or best; best runs at --size")
    add("--size", type=int, help="input of ours in pixels; the official one's by default")
    add("--side", type=int, default=256, help="voxels of the slice in plane")
    add("--slices", type=int, default=10)
    add("--objects", type=int, default=1)
    add("--spread", action="store_true", help="prompt the objects on different slices; ours then runs both ways")
    add("--repeats", type=int, default=1)
    add("--threads", type=int, default=1)
    add("--device", default="cpu", help="cpu or cuda; on a GPU seconds are those of the clock")
    add("--only-first", action="store_true", help="leave out the second run and the click")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with torch.inference_mode():
        print(json.dumps(measure(given), indent=1))


def measure(given: argparse.Namespace) -> dict[str, object]:
    network = build(given.sam2_src, given.config, given.official_size, given.device)
    enliven(network)
    if given.spread:
        # Without autocast the official code fails where all that an object has is a memory further on: its
        # bfloat16 is widened only by a pointer beside it. So pointers from further on are let in.
        network.only_obj_ptrs_in_the_past_for_eval = False
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": network.state_dict()}, Path(folder) / "random.pt")
        converted = convert_official(
            Path(folder) / "random.pt", Path(folder) / "random", input_size=given.official_size
        )
        model = load_model(converted, given.device, quality=given.quality, input_size=given.size)
    engines = {"official": Official(network, given.official_size), "ours": Ours(model)}
    voxels = phantom(given.slices, given.side)
    rng = np.random.default_rng(2)
    spread = (given.slices - 1) / max(given.objects - 1, 1) if given.spread else 0
    clicks = {n + 1: (round(n * spread), *rng.uniform(0.3, 0.7, 2) * given.side) for n in range(given.objects)}
    comparable = model.input_size == given.official_size and not model.view_policy.zoom and not given.spread
    seconds: dict[str, dict[str, list[float]]] = {
        what: {name: [] for name in engines} for what in ("first", "again", "click")
    }
    logits: dict[str, torch.Tensor] = {}

    def propagate(name: str) -> None:
        if comparable:
            logits[name] = torch.stack(engines[name].propagate())
        elif name == "ours":
            engines[name].run("both" if given.spread else "forward")
        else:
            engines[name].propagate()

    for name, engine in engines.items():  # warm-up
        engine.open(voxels[:, :, :2])
        engine.click({number: (0, row, col) for number, (_, row, col) in clicks.items()})
        propagate(name)
    for repeat in range(given.repeats):
        for name, engine in list(engines.items())[:: 1 if repeat % 2 == 0 else -1]:
            with stopwatch(seconds["first"][name], given.slices, given.device):
                engine.open(voxels)
                engine.click(clicks)
                propagate(name)
            if given.only_first:
                continue
            with stopwatch(seconds["again"][name], given.slices, given.device):
                engine.click(clicks)
                propagate(name)
            with stopwatch(seconds["click"][name], 1, given.device):
                engine.click({1: clicks[1]})
    report: dict[str, object] = {
        "command": vars(given) | {"sam2_src": "..."},
        "input of ours": model.input_size,
        "views encoded per slice": round(engines["ours"].engine.features.n_encoded / given.slices, 2),
        "multiplied in": str(model.dtype),
        "device": torch.cuda.get_device_name() if given.device == "cuda" else given.device,
        "threads": given.threads,
        "torch": torch.__version__,
    }
    for what, times in seconds.items():
        if not times["official"]:
            continue
        per = {name: statistics.median(values) for name, values in times.items()}
        report[what] = {**{k: round(v, 4) for k, v in per.items()}, "ratio": round(per["official"] / per["ours"], 2)}
    if comparable:
        one, other = logits["official"], logits["ours"]
        both, either = ((one > 0) & (other > 0)).sum(), ((one > 0) | (other > 0)).sum()
        report["largest difference of logits"] = float((one - other).abs().max())
        report["IoU"] = float(both / either)
        report["standard deviation of logits"] = float(one.std())
    return report


class stopwatch:  # noqa: N801
    """Appends seconds per unit to a list: of the processor on a CPU, of the clock on a GPU."""

    def __init__(self, seconds: list[float], units: int, device: str) -> None:
        self.seconds, self.units, self.device = seconds, units, device

    def __enter__(self) -> None:
        self.start = self.now()

    def __exit__(self, *_: object) -> None:
        self.seconds.append((self.now() - self.start) / self.units)

    def now(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


if __name__ == "__main__":
    main()
