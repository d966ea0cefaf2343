"""Cohorts under attack: hundreds of small cases, killed workers, a poison case, a damaged file, a full disk.

``python benchmarks/cohort.py make FOLDER --cases 200`` cuts cases out of the sample CT: a box around a kidney, the
spleen or the aorta, shifted and scaled in intensity, with a prompt file each.
``python benchmarks/cohort.py attack FOLDER`` runs them with two workers, kills random workers, and compares what came
out with what had to come out; ``same FOLDER`` compares one and two workers, two shards and an external scheduler byte
for byte; ``faults FOLDER`` fills the disk, kills the scheduler, and changes the manifest meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

POISON, CORRUPT = "case-077", "case-123"

MAIN = "from napari_sam2.cli import main; raise SystemExit(main())"

KILLER = """
import os, signal, sys, multiprocessing

def _end(event, arguments):
    if event == "open" and str(arguments[0]).endswith("{poison}.nii.gz") and multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(_end)
"""
"""Ends any worker that opens the poison case, as a crash in a decoder would; the main process may hash it."""


def make(folder: Path, n_cases: int, poison: str = POISON, corrupt: str = CORRUPT) -> Path:
    """Write cases, a manifest, and the hook that makes one of them deadly."""
    import nibabel

    from napari_sam2.sample_data import sample

    image_path, labels_path, names = sample("ct_abdomen")
    image, labels = nibabel.load(image_path), np.asarray(nibabel.load(labels_path).dataobj)
    voxels = np.asarray(image.dataobj)
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(n_cases):
        case = f"case-{number:03d}"
        label = (1, 2, 3, 52)[number % 4]
        inside = np.argwhere(labels == label)
        shift = rng.integers(-2, 3, 3)
        # A dozen slices around the middle one: enough to carry an object, quick enough for hundreds of cases.
        middle = inside[len(inside) // 2]
        low = np.maximum(inside.min(0) - 8 + shift, 0)
        high = np.minimum(inside.max(0) + 9 + shift, voxels.shape)
        low[2], high[2] = max(middle[2] - 6 + shift[2], 0), min(middle[2] + 6 + shift[2], voxels.shape[2])
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        cut = np.rint(voxels[box] * rng.uniform(0.95, 1.05) + rng.uniform(-10, 10)).astype(np.int16)
        affine = image.affine.copy()
        affine[:3, 3] = (image.affine @ np.append(low, 1))[:3]
        path = folder / "scans" / f"{case}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(cut, affine), path)
        if case == corrupt:
            path.write_bytes(path.read_bytes()[:-2000])
        areas = (labels[box] == label).sum((0, 1))
        k = int(areas.argmax())
        section = np.argwhere(labels[box][:, :, k] == label)
        corners = [[int(c) for c in (*section.min(0), k)], [int(c) for c in (*section.max(0), k)]]
        prompts = {"version": 1, "objects": [{"id": 1, "name": names[label], "prompts": [{"box": corners}]}]}
        (folder / "scans" / f"{case}.json").write_text(json.dumps(prompts))
        rows.append(
            {"case": case, "image": f"scans/{case}.nii.gz", "prompts": f"scans/{case}.json", "group": names[label]}
        )
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook" / "sitecustomize.py").write_text(KILLER.format(poison=poison))
    return manifest


def start(manifest: Path, output: Path, *options: str, hook: bool = False, **kwargs) -> subprocess.Popen:
    """The command, as a person starts it."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if hook:
        environment["PYTHONPATH"] = f"{manifest.parent / 'hook'}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", MAIN, "cohort", "run", str(manifest), "-o", str(output)]
    command += ["--model", "classical", "--json", *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def finish(process: subprocess.Popen) -> tuple[int, dict, str]:
    out, err = process.communicate()
    return process.returncode, json.loads(out) if out.startswith("{") else {}, err


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Worker processes: spawned by multiprocessing, not its resource tracker."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def done_in(output: Path) -> int:
    return sum(1 for _ in output.glob("*/status.json"))


def attack(folder: Path, kills: int = 3, workers: int = 2) -> None:
    """Run all cases; kill random workers at random moments; say what came out, and start again."""
    manifest, output = folder / "manifest.csv", folder / "attacked"
    n_cases = len(manifest.read_text().splitlines()) - 1
    shutil.rmtree(output, ignore_errors=True)
    rng = random.Random(int(os.environ.get("SEED", "0")))
    begun = time.perf_counter()
    process = start(manifest, output, "--workers", str(workers), hook=True)
    at = sorted(rng.sample(range(5, n_cases - 10), kills))
    while process.poll() is None:
        if at and done_in(output) >= at[0]:
            victims = workers_of(process)
            if len(victims) >= workers:
                victim = rng.choice(victims)
                victim.send_signal(signal.SIGKILL)
                print(f"killed worker {victim.pid} after {done_in(output)} cases")
                at.pop(0)
        time.sleep(0.05)
    code, result, err = finish(process)
    print(f"exit {code}, {time.perf_counter() - begun:.0f} s: {json.dumps(result)}")
    print(err)
    begun = time.perf_counter()
    code, again, err = finish(start(manifest, output, "--workers", str(workers), hook=True))
    print(f"again: exit {code}, {time.perf_counter() - begun:.1f} s in all: {json.dumps(again)}")
    begun = time.perf_counter()
    healthy = folder / "healthy.csv"
    bad = set(result["failed"])
    lines = manifest.read_text().splitlines(keepends=True)
    healthy.write_text("".join(line for line in lines if line.partition(",")[0] not in bad))
    code, again, err = finish(start(healthy, output, "--workers", str(workers)))
    print(f"only the finished ones: exit {code}, {time.perf_counter() - begun:.2f} s in all: {json.dumps(again)}")


def contents(output: Path) -> dict[str, bytes]:
    """Every file of a cohort's cases, without what tells when and where: the times, and statuses."""
    found = {}
    for path in sorted(output.glob("*/**/*")):
        if not path.is_file() or path.name in (".lock", "status.json"):
            continue
        content = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            lines = [json.loads(content)] if path.suffix == ".json" else [json.loads(x) for x in content.splitlines()]
            for line in lines:
                for key in ("Created", "begun", "t"):
                    line.pop(key, None)
            content = json.dumps(lines).encode()
        found[str(path.relative_to(output))] = content
    return found


def same(folder: Path, model: str) -> None:
    """Compare one worker, two workers, two shards and an external scheduler, byte for byte."""
    manifest = folder / "manifest.csv"
    outputs: dict[str, Path] = {}
    for name in ("one", "two", "shards", "external"):
        outputs[name] = folder / f"same-{name}"
        shutil.rmtree(outputs[name], ignore_errors=True)
    option = ("--model", model)
    for name, count in (("one", "1"), ("two", "2")):
        timed(name, [start(manifest, outputs[name], "--workers", count, *option)])
    timed("shards", [start(manifest, outputs["shards"], "--shard", f"{i}/2", *option) for i in (1, 2)])
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    helpers = [subprocess.Popen([*dask, "--no-dashboard", "--scheduler-file", str(file)], **quiet)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1"]
    helpers += [subprocess.Popen([*worker, "--no-dashboard", "--memory-limit", "0"], **quiet) for _ in range(2)]
    try:
        while not file.exists():
            time.sleep(0.1)
        timed("external", [start(manifest, outputs["external"], "--scheduler", str(file), *option)])
    finally:
        for helper in helpers:
            helper.terminate()
    first = contents(outputs["one"])
    print(f"{len(first)} files in {len(list(outputs['one'].glob('*/status.json')))} cases")
    for name in ("two", "shards", "external"):
        other = contents(outputs[name])
        differing = [key for key in first.keys() | other.keys() if first.get(key) != other.get(key)]
        print(f"one and {name}: {len(differing)} files differ {differing[:5]}")


def timed(name: str, processes: list[subprocess.Popen]) -> None:
    begun = time.perf_counter()
    results = [finish(process) for process in processes]
    print(f"{name}: {time.perf_counter() - begun:.1f} s, exit {[r[0] for r in results]}", flush=True)
    for code, _, err in results:
        if code:
            print(err)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "attack", "same"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--model", default="classical")
    parser.add_argument("--healthy", action="store_true", help="make no damaged file")
    given = parser.parse_args()
    if given.what == "make":
        print(make(given.folder, given.cases, corrupt="" if given.healthy else CORRUPT))
    elif given.what == "attack":
        attack(given.folder)
    else:
        same(given.folder, given.model)


if __name__ == "__main__":
    main()
