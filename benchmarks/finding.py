"""Names as prompts, leave-one-out: boxes, sides, absent structures, foreign scans, seconds, and Dice from a name alone.

    python benchmarks/finding.py place MANIFEST.csv [--names A,B] [--mirror]
    python benchmarks/finding.py foreign MANIFEST.csv OTHER.csv --names A,B
    python benchmarks/finding.py dice MANIFEST.csv [--names A,B]
    python benchmarks/finding.py clicks MANIFEST.csv --names A

A manifest has labels with names for every case. Each case in turn is the new scan, the others are the finished ones.
``place`` prints the IoU of 3-D boxes, ``foreign`` what is proposed in scans that hold none of it, ``dice`` what a model
makes of a candidate against one box drawn around the true section and its range, beside the proposed mask as it is.
``clicks`` takes the first scan as the only finished one, then each corrected one as a further, and counts the clicks on
the largest error until the Dice is reached: from the proposed mask, and from one drawn box with its range.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.core.volume import Volume
from napari_sam2.finding.candidate import Candidate
from napari_sam2.finding.exemplars import Exemplar, Exemplars, Loaded, exemplars_in
from napari_sam2.finding.memory import ProjectMemory
from napari_sam2.measures.metrics import dice

if TYPE_CHECKING:
    from napari_sam2.session.session import Session

ENOUGH = 0.5
"""IoU of boxes in 3-D from which a proposal counts as right."""


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("place", "foreign", "dice", "clicks"))
    parser.add_argument("manifest", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--names", default="")
    parser.add_argument("--reach", type=float, default=0.85, help="Dice that clicks are to reach")
    parser.add_argument("--most-clicks", type=int, default=10)
    parser.add_argument("--mirror", action="store_true", help="store the new scan mirrored, its place the same")
    parser.add_argument("--cases", type=int, default=0, help="only the first so many new scans")
    parser.add_argument("--exemplars", type=int, default=0, help="only so many finished scans, those after the new one")
    parser.add_argument("--finished", default="", help="the only finished scan; all the others are new in turn")
    given = parser.parse_args()
    cases = exemplars_in(given.manifest)
    names = [name for name in given.names.split(",") if name]
    {"place": _place, "foreign": _foreign, "dice": _dice, "clicks": _clicks}[given.what](cases, names, given)


def _others(cases: Exemplars, number: int, given: argparse.Namespace) -> Exemplars:
    turned = [*cases.all[number + 1 :], *cases.all[:number]]
    finished = [case for case in turned if case.case == given.finished] if given.finished else turned
    return Exemplars(finished[: given.exemplars or None], cases.project)


def _new(cases: Exemplars, given: argparse.Namespace) -> list[tuple[int, Exemplar]]:
    return [pair for pair in enumerate(cases.all[: given.cases or None]) if pair[1].case != given.finished]


def _place(cases: Exemplars, names: list[str], given: argparse.Namespace) -> None:
    rows, seconds, exchanged, sided = [], [], 0, 0
    for number, case in _new(cases, given):
        loaded = cases.load(case)
        volume, labels = mirrored(loaded.volume, loaded.labels) if given.mirror else (loaded.volume, loaded.labels)
        started = time.process_time()
        memory = ProjectMemory(_others(cases, number, given), least_score=0.0)
        asked = names or _known(loaded, memory)
        found = memory.propose(volume, loaded.window, asked)
        seconds.append(time.process_time() - started)
        truth = {name.name: np.argwhere(labels == i) for i, name in loaded.names.items()}
        boxes = {name: (places.min(axis=0), places.max(axis=0)) for name, places in truth.items()}
        for candidate in found.candidates:
            if candidate.name in boxes:
                iou = box_iou(candidate, boxes[candidate.name])
                rows.append((candidate.name, iou, candidate.score or 0.0))
                exchanged += _is_exchanged(candidate, boxes)
                sided += _twin_of(candidate, boxes) is not None
                print(f"{case.case} | {candidate.name} | IoU {iou:.2f} | score {candidate.score:.3f}", flush=True)
        for name in found.missing:
            rows.append((name, 0.0, 0.0))
            print(f"{case.case} | {name} | missing", flush=True)
        print(f"{case.case} | {seconds[-1]:.1f} s of one core", flush=True)
    right = [iou >= ENOUGH for _, iou, _ in rows]
    median = np.median([iou for _, iou, _ in rows])
    print(f"{sum(right)} of {len(rows)} boxes right ({np.mean(right):.0%}), median IoU {median:.2f}")
    print(f"{exchanged} exchanged sides of {sided} whose other side is there")
    print(f"{np.mean(seconds):.1f} s mean, {max(seconds):.1f} s longest")


def _known(loaded: Loaded, memory: ProjectMemory) -> list[str]:
    """Names of the new scan that the finished ones hold."""
    return sorted({name.name for name in loaded.names.values()} & set(memory.known()))


def _foreign(cases: Exemplars, names: list[str], given: argparse.Namespace) -> None:
    count = proposed = 0
    memory = ProjectMemory(cases)
    for other in exemplars_in(given.other).all[: given.cases or None]:
        loaded = exemplars_in(given.other).load(other)
        found = memory.propose(loaded.volume, loaded.window, names or memory.known())
        count += len(found.candidates) + len(found.missing)
        proposed += len(found.candidates)
        for candidate in found.candidates:
            print(f"{other.case} | {candidate.name} | score {candidate.score:.3f} | FALSE", flush=True)
        for sentence in found.missing.values():
            print(f"{other.case} | {sentence}", flush=True)
    print(f"{proposed} of {count} foreign names proposed ({proposed / count:.0%})")


def _dice(cases: Exemplars, names: list[str], given: argparse.Namespace) -> None:
    from napari_sam2.evaluation.challenge import middle_box
    from napari_sam2.models import load_model
    from napari_sam2.session.session import Session

    model, rows = load_model("bundled"), []
    for number, case in _new(cases, given):
        loaded = cases.load(case)
        memory = ProjectMemory(_others(cases, number, given), least_score=0.0)
        asked = names or _known(loaded, memory)
        for candidate in memory.propose(loaded.volume, loaded.window, asked).candidates:
            ids = [i for i, name in loaded.names.items() if name.name == candidate.name]
            truth = np.isin(loaded.labels, ids)
            if not ids or not truth.any():
                continue
            axis = loaded.volume.default_slice_axis
            held = np.flatnonzero(truth.any(axis=tuple(a for a in range(3) if a != axis)))
            drawn = middle_box(truth, axis)
            carried = np.zeros(truth.shape, bool)
            block = tuple(slice(a, b + 1) for a, b in zip(candidate.low, candidate.high, strict=True))
            carried[block] = candidate.mask
            scores = [dice(carried, truth)]
            for prompts, slices in (
                (candidate.prompts(loaded.volume), None),
                (tuple(p for p in candidate.prompts(loaded.volume) if isinstance(p, Box)), None),
                ((drawn,), range(int(held[0]), int(held[-1]) + 1)),
            ):
                session = Session(loaded.volume, model, window=loaded.window)
                session.set_prompts(1, prompts)
                for _ in session.propagate(slices=slices):
                    pass
                scores.append(dice(session.label_map() == 1, truth))
            rows.append(scores)
            print(f"{case.case} | {candidate.name} | {' | '.join(f'{score:.3f}' for score in scores)}", flush=True)
    print("mean: carried | model from candidate | its boxes alone | one drawn box with its range")
    print(" | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)))


def _clicks(cases: Exemplars, names: list[str], given: argparse.Namespace) -> None:
    """One scan by hand, the others from the proposal: all later finished scans count as corrected to the truth."""
    from napari_sam2.evaluation.challenge import extent_of, middle_box
    from napari_sam2.finding.accepting import accept
    from napari_sam2.models import load_model
    from napari_sam2.session.session import Session

    model, rows = load_model("bundled"), []
    for number, case in enumerate(cases.all[: given.cases or None]):
        loaded, (name,) = cases.load(case), names
        truth = np.isin(loaded.labels, [i for i, known in loaded.names.items() if known.name == name])
        axis = loaded.volume.default_slice_axis
        by_hand = Session(loaded.volume, model, window=loaded.window)
        by_hand.set_prompts(1, (middle_box(truth, axis),))
        for _ in by_hand.propagate(slices=extent_of(truth, axis)):
            pass
        counts = [_clicks_until(by_hand, truth, given)]
        if number:
            memory = ProjectMemory(Exemplars(cases.all[:number], cases.project), least_score=0.0)
            (candidate,) = memory.propose(loaded.volume, loaded.window, names).candidates
            named = Session(loaded.volume, model, window=loaded.window)
            accept(named, candidate, 1, "proposed")
            counts.append(_clicks_until(named, truth, given))
            rows.append([value for count in counts for value in count])
        print(f"{case.case} | {' | '.join(f'{n} clicks, Dice {a:.3f} to {b:.3f}' for n, a, b in counts)}", flush=True)
    found = np.mean(rows, axis=0)
    print(f"mean without names: a box, its range and {found[0]:.1f} clicks, Dice {found[1]:.3f} to {found[2]:.3f}")
    print(f"mean with names: a key and {found[3]:.1f} clicks, Dice {found[4]:.3f} to {found[5]:.3f}")


def _clicks_until(session: Session, truth: np.ndarray, given: argparse.Namespace) -> tuple[int, float, float]:
    """Clicks on the largest error until the Dice is reached; their number, and the Dice before and after."""
    from napari_sam2.evaluation.challenge import error_click

    first = last = dice(session.label_map() == 1, truth)
    for count in range(given.most_clicks):
        click = None if last >= given.reach else error_click(session.label_map() == 1, truth)
        if click is None:
            return count, first, last
        session.add_prompt(1, click)
        last = dice(session.label_map() == 1, truth)
    return given.most_clicks, first, last


def mirrored(volume: Volume, labels: np.ndarray) -> tuple[Volume, np.ndarray]:
    """The same scan stored from the other side: voxels and affine change, the place in the world does not."""
    axis = next(a for a, code in enumerate(volume.axis_codes) if code in "LR")
    affine = volume.affine.copy()
    affine[:3, 3] = volume.affine[:3, :3][:, axis] * (volume.shape[axis] - 1) + affine[:3, 3]
    affine[:3, axis] *= -1
    source = replace(volume.source, sha256="mirrored")
    return Volume(np.flip(volume.voxels, axis).copy(), affine, volume.oriented, source), np.flip(labels, axis).copy()


def box_iou(candidate: Candidate, truth: tuple[np.ndarray, np.ndarray]) -> float:
    """Intersection over union of two boxes in 3-D, in voxels."""
    low, high = np.maximum(candidate.low, truth[0]), np.minimum(candidate.high, truth[1])
    shared = float(np.prod(np.maximum(high - low + 1, 0)))
    sizes = [float(np.prod(np.subtract(b, a) + 1)) for a, b in ((candidate.low, candidate.high), truth)]
    return shared / (sum(sizes) - shared)


def _is_exchanged(candidate: Candidate, boxes: dict[str, tuple[np.ndarray, np.ndarray]]) -> bool:
    twin = _twin_of(candidate, boxes)
    if twin is None:
        return False
    centre = np.add(candidate.low, candidate.high) / 2
    own_distance, twin_distance = (np.linalg.norm(centre - np.add(*box) / 2) for box in (boxes[candidate.name], twin))
    return bool(twin_distance < own_distance)


def _twin_of(
    candidate: Candidate, boxes: dict[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The true box of the same structure on the other side."""
    side = candidate.name.split()[0]
    other = {"left": "right", "right": "left"}.get(side)
    return boxes.get(candidate.name.replace(side, other, 1)) if other else None


if __name__ == "__main__":
    main()
