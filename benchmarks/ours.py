"""napari-sam2 on the same task as `benchmarks/official.py`, slice by slice, with logits to compare."""

from __future__ import annotations

import numpy as np
import torch

import napari_sam2.engine.propagate as propagation
from napari_sam2.engine.engine import Engine
from napari_sam2.prompts import SlicePrompts
from napari_sam2.volume import Volume
from napari_sam2.window import Window

ABSENT = -1024.0
"""What the official predictor answers where there is no object."""


class Ours:
    """Clicks and propagation with the engine; features are kept."""

    def __init__(self, model) -> None:
        self.model = model

    def run(self) -> None:
        """Propagate forward and let the results go."""
        patience, propagation.PATIENCE = propagation.PATIENCE, 1 << 30
        try:
            for _ in propagation.propagate(self.engine, {n: [a] for n, a in self.anchors.items()}, direction="forward"):
                pass
        finally:
            propagation.PATIENCE = patience

    def open(self, voxels: np.ndarray) -> None:
        volume = Volume(voxels, np.eye(4), oriented=False)
        self.engine = Engine(volume, self.model, Window(0, 1, "phantom"), axis=2)

    def click(self, index: int, points: dict[int, tuple[float, float]]) -> torch.Tensor:
        # The official predictor counts pixels from their edges in the resized image.
        half = 0.5 * self.engine.plane.shape[1] / self.engine.model.input_size - 0.5
        self.anchors = {
            number: self.engine.predict(index, SlicePrompts(np.array([[row + half, col + half]]), np.array([True])))
            for number, (row, col) in points.items()
        }
        return torch.stack([self._logits(a.decoded, a.view) for a in self.anchors.values()])

    def propagate(self) -> list[torch.Tensor]:
        """Logits (objects, rows, columns) of the prompted slice and all after it."""
        first = torch.stack([self._logits(a.decoded, a.view) for a in self.anchors.values()])
        found: list[torch.Tensor] = []
        mask_of = self.engine.mask_of
        patience, propagation.PATIENCE = propagation.PATIENCE, 1 << 30

        def spied(decoded, view):
            found.append(self._logits(decoded, view))
            return mask_of(decoded, view)

        self.engine.mask_of = spied
        try:
            for _ in propagation.propagate(self.engine, {n: [a] for n, a in self.anchors.items()}, direction="forward"):
                pass
        finally:
            self.engine.mask_of, propagation.PATIENCE = mask_of, patience
        n = len(self.anchors)
        return [first, *(torch.stack(found[i : i + n]) for i in range(0, len(found), n))]

    def _logits(self, decoded, view) -> torch.Tensor:
        if decoded.object_score <= 0:
            return torch.full(self.engine.plane.shape, ABSENT)
        return view.to_slice(decoded.logits, self.engine.plane.shape)
