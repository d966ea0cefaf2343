"""Parting a DICOM series that holds several volumes.

By what the images say of themselves, else not at all.

Two echoes, b-values, time points or acquisitions may share one series. Taking one image per place by file
order mixes them, so each volume must be told apart by a tag, or by one order that holds at every place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError, SeveralVolumesError
from napari_sam2.io.dicom_marks import MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam2.io.dicom_stack import Slice

__all__ = ["Pass", "choose_pass", "part"]

SAME_PLACE_MM: Final = 0.01
"""Slices nearer than this are at one place."""

REGULAR: Final = 0.02
"""A step may differ from the usual one by this part of it, which also covers rounding to 0.01 mm."""

_SHOWN: Final = 8
"""Volumes that a message lists one by one."""

_Place = list["Slice"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One volume of a series.

    Attributes
    ----------
    slices : tuple of Slice
        By rising place along the normal, one at each.
    name : str
        What tells it from the others, such as ``"echo time 5 ms"``; empty for the only one.
    """

    slices: tuple[Slice, ...]
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({len(self.slices)} slices)"


def part(slices: Sequence[Slice], normal: NDArray[np.float64], name: str) -> list[Pass]:
    """Part a series into volumes with one slice per place.

    Parameters
    ----------
    slices : sequence of Slice
        Parallel, all with a position, in any order.
    normal : (3,) array
        Direction across the slices, LPS.
    name : str
        Of the series, for messages.

    Returns
    -------
    list of Pass
        In the order of their marks, at least one.

    Raises
    ------
    ImageFileError
        If several slices lie at one place and nothing tells them apart.
    """
    places = _places(slices, normal)
    used = _parting_marks(places)
    groups: dict[tuple[Any, ...], list[_Place]] = defaultdict(list)
    for place in places:
        inside: dict[tuple[Any, ...], _Place] = defaultdict(list)
        for s in place:
            inside[_key(s, used)].append(s)
        for key, members in inside.items():
            groups[key].append(members)
    passes: list[Pass] = []
    for key in sorted(groups, key=_sortable):
        words = _words(used, key)
        ranked = _ranked(groups[key], name)
        for rank, members in enumerate(ranked):
            parts = [words, f"image {rank + 1} of {len(ranked)} at each place" if len(ranked) > 1 else ""]
            passes.append(Pass(tuple(members), ", ".join(p for p in parts if p)))
    return passes


def choose_pass(passes: Sequence[Pass], volume_index: int | None, name: str) -> Pass:
    """Take the only volume, or the wanted one.

    Raises
    ------
    ImageFileError
        If none is chosen of several, or there is no such one; the message lists them.
    """
    count = len(passes)
    listing = "; ".join(f"{number}: {one}" for number, one in enumerate(passes[:_SHOWN]))
    listing += f"; and {count - _SHOWN} more" if count > _SHOWN else ""
    if volume_index is None and count > 1:
        raise SeveralVolumesError(
            f"{name} holds {count} volumes; choose one with --volume N (volume_index=N in Python), 0 to {count - 1}: "
            f"{listing}.",
            count,
        )
    index = volume_index or 0
    if not 0 <= index < count:
        held = f"{count}, counted from 0: {listing}" if count > 1 else "1, counted from 0"
        raise ImageFileError(f"{name} has no volume {index}: it holds {held}.")
    return passes[index]


def _places(slices: Sequence[Slice], normal: NDArray[np.float64]) -> list[_Place]:
    """Slices by rising depth, those at one place together."""
    depth = [float(d) for d in np.array([s.position for s in slices]) @ normal]
    ordered = sorted(zip(depth, slices, strict=True), key=lambda pair: pair[0])
    places: list[_Place] = []
    last = -np.inf
    for d, s in ordered:
        if d - last > SAME_PLACE_MM:
            places.append([])
            last = d
        places[-1].append(s)
    return places


def _parting_marks(places: list[_Place]) -> list[str]:
    """Keywords by whose values the series falls into volumes."""
    used: list[str] = []
    # Whatever the places: two stacks that each are regular and lie within each other are two volumes.
    if all(len(place) == 1 for place in places):
        flat = [place[0] for place in places]
        return next(([mark.keyword] for mark in MARKS if _interleaves(flat, mark.keyword)), [])
    for mark in MARKS:
        before = _crowd(places, used)
        if before == 1:
            break
        trial = [*used, mark.keyword]
        # A value that merely wanders from slice to slice would make a volume of every slice.
        n_before = len({_key(s, used) for place in places for s in place})
        n_after = len({_key(s, trial) for place in places for s in place})
        if _crowd(places, trial) < before and n_after <= n_before * before:
            used = trial
    return used


def _interleaves(slices: list[Slice], keyword: str) -> bool:
    """Whether the values of a mark part single slices into regular stacks that lie within each other."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, s in enumerate(slices):
        groups[_key(s, [keyword])].append(index)
    if len(groups) < 2 or len(groups) * 2 > len(slices):
        return False
    spans = sorted((members[0], members[-1]) for members in groups.values())
    if not any(second[0] < first[1] for first, second in pairwise(spans)):
        return False  # one behind the other, as a scanner counts its table positions
    return all(_is_regular([slices[i] for i in members]) for members in groups.values())


def _is_regular(slices: list[Slice]) -> bool:
    if len(slices) < 2:
        return False
    steps = np.linalg.norm(np.diff(np.array([s.position for s in slices]), axis=0), axis=1)
    usual = float(np.median(steps))
    return bool(np.abs(steps - usual).max() <= REGULAR * usual)


def _crowd(places: list[_Place], used: Sequence[str]) -> int:
    """The most slices at one place that the marks do not tell apart."""
    return max(max(Counter(_key(s, used) for s in place).values()) for place in places)


def _key(s: Slice, used: Sequence[str]) -> tuple[Any, ...]:
    marks = dict(s.marks)
    return tuple(marks.get(keyword) for keyword in used)


def _sortable(key: tuple[Any, ...]) -> tuple[tuple[int, Any], ...]:
    """Keys of numbers, texts, tuples and nothing, in one order."""
    ranked: list[tuple[int, Any]] = []
    for value in key:
        if value is None:
            ranked.append((0, 0.0))
        elif isinstance(value, float):
            ranked.append((1, value))
        else:
            ranked.append((2, str(value)))
    return tuple(ranked)


def _words(used: Sequence[str], key: tuple[Any, ...]) -> str:
    said = {mark.keyword: mark.words for mark in MARKS}
    return ", ".join(said[k].format(_shown(v)) for k, v in zip(used, key, strict=True))


def _shown(value: Any) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "/".join(_shown(v) for v in value)
    return str(value)[:24]


def _ranked(places: list[_Place], name: str) -> list[_Place]:
    """Volumes of slices that no mark tells apart, by an order that holds at every place."""
    counts = {len(place) for place in places}
    count = max(counts)
    if count == 1:
        return [[place[0] for place in places]]
    crowded = next(place for place in places if len(place) == count)
    if len(counts) > 1:
        raise ImageFileError(
            f"{name} has doubled slices: {' and '.join(s.label for s in crowded[:3])} lie at one place, others "
            "do not; remove the copies."
        )
    for clock in ("TriggerTime", "FrameReferenceTime"):
        if all(len({dict(s.moments).get(clock) for s in place} - {None}) == count for place in places):
            return _by(places, lambda s, clock=clock: dict(s.moments)[clock])  # type: ignore[misc]
    keys = [sorted(s.key for s in place) for place in places]
    if all(len(set(place)) == count for place in keys) and (_in_blocks(keys) or _in_turns(keys)):
        return _by(places, lambda s: s.key)
    if all(len({dict(s.moments).get("AcquisitionTime") for s in place} - {None}) == count for place in places):
        return _by(places, lambda s: dict(s.moments)["AcquisitionTime"])
    raise ImageFileError(
        f"{name} has {count} images at each place, such as {' and '.join(s.label for s in crowded[:3])}, and nothing "
        "in their tags tells which belong together; separate them into folders."
    )


def _by(places: list[_Place], order: Callable[[Slice], Any]) -> list[_Place]:
    ordered = [sorted(place, key=order) for place in places]
    return [list(members) for members in zip(*ordered, strict=True)]


def _in_blocks(keys: list[list[tuple[int, ...]]]) -> bool:
    """Whether all images of one volume are numbered before all of the next."""
    ranks = list(zip(*keys, strict=True))
    return all(max(first) < min(second) for first, second in pairwise(ranks))


def _in_turns(keys: list[list[tuple[int, ...]]]) -> bool:
    """Whether all images at one place are numbered before all at the next."""
    spans = sorted((place[0], place[-1]) for place in keys)
    return all(first[1] < second[0] for first, second in pairwise(spans))
