"""Do to a real window, during its runs, what no program expects, and look whether anything is lost.

    xvfb-run -a python benchmarks/window_attack.py [--rounds 6] [--steps 40] [--seed 0]

Each round opens a made scan in a window of its own and draws boxes, clicks, runs, undoes and saves at random. While
runs go on, layers of ours and others are deleted, renamed, hidden and moved, the image's voxels are replaced, the panel
is closed and opened again, the disk is full for a moment, and in the end the window is closed during a save.
Afterwards:

- no exception came up, in Qt or in napari;
- the layer shows what the session holds, and the journal restores it, slice by slice;
- what was saved is whole, and the scan is as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_sam2.core.prompts import Box, Point
from napari_sam2.errors import NapariSam2Error
from napari_sam2.hashing import sha256_of
from napari_sam2.io import read_volume
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import restore
from napari_sam2.record.journal_files import EVENTS
from napari_sam2.session.session import Session

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.plugin.driving import pump, wait_for

SHAPE = (48, 40, 16)


class Round:
    """One window, and what is done to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng, self.folder = random.Random(seed), folder
        voxels = np.random.default_rng(seed).normal(100, 8, SHAPE)
        voxels[10:22, 10:30, 3:13] += 150
        voxels[28:40, 12:26, 5:11] += 110
        self.scan = folder / "scan.nii.gz"
        nib.save(nib.Nifti1Image(voxels.astype(np.int16), np.diag([1.0, 1.0, 2.0, 1.0])), self.scan)
        self.mark, self.did = sha256_of(self.scan), Counter()

    def open(self) -> None:
        import napari

        from napari_sam2.plugin.control.models import ModelChoice
        from napari_sam2.plugin.control.registry import controller_for

        self.viewer = napari.Viewer()
        self.viewer.open(str(self.scan), plugin="napari-sam2")
        self.controller = controller_for(self.viewer)
        self.controller.models.choose(ModelChoice("classical", "cpu"))
        self.dock, _ = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
        wait_for(lambda: self.controller.work is not None and self.controller.thread.idle)
        self.stranger = self.viewer.add_points(np.full((2, 3), 9.0), name="of another plugin")
        self.controller.workspace.layer_lists.on = True

    @property
    def work(self):
        return self.controller.work

    def layers(self) -> list:
        return [layer for layer in self.viewer.layers if layer is not self.work.image]

    def settle(self) -> None:
        thread = self.controller.thread
        wait_for(lambda: thread.idle and not thread.queue.waiting and not (self.work and self.work.run.running))

    # --- what a person does

    def box(self) -> None:
        number, at = self.rng.choice([(1, (10, 10, 22, 30)), (2, (28, 12, 40, 26))]), self.rng.randrange(5, 11)
        self.work.select(number[0])
        low, high = (*number[1][:2], at), (*number[1][2:], at)
        self.work.add_prompt(Box((low, high)), 2)

    def click(self) -> None:
        self.work.add_prompt(Point((self.rng.randrange(8, 40), self.rng.randrange(8, 32), self.rng.randrange(4, 12)),
                                   positive=self.rng.random() < 0.5), 2)  # fmt: skip

    def run(self) -> None:
        self.controller.do("propagate_both")

    def accept(self) -> None:
        self.work.view.go_to(2, self.rng.randrange(4, 12))
        self.controller.do("accept_slice")

    def verbs(self) -> None:
        self.controller.do(self.rng.choice(["undo", "redo", "next_object", "next_doubt", "finish_object"]))

    def save(self) -> None:
        self.work.save(self.folder / "out.nii.gz")

    # --- what nobody expects

    def delete_layer(self) -> None:
        self.viewer.layers.remove(self.rng.choice(self.layers()))

    def rename_layer(self) -> None:
        self.rng.choice(list(self.viewer.layers)).name = self.rng.choice(["", "a", "scan", "b" * 300])

    def move_layer(self) -> None:
        n = len(self.viewer.layers)
        self.viewer.layers.move(self.rng.randrange(n), self.rng.randrange(n))

    def hide_layer(self) -> None:
        layer = self.rng.choice(list(self.viewer.layers))
        layer.visible = not layer.visible

    def replace_voxels(self) -> None:
        self.work.image.data = np.asarray(self.work.image.data).copy()

    def turn(self) -> None:
        self.viewer.dims.roll()

    def close_panel(self) -> None:
        self.viewer.window.remove_dock_widget(self.dock)
        self.dock, _ = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")

    def full_disk(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            self.save()
            pump(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    def go(self, steps: int) -> None:
        """Random steps, with a run under way in most of them."""
        person = (self.box, self.click, self.run, self.run, self.accept, self.verbs, self.save)
        nobody = (
            self.delete_layer, self.rename_layer, self.move_layer, self.hide_layer, self.replace_voxels, self.turn,
            self.close_panel, self.full_disk,
        )  # fmt: skip
        self.box()
        self.settle()
        for _ in range(steps):
            if self.work is None:
                # A work whose layer was deleted is opened again, which takes a moment.
                with contextlib.suppress(AssertionError):
                    wait_for(lambda: self.work is not None)
                if self.work is None:
                    return
            step = self.rng.choice(person if self.rng.random() < 0.6 else nobody)
            self.did[step.__name__] = self.did.pop(step.__name__, 0) + 1  # the last one comes last
            try:
                step()
            except NapariSam2Error as error:
                self.did[f"refused: {str(error)[:60]}"] += 1
            pump(self.rng.choice([0.0, 0.01, 0.1]))
            if self.rng.random() < 0.2:
                self.settle()

    def judge(self) -> list[str]:
        """What does not hold."""
        faults = []
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.work is not None and self.controller.thread.idle)
        if self.work is None:
            layers = [f"{layer.name[:20]!r} ({type(layer).__name__})" for layer in self.viewer.layers]
            return [f"the work was closed after {list(self.did)[-1]}; layers are {', '.join(layers)}"]
        self.settle()
        pump(0.3)
        held = self.work._session.label_map()
        if not np.array_equal(self.work.result.layer.data.transpose(2, 1, 0), held):
            faults.append("the layer shows something else than the session holds")
        journals = sorted((self.folder / "sessions").rglob(EVENTS), key=lambda path: path.stat().st_mtime)
        again = Session(read_volume(self.scan), ClassicalModel(), axis=2)
        restore(again, journals[-1].parent)
        if not np.array_equal(again.label_map(), held):
            faults.append("the journal restores something else")
        self.save()
        self.viewer.close()
        pump(0.5)
        saved = self.folder / "out.nii.gz"
        if saved.exists():
            there = {path.name for path in self.folder.glob("out*")}
            if not {"out.json", "out.nii.gz", "out.tsv"} <= there:
                faults.append(f"half a set of outputs: {sorted(there)}")
            nib.load(saved).get_fdata()
        if sha256_of(self.scan) != self.mark:
            faults.append("the scan was touched")
        return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    import napari.settings
    from napari.utils.notifications import notification_manager

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    raised: list[str] = []
    sys.excepthook = lambda *error: raised.append("".join(traceback.format_exception(*error))[-1500:])
    notification_manager.notification_ready.connect(
        lambda note: raised.append(f"napari says: {note.message}"[:600]) if note.severity.value == "error" else None
    )
    bad = 0
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            os.environ["NAPARI_SAM2_SESSIONS"] = str(Path(place) / "sessions")
            napari.settings._CFG_PATH = str(Path(place) / "settings.yaml")
            one, faults = Round(Path(place), given.seed + number), []
            raised.clear()
            try:
                one.open()
                one.go(given.steps)
                faults = one.judge()
            except Exception:
                faults.append(traceback.format_exc()[-1500:])
                with contextlib.suppress(Exception):
                    one.viewer.close()
            faults += raised
            bad += bool(faults)
            print(f"round {given.seed + number}: {dict(one.did)}", *faults, sep="\n    ", flush=True)
    print(f"{bad} of {given.rounds} rounds do not hold")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
