"""Clicks on carried objects, answered as in use.

What is wrong after a few clicks is not what is wrong after a run: a network that goes over an object after each click
has to see both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.engine.consolidation import consolidate, reconsider
from napari_sam2.engine.correction import correct_widely
from napari_sam2.engine.correction_odds import BY_WHOLE, ODDS
from napari_sam2.evaluation.challenge import middle_box
from napari_sam2.training.corrections.practice import next_click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam2.engine.consolidation import Consolidator
    from napari_sam2.engine.correction import Change
    from napari_sam2.training.consolidation.examples import Example

__all__ = ["clicked", "looked_over"]


def looked_over(example: Example, by: str, consolidator: Consolidator | None = None) -> Example:
    """An example as a network leaves it after the run.

    Parameters
    ----------
    by, consolidator
        As for `napari_sam2.engine.consolidation.consolidate`.
    """
    if not example.carried.any():
        return example
    return _with(example, consolidate(example.practice(), example.run(), by, consolidator))


def clicked(
    rng: np.random.Generator, example: Example, most: int, consolidator: Consolidator | None = None
) -> Iterator[Example]:
    """The example after each of some simulated clicks.

    Every one answered around it.

    Ends sooner where there is no error left.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the places of clicks.
    example : Example
        A carried object.
    most : int
        Clicks.
    consolidator : Consolidator, optional
        Who goes over the whole object after each click, from which the next one starts; nobody without it.
    """
    inside = _inside_box(example)
    for _ in range(most):
        practice = example.practice()
        click = next_click(rng, practice)
        if click is None:
            return
        before = example.carried
        change = correct_widely(
            practice,
            click.voxel,
            click.include,
            example.clicks,
            (),
            (example.boxed,),
            int(before.sum()),
            ODDS[BY_WHOLE],
        )
        example = _with(example, change)
        allowed = before[example.boxed] | inside
        if click.voxel[0] == example.boxed:
            allowed[click.voxel[1:]] = True
        example.carried[example.boxed] &= allowed
        example = replace(example, clicks=(*example.clicks, (click.voxel, click.include)))
        yield example
        if consolidator is not None and example.carried.any():
            example = _with(example, reconsider(example.practice(), example.run(), change, consolidator))


def _with(example: Example, change: Change | None) -> Example:
    """An example with a change, as a copy."""
    mask = example.carried.copy()
    if change is not None:
        mask[change.window] ^= change.voxels
    return replace(example, carried=mask)


def _inside_box(example: Example) -> NDArray[np.bool_]:
    """The inside of the box, as (rows, columns)."""
    corners = np.array(middle_box(example.truth, 0).corners).round().astype(int)
    (_, top, left), (_, bottom, right) = corners.min(axis=0), corners.max(axis=0)
    inside = np.zeros(example.truth.shape[1:], bool)
    inside[top : bottom + 1, left : right + 1] = True
    return inside
