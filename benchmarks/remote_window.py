"""A server killed in mid-run, seen from a real napari window whose model runs there.

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/remote_window.py OUT [--size 1400x850] [--model bundled]

Connects the panel to ``napari-sam2 serve`` by keyboard and mouse, boxes the spleen, carries it, kills the server with
SIGKILL after some slices, starts it again and touches nothing; then the same on this computer in a window of its own.
Leaves pictures in OUT. Exit code 1 if the run did not go on unasked, or the label maps differ in a voxel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

KILLED_AFTER = 6
"""Slices that have come."""

AWAY_SECONDS = 5.0
PATIENCE = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="1400x850")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = str(Path(folder) / "sessions")
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        return _compare(Path(folder), given)


def _compare(folder: Path, given: argparse.Namespace) -> int:
    from napari.utils.notifications import notification_manager

    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.sample_data import sample

    notification_manager.__enter__()
    source, labels, names = sample("ct_abdomen")
    scan = Path(shutil.copy(source, folder / "ct.nii.gz"))
    spleen = next(number for number, name in names.items() if name == "spleen")
    inside = read_labels(labels, read_volume(scan)) == spleen
    there, goes_on = _remotely(scan, inside, folder, given)
    here = _locally(scan, inside, given)
    n_different = int(np.count_nonzero(there != here))
    print(f"run went on unasked: {goes_on}")
    print(f"voxels remote {np.count_nonzero(there)}, here {np.count_nonzero(here)}, different {n_different}")
    return 0 if goes_on and here.any() and not n_different else 1


def _remotely(scan: Path, inside: np.ndarray, folder: Path, given: argparse.Namespace) -> tuple[np.ndarray, bool]:
    """The label map of a run whose server is killed, and whether the run went on by itself."""
    from day_window import Day
    from qtpy.QtCore import Qt
    from tests.plugin.control.test_server_line import fill_in
    from tests.plugin.driving import press, pump, wait_for
    from tests.remote.serving import ServerProcess

    server = ServerProcess(folder, 0, "--models", given.model)
    day = Day(scan, given.out, given.theme, given.size)
    said: list[str] = []

    def note(sentence: str) -> None:
        if sentence and sentence not in said[-1:]:
            said.append(sentence)
            print(f"          {time.perf_counter() - day.began:5.1f} s  {sentence}", flush=True)

    day.panel.viewing.expand(animate=False)
    pump(0.3)
    fill_in(day.panel, server.url, server.token_file)
    wait_for(lambda: " on 127.0.0.1" in day.panel.status.text(), 60)
    day.picture("1-connected")
    day.box(inside)
    press(day.viewer, Qt.Key.Key_G)
    wait_for(lambda: (note(day.panel.status.text()), len(day.work.object(1).slices) > KILLED_AFTER)[1], 120)
    day.picture("2-before-the-kill")
    n_before, was_running = len(day.work.object(1).slices), day.work.run.running
    server.kill()
    killed = time.perf_counter()
    wait_for(lambda: (note(day.panel.status.text()), "is away" in day.panel.status.text())[1], 60)
    print(f"          told after {time.perf_counter() - killed:.2f} s; {n_before} slices had come")
    while time.perf_counter() < killed + AWAY_SECONDS:
        pump(0.05)
        note(day.panel.status.text())
    day.picture("3-while-away")
    still_running, n_away = day.work.run.running, len(day.work.object(1).slices)
    server.restart()
    back = time.perf_counter()
    wait_for(lambda: (note(day.panel.status.text()), len(day.work.object(1).slices) > n_away)[1], PATIENCE)
    print(f"          the next slice came {time.perf_counter() - back:.2f} s after the server was ready")
    day.picture("4-back")
    wait_for(lambda: (note(day.panel.status.text()), not day.work.run.running)[1], PATIENCE)
    day.settle()
    note(day.panel.status.text())
    day.picture("5-after")
    print(f"          slices: {n_before} before, {n_away} while away, {len(day.work.object(1).slices)} in the end")
    found = day.work.shown.grid.stored(day.work.result.layer.data).copy()
    day.close()
    server.close()
    return found, was_running and still_running and any("is away" in text for text in said)


def _locally(scan: Path, inside: np.ndarray, given: argparse.Namespace) -> np.ndarray:
    """The same box and run on this computer."""
    from day_window import Day
    from qtpy.QtCore import Qt
    from tests.plugin.driving import press

    from napari_sam2.plugin.control.models import ModelChoice

    day = Day(scan, given.out, given.theme, given.size)
    day.controller.use_model(ModelChoice(given.model))
    day.box(inside)
    press(day.viewer, Qt.Key.Key_G)
    day.settle()
    day.picture("6-here")
    found = day.work.shown.grid.stored(day.work.result.layer.data).copy()
    day.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
