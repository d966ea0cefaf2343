"""Objects with and without the network that goes over them as a whole (`napari_sam2.engine.consolidation`).

    python benchmarks/consolidation.py benchmarks/development.csv --root OUT [--range] [--clicks N] [--seed N]

A table of scans as for `napari-sam2 evaluate`. Each structure is boxed on its middle slice, carried, and clicked in the
deepest voxel of its largest error, by the bundled model, once as the product does it and once without the network.
The seed is that of the fit, the only thing in a run that draws; the product's is 0.
Prints the Dice over the volume after the box and after every click, the means, and the clicks that did harm.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2.engine.fit_plan import FIT, FitPlan
from napari_sam2.evaluation.cases import Case
from napari_sam2.evaluation.challenge import error_click, extent_of, middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.evaluation.predictors import SessionPredictor
from napari_sam2.measures.metrics import dice
from napari_sam2.models.small.model import load_bundled

HARM = 0.005, 0.02


def scores(case: Case, predictor: SessionPredictor, clicks: int, told: bool) -> list[float]:
    """Dice after the box and after each click."""
    predictor.start(case.volume, case.window, case.channels, case.fusion)
    predictor.box(middle_box(case.truth, case.axis), extent_of(case.truth, case.axis) if told else None)
    reached = [dice(predictor.mask(), case.truth)]
    for _ in range(clicks):
        click = error_click(predictor.mask(), case.truth)
        if click is not None:
            predictor.point(click)
        reached.append(dice(predictor.mask(), case.truth))
    return reached


def summary(name: str, reached: NDArray[np.float64]) -> str:
    means = " ".join(f"{value:.3f}" for value in reached.mean(axis=0))
    gains = np.diff(reached, axis=1)
    harm = ", ".join(f"{(gains < -limit).sum()} of {gains.size} clicks cost more than {limit}" for limit in HARM)
    return f"{name:8} {means}   {harm}; {(reached.max(axis=1) >= 0.9).mean():.0%} reach 0.90"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--range", action="store_true", help="tell the object's slices with the box")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--seed", type=int, default=FIT.seed)
    parser.add_argument("--json", type=Path, help="keep the figures of every structure there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_bundled()
    fit = FitPlan(seed=options.seed)
    ways = {"without": SessionPredictor(model, look_over=False, fit=fit), "with": SessionPredictor(model, fit=fit)}
    rows: dict[str, list[list[float]]] = {name: [] for name in ways}
    names = []
    for scan in find_scans(options.table, options.root):
        for case in cases_of(scan):
            names.append(f"{case.name} {case.label}")
            for name, predictor in ways.items():
                rows[name].append(scores(case, predictor, options.clicks, options.range))
            shown = ["  ".join(f"{value:.3f}" for value in rows[name][-1]) for name in ways]
            print(f"{names[-1][:46]:46} {shown[0]}   {shown[1]}", flush=True)
    reached = {name: np.array(of_way) for name, of_way in rows.items()}
    for name, of_way in reached.items():
        print(summary(name, of_way))
    differences = reached["with"] - reached["without"]
    worse, better = (differences < -HARM[1]).sum(axis=0), (differences > HARM[1]).sum(axis=0)
    print(f"worse by {HARM[1]}: {worse.tolist()}   better: {better.tolist()}, of {len(names)} structures")
    if options.json is not None:
        options.json.write_text(json.dumps({"names": names, **{n: of_way.tolist() for n, of_way in reached.items()}}))


if __name__ == "__main__":
    main()
