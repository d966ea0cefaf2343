"""A session: one volume, one model, several objects.

With their prompts, masks and scores.

Every verb makes an action of `napari_sam2.session.actions`, which history, journal and replay share. A session is
driven from one thread; what it returns is frozen.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.channels.mix import AUTO
from napari_sam2.core.labels import compose, labelled
from napari_sam2.core.prompts import ObjectPrompts, Prompt, check_prompts
from napari_sam2.core.window import Window, choose_window
from napari_sam2.engine.box3d import Extent
from napari_sam2.engine.fit_plan import FIT, FitPlan, count_fitted_slices
from napari_sam2.engine.sweeps import count_slices
from napari_sam2.session.actions import Propagate, SetPrompts, Spread, UseTool
from napari_sam2.session.boxed import bounded
from napari_sam2.session.consolidating import answers_clicks, looks_over
from napari_sam2.session.correcting import is_corrected
from napari_sam2.session.object_scene import helper_boxes
from napari_sam2.session.object_verbs import ObjectVerbs
from napari_sam2.session.objects import SegmentedObject
from napari_sam2.session.prompting import anchors_of, answered_ahead, empty_result, with_painted
from napari_sam2.session.propagating import checked_objects
from napari_sam2.session.settings import SessionSettings
from napari_sam2.session.snapshot import SessionSnapshot
from napari_sam2.session.state import SessionState
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.slice_masks import SliceMask, SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.engine.verbs import AnyModel

__all__ = ["SegmentedObject", "Session"]


class Session(SessionSettings, ObjectVerbs):
    """Prompts in, masks out, for one volume.

    Parameters
    ----------
    volume : Volume
        The scan.
    model : SegmentationModel
        The network or method that answers; see `napari_sam2.models.load_model`.
    window : Window or str, optional
        How intensities become [0, 1]; chosen by `choose_window` when it is a string.
    axis : int, optional
        Slice axis for points, which name none; boxes and masks name their own.
    overlap : str
        Who keeps a voxel that several objects claim, see `napari_sam2.core.labels.OVERLAP_RULES`.
    feature_folder : Path, optional
        Where the model's features are kept on disk, so that a later process encodes nothing; nowhere by default.
        Results are the same with and without it.
    feature_budget : int, optional
        Bytes of features kept in memory, for each plane that is used; the engine's own choice by default.
    fit : FitPlan, optional
        How a model that can be fitted is fitted to each object before it is propagated; None leaves it out.
    look_over : bool
        Whether an object that was carried is looked over as a whole in the end, and after each click on it, see
        `napari_sam2.engine.consolidation`. Done with the models for which it was measured.
    channels : ChannelStack, optional
        The scan with further channels, see `napari_sam2.channels.opening.read_stack`.
    fusion : str
        How they become the image for the model, see `napari_sam2.channels.mix.named_mix`.

    Examples
    --------
    >>> session = Session(read_volume("ct.nii.gz"), load_model("classical"))  # doctest: +SKIP
    >>> session.add_prompt(1, Box(((40, 30, 60), (90, 80, 60))))  # doctest: +SKIP
    >>> for result in session.propagate():  # doctest: +SKIP
    ...     print(result.index, result.scores.object_score)
    >>> save_session(session, "ct_labels.nii.gz")  # doctest: +SKIP
    """

    def __init__(
        self,
        volume: Volume,
        model: AnyModel,
        *,
        window: Window | str = "auto",
        axis: int | None = None,
        overlap: str = "smallest",
        feature_folder: Path | None = None,
        feature_budget: int | None = None,
        fit: FitPlan | None = FIT,
        look_over: bool = True,
        channels: ChannelStack | None = None,
        fusion: str = AUTO,
    ) -> None:
        self.fit = fit
        self.look_over = look_over
        self.state = SessionState(
            volume,
            model,
            window if isinstance(window, Window) else choose_window(volume, window),
            volume.default_slice_axis if axis is None else axis,
            overlap,
            feature_folder,
            feature_budget,
            channels,
            fusion,
        )
        """For the parts of this package that act on a session; scripts need the verbs below only."""

    def add_prompt(self, object_id: int, prompt: Prompt) -> SliceResult:
        """Add one prompt and answer it.

        A box on another plane than the object's first makes it a box in 3-D: both bound every run, and their planes
        are voted.

        Returns
        -------
        SliceResult
            The mask on the prompt's slice; for a box on another plane it is for the eye, and is not kept.

        Raises
        ------
        PromptError
            If the prompt cannot be meant; the session is unchanged.
        """
        record = self.state.store.objects.get(object_id)
        before = [] if record is None else record.prompts
        return self.set_prompts(object_id, [*before, prompt])[-1]

    def set_objects(
        self, objects: Sequence[ObjectPrompts], on_answered: Callable[[int, int], None] = lambda done, total: None
    ) -> list[SliceResult]:
        """Set the prompts of several objects, after checking all of them.

        Parameters
        ----------
        objects : sequence of ObjectPrompts
            Which; one that is given as a whole is taken as it is, with a free id that none of them has where its own is
            in use.
        on_answered : callable
            Told after each object how many are answered, and of how many.

        Raises
        ------
        PromptError
            Listing every fault; the session is unchanged.
        """
        check_prompts(objects, self.volume)
        results, listed = [], {obj.object_id for obj in objects}
        for done, obj in enumerate(answered_ahead(self.state, objects), start=1):
            if obj.whole is not None:
                free = obj.object_id
                if free in self.objects:
                    free = next(i for i in count(1) if i not in self.objects and i not in listed)
                self.take_labels(labelled(obj.whole, free), {free: Term(obj.name)}, origin=obj.origin)
            else:
                results += self.set_prompts(obj.object_id, obj.prompts, origin=obj.origin)
                if obj.name:
                    self.rename(obj.object_id, obj.name)
            on_answered(done, len(objects))
        return results

    def set_prompts(self, object_id: int, prompts: Iterable[Prompt], *, origin: str = "") -> list[SliceResult]:
        """Set all prompts of an object, and answer changed slices.

        Slices whose prompts have changed are answered.

        A slice whose prompts only grew is corrected; one that was propagated to before becomes a
        prompted slice, with its mask as the starting point. A slice without prompts loses its mask.

        Parameters
        ----------
        object_id : int
            The object; it is created when it does not exist.
        prompts : iterable of Prompt
            All of its prompts, in the order in which they were given.
        origin : str
            Who proposed them and from what, for the journal; empty for a person's own.

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
        around = answers_clicks(self.state.model.card, whole=self.look_over)
        asked = SetPrompts(object_id, tuple(prompts), self.axis, around=around, origin=origin)
        results: list[SliceResult] = self.state.do(asked)
        return results

    def edit_mask(self, object_id: int, axis: int, index: int, mask: SliceMask) -> SliceResult:
        """Take over a mask that a person painted.

        It counts as a prompt from then on.

        Raises
        ------
        UserInputError
            If the object is finished, the slice is accepted, or the object lies across another axis.
        """
        prompts = with_painted(self.state, object_id, axis, index, mask)
        results = self.set_prompts(object_id, prompts)
        return results[-1] if results else empty_result(object_id, axis, index)

    def use_tool(self, object_id: int, tool: HandTool, index: int | None = None) -> list[SliceResult]:
        """Use a hand tool on one slice of an object, or all.

        See `napari_sam2.core.hand_tools.tools`.

        Accepted slices stay as they are. A slice that was shaped alone counts as prompted from then on.

        Returns
        -------
        list of SliceResult
            Slices that have changed.

        Raises
        ------
        UserInputError
            If the object is finished, the slice is accepted, or the tool's settings cannot be meant.
        """
        results: list[SliceResult] = self.state.do(UseTool(object_id, tool, index))
        return results

    def propagate(
        self,
        object_ids: Iterable[int] | None = None,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """Carry objects from their prompted and accepted slices through the volume.

        Prompts may be set between two results; slices prompted or accepted meanwhile are left alone. A model that can
        be fitted to an object makes two passes: results of the first, which come at once, are not ``final``.

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
        # Which objects they are is known when the first slice is asked for.
        ids = tuple(obj.object_id for obj in checked_objects(self.state, object_ids))
        over = looks_over(self.state.model.card) if self.look_over else None
        yield from self.state.run(Propagate(ids, direction, slices, self.fit, looked_over=over), should_stop)

    def spread(
        self,
        object_id: int,
        index: int,
        *,
        slices: range | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """Carry a corrected slice outwards, only as far as it changes something.

        A click on an object that was carried before has changed the slices beside it already; nothing is left to do.
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
        obj = self.state.find(object_id)
        if is_corrected(obj, index):
            return iter(())
        fitted = self.fit is not None and self.state.fits.model_for(obj.axis, object_id, obj.anchors) is not None
        return self.state.run(Spread(object_id, index, slices, fitted), should_stop)

    def count_slices(
        self, object_ids: Iterable[int] | None = None, slices: range | None = None, direction: str = "both"
    ) -> int:
        """How many results `propagate` gives at most; for progress."""
        total = 0
        for obj in self.state.chosen(object_ids):
            engine, anchors = self.state.engine(obj.axis, obj.mix), {obj.object_id: anchors_of(self.state, obj)}
            helpers = helper_boxes(obj)
            if helpers:
                extent, slices = Extent.of([*helpers.values()]), bounded(obj, slices)
                total += sum(len(extent.along(axis)) for axis in helpers) + len(slices or ())
            if self.fit is None:
                total += count_slices(anchors, engine.plane.n_slices, slices, direction)
            else:
                total += count_fitted_slices(engine, anchors, self.state.fits, self.fit, slices, direction)
        return total

    def label_map(self) -> NDArray[np.integer]:
        """All objects as one (I, J, K) array in stored order.

        0 is background.
        """
        masks = [obj.snapshot().masks for obj in self.state.store.objects.values()]
        return compose(self.volume, masks, self.overlap)

    def snapshot(self) -> SessionSnapshot:
        """Everything there is to show, frozen."""
        return SessionSnapshot(
            objects={i: obj.snapshot() for i, obj in self.state.store.objects.items()},
            window=self.window,
            overlap=self.overlap,
            undo=self.state.history.next_undo,
            redo=self.state.history.next_redo,
            channels=self.state.channels,
            fusion=self.state.fusion,
            model_kind=self.state.model.card.kind,
        )

    def undo(self) -> str:
        """Take back the last action, and return its name.

        An empty string when there is none.
        """
        return self.state.undo()

    def redo(self) -> str:
        """Do the last undone action again, and return its name.

        An empty string when there is none.
        """
        return self.state.redo()
