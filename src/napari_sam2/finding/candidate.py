"""Candidates: places where a named structure may lie, and who proposes them.

A candidate is a question to a person. It writes no voxel; accepted, it becomes ordinary prompts of an object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam2.core.prompts import Box, MaskPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.terms.terminology import Term

__all__ = ["Candidate", "Found", "Proposer"]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A place where a structure may lie.

    Attributes
    ----------
    name : str
        Its name, with its side.
    low, high : (i, j, k)
        First and last voxel along each axis, both part of the box.
    score : float, optional
        0 to 1, comparable within one source only; None where the source gives none.
    source : str
        Who proposes it and from what, for people and for the journal. Names of cases only, never of files.
    sha256 : str
        Hash of what it was proposed from: exemplars, or a model.
    mask : bool array of shape ``high - low + 1``, optional
        The voxels of the box that it holds, where the source says so.
    seen : Box, optional
        Its section on the slice where it is seen best, where the source gives sections and no mask.
    term : Term, optional
        Name, code, colour and id that it should have, where the source knows the object.
    """

    name: str
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    score: float | None
    source: str
    sha256: str
    mask: NDArray[np.bool_] | None = None
    seen: Box | None = None
    term: Term | None = None

    @classmethod
    def of_mask(cls, name: str, mask: NDArray[np.bool_], score: float | None, source: str, sha256: str) -> Candidate:
        """The tight box around a mask (I, J, K).

        The mask must not be empty.
        """
        block = [_held(mask, axis) for axis in range(3)]
        i, j, k = (slice(low, high + 1) for low, high in block)
        low, high = (block[0][0], block[1][0], block[2][0]), (block[0][1], block[1][1], block[2][1])
        return cls(name, low, high, score, source, sha256, mask[i, j, k].copy())

    @property
    def origin(self) -> str:
        """Where its prompts come from, as the journal keeps it."""
        score = "" if self.score is None else f"; score {self.score:.2f}"
        return f"{self.source}{score}; sha256 {self.sha256[:16]}"

    def on_grid(self, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
        """Its mask on the grid (I, J, K) of the scan.

        Raises
        ------
        ValueError
            If it has none.
        """
        if self.mask is None:
            raise ValueError(f"The candidate {self.name} has no mask.")
        full = np.zeros(shape, bool)
        i, j, k = (slice(low, high + 1) for low, high in zip(self.low, self.high, strict=True))
        full[i, j, k] = self.mask
        return full

    def best_slice(self, axis: int) -> int:
        """The slice across `axis` that shows most of it.

        Without a mask that of its best section, or the middle one.
        """
        if self.seen is not None and axis in self.seen.fixed_axes:
            return self.seen.low[axis]
        if self.mask is None:
            return (self.low[axis] + self.high[axis]) // 2
        areas = self.mask.sum(axis=tuple(a for a in range(3) if a != axis))
        return self.low[axis] + int(areas.argmax())

    def prompts(self, volume: Volume) -> tuple[Prompt, ...]:
        """The prompts that a candidate stands for.

        Its mask and box on the best slice, and boxes on the other planes that bound it.
        """
        own = volume.default_slice_axis
        given: list[Prompt] = []
        if self.mask is not None:
            full = np.zeros([n for axis, n in enumerate(volume.shape) if axis != own], dtype=bool)
            rows, cols = (slice(self.low[a], self.high[a] + 1) for a in range(3) if a != own)
            full[rows, cols] = np.take(self.mask, self.best_slice(own) - self.low[own], own)
            given.append(MaskPrompt(full, own, self.best_slice(own)))
        others = [axis for axis in range(3) if axis != own and volume.shape[axis] > 1 and self._is_thick(axis)]
        return (*given, *(self._box_on(axis, whole=axis != own) for axis in (own, *others)))

    def _is_thick(self, across: int) -> bool:
        """Whether a box on the plane across an axis has two sides: a box of one voxel lies on two planes at once."""
        return all(self.high[a] > self.low[a] for a in range(3) if a != across)

    def _box_on(self, axis: int, *, whole: bool) -> Box:
        """Its box on the best slice across an axis: the section there, or the extent of the whole."""
        index = self.best_slice(axis)
        if self.seen is not None and axis in self.seen.fixed_axes:
            return self.seen
        low, high = list(self.low), list(self.high)
        if self.mask is not None and not whole:
            section = np.take(self.mask, index - self.low[axis], axis)
            for along, held in zip((a for a in range(3) if a != axis), _bounds(section), strict=True):
                low[along], high[along] = self.low[along] + held[0], self.low[along] + held[1]
        low[axis] = high[axis] = index
        return Box(((low[0], low[1], low[2]), (high[0], high[1], high[2])))


@dataclass(frozen=True, slots=True)
class Found:
    """What a proposer answered.

    Attributes
    ----------
    candidates : tuple of Candidate
        In the order of the names, the best first.
    missing : dict of str to str
        By name, why nothing is proposed for it: a sentence.
    """

    candidates: tuple[Candidate, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)


class Proposer(Protocol):
    """Whoever answers names with places.

    Attributes
    ----------
    notes : tuple of str
        Sentences that a person should know before they look at what it proposes.
    """

    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of what its answers depend on.

        But for the scan and the names.
        """

    @property
    def files(self) -> list[Path]:
        """Files that it reads, for whoever must not write over them."""

    def known(self) -> tuple[str, ...]:
        """The names that it can be asked for.

        Empty where any may be.
        """

    def check(self, names: Sequence[str]) -> None:
        """Refuse names that it cannot answer, before any time is spent.

        Raises
        ------
        UserInputError
            Naming them, and the names that are known.
        """

    def steps(
        self, volume: Volume, window: Window, names: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[str | Found]:
        """Look for structures in a scan.

        Yields
        ------
        str or Found
            A word on what was done after each second or so, and what was found at the end.

        Raises
        ------
        UserInputError
            As `check`, or if the scan is of a kind that it cannot look at.
        """

    def propose(
        self, volume: Volume, window: Window, names: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Found:
        """What all steps end with.

        Raises
        ------
        UserInputError
            As `steps`.
        """
        found = Found()
        for step in self.steps(volume, window, names, should_stop):
            if isinstance(step, Found):
                found = step
        return found


def _held(mask: NDArray[np.bool_], axis: int) -> tuple[int, int]:
    places = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
    return int(places[0]), int(places[-1])


def _bounds(section: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    return _held(section, 0), _held(section, 1)
