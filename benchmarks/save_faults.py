"""Kill runs at random moments, or fill their disk for a while, and look at what is left.

    xvfb-run -a python benchmarks/save_faults.py [--kills 100] [--full 50] [--what segment,slide,window]

Three kinds of run share the trials: ``segment --session``, ``slide`` (from prompts, and automatic), and a real napari
window in which objects are boxed, carried, named, taken back and saved. Every trial is a process of its own, which
tells its parent what it has finished. Afterwards:

- the input is as it was;
- outputs that belong together are all there and fit each other, or all absent, once the next command has looked;
- the journal holds every action that was told as finished;
- the same command then succeeds.

How long a run takes until its first file, and from there to its end, is measured before the trials and again after
every ten of them, since other programs change it. Four of five moments count from the first file of that very run.

A full disk is a limit on the size of files that is lowered for a part of the run: every write beyond it fails.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile

from napari_sam2.core.prompts import Box, ObjectPrompts
from napari_sam2.hashing import sha256_of
from napari_sam2.io import read_volume
from napari_sam2.io.atomic import PREFIX
from napari_sam2.io.file_set import finish_sets
from napari_sam2.jobs.segment import segment_scan
from napari_sam2.jobs.slide import segment_slide
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import restore
from napari_sam2.record.journal_files import EVENTS
from napari_sam2.session.session import Session

SHAPE = (60, 48, 12)
OBJECTS = [ObjectPrompts(n, (Box(((14 * n, 10, 6), (14 * n + 9, 36, 6))),)) for n in range(1, 4)]
SHARES = {"segment": 0.4, "slide": 0.4, "window": 0.2}
REMEASURED = 10
"""Trials after which a whole run is timed again."""

WINDOW_SECONDS = 12.0
"""How long a window works before it is killed at the latest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--full", type=int, default=50)
    parser.add_argument("--what", default="segment,slide,window")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.window:
        work_in_window(given.window, json.loads(sys.stdin.readline()))
        return
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        inputs = make_inputs(Path(place))
        before = {path: sha256_of(path) for path in inputs}
        for what in given.what.split(","):
            use_modules_of(what, inputs)
            span = measured(what, inputs)
            print(f"{what}: first file after {span.before:.2f} s, end {span.writing:.2f} s later", flush=True)
            for title, count in (("killed", given.kills), ("full disk", given.full)):
                states: Counter[str] = Counter()
                for number in range(round(count * SHARES[what])):
                    if number % REMEASURED == REMEASURED - 1:
                        span = measured(what, inputs)
                    folder = Path(tempfile.mkdtemp(dir=place))
                    faults = {"number": number, **(kill_at(span, rng) if title == "killed" else full_at(span, rng))}
                    told = run(what, inputs, folder, faults)
                    states[moment_of(told, folder)] += 1
                    states.update(judged(what, folder, inputs, told))
                    states["INPUTS TOUCHED"] += any(sha256_of(path) != mark for path, mark in before.items())
                    states["RERUNS THAT FAIL"] += not again(what, inputs, folder, number)
                    shutil.rmtree(folder)
                    print(f"    {title} {number}: {faults}", flush=True)
                said = ", ".join(f"{state} {n}" for state, n in sorted(states.items()))
                print(f"  {title}, {round(count * SHARES[what])} times: {said}", flush=True)


def make_inputs(place: Path) -> tuple[Path, Path]:
    """A scan with four bars, and a slide with discs."""
    voxels = np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.int16)
    voxels[:, 10:36, 2:10] += 1500
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), place / "scan.nii.gz")
    rows, cols = np.ogrid[:400, :400]
    picture = np.full((400, 400, 3), 235, np.uint8)
    for row in range(80, 400, 120):
        for col in range(80, 400, 120):
            picture[(rows - row) ** 2 + (cols - col) ** 2 <= 30**2] = (120, 60, 140)
    tifffile.imwrite(place / "slide.tif", picture, photometric="rgb", tile=(256, 256))
    objects = [
        {"id": n, "prompts": [{"box": [[row - 32, col - 32], [row + 32, col + 32]]}]}
        for n, (row, col) in enumerate(((r, c) for r in range(80, 400, 120) for c in range(80, 400, 120)), start=1)
    ]
    (place / "prompts.json").write_text(json.dumps({"version": 1, "objects": objects}))
    return place / "scan.nii.gz", place / "slide.tif", place / "prompts.json"


@dataclass(frozen=True)
class Span:
    """Seconds of a whole run: until its first file, and from there to its end."""

    before: float
    writing: float


def moment(span: Span, rng: random.Random) -> dict[str, float | bool]:
    """Four of five moments while files are written, the others before."""
    writing = rng.random() < 0.8
    return {"writing": writing, "at": rng.uniform(0, span.writing if writing else span.before)}


def kill_at(span: Span, rng: random.Random) -> dict[str, float | bool]:
    return {"kill": True, **moment(span, rng)}


def full_at(span: Span, rng: random.Random) -> dict[str, float | bool]:
    lasts = rng.uniform(0.02, 0.5) * (span.before + span.writing)
    return {"full": True, **moment(span, rng), "lasts": lasts, "bytes": rng.choice([0, 100, 2000, 20000])}


def wait_for_moment(faults: dict[str, float], folder: Path) -> None:
    """Wait for the moment that was drawn; counted from the first file of the run where it is to be one of writing."""
    patience = time.perf_counter() + 60
    while faults["writing"] and not has_begun(folder) and time.perf_counter() < patience:
        time.sleep(0.0005)
    time.sleep(faults["at"])


def has_begun(folder: Path) -> bool:
    """Whether a run has written something that stays; a look at the disk leaves nothing."""
    return any(not path.name.startswith(PREFIX) for path in folder.iterdir())


def moment_of(told: list[dict], folder: Path) -> str:
    """In which part of a run its moment fell; of a run that went on after a full disk, where it came to."""
    if any(line.get("saved") or line.get("ended") for line in told):
        return "moment: came to its end"
    return "moment: while files were written" if has_begun(folder) else "moment: before the first file"


# --- runs -------------------------------------------------------------------------------------------------------


def use_modules_of(what: str, inputs: tuple[Path, ...]) -> None:
    """Import here what a run imports, so that its processes, which are copies of this one, need not."""
    if what == "window":
        return
    with tempfile.TemporaryDirectory() as folder:
        told = run(what, inputs, Path(folder), {"number": 0, "modules": True})
    for name in told[-1]["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def measured(what: str, inputs: tuple[Path, ...]) -> Span:
    if what == "window":
        return Span(0.0, WINDOW_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        first: list[float] = []

        def watch() -> None:
            while not first and not has_begun(Path(folder)):
                time.sleep(0.0005)
            first.append(time.perf_counter())

        watcher = threading.Thread(target=watch, daemon=True)
        started = time.perf_counter()
        watcher.start()
        run(what, inputs, Path(folder), {"number": 0})
        ended = time.perf_counter()
        watcher.join()
        return Span(first[0] - started, ended - first[0])


def run(what: str, inputs: tuple[Path, ...], folder: Path, faults: dict[str, float]) -> list[dict]:
    """What a run told before it ended or was killed, a line for everything that it had finished."""
    if what == "window":
        return run_window(inputs, folder, faults)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        pipe = os.fdopen(writing, "w", buffering=1)
        threading.Thread(target=fill_disk, args=(faults, folder), daemon=True).start()
        code = 0
        try:
            tell = lambda **told: pipe.write(json.dumps(told) + "\n")  # noqa: E731
            start(what, inputs, folder, int(faults["number"]), tell, overwrite="overwrite" in faults)
            if "modules" in faults:
                tell(modules=[name for name in sys.modules if not name.startswith("__")])
        except Exception as error:
            tell(error=str(error))
            code = 3
        os._exit(code)
    os.close(writing)
    if "kill" in faults:
        wait_for_moment(faults, folder)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        told = [json.loads(line) for line in pipe.read().split("\n")[:-1]]
    os.waitpid(child, 0)
    return told


def start(what: str, inputs: tuple[Path, ...], folder: Path, number: int, tell, *, overwrite: bool = False) -> None:
    """The command itself; `tell` is called with what is finished."""
    if what == "segment":

        def watch(results, total):
            tell(actions=len(OBJECTS))  # prompts are answered, and on the disk
            yield from results
            tell(actions=len(OBJECTS) + 1)

        segment_scan(
            inputs[0],
            folder / "o.nii.gz",
            OBJECTS,
            model=ClassicalModel,
            keep_session=True,
            overwrite=overwrite,
            say=lambda sentence: tell(warning=sentence),
            watch=watch,
        )
        tell(saved=True)
        return
    how = {"prompts": inputs[2]} if number % 2 else {"auto": "20,20,140,140", "object_size": "60px"}
    done = lambda n, total: tell(tiles=n)  # noqa: E731
    segment_slide(inputs[1], folder / "o.geojson", model=ClassicalModel(), overwrite=overwrite, on_progress=done, **how)
    tell(saved=True)


def fill_disk(faults: dict[str, float], folder: Path) -> None:
    """Let no file grow beyond some bytes for a while; afterwards there is room again.

    Python ignores the signal that a write beyond the limit sends, so the write fails as on a full disk.
    """
    if "full" not in faults:
        return
    wait_for_moment(faults, folder)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(faults["bytes"]), hard))
    time.sleep(faults["lasts"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def again(what: str, inputs: tuple[Path, ...], folder: Path, number: int) -> bool:
    """Whether the same command succeeds afterwards; in a window that is a session that can be gone on with."""
    if what == "window":
        return True  # judged by restoring the session
    told = run(what, inputs, folder, {"number": number, "overwrite": True})
    if any(line.get("saved") for line in told):
        return True
    print(f"  the same command then fails: {told[-1:]}, {sorted(path.name for path in folder.iterdir())}", flush=True)
    return False


# --- what is left -----------------------------------------------------------------------------------------------


def judged(what: str, folder: Path, inputs: tuple[Path, ...], told: list[dict]) -> Counter[str]:
    finish_sets(folder)
    left: Counter[str] = Counter()
    sets = {"slide": ("o.geojson", "o.geojson.json")}.get(what, ("o.nii.gz", "o.json", "o.tsv"))
    there = [name for name in sets if (folder / name).exists()]
    left["all files" if len(there) == len(sets) else "none" if not there else "HALF A SET"] += 1
    if len(there) == len(sets):
        left["FILES DO NOT FIT"] += not fits(what, folder)
    left["SAVED AND NOT THERE"] += any(line.get("saved") for line in told) and not there
    left["warned of the journal"] += any("warning" in line for line in told)
    if what == "segment":
        left.update(kept(folder / "o.sam2session", inputs[0], told))
    elif what == "window":
        journals = list((folder / "sessions").rglob(EVENTS))
        left.update(kept(journals[0].parent if journals else folder, inputs[0], told))
    else:
        tiles = folder / "o.geojson.tiles.jsonl"
        finished = max((line["tiles"] for line in told if "tiles" in line), default=0)
        if tiles.exists():
            whole = tiles.read_bytes().split(b"\n")[1:-1]
            [json.loads(line) for line in whole]
            left["told tiles"] += finished
            left["TOLD TILES LOST"] += max(0, finished - len(whole))
    return left


def fits(what: str, folder: Path) -> bool:
    if what == "slide":
        features = json.loads((folder / "o.geojson").read_text())["features"]
        return json.loads((folder / "o.geojson.json").read_text())["Output"] == "o.geojson" and bool(features)
    facts = json.loads((folder / "o.json").read_text(encoding="utf-8"))
    nib.load(folder / "o.nii.gz").get_fdata()
    return facts["Outputs"][0]["sha256"] == sha256_of(folder / "o.nii.gz")


def kept(journal: Path, scan: Path, told: list[dict]) -> Counter[str]:
    """Told actions, and those of them that a restored session does not hold."""
    finished = max((line["actions"] for line in told if "actions" in line), default=0)
    left = Counter({"told actions": finished})
    if not finished:
        return left
    events = journal / EVENTS
    lines = [line for line in events.read_bytes().split(b"\n")[:-1] if line] if events.exists() else []
    try:
        restore(Session(read_volume(scan), ClassicalModel(), axis=2), journal)
    except Exception as error:
        print(f"  not restored: {error}")
        left["TOLD ACTIONS LOST"] += finished
        return left
    missing = max(0, finished - len(lines))
    # A process that ends while the disk is full cannot keep what waits for room; it has said so before.
    ended_full = any("error" in line for line in told) and any("warning" in line for line in told)
    left["not kept by a run that failed on a full disk and had warned" if ended_full else "TOLD ACTIONS LOST"] += (
        missing
    )
    return left


# --- the window -------------------------------------------------------------------------------------------------


def run_window(inputs: tuple[Path, ...], folder: Path, faults: dict[str, float]) -> list[dict]:
    environment = dict(
        os.environ, NAPARI_SAM2_SESSIONS=str(folder / "sessions"), NAPARI_CONFIG=str(folder / "settings.yaml")
    )
    command = [sys.executable, __file__, "--window", str(folder)]
    errors = (folder / "errors.txt").open("w", encoding="utf-8")
    window = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    window.stdin.write(json.dumps({**faults, "scan": str(inputs[0])}) + "\n")
    window.stdin.flush()
    ready = window.stdout.readline()
    if "kill" in faults:
        wait_for_moment(faults, folder)
        window.kill()
    rest = window.stdout.read()
    code = window.wait()
    errors.close()
    if "full" in faults and code != 0:
        last = (folder / "errors.txt").read_text(encoding="utf-8").strip()[-2000:]
        print(f"  a window on a full disk ended with {code}: {last}", flush=True)
    return [json.loads(line) for line in (ready + rest).split("\n")[:-1] if line.startswith("{")]


def work_in_window(folder: Path, faults: dict) -> None:
    """Work in a real window until killed, or until the disk was full and has room again."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import napari
    from tests.plugin.driving import pump, wait_for

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.models import ModelChoice
    from napari_sam2.plugin.control.registry import controller_for

    viewer = napari.Viewer()
    viewer.open(faults["scan"], plugin="napari-sam2")
    controller: Controller = controller_for(viewer)
    controller.models.choose(ModelChoice("classical", "cpu"))
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    wait_for(lambda: controller.work is not None and controller.thread.idle, 60)
    work, session, actions = controller.work, controller.work._session, 0
    warnings: list[str] = []
    controller.workspace.warned.connect(warnings.append)

    def settle() -> None:
        wait_for(lambda: controller.thread.idle and not controller.thread.queue.waiting and not work.run.running, 60)

    def tell(**facts) -> None:
        print(json.dumps({**facts, **({"warning": warnings[-1]} if warnings else {})}), flush=True)

    print("{}", flush=True)
    threading.Thread(target=fill_disk, args=(faults, folder), daemon=True).start()
    ends = time.perf_counter() + (faults["at"] + faults["lasts"] + 2.0 if "full" in faults else 3600)
    number = 0
    while time.perf_counter() < ends:
        number += 1
        object_id, at = 1 + number % 3, 3 + number % 6
        work.select(object_id)
        steps = (
            lambda: work.add_prompt(Box(((14 * object_id, 10, at), (14 * object_id + 9, 36, at))), 2),
            lambda: work.propagate("both"),
            work.undo,
            work.redo,
        )
        for step in steps:
            before = lines_of(folder)
            step()
            settle()
            actions += 1
            tell(actions=actions, lines=before)
        work.save(folder / "o.nii.gz")
        settle()
        pump(0.02)
        tell(saved=(folder / "o.nii.gz").exists())
    settle()
    tell(actions=actions, ended=True, session=len(session.objects))
    os._exit(0)


def lines_of(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "sessions").rglob(EVENTS))


if __name__ == "__main__":
    main()
