"""Kill `segment --session` at random moments, or fill its disk, and look at what is left.

    python benchmarks/save_faults.py [--kills 100] [--full 50]

Every trial runs in a process of its own. Afterwards the input must be as it was; label map, .json and .tsv must be all
there and fit each other, or all absent, once the next command has looked at the folder; the session must hold every
action that was finished; and the same command must then succeed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_sam2.core.prompts import Box, ObjectPrompts
from napari_sam2.hashing import sha256_of
from napari_sam2.io.file_set import finish_sets
from napari_sam2.jobs.segment import segment_scan
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal_files import EVENTS

SHAPE = (120, 96, 24)
NAMES = ("o.nii.gz", "o.json", "o.tsv")
OBJECTS = [ObjectPrompts(n, (Box(((20 * n, 20, 12), (20 * n + 14, 70, 12))),)) for n in range(1, 5)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--full", type=int, default=50)
    given = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        scan = Path(place) / "scan.nii.gz"
        voxels = np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.int16)
        voxels[:, 20:70, 4:20] += 1500
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), scan)
        before = sha256_of(scan)
        whole, size = run_whole(scan)
        print(f"one whole run: {whole:.1f} s, largest file {size} bytes")
        for title, count in (("killed", given.kills), ("full disk", given.full)):
            states: Counter[str] = Counter()
            for _ in range(count):
                folder = Path(tempfile.mkdtemp(dir=place))
                if title == "killed":
                    # Half of the moments while results are written, at the end of the run.
                    run(scan, folder, kill_after=rng.choice([rng.uniform(0, whole), rng.uniform(0.8, 1.05) * whole]))
                else:
                    run(scan, folder, largest_file=int(math.exp(rng.uniform(math.log(50), math.log(1.05 * size)))))
                states.update(judged(folder))
                states["input touched"] += sha256_of(scan) != before
                states["the same command fails afterwards"] += not again(scan, folder)
                shutil.rmtree(folder)
            print(f"{title}, {count} times: " + ", ".join(f"{what} {n}" for what, n in sorted(states.items())))


def run_whole(scan: Path) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run(scan, Path(folder))
        seconds = time.perf_counter() - started
        return seconds, max(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def run(scan: Path, folder: Path, *, kill_after: float | None = None, largest_file: int | None = None) -> None:
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        if largest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        code = 0
        try:
            segment_scan(scan, folder / NAMES[0], OBJECTS, model=ClassicalModel, keep_session=True)
        except Exception:
            code = 3
        os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def judged(folder: Path) -> Counter[str]:
    finish_sets(folder)
    there = [name for name in NAMES if (folder / name).exists()]
    found: Counter[str] = Counter()
    found["all three files" if len(there) == 3 else "none" if not there else "HALF A SET"] += 1
    if len(there) == 3:
        facts = json.loads((folder / "o.json").read_text(encoding="utf-8"))
        fits = facts["Outputs"][0]["sha256"] == sha256_of(folder / "o.nii.gz")
        nib.load(folder / "o.nii.gz").get_fdata()
        found["FILES DO NOT FIT"] += not fits
    events = folder / "o.sam2session" / EVENTS
    if events.is_file():
        lines = events.read_bytes().split(b"\n")
        whole = [json.loads(line) for line in lines[:-1] if line]
        found["finished actions in sessions"] += len(whole)
    return found


def again(scan: Path, folder: Path) -> bool:
    try:
        segment_scan(scan, folder / NAMES[0], OBJECTS, model=ClassicalModel, keep_session=True, overwrite=True)
    except Exception as error:
        print(f"  {type(error).__name__}: {error}")
        return False
    return all((folder / name).is_file() for name in NAMES)


if __name__ == "__main__":
    main()
