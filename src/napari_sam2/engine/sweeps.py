"""Sweeps: which slices a propagation visits, and in which order.

A *sweep* carries one object from one anchor in one direction, outwards from the outermost anchors and across every gap
from both sides. Nothing here needs a network, so that progress can be counted where there is none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from napari_sam2.core.slice_masks import SliceMask, SliceScores, iou

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam2.engine.ending import Dip
    from napari_sam2.engine.engine import Anchor, Engine
    from napari_sam2.engine.verbs import Answered
    from napari_sam2.engine.view import View

__all__ = ["DIRECTIONS", "GONE", "Sweep", "count_slices", "plan_sweeps"]

DIRECTIONS: Final = {"both": (1, -1), "forward": (1,), "backward": (-1,)}
"""Names of directions, as steps along the slice axis."""

PATIENCE: Final = 2
"""A sweep ends after this many slices without the object; one lost slice alone may be noise."""

GONE: Final = SliceScores(float("-inf"), 0.0)
"""Scores of a slice that an object does not reach."""


def count_slices(
    anchors: Mapping[int, Sequence[Answered]],
    n_slices: int,
    slices: range | None = None,
    direction: str = "both",
) -> int:
    """How many slice visits `propagate` makes at most; for progress."""
    legs = [leg for own_anchors in anchors.values() for leg in _legs(own_anchors, n_slices, slices, direction)]
    return sum(abs(leg.end - leg.start.index) - 1 for leg in legs)


def plan_sweeps(
    object_id: int,
    anchors: Sequence[Anchor],
    n_slices: int,
    slices: range | None,
    direction: str,
    max_memories: int,
) -> list[Sweep]:
    """Sweeps of one object.

    Outwards from the outermost anchors, and across every gap from both sides.
    """
    ordered = sorted(anchors, key=lambda anchor: anchor.index)
    return [
        Sweep(
            object_id,
            ordered,
            leg.start,
            leg.direction,
            leg.end,
            leg.bounded,
            leg.bounded and direction == "both",
            max_memories,
        )
        for leg in _legs(ordered, n_slices, slices, direction)
    ]


AnsweredT = TypeVar("AnsweredT", bound="Answered")


@dataclass(frozen=True, slots=True)
class _Leg(Generic[AnsweredT]):
    """The way of one sweep; see `Sweep`."""

    start: AnsweredT
    direction: int
    end: int
    bounded: bool


def _legs(
    anchors: Sequence[AnsweredT], n_slices: int, slices: range | None, direction: str
) -> Iterator[_Leg[AnsweredT]]:
    ordered = sorted(anchors, key=lambda anchor: anchor.index)
    writable = range(n_slices) if slices is None else slices
    for step in DIRECTIONS[direction]:
        border = min(n_slices, writable.stop) if step > 0 else max(0, writable.start) - 1
        along = ordered if step > 0 else ordered[::-1]
        for here, beyond in zip(along, [*along[1:], None], strict=True):
            end = border
            if beyond is not None and (beyond.index - border) * step < 0:
                end = beyond.index
            if (end - here.index) * step > 1:
                yield _Leg(here, step, end, beyond is not None)


@dataclass(eq=False)
class Sweep:
    """One object, carried from one anchor in one direction.

    ``end`` is the first slice not to be visited; ``bounded`` says that another anchor lies ahead, so that
    the object's disappearance does not end the sweep; ``two_sided`` that a sweep comes the other way. ``dip`` watches
    for a neighbour that is taken for the object; ``left`` says that the sweep has run into one.
    """

    object_id: int
    anchors: Sequence[Anchor]
    start: Anchor
    direction: int
    end: int
    bounded: bool
    two_sided: bool
    max_memories: int
    index: int = field(init=False)
    mask: SliceMask = field(init=False)
    view: View = field(init=False)
    tracked: deque[tuple[int, View, Any]] = field(init=False)
    absent: int = field(init=False, default=0)
    dip: Dip | None = None
    left: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.index = self.start.index + self.direction
        self.mask = self.start.mask
        self.view = self.start.view
        self.tracked = deque(maxlen=max(1, self.max_memories))

    @property
    def done(self) -> bool:
        """Whether there is nothing left to visit."""
        lost = (self.absent >= PATIENCE or self.left) and not self.bounded
        return lost or self.index == self.end

    def next_view(self, engine: Engine) -> View:
        """Where to look.

        Around the mask just passed, or where it was last seen.
        """
        if self.mask.bounds is not None:
            self.view = engine.follow(self.view, self.mask.bounds)
        return self.view

    def accept(self, mask: SliceMask, memory: Any) -> float:
        """Take the answer for the current slice, and move on.

        Returns its IoU with the slice before.
        """
        agreement = iou(mask, self.mask)
        self.absent = 0 if mask.n_voxels else self.absent + 1
        self.tracked.appendleft((self.index, self.view, memory))
        self.mask = mask
        self.index += self.direction
        return agreement
