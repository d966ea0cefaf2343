"""Calibrate the review score, which has to find the slices that are wrong.

For every labelled structure: a box on its largest slice, propagation, then for each slice the features of
doubt and the true Dice. Prints per feature and for the weighted sum the AUROC for "Dice < 0.8", and which
share of the queue holds 80 % of the wrong voxels.

    python benchmarks/review_score.py FOLDER [--model NAME] [--json OUT]

FOLDER holds one folder per case with image.nii.gz, labels.nii.gz and labels.json (id -> name).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.io import read_labels, read_volume
from napari_sam2.models import load_model
from napari_sam2.session.review import doubts_of, features_of
from napari_sam2.session.session import Session

FEATURES = ("predicted", "neighbours", "direction", "distance", "presence")
MAX_OBJECTS = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="classical")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = load_model(given.model, "cpu")
    rows = []
    for case in sorted(p.parent for p in given.folder.glob("*/image.nii.gz")):
        found = list(slices_of(case, model))
        rows += found
        print(f"\n{case.name}: {len({r['object'] for r in found})} objects, {len(found)} slices")
        report(found)
    print("\nall cases")
    report(rows)
    if given.json:
        given.json.write_text(json.dumps(rows))


def slices_of(case, model):
    volume = read_volume(case / "image.nii.gz")
    labels = read_labels(case / "labels.nii.gz", volume)
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    chosen = [int(i) for i, n in sorted(zip(ids, counts, strict=True), key=lambda e: -e[1]) if n > 200][:MAX_OBJECTS]
    axis = volume.default_slice_axis
    for label_id in chosen:
        truth = labels == label_id
        session = Session(volume, model)
        session.add_prompt(1, box_around(truth, axis))
        for _ in session.propagate():
            pass
        obj = session.snapshot().objects[1]
        plane = volume.plane(axis)
        doubts, features = doubts_of(obj), features_of(obj)
        for index, result in obj.slices.items():
            if result.prompted:
                continue
            mask, real = result.mask.full(plane.shape), plane.take(truth, index)
            total = int(mask.sum() + real.sum())
            if total == 0:
                continue
            yield {
                "case": case.name,
                "object": label_id,
                "slice": index,
                "dice": 2 * float((mask & real).sum()) / total,
                "wrong": int((mask ^ real).sum()),
                "doubt": doubts[index],
                **features[index],
            }


def box_around(truth, axis) -> Box:
    areas = truth.sum(axis=tuple(a for a in range(3) if a != axis))
    index = int(areas.argmax())
    at = np.argwhere(np.take(truth, [index], axis))
    low, high = at.min(axis=0), at.max(axis=0)
    low[axis] = high[axis] = index
    return Box((tuple(int(v) for v in low), tuple(int(v) for v in high)))


def report(rows) -> None:
    if not rows:
        return
    wrong = np.array([r["dice"] < 0.8 for r in rows])
    errors = np.array([r["wrong"] for r in rows], float)
    print(f"  slices with Dice < 0.8: {wrong.mean():.0%}")
    for name in ("doubt", *FEATURES):
        score = np.nan_to_num(np.array([r[name] for r in rows], float), nan=0.0)
        part = share(score, errors)
        print(f"  {name:10s} AUROC {auroc(score, wrong):.3f}   queue share for 80 % of the error {part:.0%}")
    print(f"  {'ideal':10s} queue share for 80 % of the error {share(errors, errors):.0%}")


def auroc(score, positive) -> float:
    if positive.all() or not positive.any():
        return float("nan")
    ranks = np.empty(len(score))
    order = np.argsort(score, kind="stable")
    ranks[order] = np.arange(1, len(score) + 1)
    for value in np.unique(score):
        same = score == value
        ranks[same] = ranks[same].mean()
    n = positive.sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def share(score, errors) -> float:
    order = np.argsort(-score, kind="stable")
    total = np.cumsum(errors[order])
    return float((np.searchsorted(total, 0.8 * total[-1]) + 1) / len(score))


if __name__ == "__main__":
    main()
