"""Recipes: how to make again what a server held.

An anchor on a server is the model's own answer, megabytes that never cross the wire. Here is what it was made from. A
model answers the same question alike, so an anchor made again is the one that was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.slice_masks import SliceMask, SliceScores
    from napari_sam2.engine.fit_plan import FitPlan
    from napari_sam2.remote.engine import RemoteEngine

__all__ = ["FitRecipe", "Recipe", "RemoteAnchor", "in_order"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Recipe:
    """What an anchor was made from.

    Attributes
    ----------
    key : int
        Its name on the server.
    engine : RemoteEngine
        Who was asked.
    index, prompts
        As in `napari_sam2.engine.engine.Engine.predict`.
    previous : Recipe or SliceMask, optional
        The answer that it corrects.
    others : tuple of Recipe
        Prompted slices that it took into account.
    """

    key: int
    engine: RemoteEngine
    index: int
    prompts: SlicePrompts
    previous: Recipe | SliceMask | None
    others: tuple[Recipe, ...]

    @property
    def needs(self) -> tuple[Recipe, ...]:
        """What has to be there before it can be made."""
        return (*self.others, self.previous) if isinstance(self.previous, Recipe) else self.others


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class RemoteAnchor:
    """A prompted slice of one object, answered elsewhere; see `napari_sam2.engine.verbs.Answered`."""

    index: int
    mask: SliceMask
    scores: SliceScores
    recipe: Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A slice that taught a model; see `napari_sam2.engine.verbs.Answered`."""

    index: int
    mask: SliceMask
    scores: SliceScores


@dataclass(frozen=True, slots=True, eq=False)
class FitRecipe:
    """What a fitted model was made from.

    Attributes
    ----------
    name : str
        See `napari_sam2.engine.fit_plan.fit_name`.
    lessons : tuple of Lesson
        Slices and masks.
    plan : FitPlan
        How.
    """

    name: str
    lessons: tuple[Lesson, ...]
    plan: FitPlan


def in_order(wanted: Iterable[Recipe]) -> Iterator[Recipe]:
    """The recipes with all that they need, each after what it needs.

    Without recursion, since clicks are many.
    """
    done: set[int] = set()
    open_ones = list(wanted)
    while open_ones:
        recipe = open_ones[-1]
        lacking = [needed for needed in recipe.needs if needed.key not in done]
        if lacking:
            open_ones += lacking
            continue
        open_ones.pop()
        if recipe.key not in done:
            done.add(recipe.key)
            yield recipe
