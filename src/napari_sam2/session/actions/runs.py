"""Actions that carry objects of a scan from slice to slice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from napari_sam2.core.actions import Action, Line, Run
from napari_sam2.core.checked import NewerError, flag_of, list_of, text_of, whole_of
from napari_sam2.engine.consolidation_rules import RULES
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.session.actions.prompts import SetPrompts, UseTool
from napari_sam2.session.consolidating import consolidate_objects
from napari_sam2.session.encoding import (
    LONGEST_AXIS,
    id_of,
)
from napari_sam2.session.propagating import propagate_objects, spread_correction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.session.state import SessionState

__all__ = ["Propagate", "Spread"]


MOST_STEPS: Final = 1 << 16
"""Of a fit, and of results before a run was stopped."""

DIRECTIONS: Final = ("both", "forward", "backward")

BY_OBJECT: Final = "object"
"""How undo joins a correction: with what was done to the same object, in journals since it does so."""


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
    looked_over : str, optional
        Who looks over the objects in the end, see `napari_sam2.engine.consolidation`; nobody without it.
    """

    name: ClassVar[str] = "propagation"
    title: ClassVar[str] = "propagation"
    object_ids: tuple[int, ...]
    direction: str = "both"
    slices: range | None = None
    fit: FitPlan | None = None
    stopped_after: int | None = None
    looked_over: str | None = None

    def do(self, state: SessionState, step: Step, should_stop: Callable[[], bool]) -> Iterator[SliceResult]:
        """See `Session.propagate`."""
        yield from propagate_objects(state, step, self.object_ids, self.slices, self.direction, self.fit, should_stop)
        if self.looked_over is not None and not should_stop():
            over = self.looked_over
            yield from consolidate_objects(state, step, self.object_ids, self.slices, self.direction, over)

    def stopped(self, after: int) -> Self:
        """The same, stopped."""
        return replace(self, stopped_after=after)

    def as_json(self) -> dict[str, Any]:
        """Objects, direction, range, fit, and whether it was stopped."""
        written = {"objects": list(self.object_ids), "direction": self.direction, "range": _ends(self.slices)}
        fit = {} if self.fit is None else {"fit": {"steps": self.fit.steps, "seed": self.fit.seed}}
        over = {} if self.looked_over is None else {"looked_over": self.looked_over}
        return {**written, **fit, **over, **_stop_to_json(self.stopped_after)}

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
        over = line.get("looked_over")
        if over not in (None, *RULES):
            raise NewerError(f"the run was looked over by {text_of(over)[:40]!r}")
        return cls(ids, direction, _range_of(line.get("range")), fit, _stop_of(line), over)


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
    joins_last : bool
        Whether undo takes it back with whatever came last, as in journals of version 0.1.0.
    """

    name: ClassVar[str] = "correction"
    title: ClassVar[str] = "correction"
    object_id: int
    index: int
    slices: range | None = None
    fitted: bool = False
    stopped_after: int | None = None
    joins_last: bool = False

    def do(self, state: SessionState, step: Step, should_stop: Callable[[], bool]) -> Iterator[SliceResult]:
        """See `Session.spread`."""
        return spread_correction(state, step, self.object_id, self.index, self.slices, self.fitted, should_stop)

    def joins(self, earlier: Action) -> bool:
        """Join the correction of the same object that is carried on."""
        asked = isinstance(earlier, SetPrompts | UseTool | Spread) and earlier.object_id == self.object_id
        return asked or self.joins_last

    def stopped(self, after: int) -> Self:
        """The same, stopped."""
        return replace(self, stopped_after=after)

    def as_json(self) -> dict[str, Any]:
        """What was asked, and how it went.

        Object, slice, range, whether a fitted model answered, and whether it was stopped.
        """
        joined = True if self.joins_last else BY_OBJECT
        written = {"objects": [self.object_id], "joined": joined, "slice": self.index, "range": _ends(self.slices)}
        return {**written, **({"fitted": True} if self.fitted else {}), **_stop_to_json(self.stopped_after)}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        (object_id,) = list_of(line["objects"], 1)
        index = whole_of(line["slice"], 0, LONGEST_AXIS, "a slice")
        slices, fitted = _range_of(line.get("range")), flag_of(line.get("fitted", False))
        return cls(id_of(object_id), index, slices, fitted, _stop_of(line), _joins_last(line.get("joined", True)))


def _joins_last(written: Any) -> bool:
    if written not in (True, BY_OBJECT):
        raise NewerError(f"undo joins a correction by {text_of(written)[:40]!r}")
    return written is True


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
