"""The engine: slices of one plane, answered by a model.

`Engine.predict` decodes prompts on one slice and gives an `Anchor`; `Engine.propagate` (in its own module)
carries anchors through the neighbouring slices. The engine holds features, never results: what was
answered belongs to the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_sam2.core.slice_masks import SliceMask, SliceScores
from napari_sam2.engine.batching import in_batches
from napari_sam2.engine.click_search import find_from_clicks
from napari_sam2.engine.close_box import close_box
from napari_sam2.engine.cpu_fallback import moved, on_cpu
from napari_sam2.engine.feature_files import DiskFeatures, signature_of
from napari_sam2.engine.features import DEFAULT_BUDGET, FeatureCache
from napari_sam2.engine.fit import propagate_fitted
from napari_sam2.engine.glance import glance, quick_engine
from napari_sam2.engine.propagate import propagate
from napari_sam2.engine.side_by_side import on_its_threads
from napari_sam2.engine.view import View, whole_view, zoom_view
from napari_sam2.models.base import (
    BoxReader,
    Decoded,
    DecodeRequest,
    FittableModel,
    MemoryRef,
    RememberRequest,
    ResizableModel,
)
from napari_sam2.models.quality import fitted_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.volume import SlicePlane, Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.fit_plan import FitPlan, ObjectFits
    from napari_sam2.models.base import SegmentationModel

__all__ = ["Anchor", "Engine"]

A = TypeVar("A")
B = TypeVar("B")

MASK_LOGIT: Final = 10.0
"""Logit that stands for "certainly inside" when a given mask takes the place of a model's logits."""

VIEW_MARGIN: Final = 0.05
"""A corrected object keeps its view while prompts and mask stay this far (of the side) from its border."""


FOLLOW_MARGIN: Final = 0.15
"""A view with slack stays while the object keeps this far (of the side) from its border."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Anchor:
    """A prompted slice of one object, answered.

    Other slices are compared with it.

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
        The network or method that answers.
    window : Window
        How intensities become [0, 1].
    axis : int, optional
        The slice axis; `Volume.default_slice_axis` by default.
    feature_budget : int
        Bytes of features kept in memory.
    feature_folder : Path, optional
        Where features are kept on disk, to be found again by a later process; nowhere by default, and never
        for a model that computes nothing before the prompts.
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
            self.model,
            self._read,
            feature_budget,
            self.plane.n_slices,
            self._disk_features(feature_folder),
            self.move_to_cpu,
        )
        self._memories: WeakKeyDictionary[Anchor, Any] = WeakKeyDictionary()

    def _disk_features(self, folder: Path | None) -> DiskFeatures | None:
        if folder is None or not self.model.view_policy.encodes:
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
        with on_its_threads(self.model), torch.inference_mode():
            view, decoded = self._decode(index, prompts, previous, others)
            only_mask = prompts.mask is not None and prompts.box is None and not len(prompts.points)
            mask = SliceMask.of(prompts.mask) if only_mask and prompts.mask is not None else self.mask_of(decoded, view)
        scores = SliceScores(decoded.object_score, decoded.predicted_iou)
        return Anchor(index, view, mask, scores, decoded)

    def glance(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        previous: Anchor | SliceMask | None = None,
        side: float = 0.0,
    ) -> Anchor:
        """About what `predict` would give, quickly.

        Parameters
        ----------
        index, prompts, previous
            As for `predict`.
        side : float
            Voxels down the view of the glance before this one: a lone click is looked at in views like that. 0 tries
            all sizes.
        """
        return glance(self, index, prompts, previous, side)

    @property
    def quick(self) -> Engine:
        """The engine that glances; itself where the model cannot."""
        return self._quick or self

    @cached_property
    def _quick(self) -> Engine | None:
        return quick_engine(self)

    def propagate(
        self,
        anchors: Mapping[int, Sequence[Anchor]],
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
        models: Mapping[int, SegmentationModel] | None = None,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.propagate.propagate`."""
        return propagate(self, anchors, slices=slices, direction=direction, should_stop=should_stop, models=models)

    def propagate_fitted(
        self,
        anchors: Mapping[int, Sequence[Anchor]],
        fits: ObjectFits[SegmentationModel],
        plan: FitPlan,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.fit.propagate_fitted`."""
        return propagate_fitted(self, anchors, fits, plan, slices=slices, direction=direction, should_stop=should_stop)

    @property
    def can_fit(self) -> bool:
        """Whether the model can be fitted to one object."""
        return isinstance(self.model, FittableModel)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """The model's answers; fewer at a time when memory runs out."""
        return self.in_batches(requests, len(requests), self._ask)

    def in_batches(self, items: Sequence[A], size: int, work: Callable[[Sequence[A]], list[B]]) -> list[B]:
        """`work` on items, by ever fewer when memory runs out.

        And on the CPU in the end.

        `work` asks `model` anew each time, since another one may have taken its place, and leaves nothing
        behind when it fails.
        """
        return in_batches(items, size, work, self.features.relieve, self.move_to_cpu)

    def _ask(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        return self.model.decode(batch)

    def _remember(self, batch: Sequence[RememberRequest]) -> list[Any]:
        return self.model.remember(batch)

    def move_to_cpu(self) -> bool:
        """Let the model go on on the CPU.

        With all that it remembers; False when it is there already.
        """
        there = on_cpu(self.model)
        if there is None:
            return False
        self.model = there
        self.features.move(there)
        for anchor, memory in list(self._memories.items()):
            self._memories[anchor] = moved(memory, there.device)
        return True

    def beside(self, model: SegmentationModel) -> SegmentationModel:
        """A model of this engine's kind on the engine's device.

        The device that it is on by now.
        """
        if model.device == self.model.device:
            return model
        return on_cpu(model) or model

    def mask_of(self, decoded: Decoded, view: View) -> SliceMask:
        """The mask of an answer on its slice.

        Empty when the object is not there.
        """
        if decoded.object_score <= 0:
            return SliceMask.of(np.zeros(self.plane.shape, dtype=bool))
        return SliceMask.of((view.to_slice(decoded.logits, self.plane.shape) > 0).cpu().numpy())

    def memory_of(self, anchor: Anchor) -> Any:
        """What other slices are compared with.

        Computed when it is first needed, not on every click.
        """
        if anchor not in self._memories:
            features = self.features.get([(anchor.index, anchor.view)])[0]
            request = RememberRequest(features, anchor.decoded, prompted=True)
            self._memories[anchor] = self.in_batches([request], 1, self._remember)[0]
        return self._memories[anchor]

    def view_around(self, bounds: Sequence[float] | None, factor: float) -> View:
        """The view for an object with edges `bounds`.

        As the model's policy wants it.
        """
        policy = self.model.view_policy
        if not policy.zoom or bounds is None:
            return whole_view(self.plane, self.model.input_size)
        return zoom_view(self.plane, bounds, factor, policy.min_side, self.model.input_size)

    def follow(self, view: View, bounds: Sequence[float]) -> View:
        """The next view for an object that was seen before.

        With edges `bounds`, in `view`.
        """
        policy = self.model.view_policy
        fitting = self.view_around(bounds, policy.follow_factor)
        alike = 1 / policy.slack < fitting.rows / view.rows < policy.slack
        return view if alike and view.contains(bounds, FOLLOW_MARGIN) else fitting

    def _read(self, index: int, view: View) -> Tensor:
        return view.image(self.slice_image(index))

    def slice_image(self, index: int) -> NDArray[np.float32]:
        """Slice `index` as the model sees it.

        (rows, columns[, 3]) in [0, 1].
        """
        return self.window.apply(self.plane.take(self.volume.voxels, index))

    def _decode(
        self,
        index: int,
        prompts: SlicePrompts,
        previous: Anchor | SliceMask | None,
        others: Sequence[Anchor],
    ) -> tuple[View, Decoded]:
        if self.model.view_policy.zoom and previous is None and prompts.box is None and prompts.mask is None:
            searched = find_from_clicks(self, index, prompts)
            if searched is not None:
                view, decoded, previous = searched
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
        return view, self._read_again(index, prompts, request, view, self.decode([request])[0])

    def _read_again(
        self, index: int, prompts: SlicePrompts, request: DecodeRequest, view: View, decoded: Decoded
    ) -> Decoded:
        """The answer to a box alone, from a model that looks at it once more.

        Not on slides and photographs, which have no neighbouring slices: it was not measured there.
        """
        model, box = self.model, prompts.box
        alone = request.previous is None and prompts.mask is None and not len(prompts.points)
        alone = alone and self.plane.n_slices > 1
        if box is None or not alone or not isinstance(model, BoxReader) or model.close_view is None:
            return decoded
        around = [min(max(index + way, 0), self.plane.n_slices - 1) for way in (-1, 0, 1)]
        images = {i: self.slice_image(i) for i in sorted(set(around))}
        return model.read_box(decoded, close_box([images[i] for i in around], self.plane, box, view, *model.close_view))

    def memory_refs(
        self,
        index: int,
        view: View,
        direction: int,
        anchors: Sequence[Anchor],
        tracked: Sequence[tuple[int, View, Any]],
    ) -> tuple[MemoryRef, ...]:
        """Memories as seen from slice `index`.

        Prompted slices nearest first, then tracked ones.
        """
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
    for mask_there in (mask, None if prompts.mask is None else SliceMask.of(prompts.mask)):
        if mask_there is not None and mask_there.bounds is not None:
            corners.append(np.array(mask_there.bounds).reshape(2, 2))
    every = np.concatenate(corners)
    (row0, col0), (row1, col1) = every.min(axis=0), every.max(axis=0)
    return float(row0), float(col0), float(row1), float(col1)
