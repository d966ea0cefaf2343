"""Memory that large label maps, measuring and long work take, each in a process of its own.

    python benchmarks/footprint.py [--shape 512x512x400] [--clicks 300] [--only write,read,measure,clicks]

Peaks are the highest resident size beyond what the program takes after its imports, scan and labels included, and
their ratio to both arrays (int16 scan, uint8 labels). Clicks are corrections of one object of the bundled scan by the
bundled model, with a journal. Of them is said how far the resident size has grown since the 20th, with and without what
the system's allocator keeps for later (`malloc_trim`, Linux only; the window gives it back when it has nothing to do),
and how much of it are features of slices that the model was asked on, which have a budget.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_sam2.cli.app import main as napari_sam2
from napari_sam2.core.prompts import Box, Point
from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.seg_nrrd import write_seg_nrrd
from napari_sam2.models import load_model
from napari_sam2.plugin.background.memory import give_back
from napari_sam2.record.journal import Journal
from napari_sam2.sample_data import sample
from napari_sam2.session.session import Session
from napari_sam2.terms.structures import structures_for

MIB = 1 << 20
CASES = ("write", "read", "measure", "clicks")
SETTLED = 20
"""Clicks after which models and caches are filled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="512x512x400")
    parser.add_argument("--clicks", type=int, default=300)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is not None:
        print(json.dumps(_CASES[given.case[0]](Path(given.case[1]), given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        arrays = make_files(place, tuple(int(n) for n in given.shape.split("x")))
        print(f"scan and labels: {arrays / MIB:.0f} MiB")
        for case in given.only.split(","):
            command = [sys.executable, __file__, "--clicks", str(given.clicks), "--case", case, folder]
            said = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            ratio = f"  {said['MiB'] * MIB / arrays:.2f} x" if case != "clicks" else ""
            print(f"{case:8s} {said['MiB']:6.1f} MiB{ratio}  {said['what']}", flush=True)


def make_files(place: Path, shape: tuple[int, ...]) -> int:
    """A scan of noise with balls, their labels as NIfTI and for Slicer; bytes of both arrays."""
    rng = np.random.default_rng(0)
    scan = rng.integers(-200, 200, shape, dtype=np.int16)
    labels = np.zeros(shape, np.uint8)
    i, j, k = np.ogrid[tuple(slice(0, n) for n in shape)]
    for number in range(1, 21):
        at = [rng.integers(n // 8, n - n // 8) for n in shape]
        labels[(i - at[0]) ** 2 + (j - at[1]) ** 2 + (k - at[2]) ** 2 < (min(shape) // 10) ** 2] = number
    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    for name, voxels in (("scan.nii", scan), ("labels.nii", labels)):
        image = nib.Nifti1Image(voxels, affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, place / name)
    write_seg_nrrd(labels, read_volume(place / "scan.nii"), place / "in.seg.nrrd", structures_for(range(1, 21)))
    return scan.nbytes + labels.nbytes


def status(field: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def write(place: Path, given: argparse.Namespace) -> dict[str, object]:
    before = status("VmRSS")
    volume = read_volume(place / "scan.nii")
    labels = read_labels(place / "labels.nii", volume)
    write_seg_nrrd(labels, volume, place / "out.seg.nrrd", structures_for(range(1, 21)))
    return {"MiB": status("VmHWM") - before, "what": "scan and labels read, .seg.nrrd written"}


def read(place: Path, given: argparse.Namespace) -> dict[str, object]:
    before = status("VmRSS")
    volume = read_volume(place / "scan.nii")
    read_labels(place / "in.seg.nrrd", volume)
    return {"MiB": status("VmHWM") - before, "what": "scan and .seg.nrrd read"}


def measure(place: Path, given: argparse.Namespace) -> dict[str, object]:
    before = status("VmRSS")
    with contextlib.redirect_stdout(io.StringIO()):
        code = napari_sam2(
            ["measure", str(place / "scan.nii"), str(place / "labels.nii"), "--csv", str(place / "m.csv")]
        )
    if code:
        raise SystemExit("measure failed")
    return {"MiB": status("VmHWM") - before, "what": "napari-sam2 measure with intensities"}


def clicks(place: Path, given: argparse.Namespace) -> dict[str, object]:
    path, labels, names = sample("ct_abdomen")
    volume = read_volume(path)
    inside = read_labels(labels, volume) == next(n for n, name in names.items() if name == "spleen")
    session = Session(volume, load_model("bundled"))
    Journal(session, place / "clicks.sam2session")
    k = int(inside.sum((0, 1)).argmax())
    held = np.argwhere(inside[:, :, k])
    low, high = held.min(axis=0).tolist(), held.max(axis=0).tolist()
    session.add_prompt(1, Box(((*low, k), (*high, k))))
    for _ in session.propagate([1]):
        pass
    rng, voxels, settled, told = np.random.default_rng(0), np.argwhere(inside), (0.0, 0.0, 0.0), []
    marks = {given.clicks * third // 3 for third in (1, 2, 3)}
    for number in range(1, given.clicks + 1):
        place_of_click = tuple(float(n) for n in voxels[rng.integers(len(voxels))])
        session.add_prompt(1, Point(place_of_click, bool(number % 3)))
        session.snapshot()
        if number == SETTLED:
            settled = sizes(session)
        elif number in marks:
            kept, trimmed, features = (later - earlier for later, earlier in zip(sizes(session), settled, strict=True))
            told.append(f"at {number}: {kept:+.1f}, {trimmed:+.1f} once given back, {features:.1f} of it features")
    return {"MiB": trimmed, "what": f"more resident than at click {SETTLED}; " + "; ".join(told)}


def sizes(session: Session) -> tuple[float, float, float]:
    """MiB that are resident, resident once the allocator has given back what it can, and of kept features."""
    gc.collect()
    kept = status("VmRSS")
    give_back()
    features = sum(engine.features.nbytes for engine in session.state._engines.values())
    return kept, status("VmRSS"), features / MIB


_CASES = {"write": write, "read": read, "measure": measure, "clicks": clicks}


if __name__ == "__main__":
    main()
