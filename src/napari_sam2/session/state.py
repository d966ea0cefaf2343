"""What a volume's session works on: volume, model, window, objects, history, engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam2.channels.mix import AUTO, canonical, named_mix
from napari_sam2.channels.stack import ChannelStack
from napari_sam2.core.actions import ActionState
from napari_sam2.core.labels import check_overlap
from napari_sam2.core.prompts import plain
from napari_sam2.engine.fit_plan import ObjectFits
from napari_sam2.engine.opening import open_engine
from napari_sam2.errors import UserInputError
from napari_sam2.session.channels import check_seen
from napari_sam2.session.objects import ObjectRecord, VolumeObjects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import Answered, AnyModel, SliceEngine
    from napari_sam2.terms.terminology import Term

__all__ = ["SessionState"]

MOST_MIXES: Final = 4
"""Mixed images with an engine at a time: each holds the features of its slices."""


class SessionState(ActionState[ObjectRecord]):
    """What the verbs and actions of a session share; scripts use `Session`.

    Parameters
    ----------
    volume, model, window, axis, overlap, feature_folder, feature_budget, channels, fusion
        See `napari_sam2.session.session.Session`.
    """

    store: VolumeObjects

    def __init__(
        self,
        volume: Volume,
        model: AnyModel,
        window: Window,
        axis: int,
        overlap: str,
        feature_folder: Path | None,
        feature_budget: int | None,
        channels: ChannelStack | None = None,
        fusion: str = AUTO,
    ) -> None:
        # A model's answers are large, and masks say enough to make them again.
        super().__init__(VolumeObjects(), fading=("anchors",))
        self.volume = volume
        self.model = model
        self.window = window
        self.axis = axis
        self.overlap = check_overlap(overlap)
        self.terms: Mapping[int, Term] = {}
        self._feature_folder, self._feature_budget = feature_folder, feature_budget
        self.fits: ObjectFits[Any] = ObjectFits()
        """Models that were fitted to one object each; none of it is written into a journal."""
        self.channels = ChannelStack(volume) if channels is None else channels
        self.fusion = canonical(fusion, self.channels.names)
        named_mix(fusion, self.channels.names)
        self.ready: dict[tuple[int, int], Answered] = {}
        """Answers of an object on a slice that were computed before its action begins, see `set_objects`."""
        self._engines: dict[tuple[int, Mix | None], SliceEngine[Any, Any]] = {}

    def emptied(self) -> SessionState:
        """A state for the same volume and model, without objects and history."""
        state = SessionState(
            self.volume,
            self.model,
            self.window,
            self.axis,
            self.overlap,
            self._feature_folder,
            self._feature_budget,
            self.channels,
            self.fusion,
        )
        state.terms = self.terms
        return state

    def engine(self, axis: int, mix: Mix | None = None) -> SliceEngine[Any, Any]:
        """The engine for slices across `axis` of what a mix shows.

        Of the reference alone without one.
        """
        check_seen(self.model, self.channels, mix)
        key = (axis, mix)
        if key not in self._engines:
            image, window = self.channels.image(mix, self.window)
            self._forget_mixed()
            self._engines[key] = open_engine(
                image, self.model, window, axis, self._feature_budget, self._feature_folder
            )
        return self._engines[key]

    def _forget_mixed(self) -> None:
        """Make room for one more mixed image; what is forgotten is computed again when it is needed."""
        mixes = list(dict.fromkeys(mix for _, mix in self._engines if mix is not None))
        for oldest in mixes[: max(0, len(mixes) + 1 - MOST_MIXES)]:
            for key in [key for key in self._engines if key[1] == oldest]:
                del self._engines[key]

    def use_window(self, window: Window) -> None:
        """Let the model see intensities through another window."""
        self.window = window
        self._engines.clear()
        self.fits.clear()

    def use_channels(self, channels: ChannelStack) -> None:
        """Work with other channels, or other windows of them."""
        self.channels = channels
        self._engines.clear()
        self.fits.clear()

    def use_model(self, model: AnyModel) -> None:
        """Let another model answer; masks stay, and it starts from them."""
        self.model = model
        self._engines.clear()
        self.fits.clear()
        self.store.forget_answers()

    def find(self, object_id: int) -> ObjectRecord:
        """The object of an id.

        Raises
        ------
        UserInputError
            If there is none.
        """
        if object_id not in self.store.objects:
            raise UserInputError(f"There is no object {object_id}; begin it with a prompt.")
        return self.store.objects[object_id]

    def chosen(self, object_ids: Iterable[int] | None) -> list[ObjectRecord]:
        """The objects of these ids; without ids, all that are not finished."""
        if object_ids is None:
            return [obj for obj in self.store.objects.values() if not obj.finished]
        chosen = [self.find(i) for i in object_ids]
        for obj in chosen:
            if obj.finished:
                raise UserInputError(f"Object {obj.object_id} is finished; reopen it before propagating.")
        return chosen

    def new_object(self, step: Step, object_id: int | None = None, name: str = "") -> ObjectRecord:
        """Begin an object as part of a step."""
        if object_id is None:
            object_id = max(self.store.objects, default=0) + 1
        object_id = plain(object_id)
        if object_id in self.store.objects:
            raise UserInputError(f"Object {object_id} exists already; choose another id.")
        obj = ObjectRecord(object_id, name, axis=self.axis)
        if not name and object_id in self.terms:
            term = self.terms[object_id]
            obj.name, obj.code, obj.colour = term.name, term.code, term.colour
        return self.store.add(step, obj)
