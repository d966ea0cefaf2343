"""Lessons for the network that goes over carried objects.

Objects as the product carried them, others with a mask gone wrong in one to three of the ways of
`napari_sam2.training.corrections.wrong_masks`, and both after some clicks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.consolidation_evidence import survey
from napari_sam2.engine.consolidation_rules import BY_FIRST, BY_NETWORK
from napari_sam2.engine.correction_evidence import averaged
from napari_sam2.evaluation.challenge import extent_of
from napari_sam2.measures.metrics import dice
from napari_sam2.training.consolidation.clicking import clicked, looked_over
from napari_sam2.training.consolidation.examples import Example
from napari_sam2.training.corrections.practice import draw_practice
from napari_sam2.training.corrections.wrong_masks import wrong_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.consolidation import Consolidator
    from napari_sam2.training.pool import PoolVolume

__all__ = ["Lesson", "invented_lessons", "lesson_of", "lessons_of", "lessons_of_all", "told_of"]

NEAR: Final = 0.4
"""Radii of the boxed section: as near as that to the mask a cell counts in full."""

FAR_WEIGHT: Final = 0.15
"""Of a cell that lies further away and is not the object's."""

LEAST_OVERLAP: Final = 0.15
"""Dice of a carried mask below which there is nothing to be made of it."""

OFTEN_LOOKED_OVER: Final = 0.5
"""Share of objects that consolidation-1 has gone over before the first click."""

NOT_TOLD: Final = 0.5
"""Share of invented masks whose slices are not told."""

JUST_TOLD: Final = 0.3
"""Share of those whose slices are told just as they are; of the rest a few too many are."""

MOST_CLICKS: Final = 5
"""On a carried object; on one whose mask is invented three."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A carried object on its grid, and what it should be.

    Attributes
    ----------
    maps : (FEATURES, slices, rows, columns) float16 array
    wanted : float16 array
        Share of every cell that belongs to the object.
    weights : float16 array
        What a cell counts.
    """

    maps: NDArray[np.float16]
    wanted: NDArray[np.float16]
    weights: NDArray[np.float16]


def told_of(rng: np.random.Generator, truth: NDArray[np.bool_]) -> range | None:
    """The slices that a person might tell of an object.

    None, just its own, or some more.
    """
    chance = rng.random()
    if chance < NOT_TOLD:
        return None
    held = extent_of(truth, 0)
    if chance < NOT_TOLD + JUST_TOLD:
        return held
    more = max(2, len(held) // 2)
    low, high = (int(n) for n in rng.integers(0, more, 2, endpoint=True))
    return range(max(0, held.start - low), min(len(truth), held.stop + high))


def lesson_of(example: Example) -> Lesson | None:
    """What there is to learn from an example.

    None where its boxed slice is empty.
    """
    seen = survey(example.practice(), example.run()) if example.carried.any() else None
    if seen is None:
        return None
    wanted = averaged(example.truth[seen.window].astype(np.float32), seen.strides)
    near = (seen.maps[1] > -NEAR) | (wanted > 0)
    weights = np.where(near, 1.0, FAR_WEIGHT)
    return Lesson(
        seen.maps.astype(np.float16), wanted.astype(np.float16), (weights / weights.mean()).astype(np.float16)
    )


def lessons_of(
    rng: np.random.Generator, example: Example, clicks: int, consolidator: Consolidator | None = None
) -> list[Lesson]:
    """Lessons of an object.

    After its run, and after each of some clicks.

    Parameters
    ----------
    rng : numpy.random.Generator
    example : Example
        As the run left it.
    clicks : int
        How many.
    consolidator : Consolidator, optional
        Who goes over the object on the way; otherwise consolidation-1 does once, for half of the objects.

    Returns
    -------
    list of Lesson
        Empty where there is nothing to be made of the mask.
    """
    begun = lesson_of(example) if dice(example.carried, example.truth) > LEAST_OVERLAP else None
    if begun is None:
        return []
    if consolidator is not None:
        example = looked_over(example, BY_NETWORK, consolidator)
    elif rng.random() < OFTEN_LOOKED_OVER:
        example = looked_over(example, BY_FIRST)
    after = (lesson_of(state) for state in clicked(rng, example, clicks, consolidator))
    return [begun, *(lesson for lesson in after if lesson is not None)]


def lessons_of_all(
    examples: Sequence[Example], seed: int, consolidator: Consolidator | None = None
) -> list[list[Lesson]]:
    """Lessons of carried objects, by object."""
    made = [
        lessons_of(np.random.default_rng([seed, number]), example, MOST_CLICKS, consolidator)
        for number, example in enumerate(examples)
    ]
    return [lessons for lessons in made if lessons]


def invented_lessons(
    pools: Mapping[str, Sequence[PoolVolume]],
    seed: int,
    count: int,
    cells: tuple[int, int],
    shares: Mapping[str, float],
) -> list[list[Lesson]]:
    """Lessons of objects whose masks are invented, by object.

    Parameters
    ----------
    pools, shares, cells
        As for `napari_sam2.training.corrections.practice.draw_practice`.
    seed, count : int
        Of the first object, and how many.
    """
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        practice = draw_practice(rng, pools, shares, cells)
        mask, boxed = wrong_mask(rng, practice)
        told = told_of(rng, practice.truth)
        if told is not None:
            mask[: told.start] = mask[told.stop :] = False
        trust = np.full(len(mask), np.nan, np.float32)
        example = Example("", practice.voxels, practice.truth, mask, trust, boxed, told, practice.spacing)
        made.append(lessons_of(rng, example, MOST_CLICKS - 2))
    return [lessons for lessons in made if lessons]
