"""Thousands of objects from one prompt file: time, processor time, memory, and the bar.

    python benchmarks/many_objects.py [--objects 5000] [--what segment slide] [--model bundled]

Boxes around blobs of a made scan (``segment --prompts --direction none``) and of a made picture (``slide --prompts``).
Each command is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage

MAIN = "from napari_sam2.cli import main; main()"

PITCH = 24
"""Pixels from one blob to the next."""

ROWS = 14
"""Blobs along each side of a slice of the scan."""


def blobs(count: int, columns: int, seed: int) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Noisy discs on a grid, and the box of each: first row, first column, last row, last column."""
    rng = np.random.default_rng(seed)
    rows = -(-count // columns)
    picture = np.zeros((rows * PITCH, columns * PITCH), dtype=np.float32)
    down, across = np.ogrid[:PITCH, :PITCH]
    boxes = []
    for number in range(count):
        top, left = (number // columns) * PITCH, (number % columns) * PITCH
        radius = rng.uniform(5, 9)
        row, column = rng.uniform(11, 13, 2)
        disc = (down - row) ** 2 + ((across - column) * rng.uniform(0.8, 1.2)) ** 2 < radius**2
        picture[top : top + PITCH, left : left + PITCH][disc] = rng.uniform(0.6, 1.0)
        filled = np.argwhere(disc)
        first, last = filled.min(0), filled.max(0)
        boxes.append((top + int(first[0]), left + int(first[1]), top + int(last[0]), left + int(last[1])))
    noise = rng.normal(0, 0.08, picture.shape).astype(np.float32)
    return ndimage.gaussian_filter(picture, 1.0) + noise, boxes


def scan_case(folder: Path, count: int) -> list[str]:
    """A scan of as many slices as it takes, and the command."""
    in_slice = ROWS * ROWS
    n_slices = max(2, -(-count // in_slice))
    voxels = np.zeros((ROWS * PITCH, ROWS * PITCH, n_slices), dtype=np.int16)
    objects = []
    for index in range(n_slices):
        wanted = min(in_slice, count - index * in_slice)
        if wanted <= 0:
            break
        picture, boxes = blobs(wanted, ROWS, index)
        voxels[: picture.shape[0], :, index] = np.clip(picture * 400, -50, 1000).astype(np.int16)
        for r0, c0, r1, c1 in boxes:
            box = {"box": [[r0, c0, index], [r1, c1, index]]}
            objects.append({"id": len(objects) + 1, "prompts": [box]})
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), folder / "scan.nii.gz")
    prompts = {"version": 1, "space": "voxel", "objects": objects}
    (folder / "many.prompts.json").write_text(json.dumps(prompts))
    files = [str(folder / "scan.nii.gz"), "--prompts", str(folder / "many.prompts.json")]
    return ["segment", *files, "-o", str(folder / "out.nii.gz"), "--direction", "none"]


def slide_case(folder: Path, count: int) -> list[str]:
    """A picture about as wide as high, and the command."""
    columns = int(np.ceil(np.sqrt(count)))
    picture, boxes = blobs(count, columns, 0)
    grey = np.clip(235 - 130 * picture, 0, 255)
    colours = np.stack([grey, grey * 0.75 + 50, grey * 0.9 + 20], axis=-1).clip(0, 255).astype(np.uint8)
    Image.fromarray(colours).save(folder / "slide.png")
    objects = [
        {"id": number, "prompts": [{"box": [[r0, c0], [r1, c1]]}]}
        for number, (r0, c0, r1, c1) in enumerate(boxes, start=1)
    ]
    (folder / "many.slideprompts.json").write_text(json.dumps({"version": 1, "objects": objects}))
    files = [str(folder / "slide.png"), "--prompts", str(folder / "many.slideprompts.json"), "--mpp", "0.5"]
    return ["slide", *files, "-o", str(folder / "out.geojson")]


CASES = {"segment": scan_case, "slide": slide_case}


def measured(what: str, count: int, model: str, threads: int | None) -> dict[str, float | str | bool]:
    """One command, from its start to its end."""
    environment = dict(os.environ)
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", MAIN, *CASES[what](Path(folder), count), "--model", model]
        terminal, said = os.openpty()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        os.close(said)
        shown = read_all(terminal)
        code = process.wait()
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            raise SystemExit(f"{what}: exit {code}\n{shown[-2000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "command": what,
        "objects": count,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "processor_ms_per_object": round(1000 * processor / count, 2),
        "peak_mib": round(after.ru_maxrss / 1024),
        "bar": "━" in shown,
    }


def read_all(terminal: int) -> str:
    """What a process writes to a terminal, until it ends."""
    pieces = []
    try:
        while piece := os.read(terminal, 1 << 16):
            pieces.append(piece)
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return b"".join(pieces).decode(errors="replace")


def main() -> None:
    """Run the chosen commands and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--what", nargs="+", choices=sorted(CASES), default=sorted(CASES))
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--threads", type=int, help="threads of the numeric libraries; their own choice by default")
    chosen = parser.parse_args()
    for what in chosen.what:
        print(json.dumps(measured(what, chosen.objects, chosen.model, chosen.threads)), flush=True)


if __name__ == "__main__":
    main()
