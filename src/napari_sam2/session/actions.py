"""Every action of a volume's session: what it does, how it is written, and how it is read again.

The names are those of journals since version 0.1.0. What was answered is in the changes of a journal's line; an
action holds what was asked, and reads it from the changes where 0.1.0 wrote it only there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from napari_sam2.core.actions import Action, Edit, Redo, Resumed, Run, Setting, Undo, UseModel
from napari_sam2.core.checked import colour_of, flag_of, list_of, text_of, whole_of
from napari_sam2.core.hand_tools.tools import tool_from_json, tool_to_json
from napari_sam2.core.labels import check_overlap
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.session.encoding import (
    axis_of,
    code_from_json,
    code_to_json,
    id_of,
    prompts_from_json,
    term_from_json,
    window_from_json,
)
from napari_sam2.session.prompting import answer_prompts
from napari_sam2.session.propagating import propagate_objects, spread_correction
from napari_sam2.session.shaping import shape_object
from napari_sam2.session.triplanar import TriplanarCheck, steps_of_check, take_consensus
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.history import Step
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = [
    "SCAN_ACTIONS",
    "AcceptSlice",
    "AddObject",
    "Describe",
    "FinishObject",
    "Propagate",
    "RemoveObject",
    "ReopenSlice",
    "SetPrompts",
    "Spread",
    "TakeConsensus",
    "UseOverlap",
    "UseTool",
    "UseWindow",
]

Line = Mapping[str, Any]

LONGEST_AXIS: Final = 1 << 20

MOST_STEPS: Final = 1 << 16
"""Of a fit, and of results before a run was stopped."""

DIRECTIONS: Final = ("both", "forward", "backward")


@dataclass(frozen=True, slots=True, eq=False)
class SetPrompts(Edit):
    """All prompts of an object are set, and the slices whose prompts have changed are answered.

    Attributes
    ----------
    object_id : int
        The object.
    prompts : tuple of Prompt
        All of its prompts.
    axis : int, optional
        The axis of slices for points of an object that has nothing else.
    term : Term, optional
        What the object is called if it begins with this.
    around : bool
        Whether new clicks on a carried object change what is around them (see `session/correcting.py`); in journals
        of version 0.1.0 the model answered their slice again.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object", "prompts")
    name: ClassVar[str] = "prompt"
    title: ClassVar[str] = "prompt"
    object_id: int
    prompts: tuple[Prompt, ...]
    axis: int | None = None
    term: Term | None = None
    around: bool = True

    def do(self, state: SessionState, step: Step) -> list[SliceResult]:
        """See `Session.set_prompts`."""
        if self.axis is not None:
            state.axis = self.axis
        if self.term is not None:
            state.terms = {**state.terms, self.object_id: self.term}
        return answer_prompts(state, step, self.object_id, self.prompts, around=self.around)

    def as_json(self) -> dict[str, Any]:
        """The prompts are in the changes."""
        return {"object": self.object_id, "axis": self.axis, "around": self.around}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """From the changes of prompts, which hold all that was asked."""
        changes = list_of(line["changes"])
        object_id = id_of(line["object"] if "object" in line else changes[0]["object"])
        known = state.store.objects.get(object_id)
        prompts: list[Prompt] = [] if known is None else list(known.prompts)
        axis = None if line.get("axis") is None else axis_of(line["axis"])
        term = None
        for written in changes:
            if written["field"] == "prompts":
                prompts = prompts_from_json(written, prompts, state.volume)
            elif written["field"] == "object":
                term = term_from_json(written["value"])
                axis = axis_of(written["value"]["axis"]) if axis is None else axis
        return cls(object_id, tuple(prompts), axis, term, flag_of(line.get("around", False)))


@dataclass(frozen=True, slots=True)
class Propagate(Run):
    """Objects are carried through the volume.

    Attributes
    ----------
    object_ids : tuple of int
        Which.
    direction : str
        See `Session.propagate`.
    slices : range, optional
        Slices that may be written.
    fit : FitPlan, optional
        How models are fitted to the objects on the way; not at all without it.
    stopped_after : int, optional
        After how many results it was stopped, if it was.
    """

    name: ClassVar[str] = "propagation"
    title: ClassVar[str] = "propagation"
    object_ids: tuple[int, ...]
    direction: str = "both"
    slices: range | None = None
    fit: FitPlan | None = None
    stopped_after: int | None = None

    def do(self, state: SessionState, step: Step, should_stop: Callable[[], bool]) -> Iterator[SliceResult]:
        """See `Session.propagate`."""
        return propagate_objects(state, step, self.object_ids, self.slices, self.direction, self.fit, should_stop)

    def stopped(self, after: int) -> Self:
        """The same, stopped."""
        return replace(self, stopped_after=after)

    def as_json(self) -> dict[str, Any]:
        """Objects, direction, range, fit, and whether it was stopped."""
        written = {"objects": list(self.object_ids), "direction": self.direction, "range": _ends(self.slices)}
        fit = {} if self.fit is None else {"fit": {"steps": self.fit.steps, "seed": self.fit.seed}}
        return {**written, **fit, **_stop_to_json(self.stopped_after)}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        direction = text_of(line["direction"])
        if direction not in DIRECTIONS:
            raise ValueError(f"{direction[:40]!r} is no direction")
        ids = tuple(id_of(value) for value in list_of(line["objects"]))
        fit = None
        if line.get("fit") is not None:
            steps = whole_of(line["fit"]["steps"], 1, MOST_STEPS, "the number of steps of a fit")
            fit = FitPlan(steps, whole_of(line["fit"]["seed"], 0, MOST_STEPS, "the seed of a fit"))
        return cls(ids, direction, _range_of(line.get("range")), fit, _stop_of(line))


@dataclass(frozen=True, slots=True)
class Spread(Run):
    """A corrected slice is carried outwards, as far as it changes something.

    Attributes
    ----------
    object_id, index : int
        Object and slice.
    slices : range, optional
        Slices that may be written.
    fitted : bool
        Whether the model that was fitted to the object answers; a session that was resumed has none.
    stopped_after : int, optional
        After how many results it was stopped, if it was.
    """

    name: ClassVar[str] = "correction"
    title: ClassVar[str] = "correction"
    joined: ClassVar[bool] = True
    object_id: int
    index: int
    slices: range | None = None
    fitted: bool = False
    stopped_after: int | None = None

    def do(self, state: SessionState, step: Step, should_stop: Callable[[], bool]) -> Iterator[SliceResult]:
        """See `Session.spread`."""
        return spread_correction(state, step, self.object_id, self.index, self.slices, self.fitted, should_stop)

    def stopped(self, after: int) -> Self:
        """The same, stopped."""
        return replace(self, stopped_after=after)

    def as_json(self) -> dict[str, Any]:
        """Object, slice, range, whether a fitted model answered, and whether it was stopped."""
        written = {"objects": [self.object_id], "joined": True, "slice": self.index, "range": _ends(self.slices)}
        return {**written, **({"fitted": True} if self.fitted else {}), **_stop_to_json(self.stopped_after)}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        (object_id,) = list_of(line["objects"], 1)
        index = whole_of(line["slice"], 0, LONGEST_AXIS, "a slice")
        slices, fitted = _range_of(line.get("range")), flag_of(line.get("fitted", False))
        return cls(id_of(object_id), index, slices, fitted, _stop_of(line))


@dataclass(frozen=True, slots=True, eq=False)
class TakeConsensus(Edit):
    """An object's masks are replaced by what most of three axes hold.

    Attributes
    ----------
    object_id : int
        The object.
    check : TriplanarCheck, optional
        What the axes say; asked again when it is not given.
    """

    name: ClassVar[str] = "consensus"
    title: ClassVar[str] = "consensus"
    object_id: int
    check: TriplanarCheck | None = None

    def do(self, state: SessionState, step: Step) -> int:
        """See `accept_consensus`."""
        check = self.check
        if check is None:
            *_, found = steps_of_check(state, self.object_id)
            if not isinstance(found, TriplanarCheck):
                raise TypeError("A check that nobody stops ends with its result.")
            check = found
        return take_consensus(state, step, check)

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"objects": [self.object_id]}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        (object_id,) = list_of(line["objects"], 1)
        return cls(id_of(object_id))


@dataclass(frozen=True, slots=True)
class UseTool(Edit):
    """A hand tool is used on an object.

    Attributes
    ----------
    object_id : int
        The object.
    tool : HandTool
        What is done.
    index : int, optional
        The slice; all slices by default.
    """

    name: ClassVar[str] = "hand tool"
    title: ClassVar[str] = "hand tool"
    object_id: int
    tool: HandTool
    index: int | None = None

    def do(self, state: SessionState, step: Step) -> list[SliceResult]:
        """See `Session.use_tool`."""
        return shape_object(state, step, self.object_id, self.tool, self.index)

    def as_json(self) -> dict[str, Any]:
        """Object, slice, and the tool with its settings."""
        return {"object": self.object_id, "slice": self.index, **tool_to_json(self.tool)}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        index = None if line["slice"] is None else whole_of(line["slice"], 0, LONGEST_AXIS, "a slice")
        return cls(id_of(line["object"]), tool_from_json(line), index)


@dataclass(frozen=True, slots=True)
class _OfSlice(Edit):
    """An action on one slice of an object."""

    object_id: int
    index: int

    def as_json(self) -> dict[str, Any]:
        """Object and slice."""
        return {"object": self.object_id, "slice": self.index}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its first change in a journal of version 0.1.0."""
        written = line if "object" in line else line["changes"][0]
        return cls(id_of(written["object"]), whole_of(written["slice"], 0, LONGEST_AXIS, "a slice"))


class AcceptSlice(_OfSlice):
    """A mask is accepted as it is."""

    name = title = "accepted slice"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.accept_slice`."""
        obj = state.find(self.object_id)
        if self.index not in obj.accepted:
            state.store.put(step, obj, "accepted", self.index, True)
        if self.index in obj.results and obj.results[self.index].mask.n_voxels and self.index not in obj.anchors:
            state.store.put(step, obj, "anchors", self.index, None)


class ReopenSlice(_OfSlice):
    """The acceptance of a slice is taken back."""

    name = title = "reopened slice"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.reopen_slice`."""
        obj = state.find(self.object_id)
        state.store.drop(step, obj, "accepted", self.index)
        if all(prompt.slice_index(obj.axis) != self.index for prompt in obj.prompts):
            state.store.drop(step, obj, "anchors", self.index)


@dataclass(frozen=True, slots=True)
class AddObject(Edit):
    """An object is begun without a prompt.

    Attributes
    ----------
    object_id : int, optional
        The next free one by default.
    called : str
        Its name.
    axis : int, optional
        Axis of its slices.
    term : Term, optional
        Instead of a name: with code and colour.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "new object"
    title: ClassVar[str] = "new object"
    object_id: int | None = None
    called: str = ""
    axis: int | None = None
    term: Term | None = None

    def do(self, state: SessionState, step: Step) -> ObjectRecord:
        """See `Session.add_object`."""
        if self.axis is not None:
            state.axis = self.axis
        if self.term is not None and self.object_id is not None:
            state.terms = {**state.terms, self.object_id: self.term}
        return state.new_object(step, self.object_id, self.called)

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """From its change."""
        (written,) = list_of(line["changes"], 1)
        value = written["value"]
        return cls(id_of(written["object"]), axis=axis_of(value["axis"]), term=term_from_json(value))


@dataclass(frozen=True, slots=True)
class _OfObject(Edit):
    """An action on a whole object."""

    object_id: int

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"object": self.object_id}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its first change in a journal of version 0.1.0."""
        return cls(id_of((line if "object" in line else line["changes"][0])["object"]))


class RemoveObject(_OfObject):
    """An object is forgotten, with its prompts and masks."""

    name = title = "removed object"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.remove_object`."""
        state.store.remove(step, state.find(self.object_id).object_id)


@dataclass(frozen=True, slots=True)
class FinishObject(_OfObject):
    """An object is declared finished, or is opened again."""

    name: ClassVar[str] = "finished object"
    title: ClassVar[str] = "finished object"
    finished: bool = True

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.finish_object`."""
        _set_attributes(state, step, self.object_id, finished=self.finished)

    def as_json(self) -> dict[str, Any]:
        """The object, and which of both."""
        return {"object": self.object_id, "finished": self.finished}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its change in a journal of version 0.1.0."""
        if "object" in line:
            return cls(id_of(line["object"]), flag_of(line["finished"]))
        (written,) = list_of(line["changes"], 1)
        return cls(id_of(written["object"]), flag_of(written["value"]))


@dataclass(frozen=True, slots=True)
class Describe(Edit):
    """An object gets the name of a term, with its code and colour.

    Attributes
    ----------
    object_id : int
        The object.
    term : Term
        What it is.
    """

    name: ClassVar[str] = "name"
    title: ClassVar[str] = "name"
    object_id: int
    term: Term

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.describe`."""
        term = self.term
        _set_attributes(state, step, self.object_id, name=term.name, code=term.code, colour=term.colour)

    def as_json(self) -> dict[str, Any]:
        """Object, name, code and colour."""
        term = self.term
        return {
            "object": self.object_id,
            "name": term.name,
            "code": code_to_json(term.code),
            "colour": None if term.colour is None else list(term.colour),
        }

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its changes in a journal of version 0.1.0, which leave out what stayed."""
        if "object" in line:
            return cls(id_of(line["object"]), term_from_json(line))
        changes = list_of(line["changes"])
        obj = state.find(id_of(changes[0]["object"]))
        values: dict[str, Any] = {written["field"]: written["value"] for written in changes}
        return cls(
            obj.object_id,
            Term(
                text_of(values["name"]) if "name" in values else obj.name,
                code_from_json(values["code"]) if "code" in values else obj.code,
                colour_of(values["colour"]) if "colour" in values else obj.colour,
            ),
        )


@dataclass(frozen=True, slots=True)
class UseWindow(Setting):
    """The model sees intensities through another window."""

    name: ClassVar[str] = "window"
    title: ClassVar[str] = "window"
    window: Window

    def settle(self, state: SessionState) -> None:
        """Use it."""
        state.use_window(self.window)

    def as_json(self) -> dict[str, Any]:
        """Its ends and its name."""
        return {"low": self.window.low, "high": self.window.high, "name": self.window.name}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(window_from_json(line))


@dataclass(frozen=True, slots=True)
class UseOverlap(Setting):
    """Another rule says who keeps a voxel that several objects claim."""

    name: ClassVar[str] = "overlap"
    title: ClassVar[str] = "overlap"
    rule: str

    def settle(self, state: SessionState) -> None:
        """Use it."""
        state.overlap = check_overlap(self.rule)

    def as_json(self) -> dict[str, Any]:
        """The rule."""
        return {"rule": self.rule}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(check_overlap(text_of(line["rule"])))


SCAN_ACTIONS: Final[Mapping[str, type[Action]]] = {
    action.name: action
    for action in (
        SetPrompts,
        Propagate,
        Spread,
        TakeConsensus,
        UseTool,
        AcceptSlice,
        ReopenSlice,
        AddObject,
        RemoveObject,
        FinishObject,
        Describe,
        UseWindow,
        UseOverlap,
        UseModel,
        Undo,
        Redo,
        Resumed,
    )
}
"""Name in a journal -> action."""


def _set_attributes(state: SessionState, step: Step, object_id: int, **values: Any) -> None:
    obj = state.find(object_id)
    for name, value in values.items():
        if getattr(obj, name) != value:
            state.store.set(step, obj, name, value)


def _ends(slices: range | None) -> list[int] | None:
    return None if slices is None else [slices.start, slices.stop]


def _stop_to_json(after: int | None) -> dict[str, Any]:
    """Where a run was stopped."""
    return {} if after is None else {"stopped": True, "results": after}


def _stop_of(line: Line) -> int | None:
    """Where a run was stopped; 0 in a journal that does not say how far it had come."""
    if not flag_of(line.get("stopped", False)):
        return None
    return whole_of(line.get("results", 0), 0, LONGEST_AXIS, "the number of results")


def _range_of(written: Any) -> range | None:
    if written is None:
        return None
    start, stop = (whole_of(end, -LONGEST_AXIS, LONGEST_AXIS, "a range") for end in list_of(written, 2))
    return range(start, stop)
