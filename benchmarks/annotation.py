"""A whole annotation in a real napari window, with real mouse and keys; killed, resumed, and counted.

    xvfb-run -a python benchmarks/annotation.py [--out FOLDER] [--model NAME]
    xvfb-run -a python benchmarks/annotation.py --kill 20

The first form opens the bundled CT, boxes the spleen, propagates, reviews the worst slices and corrects them, accepts,
finishes, names and saves; begins the liver; is ended with SIGKILL; resumes in a new process, undoes, redoes, names,
saves and exports. It writes a picture of every step and prints clicks, keys, seconds, and the Dice of both organs.

The second form kills the same annotation at random moments and resumes it in a new window each time. Lost is what
the window had shown as finished and the resumed window does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

ORGANS = ("spleen", "liver", "kidney_right", "kidney_left", "stomach")
REVIEWED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo-output/annotation"))
    parser.add_argument("--model", default="")
    parser.add_argument("--kill", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.part:
        desk = open_desk(given.out, given.model)
        PARTS[given.part](desk)
    elif given.kill:
        kill_many(given)
    else:
        annotate_once(given)


# -- the parent: starts windows, kills them, counts -------------------------------------------------


def annotate_once(given) -> None:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        window, told = start("begin", given, folder), []
        for line in window.stdout:
            told.append(json.loads(line))
            if told[-1]["doing"] == "wait":
                break
        os.kill(window.pid, signal.SIGKILL)
        window.wait()
        window = start("finish", given, folder)
        told += [json.loads(line) for line in window.stdout]
        if window.wait() != 0:
            raise SystemExit("The second window ended with an error.")
        wall = time.perf_counter() - began
    for entry in told:
        print(
            f"{entry['seconds']:6.1f} s {entry['clicks']:3d} clicks {entry['keys']:3d} keys  {entry['doing']:28s}",
            end="",
        )
        print(entry.get("note", ""))
    last = [entry for entry in told if entry["doing"] == "wait"][-1]
    print(f"\nresumed as it was: {told[-1]['resumed'] == last['state']}")
    clicks, keys, seconds = (last[name] + told[-1][name] for name in ("clicks", "keys", "seconds"))
    print(f"{clicks} clicks or drags, {keys} keys, {seconds:.0f} s in the windows without pictures")
    print(f"({wall:.0f} s with them and with starting napari twice); Dice {told[-1]['dice']}")


def kill_many(given) -> None:
    from napari_sam2.io import read_volume
    from napari_sam2.sample_data import sample

    random.seed(given.seed)
    volume = read_volume(sample("ct_abdomen")[0])
    prompts_lost, masks_lost, in_flight = [], [], 0
    for trial in range(given.kill):
        with tempfile.TemporaryDirectory() as folder:
            told, after = run_and_kill(given, folder, random.uniform(0.3, 20.0))
            finished = [entry for entry in told if "state" in entry]
            doing = told[-1]["doing"] if "state" not in told[-1] else "nothing"
            before, n_lines = finished[-1]["state"], finished[-1]["lines"]
            lines = journal_of(folder)
            window = start("resume", given, folder)
            resumed = [json.loads(line) for line in window.stdout][-1]["resumed"]
            window.wait()
            # What was finished must be in the first lines; the resumed window must hold all lines.
            lost = differences(before, state_after(volume, folder, n_lines))
            wrong = differences(state_after(volume, folder, len(lines)), resumed)
        prompts_lost.append(lost[0] + wrong[0])
        masks_lost.append(lost[1] + wrong[1])
        found = len(lines) > n_lines
        in_flight += doing != "nothing" and not found
        print(
            f"kill {trial + 1:2d} after {after:4.1f} s, during {doing:22s}: {len(finished) - 1:2d} actions finished, "
            f"{n_lines:2d} lines, {len(lines) - n_lines} more on disk; prompts lost {prompts_lost[-1]}, "
            f"masks lost {masks_lost[-1]}",
            flush=True,
        )
    print(
        f"\n{given.kill} kills: {sum(prompts_lost)} prompts and {sum(masks_lost)} masks of finished actions lost; ",
        end="",
    )
    print(f"the action in flight was lost in {in_flight}")


def run_and_kill(given, folder, seconds):
    """Everything a window told before it was killed, this long after it was ready."""
    window = start("go on", given, folder)
    ready = window.stdout.readline()
    time.sleep(seconds)
    os.kill(window.pid, signal.SIGKILL)
    rest = window.stdout.read()
    window.wait()
    whole = [line for line in (ready + rest).split("\n")[:-1] if line]
    return [json.loads(line) for line in whole], seconds


def start(part, given, folder):
    environment = dict(os.environ, NAPARI_SAM2_SESSIONS=folder, NAPARI_CONFIG=str(Path(folder) / "settings.yaml"))
    command = [sys.executable, __file__, "--part", part, "--out", str(given.out), "--model", given.model]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def journal_of(folder):
    events = sorted(Path(folder).glob("*/events.jsonl"), key=lambda p: p.stat().st_mtime)
    return events[-1].read_bytes().split(b"\n")[:-1] if events else []


def state_after(volume, folder, n_lines):
    """The state that the first lines of the journal give, without a window."""
    from napari_sam2.models import load_model
    from napari_sam2.record.journal import restore
    from napari_sam2.session.session import Session

    if n_lines == 0:
        return {}
    source = max(Path(folder).glob("*/events.jsonl"), key=lambda p: p.stat().st_mtime).parent
    copy = Path(folder) / "copy"
    copy.mkdir(exist_ok=True)
    (copy / "session.json").write_bytes((source / "session.json").read_bytes())
    (copy / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in journal_of_source(source)[:n_lines]))
    session = Session(volume, load_model("classical"))
    restore(session, copy)
    for file in copy.iterdir():
        file.unlink()
    copy.rmdir()
    return state_of(session.snapshot())


def journal_of_source(source):
    return (source / "events.jsonl").read_bytes().split(b"\n")[:-1]


def differences(expected, found):
    """(prompts, masks) of one state that another does not hold; a name or an acceptance counts as a prompt."""
    prompts = masks = 0
    for number, obj in expected.items():
        other = found.get(number, {"prompts": [], "told": [], "masks": {}})
        prompts += sum(p not in other["prompts"] for p in obj["prompts"]) + (obj["told"] != other["told"])
        masks += sum(other["masks"].get(index) != mask for index, mask in obj["masks"].items())
    return prompts, masks


def state_of(snapshot):
    """Prompts, names, acceptances and masks as plain values."""
    return {
        str(obj.object_id): {
            "prompts": [repr(prompt) for prompt in obj.prompts],
            "told": [obj.name, str(obj.code), sorted(obj.accepted), obj.finished],
            "masks": {
                str(i): zlib.crc32(repr((r.mask.row, r.mask.col, r.mask.crop.tobytes())).encode())
                for i, r in obj.slices.items()
            },
        }
        for obj in snapshot.objects.values()
    }


# -- the window: one process each -------------------------------------------------------------------


def open_desk(out, model):
    from screenshots import Walk

    class Desk(Walk):
        """The walk of the tutorial's pictures, telling the parent what it does."""

        def __init__(self) -> None:
            super().__init__(out, model)
            self.drawing = 0.0
            self.folder = out

        def picture(self, name):
            began = time.perf_counter()
            self.viewer.window.screenshot(str(self.pictures / f"{name}.png"), canvas_only=False, flash=False)
            self.drawing += time.perf_counter() - began

        def settle(self):
            from tests.plugin.driving import pump

            self.wait(lambda: self.controller.thread.idle and not self.controller.thread.queue.waiting)
            self.wait(lambda: not self.controller.work.run.running)
            pump(0.15)

        def tell(self, doing, **facts):
            seconds = time.perf_counter() - self.began - self.drawing
            print(
                json.dumps({"doing": doing, "seconds": seconds, "clicks": self.clicks, "keys": self.keys, **facts}),
                flush=True,
            )

        def state(self):
            return state_of(self.controller.work.snapshot)

        def type_name(self, object_id, typed):
            """Double click the name, type some of it, take the first that is offered."""
            from qtpy.QtCore import Qt
            from qtpy.QtWidgets import QLineEdit
            from tests.plugin.driving import LEFT, QTest, activate, pump

            activate(self.viewer)
            table = self.panel.scans.table
            pump(0.2)
            row = next(n for n, r in enumerate(table._rows) if r.object_id == object_id)
            at = table.visualItemRect(table.item(row, 0)).center()
            QTest.mouseClick(table.viewport(), LEFT, pos=at)
            QTest.mouseDClick(table.viewport(), LEFT, pos=at)
            line = table.findChild(QLineEdit)
            QTest.keyClicks(line, typed)
            popup = line.completer().popup()
            self.wait(popup.isVisible)
            QTest.keyClick(popup, Qt.Key.Key_Down)
            QTest.keyClick(popup, Qt.Key.Key_Return)
            QTest.keyClick(line, Qt.Key.Key_Return)
            self.clicks += 1
            self.keys += len(typed) + 3
            self.settle()

        def push(self, button):
            from tests.plugin.driving import LEFT, QTest

            QTest.mouseClick(button, LEFT)
            self.clicks += 1
            self.settle()

        def save(self, name):
            self.panel.scans.saving.suggest(self.folder / name)
            (self.folder / name).unlink(missing_ok=True)
            for sidecar in self.folder.glob(name.removesuffix(".nii.gz") + ".*"):
                if sidecar.is_file():
                    sidecar.unlink()
            self.push(self.panel.scans.saving.save)

    return Desk()


def begin(desk) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import SHIFT, pump

    def done(step, **facts):
        desk.picture(f"{len(pictures) + 1:02d}-{step}")
        pictures.append(step)
        desk.tell(step, **facts)

    pictures = []
    done("open", note=desk.controller.workspace.status)
    desk.box("spleen")
    done("box")
    desk.press(Qt.Key.Key_G)
    desk.settle()
    done("propagated", note=f"Dice of the spleen {desk.dice('spleen', 1):.3f}")
    for number in range(REVIEWED):
        desk.press(Qt.Key.Key_J)
        desk.settle()
        note = desk.controller.workspace.status
        if number == 0:
            done("worst-slice", note=note)
        corrected = desk.correct("spleen", 1)
        if corrected and "corrected" not in pictures:
            done("corrected", note=desk.controller.workspace.status)
        desk.press(Qt.Key.Key_K)
        desk.settle()
        desk.tell(f"reviewed {number + 1}", note=f"{note}; {'corrected' if corrected else 'right as it was'}")
    done("accepted", note=f"Dice of the spleen {desk.dice('spleen', 1):.3f}")
    desk.type_name(1, "splee")
    done("named", note=str(desk.controller.work.object(1).code))
    desk.press(Qt.Key.Key_K, SHIFT)
    desk.settle()
    done("finished", note=desk.controller.workspace.status)
    desk.save("first.nii.gz")
    done("saved", note=desk.controller.workspace.status)
    desk.press(Qt.Key.Key_N)
    desk.box("liver")
    desk.press(Qt.Key.Key_G)
    desk.settle()
    done("second-object", note=f"Dice of the liver {desk.dice('liver', 2):.3f}")
    desk.tell("wait", state=desk.state())
    while True:
        pump(1.0)


def finish(desk) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import CONTROL, SHIFT

    from napari_sam2.cli import main as napari_sam2
    from napari_sam2.sample_data import sample

    desk.picture("11-resume-offered")
    desk.push(desk.panel.resume.resume)
    desk.picture("12-resumed")
    resumed = desk.state()
    desk.tell("resumed", note=desk.controller.workspace.status)
    desk.press(Qt.Key.Key_Z, CONTROL)
    desk.settle()
    desk.picture("13-undone")
    desk.tell("undone", note=f"{len(desk.controller.work.object(2).slices)} slice left of the liver")
    desk.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    desk.settle()
    desk.type_name(2, "liver")
    desk.save("annotation.nii.gz")
    desk.picture("14-saved")
    desk.tell("saved", note=desk.controller.workspace.status)
    target = desk.folder / "annotation.seg.nrrd"
    labels, scan = desk.folder / "annotation.nii.gz", sample("ct_abdomen")[0]
    sys.stdout, kept = sys.stderr, sys.stdout
    code = napari_sam2(["export", str(labels), "--reference", str(scan), "-o", str(target), "--overwrite"])
    sys.stdout = kept
    dice = {name: round(float(desk.dice(name, number)), 3) for number, name in ((1, "spleen"), (2, "liver"))}
    desk.tell("exported", note=f"{target.name}, exit code {code}", resumed=resumed, dice=dice)
    desk.viewer.close()


def go_on(desk) -> None:
    """Annotate until somebody ends the process."""
    from qtpy.QtCore import Qt
    from tests.plugin.driving import CONTROL, SHIFT

    sessions = os.environ["NAPARI_SAM2_SESSIONS"]
    desk.tell("ready", state={}, lines=0)

    def act(doing, action):
        desk.tell(doing)
        action()
        desk.settle()
        desk.tell(doing, state=desk.state(), lines=len(journal_of(sessions)))

    for number, organ in enumerate([name for name in ORGANS if name in desk.ids] * 9, 1):
        act("box", lambda: desk.box(organ))
        act("propagation", lambda: desk.press(Qt.Key.Key_G))
        for _ in range(3):
            act("going to the worst", lambda: desk.press(Qt.Key.Key_J))
            act("correction", lambda: desk.correct(organ, number))
            act("acceptance", lambda: desk.press(Qt.Key.Key_K))
        act("undo", lambda: desk.press(Qt.Key.Key_Z, CONTROL))
        act("redo", lambda: desk.press(Qt.Key.Key_Z, CONTROL | SHIFT))
        act("naming", lambda: desk.type_name(number, "liver"))
        act("finishing", lambda: desk.press(Qt.Key.Key_K, SHIFT))
        act("next object", lambda: desk.press(Qt.Key.Key_N))


def resume(desk) -> None:
    if desk.panel.resume.isVisible():
        desk.push(desk.panel.resume.resume)
    desk.tell("resumed", resumed=desk.state())
    desk.viewer.close()


PARTS = {"begin": begin, "finish": finish, "go on": go_on, "resume": resume}


if __name__ == "__main__":
    main()
