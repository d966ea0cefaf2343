"""Boxes on three planes against one box and its range, in the product's own session, on the development cases.

    python benchmarks/box3d.py TABLE.csv ROOT [WORD]

The first box lies on the slice of the object's median voxel; the other two planes are those through its middle, or the
nearest that hold the object. All boxes are tight. Prints the Dice of each structure (only those whose name holds WORD).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.evaluation.challenge import middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.measures.metrics import dice
from napari_sam2.models import load_model
from napari_sam2.session.session import Session


def section_box(truth: np.ndarray, axis: int, wanted: int) -> Box:
    """The tight box on the slice nearest to the wanted one that holds the object."""
    held = np.flatnonzero(truth.any(axis=tuple(a for a in range(3) if a != axis)))
    index = int(held[np.abs(held - wanted).argmin()])
    places = np.argwhere(np.take(truth, index, axis))
    corners = [np.insert(end, axis, index).tolist() for end in (places.min(axis=0), places.max(axis=0))]
    return Box((tuple(corners[0]), tuple(corners[1])))


def main() -> None:
    """Print one line per structure, then the means."""
    model, rows = load_model("bundled"), []
    for scan in find_scans(Path(sys.argv[1]), Path(sys.argv[2])):
        for case in cases_of(scan):
            if len(sys.argv) > 3 and sys.argv[3] not in f"{case.name} {case.label}":
                continue
            first = middle_box(case.truth, case.axis)
            centre = [(low + high) // 2 for low, high in zip(first.low, first.high, strict=True)]
            session, started = Session(case.volume, model, window=case.window), time.process_time()
            session.add_prompt(1, first)
            for axis in (a for a in range(3) if a != case.axis and case.truth.shape[a] > 1):
                session.add_prompt(1, section_box(case.truth, axis, centre[axis]))
            for _ in session.propagate():
                pass
            seconds = time.process_time() - started
            rows.append(dice(session.label_map() == 1, case.truth))
            print(f"{case.name} | {case.label} | {rows[-1]:.3f} | {seconds:.1f} s", flush=True)
    print(f"mean of {len(rows)} | {np.mean(rows):.4f}")


if __name__ == "__main__":
    main()
