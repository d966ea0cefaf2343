"""Slices of other scans as memories of a model, leave-one-out.

    python benchmarks/exemplar_memories.py MANIFEST.csv --names left_hippocampus [--cases N] [--model bundled]

Each finished scan is laid over the new one, image and mask, as `napari_sam2.finding.memory` does, and every slice of it
becomes a conditioning memory (features, image, mask) for the same slice of the new scan. Printed is the Dice of: the
voted mask; the model from that mask; the model from one exemplar's slices alone; from all exemplars, their logits
averaged; the same with the slice before as a further memory; and the mean of voted share and model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.engine.engine import Engine
from napari_sam2.finding.accepting import accept
from napari_sam2.finding.exemplars import Exemplars, exemplars_in
from napari_sam2.finding.laying import Laid, lay
from napari_sam2.finding.memory import VOTERS, ProjectMemory
from napari_sam2.measures.metrics import dice
from napari_sam2.models import load_model
from napari_sam2.models.base import DecodeRequest, MemoryRef, RememberRequest
from napari_sam2.registration import COARSE_VOXELS, as_image, copy_of, register, said
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.engine.view import View
    from napari_sam2.finding.exemplars import Loaded
    from napari_sam2.models.base import SegmentationModel

COLUMNS = (
    "voted mask",
    "model from it",
    "one exemplar's slices",
    "all exemplars' slices",
    "and the slice before",
    "mean of vote and these",
)


def main() -> None:
    """Print a table, case by case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--names", required=True, help="one structure")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--cases", type=int, default=0)
    given = parser.parse_args()
    cases, model, rows = exemplars_in(given.manifest), load_model(given.model), []
    print(" | ".join(("case", *COLUMNS)))
    for number, case in enumerate(cases.all[: given.cases or None]):
        loaded = cases.load(case)
        truth = np.isin(loaded.labels, [i for i, name in loaded.names.items() if name.name == given.names])
        others = Exemplars([*cases.all[number + 1 :], *cases.all[:number]], cases.project)
        memory = ProjectMemory(others, least_score=0.0)
        (candidate,) = memory.propose(loaded.volume, loaded.window, [given.names]).candidates
        voted = candidate.on_grid(loaded.volume.shape)
        session = Session(loaded.volume, model, window=loaded.window)
        accept(session, candidate, 1, "model")
        for _ in session.propagate():
            pass
        laid = _laid(loaded, others, given.names)
        scores = [dice(voted, truth), dice(session.label_map() == 1, truth)]
        scores += [dice(mask, truth) for mask in _from_memories(model, loaded, laid)]
        rows.append(scores)
        print(" | ".join((case.case, *(f"{score:.3f}" for score in scores))), flush=True)
    print(" | ".join(("mean", *(f"{score:.3f}" for score in np.mean(rows, axis=0)))))


def _laid(new: Loaded, others: Exemplars, name: str) -> list[tuple[Loaded, Laid, list[int]]]:
    """The exemplars that vote, the most similar first."""
    coarse, found = copy_of(new.volume, new.window, COARSE_VOXELS), []
    for exemplar in others.all:
        own = others.load(exemplar)
        transform = register(coarse, own.coarse)
        ids = [i for i, known in own.names.items() if known.name == name]
        one = None if transform is None else lay(new.volume, new.window, own, ids, transform)
        if transform is not None and one is not None:
            found.append((said(coarse, own.coarse, transform), own, one, ids))
    found.sort(key=lambda entry: -entry[0])
    return [(own, one, ids) for _, own, one, ids in found[:VOTERS]]


def _from_memories(
    model: SegmentationModel, new: Loaded, laid: list[tuple[Loaded, Laid, list[int]]]
) -> list[NDArray[np.bool_]]:
    engine = Engine(new.volume, model, new.window)
    plane = engine.plane
    shares, engines, masks = [], [], []
    for own, one, ids in laid:
        image, mask = _on_grid(own, one, ids, new.volume)
        engines.append(Engine(Volume(image, new.volume.affine), model, new.window))
        masks.append(mask > 0.5)
        shares.append(mask)
    logits = np.full((3, *new.volume.shape), -10.0, np.float32)
    last: tuple[View, object] | None = None
    anyone = np.any(masks, axis=0)
    for index in range(plane.n_slices):
        if not plane.take(anyone, index).any():
            continue
        answers, chained = [], []
        for beside, mask in zip(engines, masks, strict=True):
            section = plane.take(mask, index)
            if not section.any():
                answers.append(torch.full(plane.shape, -10.0))
                chained.append(answers[-1])
                continue
            anchor = beside.predict(index, _mask_prompt(section))
            refs = [MemoryRef(beside.memory_of(anchor), -1, True)]
            answers.append(_answer(engine, index, anchor.view, refs))
            if last is not None:
                refs.append(MemoryRef(last[1], -1, False, anchor.view.shift_to(last[0])))
            chained.append(_answer(engine, index, anchor.view, refs))
        for place, values in enumerate((answers[0], torch.stack(answers).mean(0), torch.stack(chained).mean(0))):
            plane.take(logits[place], index)[:] = values.numpy()
        last = _remembered(engine, index, plane.take(logits[2], index) > 0)
    mixed = np.mean(shares, axis=0) + 1 / (1 + np.exp(-logits[1])) > 1
    return [*(logits > 0), mixed]


def _remembered(engine: Engine, index: int, section: NDArray[np.bool_]) -> tuple[View, object] | None:
    """A slice of the new scan as a memory, with its own answer."""
    if not section.any():
        return None
    anchor = engine.predict(index, _mask_prompt(section))
    features = engine.features.get([(index, anchor.view)])[0]
    return anchor.view, engine.model.remember([RememberRequest(features, anchor.decoded, prompted=False)])[0]


def _mask_prompt(section: NDArray[np.bool_]) -> SlicePrompts:
    return SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), None, section)


def _answer(engine: Engine, index: int, view: View, refs: list[MemoryRef]) -> torch.Tensor:
    with torch.inference_mode():
        features = engine.features.get([(index, view)])[0]
        request = DecodeRequest(features, memories=tuple(refs), n_slices=engine.plane.n_slices)
        decoded = engine.decode([request])[0]
        return view.to_slice(decoded.logits, engine.plane.shape).clamp(-10, 10).cpu()


def _on_grid(own: Loaded, one: Laid, ids: list[int], volume: Volume) -> tuple[NDArray, NDArray]:
    """An exemplar's image, and its structure's cover, on the grid of the new scan."""
    grid = as_image(np.zeros(volume.shape, np.float32), volume.affine)
    found = []
    for values in (own.volume.voxels.astype(np.float32), np.isin(own.labels, ids).astype(np.float32)):
        image = as_image(values, own.volume.affine)
        laid = SimpleITK.Resample(image, grid, one.transform, SimpleITK.sitkLinear, float(values.min()))
        found.append(SimpleITK.GetArrayFromImage(laid).transpose(2, 1, 0))
    return found[0], found[1]


if __name__ == "__main__":
    main()
