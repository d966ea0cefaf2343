"""Actions on prompts and masks of a scan.

Prompts are set, a hand tool is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import NewerError, list_of, text_of, whole_of
from napari_sam2.core.hand_tools.tools import tool_from_json, tool_to_json
from napari_sam2.core.mix import mix_from_json
from napari_sam2.engine.correction_odds import BY_MENDED, BY_PERCEPTRON, ODDS
from napari_sam2.session.encoding import (
    LONGEST_AXIS,
    axis_of,
    id_of,
    prompts_from_json,
    term_from_json,
)
from napari_sam2.session.prompting import answer_prompts
from napari_sam2.session.shaping import shape_object

if TYPE_CHECKING:
    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.session.state import SessionState
    from napari_sam2.terms.terminology import Term

__all__ = ["SetPrompts", "UseTool"]


@dataclass(frozen=True, slots=True, eq=False)
class SetPrompts(Edit):
    """All prompts of an object are set.

    The slices whose prompts have changed are answered.

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
    around : str, optional
        Who answers new clicks on a carried object, around them (see `session/correcting.py`); None in journals of
        version 0.1.0, where the model answered their slice again.
    origin : str
        Who proposed the prompts, where a person accepted a proposal.
    mix : Mix, optional
        How the channels become the image for the model; chosen from the prompts otherwise. A journal has what was
        chosen then.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object", "prompts", "mix")
    name: ClassVar[str] = "prompt"
    title: ClassVar[str] = "prompt"
    object_id: int
    prompts: tuple[Prompt, ...]
    axis: int | None = None
    term: Term | None = None
    around: str | None = BY_MENDED
    origin: str = ""
    mix: Mix | None = None

    def do(self, state: SessionState, step: Step) -> list[SliceResult]:
        """See `Session.set_prompts`."""
        if self.axis is not None:
            state.axis = self.axis
        if self.term is not None:
            state.terms = {**state.terms, self.object_id: self.term}
        return answer_prompts(state, step, self.object_id, self.prompts, around=self.around, mix=self.mix)

    def as_json(self) -> dict[str, Any]:
        """The prompts are in the changes."""
        origin = {"origin": self.origin} if self.origin else {}
        return {"object": self.object_id, "axis": self.axis, "around": self.around, **origin}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """From the changes of prompts, which hold all that was asked."""
        changes = list_of(line["changes"])
        object_id = id_of(line["object"] if "object" in line else changes[0]["object"])
        record = state.store.objects.get(object_id)
        prompts: list[Prompt] = [] if record is None else list(record.prompts)
        axis = None if line.get("axis") is None else axis_of(line["axis"])
        term = mix = None
        for written in changes:
            if written["field"] == "prompts":
                prompts = prompts_from_json(written, prompts, state.volume)
            elif written["field"] == "mix":
                mix = mix_from_json(written["value"], len(state.channels))
            elif written["field"] == "object":
                term = term_from_json(written["value"])
                axis = axis_of(written["value"]["axis"]) if axis is None else axis
        origin = text_of(line.get("origin", ""))
        return cls(object_id, tuple(prompts), axis, term, _around_of(line.get("around", False)), origin, mix)


def _around_of(written: Any) -> str | None:
    """Who answers clicks; before the network it was said that they are answered around them, or not."""
    if isinstance(written, bool):
        return BY_PERCEPTRON if written else None
    if written not in (None, BY_PERCEPTRON, *ODDS):
        raise NewerError(f"clicks were answered by {text_of(written)[:40]!r}")
    return cast("str | None", written)


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
