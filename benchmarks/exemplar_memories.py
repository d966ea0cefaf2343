"""Slices of other scans as memories of a model, leave-one-out.

    python benchmarks/exemplar_memories.py MANIFEST.csv --names left_hippocampus [--cases N] [--model bundled]

Each finished scan is laid over the new one, image and mask, as `napari_sam2.finding.memory` does, and every slice of it
becomes a conditioning memory (features, image, mask) for the same slice of the new scan. Printed is the Dice of: the
voted mask; the model from that mask; the model from the most similar exemplar's slices alone; from those of all that
voted, the chances averaged; the same with the slice before as a further memory; and the means of vote and these two.
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
from napari_sam2.finding.memory import ProjectMemory
from napari_sam2.measures.metrics import dice
from napari_sam2.models import load_model
from napari_sam2.models.base import DecodeRequest, MemoryRef, RememberRequest
from napari_sam2.registration import as_image
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.view import View
    from napari_sam2.finding.exemplars import Exemplar, Loaded
    from napari_sam2.finding.laying import Laid
    from napari_sam2.models.base import SegmentationModel

COLUMNS = (
    "voted mask",
    "model from it",
    "one exemplar's slices",
    "all exemplars' slices",
    "and the slice before",
    "vote and all exemplars",
    "vote and slice before",
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
        memory = _Keeping(others, least_score=0.0)
        (candidate,) = memory.propose(loaded.volume, loaded.window, [given.names]).candidates
        voted = candidate.on_grid(loaded.volume.shape)
        session = Session(loaded.volume, model, window=loaded.window)
        accept(session, candidate, 1, "model")
        for _ in session.propagate():
            pass
        laid = _loaded(others, memory.laid, given.names)
        scores = [dice(voted, truth), dice(session.label_map() == 1, truth)]
        scores += [dice(mask, truth) for mask in _from_memories(model, loaded, laid)]
        rows.append(scores)
        print(" | ".join((case.case, *(f"{score:.3f}" for score in scores))), flush=True)
    print(" | ".join(("mean", *(f"{score:.3f}" for score in np.mean(rows, axis=0)))))


class _Keeping(ProjectMemory):
    """A memory that keeps what it has laid over a scan."""

    laid: Sequence[tuple[Exemplar, Laid]] = ()

    def _voted(self, volume, target, laid):  # type: ignore[no-untyped-def]
        self.laid = laid
        return super()._voted(volume, target, laid)


def _loaded(
    others: Exemplars, laid: Sequence[tuple[Exemplar, Laid]], name: str
) -> list[tuple[Loaded, Laid, list[int]]]:
    """The exemplars that voted, the most similar first, with the labels of a structure."""
    found = [(others.load(exemplar), one) for exemplar, one in laid]
    return [(own, one, [i for i, known in own.names.items() if known.name == name]) for own, one in found]


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
    chances = np.zeros((3, *new.volume.shape), np.float32)
    last: tuple[View, object] | None = None
    for index in range(plane.n_slices):
        nothing = np.zeros(plane.shape, np.float32)
        alone, chained = [nothing] * len(laid), [nothing] * len(laid)
        for number, (beside, mask) in enumerate(zip(engines, masks, strict=True)):
            section = plane.take(mask, index)
            if section.any():
                anchor = beside.predict(index, _mask_prompt(section))
                memory = beside.memory_of(anchor)
                refs = [MemoryRef(memory, -1, True)]
                alone[number] = _answer(engine, index, anchor.view, refs)
                if last is not None:  # the slice before is the nearer one
                    refs = [MemoryRef(memory, -2, True), MemoryRef(last[1], -1, False, anchor.view.shift_to(last[0]))]
                chained[number] = _answer(engine, index, anchor.view, refs)
        for place, values in enumerate((alone[0], np.mean(alone, axis=0), np.mean(chained, axis=0))):
            plane.take(chances[place], index)[:] = values
        last = _remembered(engine, index, plane.take(chances[2], index) > 0.5)
    vote = np.mean(shares, axis=0)
    return [*(chances > 0.5), vote + chances[1] > 1, vote + chances[2] > 1]


def _remembered(engine: Engine, index: int, section: NDArray[np.bool_]) -> tuple[View, object] | None:
    """A slice of the new scan as a memory, with its own answer."""
    if not section.any():
        return None
    anchor = engine.predict(index, _mask_prompt(section))
    features = engine.features.get([(index, anchor.view)])[0]
    return anchor.view, engine.model.remember([RememberRequest(features, anchor.decoded, prompted=False)])[0]


def _mask_prompt(section: NDArray[np.bool_]) -> SlicePrompts:
    return SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), None, section)


def _answer(engine: Engine, index: int, view: View, refs: list[MemoryRef]) -> NDArray[np.float32]:
    with torch.inference_mode():
        features = engine.features.get([(index, view)])[0]
        request = DecodeRequest(features, memories=tuple(refs), n_slices=engine.plane.n_slices)
        decoded = engine.decode([request])[0]
        chances: NDArray[np.float32] = view.to_slice(decoded.logits, engine.plane.shape).sigmoid().cpu().numpy()
        return chances


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
