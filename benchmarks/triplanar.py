"""Measure whether the tri-planar check is worth its time: Dice of the consensus, and how disagreement points at error.

For every labelled structure: a box on its largest slice, propagation, the check. Prints the Dice of the object
before and of the consensus, the Dice between axes, and over all slices the AUROC of disagreement (one minus the
agreement of the three axes) for "Dice of this slice < 0.8", beside that of the review score.

    python benchmarks/triplanar.py FOLDER [--model NAME] [--objects 8] [--quantiles 0.25 0.5 0.75]

FOLDER is one as for review_score.py.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from review_score import auroc, box_around, share

import napari_sam2.session.triplanar
from napari_sam2.io import read_labels, read_volume
from napari_sam2.measures.metrics import dice
from napari_sam2.models import load_model
from napari_sam2.session.review import doubts_of
from napari_sam2.session.session import Session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--quantiles", type=float, nargs="+", default=napari_sam2.session.triplanar.QUANTILES)
    given = parser.parse_args()
    napari_sam2.session.triplanar.QUANTILES = tuple(given.quantiles)
    model = load_model(given.model, "cpu")
    objects, slices = [], []
    print("| case | object | one axis | consensus | between axes | s |\n|---|---|---|---|---|---|")
    for case in sorted(p.parent for p in given.folder.glob("*/image.nii.gz")):
        volume = read_volume(case / "image.nii.gz")
        labels = read_labels(case / "labels.nii.gz", volume)
        ids, counts = np.unique(labels[labels > 0], return_counts=True)
        large = [int(i) for i, n in sorted(zip(ids, counts, strict=True), key=lambda e: -e[1]) if n > 200]
        for label_id in large[: given.objects]:
            found, rows = check(volume, labels == label_id, model)
            objects.append(found[:2])
            slices += rows
            one, both, between, seconds = found
            pairs = " ".join(f"{v:.2f}" for v in between)
            print(f"| {case.name} | {label_id} | {one:.3f} | {both:.3f} | {pairs} | {seconds:.1f} |", flush=True)
    report(np.array(objects), slices)


def check(volume, truth, model):
    axis = volume.default_slice_axis
    session = Session(volume, model)
    session.add_prompt(1, box_around(truth, axis))
    for _ in session.propagate():
        pass
    own = session.label_map() == 1
    started = time.perf_counter()
    found = napari_sam2.session.triplanar.check_object(session, 1)
    seconds = time.perf_counter() - started
    obj = session.snapshot().objects[1]
    doubts, agreement, plane = doubts_of(obj), found.agreement(), volume.plane(axis)
    rows = []
    for index, result in obj.slices.items():
        mask, real = plane.take(own, index), plane.take(truth, index)
        if not result.prompted and (mask.any() or real.any()):
            disagreement = 1 - agreement.get(index, 1.0)
            rows.append((dice(mask, real), int((mask ^ real).sum()), disagreement, doubts[index]))
    return (dice(own, truth), dice(found.votes >= 2, truth), found.dice.values(), seconds), rows


def report(objects, slices) -> None:
    one, both = objects.T
    better = int((both > one + 0.01).sum()), int((both < one - 0.01).sum())
    print(f"\n{len(objects)} objects: one axis {one.mean():.3f}, consensus {both.mean():.3f}; ", end="")
    print(f"better by more than 0.01 in {better[0]}, worse in {better[1]}")
    sure = one >= 0.8
    if sure.any():
        print(f"of {sure.sum()} with Dice >= 0.8: one axis {one[sure].mean():.3f}, consensus {both[sure].mean():.3f}")
    found, errors, disagreement, doubt = (np.array(column, float) for column in zip(*slices, strict=True))
    wrong = found < 0.8
    print(f"{len(slices)} slices, {wrong.mean():.0%} with Dice < 0.8")
    for name, score in (("disagreement", disagreement), ("doubt", doubt), ("both", disagreement + doubt)):
        print(f"  {name:12s} AUROC {auroc(score, wrong):.3f}   queue share for 80 % of the error ", end="")
        print(f"{share(score, errors):.0%}")


if __name__ == "__main__":
    main()
