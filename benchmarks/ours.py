"""napari-sam2 on the same task as `benchmarks/official.py`, slice by slice, with logits to compare."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import napari_sam2.engine.propagate as propagation
from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, SliceResult
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.features import DEFAULT_BUDGET
from napari_sam2.engine.view import View

Click = tuple[int, float, float]
"""Slice, row and column."""

ABSENT = -1024.0
"""What the official predictor answers where there is no object."""


class Ours:
    """Clicks and propagation with the engine; features are kept."""

    def __init__(self, model) -> None:
        self.model = model

    def open(self, voxels: np.ndarray, feature_budget: int = DEFAULT_BUDGET) -> None:
        volume = Volume(voxels, np.eye(4), oriented=False)
        self.engine = Engine(volume, self.model, Window(0, 1, "phantom"), 2, feature_budget)

    def click(self, clicks: dict[int, Click]) -> torch.Tensor:
        # The official predictor counts pixels from their edges in the resized image.
        half = 0.5 * self.engine.plane.shape[1] / self.engine.model.input_size - 0.5
        self.anchors = {
            number: self.engine.predict(index, SlicePrompts(np.array([[row + half, col + half]]), np.array([True])))
            for number, (index, row, col) in clicks.items()
        }
        return torch.stack([self._logits(a.decoded, a.view) for a in self.anchors.values()])

    def propagate(self) -> list[torch.Tensor]:
        """Logits (objects, rows, columns) of the prompted slice and all after it."""
        first = torch.stack([self._logits(a.decoded, a.view) for a in self.anchors.values()])
        found: list[torch.Tensor] = []
        mask_of = self.engine.mask_of

        def spied(decoded, view):
            found.append(self._logits(decoded, view))
            return mask_of(decoded, view)

        for _ in self._carry(spied, "forward"):
            pass
        n = len(self.anchors)
        return [first, *(torch.stack(found[i : i + n]) for i in range(0, len(found), n))]

    def run(self, direction: str = "forward") -> None:
        """Propagate as `by_slice` does, and let the results go."""
        for _ in self.by_slice(direction):
            pass

    def by_slice(self, direction: str = "forward") -> Iterator[SliceResult]:
        """Carry discs through the volume.

        Random weights answer with noise, which a view that follows the object would follow. So what is
        taken for the answer, after the model has given its own, is a disc half as wide as the first view.
        """
        discs = [_disc(self.engine.plane.shape, anchor.view) for anchor in self.anchors.values()]

        def nearest(_decoded, view):
            middle = np.array([view.row + view.rows / 2, view.col + view.cols / 2])
            return min(discs, key=lambda disc: np.abs(middle - np.reshape(disc.bounds, (2, 2)).mean(0)).sum())

        yield from self._carry(nearest, direction)

    def _carry(self, mask_of, direction: str) -> Iterator[SliceResult]:
        original, self.engine.mask_of = self.engine.mask_of, mask_of
        patience, propagation.PATIENCE = propagation.PATIENCE, 1 << 30
        try:
            anchors = {number: [anchor] for number, anchor in self.anchors.items()}
            yield from propagation.propagate(self.engine, anchors, direction=direction)
        finally:
            self.engine.mask_of, propagation.PATIENCE = original, patience

    def _logits(self, decoded, view) -> torch.Tensor:
        if decoded.object_score <= 0:
            return torch.full(self.engine.plane.shape, ABSENT, device=decoded.logits.device)
        return view.to_slice(decoded.logits, self.engine.plane.shape)


def _disc(shape: tuple[int, int], view: View) -> SliceMask:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return SliceMask.of(
        np.hypot(y - view.row - view.rows / 2, x - view.col - view.cols / 2) < min(view.rows, view.cols) / 4
    )
