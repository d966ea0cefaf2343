"""A session: one volume, one model, several objects with their prompts, masks and scores.

The only place where state lives. It is driven from one thread; what it returns is frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.core.history import History, Step
from napari_sam2.core.labels import check_overlap, compose
from napari_sam2.core.prompts import ObjectPrompts, Prompt, check_prompts
from napari_sam2.core.window import Window, choose_window
from napari_sam2.engine.engine import Anchor, Engine
from napari_sam2.engine.features import DEFAULT_BUDGET
from napari_sam2.engine.propagate import count_slices
from napari_sam2.errors import UserInputError
from napari_sam2.session import prompting, propagating
from napari_sam2.session.objects import ObjectStore, SegmentedObject
from napari_sam2.session.snapshot import SessionSnapshot
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceMask, SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.models.base import SegmentationModel

__all__ = ["SegmentedObject", "Session"]


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
        Who keeps a voxel that several objects claim, see `napari_sam2.core.labels.OVERLAP_RULES`.
    feature_folder : Path, optional
        Where the model's features are kept on disk, so that a later process encodes nothing; nowhere by default.
    feature_budget : int
        Bytes of features kept in memory, for each plane that is used.

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
        feature_folder: Path | None = None,
        feature_budget: int = DEFAULT_BUDGET,
    ) -> None:
        self.volume = volume
        self.axis = volume.default_slice_axis if axis is None else axis
        self._overlap = check_overlap(overlap)
        self.feature_folder, self.feature_budget = feature_folder, feature_budget
        self.store = ObjectStore()
        self.history = History(self.store.read, self.store.write)
        self.terms: Mapping[int, Term] = {}
        """Names that new objects get by their id when none is given."""
        self.on_step: list[Callable[[Step], None]] = []
        self.on_event: list[Callable[..., None]] = []
        self._model = model
        self._window = window if isinstance(window, Window) else choose_window(volume, window)
        self._engines: dict[int, Engine] = {}

    @property
    def objects(self) -> dict[int, SegmentedObject]:
        """All objects by id, in the order of their creation."""
        return self.store.objects

    @property
    def window(self) -> Window:
        """How the model sees intensities; setting it forgets all features."""
        return self._window

    @window.setter
    def window(self, window: Window) -> None:
        if window != self._window:
            self._window = window
            self._engines.clear()
            self._tell("window", low=window.low, high=window.high, name=window.name)

    @property
    def model(self) -> SegmentationModel:
        """Who answers; setting it keeps all masks, which the new model then starts from."""
        return self._model

    @model.setter
    def model(self, model: SegmentationModel) -> None:
        if model is not self._model:
            self._model = model
            self._engines.clear()
            self.store.forget_answers()
            self._tell("model", name=model.card.name, sha256=model.card.sha256)

    @property
    def overlap(self) -> str:
        """Who keeps a voxel that several objects claim, see `napari_sam2.core.labels.OVERLAP_RULES`."""
        return self._overlap

    @overlap.setter
    def overlap(self, rule: str) -> None:
        if check_overlap(rule) != self._overlap:
            self._overlap = rule
            self._tell("overlap", rule=rule)

    def engine(self, axis: int) -> Engine:
        """The engine for slices across `axis`."""
        if axis not in self._engines:
            self._engines[axis] = Engine(
                self.volume, self._model, self._window, axis, self.feature_budget, self.feature_folder
            )
        return self._engines[axis]

    def add_object(self, object_id: int | None = None, name: str = "") -> SegmentedObject:
        """Begin an object; its id is the next free one unless given."""
        step = Step("new object")
        obj = self.new_object(step, object_id, name)
        self.finish(step)
        return obj

    def remove_object(self, object_id: int) -> None:
        """Forget an object with its prompts and masks."""
        step = Step("removed object")
        self.store.remove(step, object_id)
        self.finish(step)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name of one's own; a code is found by it when results are written."""
        self.describe(object_id, Term(name))

    def describe(self, object_id: int, term: Term) -> None:
        """Give an object the name of a term, with its code, and with its colour where it has one."""
        self._set_attributes("name", object_id, name=term.name, code=term.code, colour=term.colour)

    def protect(self, object_id: int, protected: bool = True) -> None:
        """Declare an object finished (or not): its masks do not change and no other object takes its voxels."""
        self._set_attributes("finished object", object_id, protected=protected)

    def lock_slice(self, object_id: int, index: int) -> None:
        """Accept a mask as it is: nothing overwrites it, and propagation starts from it."""
        obj, step = self.objects[object_id], Step("accepted slice")
        self.store.put(step, obj, "locked", index, True)
        if index in obj.results and obj.results[index].mask.n_voxels and index not in obj.anchors:
            self.store.put(step, obj, "anchors", index, None)
        self.finish(step)

    def unlock_slice(self, object_id: int, index: int) -> None:
        """Take back the acceptance of a slice."""
        obj, step = self.objects[object_id], Step("reopened slice")
        self.store.drop(step, obj, "locked", index)
        if all(prompt.slice_index(obj.axis) != index for prompt in obj.prompts):
            self.store.drop(step, obj, "anchors", index)
        self.finish(step)

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
            if obj.name:
                self.rename(obj.object_id, obj.name)
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
        UserInputError
            If it would change a finished object or an accepted slice; the session is unchanged.
        """
        return prompting.answer_prompts(self, object_id, prompts)

    def edit_mask(self, object_id: int, axis: int, index: int, mask: SliceMask) -> SliceResult:
        """Take over a mask that a person painted; it counts as a prompt from then on.

        Raises
        ------
        UserInputError
            If the object is finished, the slice is accepted, or the object lies across another axis.
        """
        return prompting.take_painted(self, object_id, axis, index, mask)

    def propagate(
        self,
        object_ids: Iterable[int] | None = None,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """Carry objects from their prompted and accepted slices through the volume.

        Prompts may be set between two results; slices prompted or accepted meanwhile are left alone.

        Parameters
        ----------
        object_ids : iterable of int, optional
            Which objects; all that are not finished by default.
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
        return propagating.propagate_objects(self, object_ids, slices, direction, should_stop)

    def spread(
        self,
        object_id: int,
        index: int,
        *,
        slices: range | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """Carry a corrected slice outwards, only as far as it changes something.

        Towards another prompted or accepted slice the whole gap is answered again from both sides;
        outwards the run ends when masks come out as they were. One undo takes back the correction with it.

        Parameters
        ----------
        object_id : int
            The object.
        index : int
            The slice that was corrected.
        slices : range, optional
            Slices that may be written.
        should_stop : callable
            Asked between slices; True ends the run and keeps what is there.

        Yields
        ------
        SliceResult
            As slices are reached; already stored in the session.
        """
        return propagating.spread_correction(self, object_id, index, slices, should_stop)

    def count_slices(
        self, object_ids: Iterable[int] | None = None, slices: range | None = None, direction: str = "both"
    ) -> int:
        """How many slices `propagate` visits at most; for progress."""
        return sum(
            count_slices({o.object_id: self.anchors_of(o)}, self.volume.shape[o.axis], slices, direction)
            for o in self.chosen(object_ids)
        )

    def label_map(self) -> NDArray[np.integer]:
        """All objects as one (I, J, K) array in stored order; 0 is background."""
        masks = [obj.snapshot().masks for obj in self.objects.values()]
        return compose(self.volume, masks, self.overlap)

    def snapshot(self) -> SessionSnapshot:
        """Everything there is to show, frozen."""
        return SessionSnapshot(
            objects={i: obj.snapshot() for i, obj in self.objects.items()},
            window=self._window,
            overlap=self.overlap,
            undo=self.history.next_undo,
            redo=self.history.next_redo,
        )

    def undo(self) -> str:
        """Take back the last action; its name, or an empty string when there is none."""
        step = self.history.undo()
        if step is None:
            return ""
        self._tell("undo")
        return step.label

    def redo(self) -> str:
        """Do the last undone action again; its name, or an empty string when there is none."""
        step = self.history.redo()
        if step is None:
            return ""
        self._tell("redo")
        return step.label

    def chosen(self, object_ids: Iterable[int] | None) -> list[SegmentedObject]:
        """The objects of these ids; without ids, all that are not finished."""
        if object_ids is None:
            return [obj for obj in self.objects.values() if not obj.protected]
        chosen = [self.objects[i] for i in object_ids]
        for obj in chosen:
            if obj.protected:
                raise UserInputError(f"Object {obj.object_id} is finished; reopen it before propagating.")
        return chosen

    def anchors_of(self, obj: SegmentedObject) -> list[Anchor]:
        """Prompted and accepted slices of an object as the engine knows them."""
        return prompting.anchors_of(self, obj)

    def new_object(self, step: Step, object_id: int | None = None, name: str = "") -> SegmentedObject:
        """Begin an object as part of a step."""
        if object_id is None:
            object_id = max(self.objects, default=0) + 1
        if object_id in self.objects:
            raise UserInputError(f"Object {object_id} exists already; choose another id.")
        obj = SegmentedObject(object_id, name, axis=self.axis)
        if not name and object_id in self.terms:
            term = self.terms[object_id]
            obj.name, obj.code, obj.colour = term.name, term.code, term.colour
        return self.store.add(step, obj)

    def _set_attributes(self, label: str, object_id: int, **values: Any) -> None:
        step, obj = Step(label), self.objects[object_id]
        for name, value in values.items():
            if getattr(obj, name) != value:
                self.store.set(step, obj, name, value)
        self.finish(step)

    def _tell(self, event: str, **details: Any) -> None:
        for listener in self.on_event:
            listener(event, **details)

    def finish(self, step: Step) -> None:
        """Put a step on the history, and tell who listens; an empty one is forgotten."""
        if len(step):
            self.history.add(step)
            for listener in self.on_step:
                listener(step)
