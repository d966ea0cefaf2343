"""Clicks on carried objects, answered around them as in use.

What is wrong after a few clicks is not what is wrong after a run: a network that goes over an object after each click
has to see both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.engine.consolidation import Consolidator, changed
from napari_sam2.engine.consolidation_evidence import survey
from napari_sam2.engine.correction import correct_widely
from napari_sam2.evaluation.challenge import middle_box
from napari_sam2.training.corrections.practice import next_click

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam2.training.consolidation.examples import Example

__all__ = ["clicked", "looked_over"]


def looked_over(example: Example, consolidator: Consolidator) -> Example:
    """An example as a network without clicks leaves it."""
    if not example.carried.any():
        return example
    practice, run = example.practice(), example.run()
    seen = survey(practice, replace(run, clicks=None))
    if seen is None:
        return example
    mask = example.carried.copy()
    mask[seen.window] ^= changed(seen, run, consolidator(seen.maps))
    return replace(example, carried=mask)


def clicked(rng: np.random.Generator, example: Example, most: int) -> Iterator[Example]:
    """The example after each of some simulated clicks, every one answered as the product does.

    Ends sooner where there is no error left.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the places of clicks.
    example : Example
        A carried object.
    most : int
        Clicks.
    """
    practice = example.practice()
    allowed = _inside_box(example)
    clicks = list(example.clicks)
    for _ in range(most):
        click = next_click(rng, practice)
        if click is None:
            return
        before = practice.object
        size = int(before.sum())
        change = correct_widely(practice, click.voxel, click.include, clicks, (), (example.boxed,), size)
        if change is not None:
            mask = before.copy()
            mask[change.window] ^= change.voxels
            within = before[example.boxed] | allowed
            if click.voxel[0] == example.boxed:
                within[click.voxel[1:]] = True
            mask[example.boxed] &= within
            practice.object = mask
        clicks.append((click.voxel, click.include))
        yield replace(example, carried=practice.object, clicks=tuple(clicks))


def _inside_box(example: Example) -> NDArray[np.bool_]:
    """The inside of the box, as (rows, columns)."""
    (_, top, left), (_, bottom, right) = (sorted_corner for sorted_corner in _corners(example))
    inside = example.truth[example.boxed] & False
    inside[top : bottom + 1, left : right + 1] = True
    return inside


def _corners(example: Example) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    first, last = middle_box(example.truth, 0).corners
    low = tuple(round(min(pair)) for pair in zip(first, last, strict=True))
    high = tuple(round(max(pair)) for pair in zip(first, last, strict=True))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
