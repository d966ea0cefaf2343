"""Kill a scripted annotation at random moments, resume it, and count what was lost.

    python benchmarks/crash.py [--trials 20]

Each trial runs in a process of its own that is ended with SIGKILL. It tells the parent after every
finished action what the state was; the resumed session must hold at least that, and at most one action more.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_sam2.core.prompts import Box, Point
from napari_sam2.io import read_volume
from napari_sam2.models import load_model
from napari_sam2.plugin.control.autosave import Autosave
from napari_sam2.record.journal import restore, sessions_of, volume_key
from napari_sam2.sample_data import sample
from napari_sam2.session.session import Session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    volume = read_volume(sample("mr_spine")[0])
    random.seed(5)
    lost_finished = lost_flight = 0
    for trial in range(given.trials):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["NAPARI_SAM2_SESSIONS"] = folder
            told = run_and_kill(volume, random.uniform(0.2, 4.0))
            back = resumed(volume, Path(folder))
        finished, last = (int(told[-1][0]), told[-1][1]) if told else (0, "")
        exact = not told or any(mark == last for _, mark in back)
        ahead = len(back) - finished
        lost_finished += not exact
        lost_flight += ahead == 0
        print(f"trial {trial + 1:2d}: {finished:2d} actions finished, {len(back):2d} on disk, exact: {exact}")
    print(f"finished actions lost in {lost_finished} of {given.trials} trials; ", end="")
    print(f"action in flight lost in {lost_flight}, found again in {given.trials - lost_flight}")


def run_and_kill(volume, seconds):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        annotate(volume, os.fdopen(writing, "w", buffering=1))
        os._exit(0)
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as lines:
        return [line.split() for line in lines.read().split("\n")[:-1]]


def annotate(volume, told):
    session = Session(volume, load_model("classical"))
    autosave = Autosave(session)
    done = 0
    i, j, k = (n // 2 for n in volume.shape)
    axis = session.axis
    at = [i, j, k]
    for number in range(1, 200):
        at[axis] = 5 + (number * 7) % (volume.shape[axis] - 10)
        low, high = [max(0, c - 6) for c in at], [c + 6 for c in at]
        low[axis] = high[axis] = at[axis]
        object_id = 1 + number % 3
        actions = (
            lambda: session.add_prompt(object_id, Box((tuple(low), tuple(high)))),
            lambda: session.add_prompt(object_id, Point(tuple(float(c) for c in at))),
            lambda: list(session.propagate([object_id])),
            lambda: session.rename(object_id, f"object of round {number}"),
            session.undo,
            session.redo,
            session.undo,
        )
        for action in actions:
            action()
            done += 1
            told.write(f"{done} {mark_of(session)}\n")
    autosave.close()


def resumed(volume, folder):
    """(actions, mark) after every line of the journal."""
    notes = sessions_of(folder, volume_key(volume))
    if not notes:
        return []
    found = notes[0].folder
    events = found / "events.jsonl"
    lines = events.read_bytes().split(b"\n")[:-1]
    marks = []
    for count in (len(lines) - 1, len(lines)):
        events.write_bytes(b"".join(line + b"\n" for line in lines[:count]))
        session = Session(volume, load_model("classical"))
        restore(session, found)
        marks.append((count, mark_of(session)))
    return [(0, "")] * (len(lines) - 2) + marks


def mark_of(session):
    told = [(o.object_id, o.name, len(o.prompts), sorted(o.accepted)) for o in session.snapshot().objects.values()]
    labels = np.ascontiguousarray(session.label_map())
    return hashlib.sha256(repr(told).encode() + labels.tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    main()
