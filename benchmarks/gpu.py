#!/usr/bin/env python
"""What one GPU (or CPU) does: milliseconds per part, slices per second, memory, and what narrow numbers cost.

Example::

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --sizes 256 --slices 4 --objects 1 2

Prints one JSON object. SAM 2.1 tiny's architecture with random weights, which cost what trained ones do;
`benchmarks/against_official.py --device cuda` compares with the official predictor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch
from growth import random_model
from official import phantom
from ours import Ours

from napari_sam2.models.base import Decoded, DecodeRequest, MemoryRef, RememberRequest, ViewPrompts
from napari_sam2.models.quality import QUALITIES
from napari_sam2.models.sam2.adapter import Sam2Model

MIB = 1 << 20
N_MEMORIES = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--device", default="cuda")
    add("--sizes", type=int, nargs="+", default=[512, 1024], help="inputs of the model in pixels")
    add("--slices", type=int, default=64)
    add("--side", type=int, default=512, help="voxels of the slice in plane")
    add("--objects", type=int, nargs="+", default=[1, 10, 30])
    add("--repeats", type=int, default=5)
    given = parser.parse_args()
    device = torch.device(given.device)
    with torch.inference_mode():
        report: dict[str, object] = {
            "device": torch.cuda.get_device_name() if device.type == "cuda" else given.device,
            "torch": torch.__version__,
            "parts": [parts(size, half, device, given) for size in given.sizes for half in (False, True)],
            "narrow numbers": [deviation(size, device) for size in given.sizes],
            "runs": [run(quality, n, device, given) for quality in QUALITIES for n in given.objects],
        }
    print(json.dumps(report, indent=1))


def model_of(size: int, quality: str, device: torch.device, half: bool | None = None) -> Sam2Model:
    chosen = QUALITIES[quality]
    base = random_model(size, chosen)
    wanted = chosen.half if half is None else half
    return Sam2Model(base.network.to(device), base.card, chosen.policy, half=wanted)


def parts(size: int, half: bool, device: torch.device, given: argparse.Namespace) -> dict[str, object]:
    """Milliseconds of each part alone, for one view, and of the encoder for four."""
    model = model_of(size, "best", device, half)
    image = torch.rand(4, 1, size, size, device=device)
    features, answer, memory = remembered(model, image)
    refs = tuple(MemoryRef(memory, -n, prompted=n == N_MEMORIES) for n in range(1, N_MEMORIES + 1))
    work = {
        "encode": lambda: model.encode(image[:1]),
        "encode four": lambda: model.encode(image),
        "decode": lambda: model.decode([DecodeRequest(features)]),
        "decode with memories": lambda: model.decode([DecodeRequest(features, memories=refs, n_slices=64)]),
        "remember": lambda: model.remember([RememberRequest(features, answer, prompted=False)]),
    }
    times = {name: round(milliseconds(call, device, given.repeats), 2) for name, call in work.items()}
    return {"input": size, "multiplied in": str(model.dtype), "ms": times}


def remembered(model: Sam2Model, image: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], Decoded, object]:
    features = model.encode(image)[0]
    middle = ViewPrompts(
        torch.full((1, 2), model.input_size / 2, device=model.device),
        torch.ones(1, dtype=torch.bool, device=model.device),
    )
    answer = model.decode([DecodeRequest(features, middle)])[0]
    return features, answer, model.remember([RememberRequest(features, answer, prompted=True)])[0]


def deviation(size: int, device: torch.device) -> dict[str, object]:
    """How far the narrow type's logits are from float32's, for a click and for a slice with a memory."""
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    logits = {}
    for half in (False, True):
        model = model_of(size, "best", device, half)
        features, answer, memory = remembered(model, image)
        tracked = model.decode([DecodeRequest(features, memories=(MemoryRef(memory, -1, True),), n_slices=64)])[0]
        logits[half] = torch.stack([answer.logits, tracked.logits])
    inside = [logits[half] > 0 for half in (False, True)]
    either = (inside[0] | inside[1]).sum()
    return {
        "input": size,
        "multiplied in": str(model.dtype),
        "mean difference of logits": float((logits[True] - logits[False]).abs().mean()),
        "standard deviation of logits": float(logits[False].std()),
        "IoU": float((inside[0] & inside[1]).sum() / either) if either else None,
    }


def run(quality: str, n_objects: int, device: torch.device, given: argparse.Namespace) -> dict[str, object]:
    """A first propagation from slice 0, and again with features kept."""
    model = model_of(max(given.sizes) if quality == "best" else min(given.sizes), quality, device)
    engine = Ours(model)
    rng = np.random.default_rng(2)
    clicks = {n: (0, *rng.uniform(0.3, 0.7, 2) * given.side) for n in range(1, n_objects + 1)}
    engine.open(phantom(3, given.side))
    engine.click(clicks)
    engine.run()
    engine.open(phantom(given.slices, given.side))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    first = milliseconds(lambda: (engine.click(clicks), engine.run()), device, 1, warm=False)
    again = milliseconds(engine.run, device, 1, warm=False)
    return {
        "quality": quality,
        "input": model.input_size,
        "objects": n_objects,
        "slices per second": round(1000 * given.slices / first, 2),
        "slices per second again": round(1000 * given.slices / again, 2),
        "GPU MiB at most": round(torch.cuda.max_memory_allocated() / MIB) if device.type == "cuda" else None,
    }


def milliseconds(work, device: torch.device, repeats: int, *, warm: bool = True) -> float:
    """The median time by the clock, the device's work included."""
    times = []
    if warm:
        work()
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
