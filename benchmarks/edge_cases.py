"""Open every file of a folder and print what happened: ``python benchmarks/edge_cases.py FOLDER``.

A file is read, or refused in one sentence; a label map written for it must have its raw geometry. Files
with several volumes are refused once and then read with their first volume chosen.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from napari_sam2.errors import NapariSam2Error
from napari_sam2.io import read_labels, read_volume, write_labels


def outcome(path: Path, volume_index: int | None = None) -> tuple[str, str]:
    """What became of a file, and the message or the facts."""
    try:
        volume = read_volume(path, volume_index=volume_index)
        labels = np.zeros(volume.shape, np.uint8)
        labels[tuple(n // 2 for n in volume.shape)] = 1
        with tempfile.TemporaryDirectory() as folder:
            out = write_labels(labels, volume, Path(folder) / "labels.nii.gz")
            same = np.array_equal(read_labels(out, volume), labels)
    except NapariSam2Error as error:
        return "refused", f"{type(error).__name__}: {error}"
    except Exception:
        return "TRACEBACK", traceback.format_exc(limit=-1).strip().splitlines()[-1]
    spacing = " x ".join(f"{s:.3g}" for s in volume.spacing)
    shape = " x ".join(str(n) for n in volume.voxels.shape)
    codes = "".join(volume.axis_codes) if volume.oriented else "orientation unknown"
    facts = f"{shape} {volume.voxels.dtype}, {spacing} mm, {codes}"
    return "read" if same else "WRONG LABELS", "; ".join([facts, *volume.source.notes])


def main(folder: Path) -> int:
    wrong = 0
    print("| file | outcome | message |\n|---|---|---|")
    for path in sorted(p for p in folder.iterdir() if p.suffix != ".md"):
        result, message = outcome(path)
        print(f"| {path.name} | {result} | {message} |")
        if "--volume N" in message:
            result, message = outcome(path, volume_index=0)
            print(f"| {path.name}, volume 0 | {result} | {message} |")
        wrong += result.isupper()
    print(f"\n{wrong} files were not handled as they should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
