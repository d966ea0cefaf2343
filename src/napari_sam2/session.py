"""A session: one volume, one model, several objects with their prompts, masks and scores.

The only place where state lives. It is driven from one thread; what it returns is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.engine.engine import Anchor, Engine
from napari_sam2.engine.propagate import count_slices, propagate
from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.labels import ObjectMasks, compose
from napari_sam2.prompts import ObjectPrompts, Point, Prompt, SlicePrompts, check_prompts, slice_axis_of
from napari_sam2.results import SliceMask, SliceResult, SliceScores
from napari_sam2.window import Window, choose_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.volume import Volume

__all__ = ["SegmentedObject", "Session"]


@dataclass(eq=False)
class SegmentedObject:
    """One object of a session.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    name : str
        For people.
    prompts : list of Prompt
        In the order in which they were given.
    axis : int
        Slice axis of its masks.
    results : dict of int to SliceResult
        By slice index.
    anchors : dict of int to Anchor
        Prompted slices, answered.
    """

    object_id: int
    name: str = ""
    prompts: list[Prompt] = field(default_factory=list)
    axis: int = 2
    results: dict[int, SliceResult] = field(default_factory=dict)
    anchors: dict[int, Anchor] = field(default_factory=dict)


class Session:
    """Prompts in, masks out, for one volume.

    Parameters
    ----------
    volume : Volume
        The scan.
    model : SegmentationModel
        Who answers; see `napari_sam2.models.load_model`.
    window : Window or str, optional
        How intensities become [0, 1]; chosen by `choose_window` when it is a string.
    axis : int, optional
        Slice axis for points, which name none; boxes and masks name their own.
    overlap : str
        Who keeps a voxel that several objects claim, see `napari_sam2.labels.OVERLAP_RULES`.

    Examples
    --------
    >>> session = Session(read_volume("ct.nii.gz"), load_model("classical"))  # doctest: +SKIP
    >>> session.add_prompt(1, Box(((40, 30, 60), (90, 80, 60))))  # doctest: +SKIP
    >>> for result in session.propagate():  # doctest: +SKIP
    ...     print(result.index, result.scores.object_score)
    >>> session.save("ct_labels.nii.gz")  # doctest: +SKIP
    """

    def __init__(
        self,
        volume: Volume,
        model: SegmentationModel,
        *,
        window: Window | str = "auto",
        axis: int | None = None,
        overlap: str = "first",
    ) -> None:
        self.volume = volume
        self.model = model
        self.axis = volume.default_slice_axis if axis is None else axis
        self.overlap = overlap
        self.objects: dict[int, SegmentedObject] = {}
        self._window = window if isinstance(window, Window) else choose_window(volume, window)
        self._engines: dict[int, Engine] = {}

    @property
    def window(self) -> Window:
        """How the model sees intensities; setting it forgets all features."""
        return self._window

    @window.setter
    def window(self, window: Window) -> None:
        if window != self._window:
            self._window = window
            self._engines.clear()

    def engine(self, axis: int) -> Engine:
        """The engine for slices across `axis`."""
        if axis not in self._engines:
            self._engines[axis] = Engine(self.volume, self.model, self._window, axis)
        return self._engines[axis]

    def add_object(self, object_id: int | None = None, name: str = "") -> SegmentedObject:
        """Begin an object; its id is the next free one unless given."""
        if object_id is None:
            object_id = max(self.objects, default=0) + 1
        if object_id in self.objects:
            raise UserInputError(f"Object {object_id} exists already; choose another id.")
        self.objects[object_id] = SegmentedObject(object_id, name, axis=self.axis)
        return self.objects[object_id]

    def remove_object(self, object_id: int) -> None:
        """Forget an object with its prompts and masks."""
        del self.objects[object_id]

    def add_prompt(self, object_id: int, prompt: Prompt) -> SliceResult:
        """Add one prompt and answer it.

        Returns
        -------
        SliceResult
            The mask on the prompt's slice.

        Raises
        ------
        PromptError
            If the prompt cannot be meant; the session is unchanged.
        """
        known = self.objects.get(object_id)
        before = [] if known is None else known.prompts
        return self.set_prompts(object_id, [*before, prompt])[-1]

    def set_objects(self, objects: Sequence[ObjectPrompts]) -> list[SliceResult]:
        """Set the prompts of several objects, after checking all of them.

        Raises
        ------
        PromptError
            Listing every fault; the session is unchanged.
        """
        check_prompts(objects, self.volume)
        results = []
        for obj in objects:
            results += self.set_prompts(obj.object_id, obj.prompts)
            self.objects[obj.object_id].name = obj.name
        return results

    def set_prompts(self, object_id: int, prompts: Iterable[Prompt]) -> list[SliceResult]:
        """Set all prompts of an object, and answer the slices whose prompts have changed.

        A slice whose prompts only grew is corrected; one that was propagated to before becomes a
        prompted slice, with its mask as the starting point. A slice without prompts loses its mask.

        Parameters
        ----------
        object_id : int
            The object; it is created when it does not exist.
        prompts : iterable of Prompt
            All of its prompts, in the order in which they were given.

        Returns
        -------
        list of SliceResult
            Slices that were answered, with the slice of the last prompt last.

        Raises
        ------
        PromptError
            If a prompt cannot be meant; the session is unchanged.
        """
        wanted = list(prompts)
        if wanted:
            check_prompts([ObjectPrompts(object_id, tuple(wanted))], self.volume)
        obj = self.objects.get(object_id) or self.add_object(object_id)
        axis = slice_axis_of(wanted)
        axis = (obj.axis if obj.prompts else self.axis) if axis is None else axis
        if axis != obj.axis:
            obj.results.clear()
            obj.anchors.clear()
            obj.prompts.clear()
            obj.axis = axis
        before = _by_slice(obj.prompts, axis)
        after = _by_slice(wanted, axis)
        for index in before.keys() - after.keys():
            obj.anchors.pop(index, None)
            obj.results.pop(index, None)
        on_slices = SlicePrompts.of(wanted, self.volume, axis)
        changed = [index for index, given in after.items() if given != before.get(index)]
        results = [self._answer(obj, i, on_slices[i], before.get(i, []), after[i]) for i in changed]
        obj.prompts = wanted
        return results

    def propagate(
        self,
        object_ids: Iterable[int] | None = None,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """Carry objects from their prompted slices through the volume.

        Parameters
        ----------
        object_ids : iterable of int, optional
            Which objects; all by default.
        slices : range, optional
            Slices that may be written.
        direction : str
            ``"both"``, ``"forward"`` or ``"backward"``.
        should_stop : callable
            Asked between slices; True ends the run and keeps what is there.

        Yields
        ------
        SliceResult
            As slices are reached; already stored in the session.

        Raises
        ------
        PromptError
            If an object has no prompt to start from.
        """
        chosen = [self.objects[i] for i in (self.objects if object_ids is None else object_ids)]
        unprompted = [f"object {o.object_id}: it has no prompt to start from." for o in chosen if not o.anchors]
        if unprompted or not chosen:
            raise PromptError(unprompted or ["There is no object to propagate: give a box, a point or a mask."])
        for axis in sorted({obj.axis for obj in chosen}):
            along = {obj.object_id: obj for obj in chosen if obj.axis == axis}
            engine = self.engine(axis)
            reached: set[tuple[int, int]] = set()
            anchors = {object_id: list(obj.anchors.values()) for object_id, obj in along.items()}
            for result in propagate(engine, anchors, slices=slices, direction=direction, should_stop=should_stop):
                along[result.object_id].results[result.index] = result
                reached.add((result.object_id, result.index))
                yield result
            if should_stop():
                return
            yield from self._clear_unreached(along.values(), reached, slices, direction)

    def count_slices(
        self, object_ids: Iterable[int] | None = None, slices: range | None = None, direction: str = "both"
    ) -> int:
        """How many slices `propagate` visits at most; for progress."""
        chosen = [self.objects[i] for i in (self.objects if object_ids is None else object_ids)]
        return sum(
            count_slices({o.object_id: list(o.anchors.values())}, self.volume.shape[o.axis], slices, direction)
            for o in chosen
        )

    def label_map(self) -> NDArray[np.integer]:
        """All objects as one (I, J, K) array in stored order; 0 is background."""
        masks = [
            ObjectMasks(o.object_id, o.axis, {i: r.mask for i, r in o.results.items()}) for o in self.objects.values()
        ]
        return compose(self.volume, masks, self.overlap)

    def _answer(
        self,
        obj: SegmentedObject,
        index: int,
        prompts: SlicePrompts,
        before: list[Prompt],
        after: list[Prompt],
    ) -> SliceResult:
        # As in SAM 2, a slice that was reached by propagation is answered with the memory of the prompted
        # ones, and a slice that is prompted for the first time on its own.
        tracked = index in obj.results and not obj.results[index].prompted
        others = list(obj.anchors.values()) if tracked else []
        previous = _to_correct(obj, index, before, after)
        anchor = self.engine(obj.axis).predict(index, prompts, previous=previous, others=others)
        obj.anchors[index] = anchor
        result = SliceResult(obj.object_id, obj.axis, index, anchor.mask, anchor.scores, prompted=True)
        obj.results[index] = result
        return result

    def _clear_unreached(
        self,
        objects: Iterable[SegmentedObject],
        reached: set[tuple[int, int]],
        slices: range | None,
        direction: str,
    ) -> Iterator[SliceResult]:
        """Empty what an earlier run left on slices where the object, as it is prompted now, has ended."""
        for obj in objects:
            first, last = min(obj.anchors), max(obj.anchors)
            for index in sorted(obj.results):
                on_the_way = direction == "both" or (index > first if direction == "forward" else index < last)
                stale = on_the_way and (slices is None or index in slices) and index not in obj.anchors
                if stale and (obj.object_id, index) not in reached and obj.results[index].mask.n_voxels:
                    empty = SliceMask.of(np.zeros(self.engine(obj.axis).plane.shape, dtype=bool))
                    scores = SliceScores(float("-inf"), 0.0)
                    obj.results[index] = SliceResult(obj.object_id, obj.axis, index, empty, scores, prompted=False)
                    yield obj.results[index]


def _by_slice(prompts: Iterable[Prompt], axis: int) -> dict[int, list[Prompt]]:
    """Prompts by slice index, slices in the order of their last prompt."""
    sorted_out: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        index = prompt.slice_index(axis)
        sorted_out[index] = [*sorted_out.pop(index, []), prompt]
    return sorted_out


def _to_correct(
    obj: SegmentedObject, index: int, before: list[Prompt], after: list[Prompt]
) -> Anchor | SliceMask | None:
    """What the new prompts of a slice correct: its last answer, its propagated mask, or nothing.

    A new box starts afresh, and so do prompts that were moved or taken away.
    """
    added = after[len(before) :]
    if after[: len(before)] != before or any(not isinstance(p, Point) for p in added):
        return None
    if index in obj.anchors:
        return obj.anchors[index]
    tracked = obj.results.get(index)
    return tracked.mask if tracked is not None and tracked.mask.n_voxels else None
