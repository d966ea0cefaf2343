"""Some days in a real window, with real mouse and keys: a story that is repeated and measured.

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/day.py [--out FOLDER] [--theme dark] [--size 1090x655]

Day one: open a DICOM series, box four organs, carry them, save, close. Day two: open the saved labels, correct one, add
and take back one, measure, export to DICOM SEG. Then the same from a label map of another program, compared with one's
own; a later scan side by side, with objects carried over and growth; and a process that is killed, and its work found
again. Prints clicks, keys, typed names and seconds of each chapter, and leaves a picture of each. `--only` plays single
chapters of day1, day2, foreign, two, killed; all but day1 need the files of day1 in a folder that is kept (`--keep`).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

RUNNING = "a run is under way:"
ORGANS = ("spleen", "left kidney", "right kidney", "liver")
GROWN = "left kidney"


class Story:
    """The files of all chapters, and how the window looks."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        from day_scans import write_later_scan, write_series

        from napari_sam2.io import read_labels, read_volume
        from napari_sam2.sample_data import sample

        self.folder, self.given = folder, given
        source, labels, names = sample("ct_abdomen")
        volume = read_volume(source)
        self.truth = read_labels(labels, volume)
        self.ids = {name: number for number, name in names.items()}
        self.scan, self.later = folder / "ct", folder / "later.nii.gz"
        self.ours, self.foreign = folder / "ct_labels.nii.gz", folder / "other_program.nii.gz"
        if not self.later.exists():
            write_series(volume, self.scan)
            later_truth = folder / "later_truth.nii.gz"
            sizes = write_later_scan(volume, self.truth, self.ids[GROWN], self.later, later_truth)
            print(f"          the {GROWN} grows from {sizes[0]:.1f} to {sizes[1]:.1f} mL")
            self._write_foreign(volume, labels, names)

    def _write_foreign(self, volume, labels, names) -> None:
        """The labels of another program: with a table of names, half of the liver missed."""
        import shutil

        import nibabel as nib

        from napari_sam2.io.sidecar import sidecar_paths

        shutil.copy(labels, self.foreign)
        image = nib.load(self.foreign)
        voxels = np.asarray(image.dataobj).copy()
        half = voxels[: int(np.median(np.nonzero(voxels == self.ids["liver"])[0]))]
        half[half == self.ids["liver"]] = 0
        nib.save(nib.Nifti1Image(voxels, image.affine, image.header), self.foreign)
        rows = "".join(f"{number}\t{name}\n" for number, name in names.items())
        sidecar_paths(self.foreign)[1].write_text(f"index\tname\n{rows}", encoding="utf-8")

    def open(self, labels: Path | None = None):
        """A window with the scan."""
        from day_window import Day

        return Day(self.scan, self.given.out, self.given.theme, self.given.size, labels)

    def where(self, name: str):
        """The voxels of an organ."""
        return self.truth == self.ids[name]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("day"))
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--size", default="1090x655")
    parser.add_argument("--only", nargs="*", default=list(TOLD), choices=list(TOLD))
    parser.add_argument("--keep", type=Path, help="Folder of the files; a temporary one unless given.")
    parser.add_argument("--until-killed", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["NAPARI_SAM2_SESSIONS"] = str(folder / "sessions")
        os.environ["NAPARI_CONFIG"] = str(folder / "settings.yaml")
        from napari.utils.notifications import notification_manager

        notification_manager.__enter__()
        story = Story(folder, given)
        if given.until_killed:
            _work_until_killed(story)
            return
        for chapter in given.only:
            print(f"-- {chapter}")
            TOLD[chapter](story)


def _day_one(story: Story) -> None:
    from qtpy.QtCore import Qt

    day = story.open()
    print(f"window to the first picture {day.first_picture:.1f} s, to an open scan {day.opened:.1f} s")
    day.picture("01-opened")
    for number, name in enumerate(ORGANS, start=1):
        if number > 1:
            day.press(Qt.Key.Key_N)
        day.box(story.where(name))
        if number == 1:
            day.picture("02-first-box")
        day.name(number, name)
        day.press(Qt.Key.Key_G)
    day.picture("03-four-organs")
    day.save(story.ours)
    day.picture("04-saved")
    dice = {name: round(_dice(day.labels == n, story.where(name)), 3) for n, name in enumerate(ORGANS, start=1)}
    print("          Dice", dice)
    day.close()


def _day_two(story: Story) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT, RIGHT

    day = story.open(story.ours)
    day.picture("05-next-day")
    day.work.select(1)
    wrong = story.where(ORGANS[0]) & (day.labels != 1)
    if wrong.any():
        day.click(_deepest(wrong), LEFT)
    extra = (day.labels == 1) & ~story.where(ORGANS[0])
    if extra.any():
        day.click(_deepest(extra), RIGHT)
    day.picture("06-corrected")
    day.press(Qt.Key.Key_N)
    day.box(story.where("stomach"))
    day.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    day.press(Qt.Key.Key_7)
    day.picture("07-three-planes")
    day.press(Qt.Key.Key_7)
    day.press(Qt.Key.Key_M)
    day.panel.scans.table.chosen.emit(1)
    day.work.measuring.show_object(1)
    day.picture("08-measured")
    day.press(Qt.Key.Key_M)
    day.save(story.folder / "ct.dcm")
    day.picture("09-exported")
    day.close()
    day = story.open(story.folder / "ct.dcm")
    day.picture("10-from-dicom-seg")
    day.close()


def _foreign(story: Story) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT

    day = story.open(story.foreign)
    day.picture("11-other-program")
    liver = story.ids["liver"]
    day.work.select(liver)
    missed = story.where("liver") & (day.labels != liver)
    day.click(_deepest(missed), LEFT)
    day.picture("12-other-program-corrected")
    day.unfold(day.panel.scans.compare)
    with _chosen_file(story.ours):
        day.push(day.panel.scans.compare.labels)
    day.press(Qt.Key.Key_D)
    day.picture("13-compared")
    day.close()


def _two_scans(story: Story) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT, RIGHT, wait_for

    day = story.open(story.ours)
    first = day.work
    day.add(story.later)
    wait_for(lambda: day.work not in (None, first), 120)
    day.settle()
    day.picture("14-second-scan")
    day.press(Qt.Key.Key_5)
    compare = day.panel.scans.compare
    day.unfold(compare)
    day.push(compare.lay)
    day.push(compare.carry)
    day.picture("15-carried-over")
    day.press(Qt.Key.Key_Y, Qt.KeyboardModifier.ShiftModifier)
    from napari_sam2.io import read_labels

    number = ORGANS.index(GROWN) + 1
    before = read_labels(story.ours, first.shown.volume) == number
    truth = read_labels(story.folder / "later_truth.nii.gz", day.work.shown.volume) == story.ids[GROWN]
    day.work.select(number)
    print(f"          Dice of the {GROWN}, carried {_dice(day.labels == number, truth):.3f}", end="")
    for _ in range(3):
        missed, extra = truth & (day.labels != number), (day.labels == number) & ~truth
        missing = missed.sum() >= extra.sum()
        day.click(_deepest(missed if missing else extra), LEFT if missing else RIGHT)
    print(f", after three clicks {_dice(day.labels == number, truth):.3f}")
    ml = day.work.shown.volume.voxel_volume_ml
    for when, mask, real in (("first", before, story.where(GROWN)), ("later", day.labels == number, truth)):
        print(f"          {when} scan: {mask.sum() * ml:.1f} mL by the mask, {real.sum() * ml:.1f} mL in truth")
    day.press(Qt.Key.Key_M)
    print("         ", day.work.figures.text.replace("\n", "\n          "))
    day.picture("16-growth")
    day.close()


def _killed(story: Story) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import wait_for

    command = [sys.executable, __file__, "--until-killed", "--keep", str(story.folder), "--out", str(story.given.out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = next((line for line in process.stdout if line.startswith(RUNNING)), None)
    if told is None:
        raise AssertionError("The window that was to be killed ended before.")
    process.send_signal(signal.SIGKILL)
    process.wait()
    voxels = [int(n) for n in told.removeprefix(RUNNING).split()]
    day = story.open()
    day.picture("17-after-a-kill")
    day.push(day.panel.resume.resume)
    kept = [int((day.labels == number).sum()) for number in (1, 2)]
    print(f"          voxels before the kill {voxels}, after it {kept}; the run that was under way is not counted")
    if kept != voxels:
        raise AssertionError("Something that was seen before the kill is not there any more.")
    day.picture("18-resumed")
    day.work.select(2)
    day.press(Qt.Key.Key_G)
    wait_for(lambda: not day.work.run.running, 600)
    print(f"          Dice of the {ORGANS[1]} {_dice(day.labels == 2, story.where(ORGANS[1])):.3f}")
    day.picture("19-goes-on")
    day.close()


def _work_until_killed(story: Story) -> None:
    """A window with one carried organ, a boxed one, and a run that does not come to its end."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import press, wait_for

    day = story.open()
    day.box(story.where(ORGANS[0]))
    day.press(Qt.Key.Key_G)
    day.press(Qt.Key.Key_N)
    day.box(story.where(ORGANS[1]))
    voxels = " ".join(str(int((day.labels == number).sum())) for number in (1, 2))
    press(day.viewer, Qt.Key.Key_G)
    wait_for(lambda: len(day.work.object(2).slices) > 3, 120)
    print(RUNNING, voxels, flush=True)
    wait_for(lambda: False, 600)


class _chosen_file:  # noqa: N801
    """Answers the next file dialog: nobody can type into one that has the loop."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        from qtpy.QtWidgets import QFileDialog

        self.before = QFileDialog.getOpenFileName
        QFileDialog.getOpenFileName = lambda *_: (str(self.path), "")

    def __exit__(self, *_: object) -> None:
        from qtpy.QtWidgets import QFileDialog

        QFileDialog.getOpenFileName = self.before


def _dice(found, inside) -> float:
    return 2 * float((found & inside).sum()) / float(found.sum() + inside.sum())


def _deepest(mask) -> tuple[int, ...]:
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    return tuple(int(n) for n in np.unravel_index(depth.argmax(), mask.shape))


TOLD = {"day1": _day_one, "day2": _day_two, "foreign": _foreign, "two": _two_scans, "killed": _killed}


if __name__ == "__main__":
    main()
