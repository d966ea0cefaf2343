"""The engine: slices of one plane, answered by a model.

`Engine.predict` decodes prompts on one slice and gives an `Anchor`; `propagate` (in its own module)
carries anchors through the neighbouring slices. The engine holds features, never results: what was
answered belongs to the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_sam2.engine.disk import DiskFeatures, signature_of
from napari_sam2.engine.features import DEFAULT_BUDGET, FeatureCache
from napari_sam2.engine.pressure import in_batches
from napari_sam2.engine.view import View, whole_view, zoom_view
from napari_sam2.models.base import Decoded, DecodeRequest, MemoryRef, RememberRequest, ResizableModel
from napari_sam2.models.quality import fitted_size
from napari_sam2.results import SliceMask, SliceScores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.prompts import SlicePrompts
    from napari_sam2.volume import SlicePlane, Volume
    from napari_sam2.window import Window

__all__ = ["Anchor", "Engine"]

MASK_LOGIT: Final = 10.0
"""Logit that stands for "certainly inside" when a given mask takes the place of a model's logits."""

CLICK_ZOOM_STEP: Final = 0.6
"""Each view tried around a bare click is this much smaller than the one before."""

SMALLEST_CLICK_SIDE: Final = 20.0
"""Voxels; a view around a bare click is not smaller, or every object would fill it."""

LARGEST_CLICK_FRACTION: Final = 0.5
"""A mask that covers more of a view around a bare click has leaked, or needs a larger view."""

VIEW_MARGIN: Final = 0.05
"""A corrected object keeps its view while prompts and mask stay this far (of the side) from its border."""


FOLLOW_MARGIN: Final = 0.15
"""A view with slack stays while the object keeps this far (of the side) from its border."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Anchor:
    """A prompted slice of one object, answered; other slices are compared with it.

    Attributes
    ----------
    index : int
        The slice.
    view : View
        Where the model looked.
    mask : SliceMask
        The answer.
    scores : SliceScores
        Doubt about it.
    decoded : Decoded
        The model's own answer, to be corrected by further clicks.
    """

    index: int
    view: View
    mask: SliceMask
    scores: SliceScores
    decoded: Decoded


class Engine:
    """Answers prompts on the slices of one plane of a volume.

    Parameters
    ----------
    volume : Volume
        The scan.
    model : SegmentationModel
        Who answers.
    window : Window
        How intensities become [0, 1].
    axis : int, optional
        The slice axis; `Volume.default_slice_axis` by default.
    feature_budget : int
        Bytes of features kept in memory.
    feature_folder : Path, optional
        Where features are kept on disk, to be found again by a later process; nowhere by default.
    """

    def __init__(
        self,
        volume: Volume,
        model: SegmentationModel,
        window: Window,
        axis: int | None = None,
        feature_budget: int = DEFAULT_BUDGET,
        feature_folder: Path | None = None,
    ) -> None:
        self.volume = volume
        self.window = window
        self.plane = volume.plane(axis)
        self.model = _fitted(model, self.plane)
        self.features = FeatureCache(
            self.model, self._read, feature_budget, self.plane.n_slices, self._disk_features(feature_folder)
        )
        self._memories: WeakKeyDictionary[Anchor, Any] = WeakKeyDictionary()

    def _disk_features(self, folder: Path | None) -> DiskFeatures | None:
        if folder is None:
            return None
        return DiskFeatures(folder, signature_of(self.volume, self.window, self.plane.axis, self.model))

    def predict(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        previous: Anchor | SliceMask | None = None,
        others: Sequence[Anchor] = (),
    ) -> Anchor:
        """Decode the prompts of one object on one slice.

        Parameters
        ----------
        index : int
            The slice.
        prompts : SlicePrompts
            All prompts of the object on this slice.
        previous : Anchor or SliceMask, optional
            The answer that these prompts correct: the last anchor of this slice, or a tracked mask.
        others : sequence of Anchor
            Prompted slices of the same object; the answer takes them into account.

        Returns
        -------
        Anchor
            A mask given alone is kept voxel for voxel.
        """
        with torch.inference_mode():
            view, decoded = self._decode(index, prompts, previous, others)
            only_mask = prompts.mask is not None and prompts.box is None and not len(prompts.points)
            mask = SliceMask.of(prompts.mask) if only_mask and prompts.mask is not None else self.mask_of(decoded, view)
        scores = SliceScores(decoded.object_score, decoded.predicted_iou)
        return Anchor(index, view, mask, scores, decoded)

    def preview(self, index: int, prompts: SlicePrompts) -> SliceMask:
        """The mask that prompts would give, without remembering anything."""
        with torch.inference_mode():
            view, decoded = self._decode(index, prompts, None, ())
            return self.mask_of(decoded, view)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """The model's answers; fewer at a time when memory runs out."""
        return in_batches(requests, len(requests), self.model.decode, self.features.relieve)

    def mask_of(self, decoded: Decoded, view: View) -> SliceMask:
        """The mask of an answer on its slice; empty when the object is not there."""
        if decoded.object_score <= 0:
            return SliceMask.of(np.zeros(self.plane.shape, dtype=bool))
        return SliceMask.of((view.to_slice(decoded.logits, self.plane.shape) > 0).cpu().numpy())

    def memory_of(self, anchor: Anchor) -> Any:
        """What other slices are compared with; computed when it is first needed, not on every click."""
        if anchor not in self._memories:
            features = self.features.get([(anchor.index, anchor.view)])[0]
            request = RememberRequest(features, anchor.decoded, prompted=True)
            self._memories[anchor] = in_batches([request], 1, self.model.remember, self.features.relieve)[0]
        return self._memories[anchor]

    def view_around(self, bounds: Sequence[float] | None, factor: float) -> View:
        """The view for an object with edges `bounds`, as the model's policy wants it."""
        policy = self.model.view_policy
        if not policy.zoom or bounds is None:
            return whole_view(self.plane, self.model.input_size)
        return zoom_view(self.plane, bounds, factor, policy.min_side, self.model.input_size)

    def follow(self, view: View, bounds: Sequence[float]) -> View:
        """The next view for an object with edges `bounds` that was seen in `view`."""
        policy = self.model.view_policy
        fitting = self.view_around(bounds, policy.follow_factor)
        alike = 1 / policy.slack < fitting.rows / view.rows < policy.slack
        return view if alike and view.contains(bounds, FOLLOW_MARGIN) else fitting

    def _read(self, index: int, view: View) -> Tensor:
        return view.image(self.slice_image(index))

    def slice_image(self, index: int) -> NDArray[np.float32]:
        """Slice `index` as the model sees it: (rows, columns[, 3]) in [0, 1]."""
        return self.window.apply(self.plane.take(self.volume.voxels, index))

    def _decode(
        self,
        index: int,
        prompts: SlicePrompts,
        previous: Anchor | SliceMask | None,
        others: Sequence[Anchor],
    ) -> tuple[View, Decoded]:
        if self.model.view_policy.zoom and previous is None and prompts.box is None and prompts.mask is None:
            found = self._find_from_clicks(index, prompts)
            if found is not None:
                view, decoded, previous = found
                if not others and self.follow(view, _bounds_of(prompts, previous)) == view:
                    return view, decoded
        view = self._view_for(prompts, previous)
        request = DecodeRequest(
            features=self.features.get([(index, view)])[0],
            prompts=view.prompts(prompts, self.model.device),
            memories=self.memory_refs(index, view, 1, others, ()),
            previous=self._previous_in(view, previous),
            n_slices=self.plane.n_slices,
        )
        return view, self.decode([request])[0]

    def memory_refs(
        self,
        index: int,
        view: View,
        direction: int,
        anchors: Sequence[Anchor],
        tracked: Sequence[tuple[int, View, Any]],
    ) -> tuple[MemoryRef, ...]:
        """Memories as seen from slice `index`: prompted slices nearest first, then tracked ones."""
        nearest = sorted((a for a in anchors if a.index != index), key=lambda a: abs(a.index - index))
        refs = [
            MemoryRef(self.memory_of(a), (a.index - index) * direction, True, view.shift_to(a.view))
            for a in nearest[:MAX_PROMPTED_MEMORIES]
        ]
        refs += [MemoryRef(memory, (i - index) * direction, False, view.shift_to(v)) for i, v, memory in tracked]
        return tuple(refs)

    def _view_for(self, prompts: SlicePrompts, previous: Anchor | SliceMask | None) -> View:
        bounds = _bounds_of(prompts, previous.mask if isinstance(previous, Anchor) else previous)
        if isinstance(previous, Anchor) and previous.view.contains(bounds, VIEW_MARGIN):
            return previous.view
        return self.view_around(bounds, self.model.view_policy.factor)

    def _previous_in(self, view: View, previous: Anchor | SliceMask | None) -> Decoded | None:
        if previous is None:
            return None
        if isinstance(previous, Anchor):
            if previous.view == view:
                return previous.decoded
            previous = previous.mask
        coverage = view.image(previous.full(self.plane.shape))[0].to(self.model.device)
        return Decoded((2 * coverage - 1) * MASK_LOGIT, MASK_LOGIT, 1.0)

    def _find_from_clicks(self, index: int, prompts: SlicePrompts) -> tuple[View, Decoded, SliceMask] | None:
        """From coarse to fine: the best answer over views of several sizes around bare clicks.

        Nothing is known of the object's size, so the model is asked at several, and its own predicted
        IoU decides among the masks that hold every positive click and do not fill their view.
        """
        inside = prompts.points[prompts.positive]
        if len(inside) == 0:
            return None
        views = self._click_views(inside)
        features = self.features.get([(index, view) for view in views])
        requests = [
            DecodeRequest(f, view.prompts(prompts, self.model.device), n_slices=self.plane.n_slices)
            for f, view in zip(features, views, strict=True)
        ]
        best: tuple[View, Decoded, SliceMask] | None = None
        for view, decoded in zip(views, self.decode(requests), strict=True):
            mask = self.mask_of(decoded, view)
            filled = mask.n_voxels / (view.rows * view.cols)
            plausible = _holds_any(mask, inside) and filled < LARGEST_CLICK_FRACTION
            if plausible and (best is None or decoded.predicted_iou > best[1].predicted_iou):
                best = (view, decoded, mask)
        return best

    def _click_views(self, inside: NDArray[np.float64]) -> list[View]:
        plane, size = self.plane, self.model.input_size
        spread = [*(inside.min(axis=0) - 0.5), *(inside.max(axis=0) + 0.5)]
        views = [whole_view(plane, size)]
        side = max(n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True)) / min(plane.spacing)
        longest = max(spread[2] - spread[0], spread[3] - spread[1])
        smallest = max(SMALLEST_CLICK_SIDE, 1.5 * longest, self.model.view_policy.min_side)
        while (side := side * CLICK_ZOOM_STEP) >= smallest:
            views.append(zoom_view(plane, spread, 0.0, side, size))
        return views


def _fitted(model: SegmentationModel, plane: SlicePlane) -> SegmentationModel:
    """The model at the input size that slices can fill, if its policy says so."""
    if not model.view_policy.fit or not isinstance(model, ResizableModel):
        return model
    longest = max(n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True)) / min(plane.spacing)
    return model.at_size(fitted_size(longest, model.input_size))


MAX_PROMPTED_MEMORIES: Final = 8
"""Prompted slices that one slice is compared with, nearest first: cost stays flat however many there are."""


def _bounds_of(prompts: SlicePrompts, mask: SliceMask | None) -> tuple[float, float, float, float]:
    """Edges row0, column0, row1, column1 around everything that is known of an object on a slice."""
    corners = [np.concatenate([prompts.points - 0.5, prompts.points + 0.5])] if len(prompts.points) else []
    if prompts.box is not None:
        corners.append(prompts.box.reshape(2, 2))
    for known in (mask, None if prompts.mask is None else SliceMask.of(prompts.mask)):
        if known is not None and known.bounds is not None:
            corners.append(np.array(known.bounds).reshape(2, 2))
    every = np.concatenate(corners)
    (row0, col0), (row1, col1) = every.min(axis=0), every.max(axis=0)
    return float(row0), float(col0), float(row1), float(col1)


def _holds_any(mask: SliceMask, points: NDArray[np.float64]) -> bool:
    at = np.rint(points).astype(int) - (mask.row, mask.col)
    ok = ((at >= 0) & (at < mask.crop.shape)).all(axis=1)
    return bool(mask.crop[tuple(at[ok].T)].any())
