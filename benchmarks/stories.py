"""Stories of lost or wrong work, played in a real napari window with real mouse and keys.

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/stories.py OUT [--only NAME,...] [--size 1600x900]

Every story asserts three things where they can be asserted: what the picture shows is what the session holds, colour
by colour; what a saved file holds is what the picture shows, on the grid of the scan; files that were there before are
as they were. Leaves pictures in OUT; prints a line for each assertion. Exit code 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from day_window import Day

from napari_sam2.hashing import sha256_of
from napari_sam2.io import read_labels, read_volume
from napari_sam2.sample_data import sample

ORGANS = ("spleen", "left kidney", "right kidney")
SAMPLES = 400
"""Places of a slice whose colour is looked at."""


class Stage(Day):
    """A window in which a story is played, and the sentences that are to hold."""

    wrong: list[str] = []  # noqa: RUF012

    def check(self, holds: object, sentence: str) -> None:
        """Print whether a sentence holds, and remember it if it does not."""
        print(f"{'  ok ' if holds else 'WRONG'}      {sentence}", flush=True)
        if not holds:
            self.wrong.append(sentence)

    @property
    def status(self) -> str:
        return self.panel.status.text()

    def check_screen(self, sentence: str) -> None:
        """The layer shows what the session holds, and the picture on the screen has its colours."""
        held = self.work._session.label_map()
        self.check(np.array_equal(self.labels, held), f"{sentence}: the layer shows what the session holds")
        axis, index = self.work.view.slice()
        others = [layer for layer in self.viewer.layers if layer not in (self.work.image, self.work.result.layer)]
        seen = [layer.visible for layer in others]
        for layer in others:
            layer.visible = False
        pixels, places = self._coloured(axis, index)
        for layer, on in zip(others, seen, strict=True):
            layer.visible = on
        inside = np.array([held[place] > 0 for place in places])
        agree = np.mean(pixels == inside) if len(places) else 0
        self.check(agree > 0.97, f"{sentence}: {agree:.1%} of {len(places)} places of the picture have its colours")

    def _coloured(self, axis: int, index: int) -> tuple[np.ndarray, list[tuple[int, ...]]]:
        """Whether places of the slice on view are coloured on the screen, and their voxels."""
        from tests.plugin.driving import canvas_position, pump

        pump(0.3)
        picture = self.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        height, width = picture.shape[:2]
        rng, shape = np.random.default_rng(0), self.work.shown.volume.shape
        held = self.work._session.label_map()
        on_slice = np.argwhere(np.take(held, index, axis) > 0)
        places: list[tuple[int, ...]] = []
        coloured: list[bool] = []
        for number in range(SAMPLES):
            if number % 2 and len(on_slice):
                rest = on_slice[rng.integers(len(on_slice))]
            else:
                rest = [rng.integers(n) for n in np.delete(shape, axis)]
            voxel = tuple(int(n) for n in np.insert(rest, axis, index))
            at = canvas_position(self.viewer, self.world(voxel))
            if 0 <= at.x() < width and 0 <= at.y() < height:
                pixel = picture[at.y(), at.x()]
                places.append(voxel)
                coloured.append(bool(pixel.max() - pixel.min() > 12))
        return np.array(coloured), places

    def check_file(self, path: Path, scan: Path, sentence: str) -> None:
        """A saved NIfTI file holds what is shown, and lies where its scan lies, field by field."""
        saved, source = nib.load(path), nib.load(scan)
        same = np.array_equal(np.asarray(saved.dataobj), self.labels)
        self.check(same, f"{sentence}: {path.name} holds what is shown")
        fields = ("pixdim", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x")
        alike = all(np.array_equal(saved.header[name], source.header[name]) for name in fields)
        self.check(alike and np.array_equal(saved.affine, source.affine), f"{sentence}: it lies where the scan lies")

    def choose_layer(self, layer) -> None:
        """Click on a layer in napari's list."""
        from tests.plugin.driving import LEFT, QTest, pump

        self.controller.workspace.layer_lists.on = True
        pump(0.2)
        view = self.viewer.window._qt_viewer.layers
        model = view.model()
        row = next(n for n in range(model.rowCount()) if model.index(n, 0).data() == layer.name)
        view.scrollTo(model.index(row, 0))
        pump(0.1)
        QTest.mouseClick(view.viewport(), LEFT, pos=view.visualRect(model.index(row, 0)).center())
        self.clicks += 1
        pump(0.3)
        self.settle()

    def press(self, key, modifiers=None) -> None:
        """Press a key on the picture, and go on while its run is under way."""
        from tests.plugin.driving import NO_KEY, press

        press(self.viewer, key, NO_KEY if modifiers is None else modifiers)
        self.keys += 1


class Tale:
    """What all stories are told with: a folder, a scan, its organs."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        source, labels, names = sample("ct_abdomen")
        self.folder, self.given = folder, given
        self.scan = Path(shutil.copy(source, folder / "ct.nii.gz"))
        truth = read_labels(labels, read_volume(self.scan))
        self.organs = {name: truth == number for number, name in names.items()}
        self.labels = Path(labels)
        self.mark = sha256_of(self.scan)
        os.environ["NAPARI_SAM2_SESSIONS"] = str(folder / "sessions")

    def open(self, scan: Path | None = None) -> Stage:
        from napari_sam2.plugin.control.models import ModelChoice

        stage = Stage(scan or self.scan, self.given.out, self.given.theme, self.given.size)
        if self.given.model != stage.controller.models.name:
            stage.controller.use_model(ModelChoice(self.given.model, "cpu"))
            stage.settle()
        return stage

    def journals(self) -> dict[Path, bytes]:
        """Every file of every journal, as it is now."""
        return {path: path.read_bytes() for path in (self.folder / "sessions").rglob("*.jsonl")}


def two_scans(tale: Tale) -> None:
    """A second scan, stored with its axes in another order, is opened over the first."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT

    source = nib.load(tale.scan)
    turned = tale.folder / "turned.nii.gz"
    affine = source.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.asarray(source.dataobj).transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, turned)
    stage = tale.open()
    stage.box(tale.organs["spleen"])
    first = stage.work
    middle = tuple(int(n) for n in np.argwhere(tale.organs["liver"]).mean(axis=0).round())
    first.view.go_to(2, middle[2])
    upright = stage.viewer.screenshot(canvas_only=True, flash=False)
    held = first._session.label_map()
    stage.viewer.open(str(turned), plugin="napari-sam2")
    stage.settle()
    stage.picture("two-scans-1-second-on-top")
    second = stage.work
    stage.check(second is not first and second.image.name == "turned", "the panel follows the scan that was opened")
    stage.check(stage.panel.images.currentText() == "turned", "the panel names it")
    second.view.go_to(0, middle[2])
    first.result.layer.visible = False
    seen = stage.viewer.screenshot(canvas_only=True, flash=False)
    first.result.layer.visible = True
    alike = np.corrcoef(_middle(upright), _middle(seen))[0, 1]
    stage.check(alike > 0.9, f"it lies upright like the first (pictures correlate to {alike:.2f})")
    from tests.plugin.driving import click

    click(stage.viewer, stage.world(middle[::-1]), button=LEFT)
    stage.settle()
    stage.check(list(second.snapshot.objects) == [1], "a click goes to the scan that is seen")
    stage.check(np.array_equal(first._session.label_map(), held), "and changes nothing of the other")
    stage.check_screen("second scan")
    stage.save(tale.folder / "turned_labels.nii.gz")
    stage.check_file(tale.folder / "turned_labels.nii.gz", turned, "second scan")
    stage.choose_layer(first.image)
    stage.check(stage.work is first, "a click in the list of layers brings the first back")
    stage.press(Qt.Key.Key_8)
    second.image.visible = second.result.layer.visible = False
    stage.picture("two-scans-2-first-again")
    plane = first.shown.volume.plane(first.view.axis())
    stage.check(first.shown.volume.plane_name(plane.axis) == "axial", "8 shows it axially, not turned over")
    first.view.go_to(2, int(tale.organs["spleen"].sum((0, 1)).argmax()))
    stage.check_screen("first scan")
    stage.save(tale.folder / "first_labels.nii.gz")
    stage.check_file(tale.folder / "first_labels.nii.gz", tale.scan, "first scan")
    stage.close()


def _middle(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, grey: a canvas can be a pixel wider than before."""
    top, left = (picture.shape[0] - 600) // 2, (picture.shape[1] - 600) // 2
    return picture[top : top + 600, left : left + 600, 0].ravel()


def stray_click(tale: Tale) -> None:
    """After a kill, one stray click and Ctrl+Z come before Resume."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT

    before = _killed(tale)
    kept = tale.journals()
    stage = tale.open()
    stage.picture("stray-click-1-offered")
    stage.check(stage.panel.resume.is_offering, "Resume is offered after a kill")
    stage.click(tuple(int(n) for n in np.argwhere(tale.organs["liver"]).mean(axis=0).round()), LEFT)
    stage.check(stage.panel.resume.is_offering, "it is offered still after a stray click")
    stage.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    stage.settle()
    stage.check(stage.panel.resume.is_offering, "and after Ctrl+Z")
    stage.press(Qt.Key.Key_N)
    stage.box(tale.organs["liver"])
    stage.picture("stray-click-2-worked-on")
    changed = [str(path.relative_to(tale.folder)) for path, held in kept.items() if path.read_bytes() != held]
    stage.check(not changed, f"the earlier journal is as it was {changed}")
    stage.push(stage.panel.resume.resume)
    stage.picture("stray-click-3-resumed")
    stage.check(np.array_equal(stage.labels, before), "Resume brings back every voxel that was shown before the kill")
    stage.check_screen("resumed")
    stage.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    stage.settle()
    stage.check(stage.status.startswith("Taken back"), f"undo goes on where it was ({stage.status!r})")
    stage.check_screen("undone")
    stage.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    stage.settle()
    stage.check(np.array_equal(stage.labels, before), "redo brings it back again")
    stage.close()
    stage = tale.open()
    stage.check(len(stage.work.sessions) == 2, "both sessions, the stray one too, are offered the next time")
    stage.close()


def _killed(tale: Tale) -> np.ndarray:
    """What a window showed when it was killed."""
    command = [sys.executable, __file__, str(tale.given.out), "--model", tale.given.model, "--killed", str(tale.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("ready"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    return np.load(tale.folder / "before.npy")


def _until_killed(folder: Path, given: argparse.Namespace) -> None:
    """Box three organs, carry one, and wait for the end."""
    from qtpy.QtCore import Qt

    tale = Tale(folder, given)
    stage = tale.open()
    for number, name in enumerate(ORGANS):
        if number:
            stage.press(Qt.Key.Key_N)
        stage.box(tale.organs[name])
    stage.press(Qt.Key.Key_G)
    stage.settle()
    np.save(folder / "before.npy", stage.labels)
    print("ready", flush=True)
    time.sleep(600)


def saving(tale: Tale) -> None:
    """Save again, over other files, over the scan, under other names, and during a run."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT, RIGHT, QTest

    precious = tale.folder / "ct_labels.nii.gz"
    shutil.copy(tale.labels, precious)
    mark = sha256_of(precious)
    stage = tale.open()
    stage.save(precious)
    stage.check(sha256_of(precious) == mark, "Save with nothing drawn asks before it replaces a file")
    stage.box(tale.organs["spleen"])
    stage.push(stage.panel.scans.saving.save)
    stage.picture("saving-1-asked-again")
    stage.check(sha256_of(precious) == mark, "after a box, it asks again")
    stage.check("again" in stage.status, f"in words ({stage.status!r})")
    stage.push(stage.panel.scans.saving.save)
    stage.check_file(precious, tale.scan, "pressed twice")
    k = int(tale.organs["spleen"].sum((0, 1)).argmax())
    middle = np.argwhere(tale.organs["spleen"][:, :, k]).mean(axis=0).round().astype(int)
    stage.click((*middle, k), LEFT)
    stage.push(stage.panel.scans.saving.save)
    stage.check_file(precious, tale.scan, "a file of our own is replaced unasked")
    shutil.copy(tale.labels, precious)
    stage.push(stage.panel.scans.saving.save)
    stage.check(sha256_of(precious) == mark, "one that another program wrote meanwhile is asked about")
    stage.save(tale.scan)
    stage.push(stage.panel.scans.saving.save)
    stage.picture("saving-2-over-the-scan")
    stage.check(sha256_of(tale.scan) == tale.mark, f"the scan itself is never replaced ({stage.status!r})")
    stage.press(Qt.Key.Key_G)
    stage.panel.scans.saving.suggest(tale.folder / "during.nii.gz")
    QTest.mouseClick(stage.panel.scans.saving.save, LEFT)
    stage.check(stage.work.run.running, "Save is pressed while a run goes on")
    stage.picture("saving-3-during-a-run")
    stage.settle()
    stage.check_file(tale.folder / "during.nii.gz", tale.scan, "saved after the run")
    stage.save(tale.folder / "other.seg.nrrd")
    found = read_labels(tale.folder / "other.seg.nrrd", read_volume(tale.scan))
    stage.check(np.array_equal(found, stage.labels), "another format under another name holds the same voxels")
    counts = stage.labels.sum(axis=(0, 1))
    carried = [n for n in stage.work.object(1).slices if abs(n - k) in (2, 3)]
    edge = np.argwhere(stage.labels[:, :, carried[0]] == 1)
    stage.click((*edge[np.lexsort((edge[:, 1], edge[:, 0]))[0]], carried[0]), RIGHT)
    stage.settle()
    after = stage.labels.sum(axis=(0, 1))
    stage.picture("saving-4-trimmed")
    emptied = int(((counts > 50) & (after < counts / 2)).sum())
    stage.check(not emptied, f"an exclude click at the border of a carried slice empties none ({emptied} halved)")
    stage.check_screen("trimmed")
    stage.close()


def deleted_layer(tale: Tale) -> None:
    """Layers of ours are deleted with napari's own button, or its key where a small window hides the button."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT, QTest, pump

    def delete() -> None:
        if button.isVisible():
            QTest.mouseClick(button, LEFT)
        else:
            stage.press(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
        pump(0.5)

    stage = tale.open()
    for number, name in enumerate(ORGANS[:2]):
        if number:
            stage.press(Qt.Key.Key_N)
        stage.box(tale.organs[name])
    before = stage.labels.copy()
    button = stage.viewer.window._qt_viewer.layerButtons.deleteButton
    for what in ("segmentation", "boxes", "points"):
        layers = {"segmentation": stage.work.result.layer, "boxes": stage.work.prompts.boxes,
                  "points": stage.work.prompts.layers[0]}  # fmt: skip
        stage.choose_layer(layers[what])
        delete()
        stage.settle()
        stage.check(layers[what] not in stage.viewer.layers, f"the {what} layer is deleted")
        stage.picture(f"deleted-layer-{what}")
        stage.check(np.array_equal(stage.labels, before), "the work is made again from its journal")
        stage.check("nothing is lost" in stage.status, f"and that stays to be read ({stage.status!r})")
        stage.check(len(stage.work.prompts.boxes.data) == 2, "its boxes as well")
        stage.check_screen(f"{what} layer deleted")
    stage.press(Qt.Key.Key_N)
    stage.box(tale.organs[ORGANS[2]])
    stage.check(len(stage.work.snapshot.objects) == 3, "and the work goes on")
    stage.check_screen("gone on")
    before = stage.labels.copy()
    stage.choose_layer(stage.work.image)
    delete()
    stage.picture("deleted-layer-image")
    stage.check(stage.controller.work is None, f"without its image the work is closed ({stage.status!r})")
    stage.viewer.open(str(tale.scan), plugin="napari-sam2")
    stage.settle()
    stage.check(stage.panel.resume.is_offering, "opened again, it is offered")
    stage.push(stage.panel.resume.resume)
    stage.check(np.array_equal(stage.labels, before), "and comes back whole")
    stage.close()


def moved_layers(tale: Tale) -> None:
    """A cut, a mirrored and a moved layer, with what they inherited of their scan."""
    edits = {
        "cut": lambda voxels: voxels[10:40, 20:100, 30:120].copy(),
        "mirrored": lambda voxels: np.flip(voxels, 2).copy(),
        "thinned": lambda voxels: voxels[::2, ::2, ::2].copy(),
    }
    for name, edit in edits.items():
        stage = tale.open()
        original = stage.work.image
        stage.viewer.add_image(
            edit(original.data), name=name, scale=original.scale, units=original.units, metadata=original.metadata
        )
        stage.settle()
        target = tale.folder / f"{name}.nii.gz"
        stage.check(stage.work.image.name == name, f"the {name} layer is worked on")
        shape = stage.work.shown.volume.shape
        inside = np.zeros(shape, dtype=bool)
        inside[tuple(slice(n // 3, n // 2) for n in shape)] = True
        stage.box(inside)
        stage.save(target)
        stage.picture(f"moved-layers-{name}")
        stage.check(not target.exists(), f"labels of a {name} layer are not saved as if they lay on its scan")
        stage.check(stage.panel.scans.saving.question.isVisible(), "the panel asks for the image file")
        stage.panel.scans.saving.reference_given.emit(tale.scan)
        stage.settle()
        if name == "mirrored":
            found = np.asarray(nib.load(target).dataobj)
            stage.check(np.array_equal(found, stage.labels[::-1]), "with the scan named, it is turned back and saved")
        else:
            stage.check(not target.exists(), f"the whole scan is refused for it ({stage.status!r})")
        stage.close()
    stage = tale.open()
    stage.box(tale.organs["spleen"])
    stage.work.result.layer.translate = (0, 30, 0)
    stage.save(tale.folder / "moved.nii.gz")
    stage.picture("moved-layers-moved")
    stage.check(
        not (tale.folder / "moved.nii.gz").exists(), f"a segmentation that was moved is not saved ({stage.status!r})"
    )
    stage.work.result.layer.translate = stage.work.image.translate
    stage.push(stage.panel.scans.saving.save)
    stage.check_file(tale.folder / "moved.nii.gz", tale.scan, "put back")
    stage.close()


def full_disk(tale: Tale) -> None:
    """The disk is full while three organs are boxed, and has room again."""
    from qtpy.QtCore import Qt

    stage = tale.open()
    warnings: list[str] = []
    stage.controller.workspace.warned.connect(warnings.append)
    stage.box(tale.organs[ORGANS[0]])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        for name in ORGANS[1:]:
            stage.press(Qt.Key.Key_N)
            stage.box(tale.organs[name])
        stage.save(tale.folder / "full.nii.gz")
        sentence = stage.status
        left = sorted(path.name for path in tale.folder.glob("full*"))
        stage.check_screen("disk full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stage.picture("full-disk-1-told")
    stage.check(len(stage.work.snapshot.objects) == 3, "the work goes on on a full disk")
    said = " ".join([*warnings, sentence])
    stage.check("journal" in said and "Cannot write full.nii.gz" in said, f"both are said ({said!r})")
    stage.check(not left, f"a save that failed leaves nothing behind ({left})")
    stage.press(Qt.Key.Key_N)
    stage.box(tale.organs["liver"])
    before = stage.labels.copy()
    stage.save(tale.folder / "room.nii.gz")
    stage.check_file(tale.folder / "room.nii.gz", tale.scan, "saved when there is room")
    stage.close()
    stage = tale.open()
    stage.push(stage.panel.resume.resume)
    stage.picture("full-disk-2-resumed")
    stage.check(np.array_equal(stage.labels, before), "all four organs come back, those of the full disk too")
    stage.check_screen("resumed")
    stage.close()


def other_object(tale: Tale) -> None:
    """J goes to another object; an exclude click lies on another than the current one."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import RIGHT

    stage = tale.open()
    stage.box(tale.organs["spleen"])
    stage.press(Qt.Key.Key_G)
    stage.settle()
    stage.press(Qt.Key.Key_N)
    stage.box(tale.organs["liver"])
    stage.press(Qt.Key.Key_J)
    stage.settle()
    stage.picture("other-object-1-doubt")
    stage.check(
        stage.work.current == 1 and "Now object 1" in stage.status, f"J says whose slice it shows ({stage.status!r})"
    )
    stage.work.select(2)
    before = stage.labels.copy()
    k = int((before == 1).sum((0, 1)).argmax())
    place = np.argwhere((before == 1)[:, :, k]).mean(axis=0).round().astype(int)
    stage.click((*place, k), RIGHT)
    stage.picture("other-object-2-excluded")
    stage.check(np.array_equal(stage.labels, before), "an exclude click on another object changes neither")
    stage.check("object 1" in stage.status and "object 2" in stage.status, f"and names both ({stage.status!r})")
    stage.check_screen("two objects")
    stage.close()


STORIES = (two_scans, stray_click, saving, deleted_layer, moved_layers, full_disk, other_object)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help=", ".join(story.__name__ for story in STORIES))
    parser.add_argument("--size", default="1600x900")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--killed", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    from napari.utils.notifications import notification_manager

    notification_manager.__enter__()
    if given.killed is not None:
        _until_killed(given.killed, given)
        return 0
    for story in STORIES:
        if given.only and story.__name__ not in given.only.split(","):
            continue
        print(f"--- {story.__name__}: {story.__doc__}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
            tale = Tale(Path(folder), given)
            story(tale)
            Stage.check(Stage, sha256_of(tale.scan) == tale.mark, "the scan is as it was, byte for byte")
    print(f"{len(Stage.wrong)} of the sentences do not hold", *Stage.wrong, sep="\n  ")
    return 1 if Stage.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
