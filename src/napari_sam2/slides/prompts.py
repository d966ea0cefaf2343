"""Prompts on a slide.

Clicks and boxes in level-0 pixels, (row, column), integers at pixel centres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Bounds", "ObjectRequest", "SlideBox", "SlidePoint", "SlidePrompt", "bounds_of", "check_requests"]

Bounds = tuple[float, float, float, float]
"""Outer edges row0, column0, row1, column1 in level-0 pixel corners: pixel 3 alone is 3 to 4."""


@dataclass(frozen=True, slots=True)
class SlidePoint:
    """A click; `positive` includes the place, otherwise it is excluded."""

    row: float
    col: float
    positive: bool = True

    @property
    def bounds(self) -> Bounds:
        """Edges of the pixel around the click."""
        return self.row, self.col, self.row + 1, self.col + 1


@dataclass(frozen=True, slots=True)
class SlideBox:
    """A rectangle between two opposite corner pixels.

    They belong to it, in any order.
    """

    row0: float
    col0: float
    row1: float
    col1: float

    @property
    def bounds(self) -> Bounds:
        """Outer edges."""
        return (
            min(self.row0, self.row1),
            min(self.col0, self.col1),
            max(self.row0, self.row1) + 1,
            max(self.col0, self.col1) + 1,
        )


SlidePrompt = SlidePoint | SlideBox


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """All prompts of one object.

    Attributes
    ----------
    object_id : int
        Its number in the prompt file, 1 or more.
    prompts : tuple of SlidePrompt
        In the order in which they were given.
    name, class_name : str
        For people; may be empty.
    """

    object_id: int
    prompts: tuple[SlidePrompt, ...]
    name: str = ""
    class_name: str = ""


def bounds_of(parts: Iterable[Bounds]) -> Bounds:
    """The smallest edges around all of `parts`."""
    row0, col0, row1, col1 = zip(*parts, strict=True)
    return min(row0), min(col0), max(row1), max(col1)


def check_requests(requests: Sequence[ObjectRequest], shape: tuple[int, int], where: str) -> None:
    """Refuse prompts that cannot be meant.

    Parameters
    ----------
    requests : sequence of ObjectRequest
        What was asked for.
    shape : tuple of int
        (rows, columns) of level 0.
    where : str
        The slide's name, for the message.

    Raises
    ------
    PromptError
        With one sentence per fault.
    """
    faults = [] if requests else ["There is no prompt: give a box or a point."]
    ids: set[int] = set()
    for request in requests:
        name = f"object {request.object_id}"
        if request.object_id in ids:
            faults.append(f"{name}: the id is used twice.")
        ids.add(request.object_id)
        faults += [
            f"{name}, prompt {n}: {fault}"
            for n, prompt in enumerate(request.prompts, start=1)
            for fault in _faults(prompt, shape, where)
        ]
        if not any(isinstance(p, SlideBox) or p.positive for p in request.prompts):
            faults.append(f"{name}: it has no positive prompt, so nothing says what to include.")
    if faults:
        raise PromptError(faults)


def _faults(prompt: SlidePrompt, shape: tuple[int, int], where: str) -> list[str]:
    row0, col0, row1, col1 = prompt.bounds
    if not all(math.isfinite(c) for c in (row0, col0, row1, col1)):
        return ["every coordinate must be a finite number."]
    if row0 < -0.5 or col0 < -0.5 or row1 > shape[0] + 0.5 or col1 > shape[1] + 0.5:
        return [
            f"it lies outside {where}, whose rows run from 0 to {shape[0] - 1} and columns from 0 to {shape[1] - 1}."
        ]
    return []
