"""Run ``napari-sam2 segment`` from one box per object on a folder of labelled volumes, and check the files.

    python benchmarks/real_cases.py CASES [--model classical|bundled|...]

CASES holds one folder per volume, as for ``gate.py``. The box is tight, on the slice where the object (the
largest component of its label) is largest. Every output's geometry fields are compared with the source's bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_sam2.cli import main as napari_sam2
from napari_sam2.cli.demo import box_around, largest_slice
from napari_sam2.evaluation.cases import largest_component
from napari_sam2.io import read_labels, read_volume
from napari_sam2.measures.metrics import dice

GEOMETRY = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--model", default="classical")
    options = parser.parse_args()
    print("| case | object | Dice, slice | Dice, volume | s | header |\n|---|---|---|---|---|---|")
    scores = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in sorted(p for p in options.cases.iterdir() if (p / "labels.nii.gz").is_file()):
            for row in run_case(case, options.model, Path(scratch)):
                scores.append(row[2:4])
                print("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row) + " |", flush=True)
    means = np.mean(scores, axis=0)
    print(f"| mean of {len(scores)} | | {means[0]:.3f} | {means[1]:.3f} | | |")


def run_case(case: Path, model: str, scratch: Path) -> list[tuple[str, str, float, float, float, str]]:
    image = case / "dicom" if (case / "dicom").is_dir() else case / "image.nii.gz"
    volume = read_volume(image)
    labels = read_labels(case / "labels.nii.gz", volume)
    ids = {name: int(number) for number, name in json.loads((case / "labels.json").read_text()).items()}
    rows = []
    for name in json.loads((case / "case.json").read_text()).get("good_targets", []):
        known = largest_component(labels == ids[name])
        axis = volume.default_slice_axis
        index = largest_slice(known, axis)
        flag = ",".join(str(c) for corner in box_around(known, axis, index).corners for c in corner)
        output = scratch / f"{case.name}.nii.gz"
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            code = napari_sam2(
                ["segment", str(image), "-o", str(output), "--box", flag, "--model", model, "--overwrite"]
            )
        seconds = time.perf_counter() - started
        if code:
            raise SystemExit(f"{case.name}, {name}: exit code {code}")
        found = np.asarray(nib.load(output).dataobj) > 0
        on_slice = dice(np.take(found, index, axis), np.take(known, index, axis))
        rows.append((case.name, name, on_slice, dice(found, known), seconds, same_geometry(image, output)))
    return rows


def same_geometry(image: Path, output: Path) -> str:
    if image.is_dir():
        return "from DICOM"
    source, written = nib.load(image).header, nib.load(output).header
    same = all(source[field].tobytes() == written[field].tobytes() for field in GEOMETRY)
    same &= source["pixdim"][:4].tobytes() == written["pixdim"][:4].tobytes()
    same &= int(source["xyzt_units"]) & 7 == int(written["xyzt_units"])
    return "equal" if same else "DIFFERS"


if __name__ == "__main__":
    main()
