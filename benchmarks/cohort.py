"""Cohorts under attack: hundreds of small cases, killed workers, a poison case, a damaged file, a full disk.

``python benchmarks/cohort.py make FOLDER --cases 200`` cuts cases out of the sample CT: a box around a kidney, the
spleen or the aorta, shifted and scaled in intensity, with a prompt file each.
``python benchmarks/cohort.py attack FOLDER`` runs them with two workers, kills random workers, and compares what came
out with what had to come out; ``same FOLDER`` compares one and two workers, two shards and an external scheduler byte
for byte; ``faults FOLDER`` fills the disk, kills the scheduler, and changes the manifest meanwhile; ``overhead FOLDER``
says what a case costs beyond segmenting; ``review OUTPUT`` how long the next doubtful slice takes to come on view.
"""

from __future__ import annotations

import argparse
import contextlib
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
    """Every file of a cohort's cases, without what tells when and where: the times, and statuses.

    Scores in a journal are compared to five digits: a network's last digit depends on its number of threads.
    """
    found = {}
    for path in sorted(output.glob("*/**/*")):
        if not path.is_file() or path.name in (".lock", "status.json"):
            continue
        content = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            texts = [content] if path.suffix == ".json" else content.splitlines()
            lines = [json.loads(text, parse_float=lambda number: round(float(number), 5)) for text in texts]
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
    helpers, file = external_scheduler(folder)
    try:
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


def overhead(folder: Path, n_cases: int = 40) -> None:
    """What a case costs beyond segmenting: its journal, measurements and picture, and its way through the scheduler."""
    from napari_sam2.cohort.case import run_case
    from napari_sam2.cohort.cluster import local_cluster
    from napari_sam2.cohort.job import CohortSettings
    from napari_sam2.cohort.plan import make_plan
    from napari_sam2.cohort.schedule import run_here, run_on_cluster
    from napari_sam2.io import read_volume
    from napari_sam2.io.manifest import read_manifest
    from napari_sam2.io.prompt_file import read_prompt_file
    from napari_sam2.models import load_model
    from napari_sam2.record.save import save_session
    from napari_sam2.session.session import Session

    manifest = folder / "manifest.csv"
    rows = read_manifest(manifest)[:n_cases]
    settings = CohortSettings(model="classical")

    def jobs(name: str):
        shutil.rmtree(folder / name, ignore_errors=True)
        return make_plan(manifest, rows, folder / name, settings).todo

    model = load_model("classical")
    plain = folder / "overhead-plain"
    plain.mkdir(exist_ok=True)

    def segment(row) -> None:
        scan = read_volume(row.image)
        session = Session(scan, model)
        session.set_objects(read_prompt_file(row.prompts, scan))
        for _ in session.propagate():
            pass
        save_session(session, plain / f"{row.case}.nii.gz", overwrite=True)

    segment(rows[0])
    run_case(jobs("overhead-here")[0])
    plain_seconds = median_seconds(segment, rows)
    print(f"segment alone: {plain_seconds:.3f} s per case (median)")
    with_all = median_seconds(run_case, jobs("overhead-here"))
    print(f"the case's whole folder, same process: {with_all:.3f} s")
    for name in ("process", "cluster"):
        with contextlib.ExitStack() as stack:
            if name == "cluster":
                client = stack.enter_context(local_cluster(1))
                run = run_on_cluster(client, jobs("overhead-cluster"))
            else:
                run = run_here(jobs("overhead-process"))
            next(run)  # it loads the model
            begun = time.perf_counter()
            seconds = [outcome["seconds"] for outcome in run]
            wall = time.perf_counter() - begun
            print(f"through {name}: {(wall - sum(seconds)) / len(seconds):.3f} s per case between cases")


def median_seconds(work, items) -> float:
    taken = []
    for item in items:
        begun = time.perf_counter()
        work(item)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def review(output: Path, by: str, n_items: int = 12) -> None:
    """Seconds from Next to the next slice on view, in a real window: within a case, and into another one."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_sam2.plugin.cohort.review import CohortReview
    from napari_sam2.plugin.control.registry import controller_for
    from napari_sam2.plugin.widgets.cohort_box import CohortBox

    viewer = napari.Viewer()
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    work = CohortReview(controller_for(viewer), output, by)
    box = CohortBox(work)
    viewer.window.add_dock_widget(box, name="Review of the cohort", area="right")

    def settle(done) -> float:
        begun = time.perf_counter()
        while not done():
            QApplication.processEvents()
            time.sleep(0.001)
        return time.perf_counter() - begun

    work.next()
    settle(lambda: work.shown)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(n_items):
        begun = time.perf_counter()
        settle(lambda: time.perf_counter() - begun > 1)  # a person looks for a while
        before = work.item.case
        begun = time.perf_counter()
        box.next.click()
        settle(lambda: work.shown)
        QApplication.processEvents()
        taken[work.item.case == before].append(time.perf_counter() - begun)
    for same_case, seconds in taken.items():
        if seconds:
            where = "within a case" if same_case else "into another case"
            print(f"{where}: median {np.median(seconds):.3f} s, worst {max(seconds):.3f} s, of {len(seconds)}")
    viewer.screenshot(output / "review.png", canvas_only=False, flash=False)
    work.close()
    viewer.close()


def faults(folder: Path) -> None:
    """Fill the disk, end the scheduler, the run and a worker, change manifest and scan meanwhile; then run again."""
    manifest = folder / "manifest.csv"
    reference = folder / "faults-reference"
    if not reference.exists():
        timed("reference", [start(manifest, reference, "--workers", "2")])
    expected = contents(reference)
    for fault in (full_disk, dead_scheduler, killed_run, changed_manifest, changed_scan):
        output = folder / f"faults-{fault.__name__}"
        shutil.rmtree(output, ignore_errors=True)
        print(f"\n{fault.__name__}")
        fault(manifest, output)
        code, result, _err = finish(start(manifest, output, "--workers", "2"))
        result.pop("failed", None)
        print(f"  again: exit {code}, {json.dumps(result)}")
        same_as = {key: value for key, value in contents(output).items() if key in expected}
        print(f"  files that differ from an undisturbed run: {sum(same_as[k] != expected[k] for k in same_as)}")
        print(f"  files missing: {len(expected.keys() - same_as.keys())}", flush=True)
        if fault is full_disk:
            subprocess.run(["umount", str(output)], check=True)


def told(process: subprocess.Popen) -> None:
    code, result, err = finish(process)
    print(f"  exit {code}, {json.dumps(result)}")
    for line in err.splitlines()[-3:]:
        print(f"  | {line}")


def until(output: Path, count: int) -> None:
    while done_in(output) < count:
        time.sleep(0.02)


def full_disk(manifest: Path, output: Path) -> None:
    output.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(output)], check=True)
    told(start(manifest, output, "--workers", "2"))
    broken = [p for p in output.glob("*/*") if p.suffix == ".gz" and not (p.parent / "status.json").exists()]
    print(f"  {done_in(output)} statuses, {len(broken)} label maps without one")
    subprocess.run(["mount", "-o", "remount,size=200m", str(output)], check=True)


def dead_scheduler(manifest: Path, output: Path) -> None:
    helpers, file = external_scheduler(manifest.parent)
    process = start(manifest, output, "--scheduler", str(file))
    until(output, 5)
    helpers[0].kill()
    told(process)
    for helper in helpers:
        helper.kill()


def killed_run(manifest: Path, output: Path) -> None:
    process = start(manifest, output, "--workers", "2")
    until(output, 5)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    print(f"  {len(psutil.wait_procs(workers, timeout=20)[1])} of {len(workers)} workers alive after 20 s")


def changed_manifest(manifest: Path, output: Path) -> None:
    before = manifest.read_text()
    process = start(manifest, output, "--workers", "2")
    until(output, 5)
    manifest.write_text("".join(before.splitlines(keepends=True)[:-1]))
    told(process)
    manifest.write_text(before)


def changed_scan(manifest: Path, output: Path) -> None:
    scan = manifest.parent / "scans" / "case-010.nii.gz"
    before = scan.read_bytes()
    process = start(manifest, output, "--workers", "1")
    until(output, 2)
    scan.write_bytes((manifest.parent / "scans" / "case-006.nii.gz").read_bytes())
    told(process)
    scan.write_bytes(before)


def external_scheduler(folder: Path) -> tuple[list[subprocess.Popen], Path]:
    """A scheduler and two workers in processes of their own, as an administrator starts them."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1"]
    helpers = [subprocess.Popen([*dask, "--no-dashboard", "--scheduler-file", str(file)], **quiet)]
    helpers += [subprocess.Popen([*worker, "--no-dashboard", "--memory-limit", "0"], **quiet) for _ in range(2)]
    while not file.exists():
        time.sleep(0.1)
    return helpers, file


def timed(name: str, processes: list[subprocess.Popen]) -> None:
    begun = time.perf_counter()
    results = [finish(process) for process in processes]
    print(f"{name}: {time.perf_counter() - begun:.1f} s, exit {[r[0] for r in results]}", flush=True)
    for code, _, err in results:
        if code:
            print(err)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "attack", "same", "faults", "overhead", "review"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--model", default="classical")
    parser.add_argument("--healthy", action="store_true", help="make no damaged file")
    parser.add_argument("--by", default="doubt", help="order of the review")
    given = parser.parse_args()
    if given.what == "make":
        print(make(given.folder, given.cases, corrupt="" if given.healthy else CORRUPT))
    elif given.what == "attack":
        attack(given.folder)
    elif given.what == "review":
        review(given.folder, given.by)
    elif given.what == "overhead":
        overhead(given.folder)
    elif given.what == "faults":
        faults(given.folder)
    else:
        same(given.folder, given.model)


if __name__ == "__main__":
    main()
