"""Changes to the prompts of an object.

What is taken out, what is put in, compared by value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.prompts import Box, MaskPrompt, Point, Prompt

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = ["DECIMALS", "PromptChange", "changes_between", "prompt_key"]

DECIMALS = 3
"""Of a voxel: what a layer's float coordinates give back unchanged on the way through its transform."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptChange:
    """What happens to the prompts of one object.

    Attributes
    ----------
    object_id : int
        Its id.
    removed, added : tuple of Prompt
        Taken out, and put in at the end.
    replaces : bool
        Whether a box or mask takes the place of the one on its slice, as one that is drawn by hand does.
    """

    object_id: int
    removed: tuple[Prompt, ...] = ()
    added: tuple[Prompt, ...] = ()
    replaces: bool = False

    def applied(self, prompts: Iterable[Prompt]) -> list[Prompt]:
        """The prompts after the change."""
        going = Counter(prompt_key(p) for p in self.removed)
        kept: list[Prompt] = []
        for prompt in prompts:
            key = prompt_key(prompt)
            if going[key]:
                going[key] -= 1
            elif not (self.replaces and any(_takes_the_place(new, prompt) for new in self.added)):
                kept.append(prompt)
        return [*kept, *self.added]


def changes_between(before: dict[int, list[Prompt]], after: dict[int, list[Prompt]]) -> list[PromptChange]:
    """What turns the prompts of objects into others, whatever their order.

    Unchanged objects are left out.
    """
    changes = []
    for object_id in sorted(before.keys() | after.keys()):
        old, new = before.get(object_id, []), after.get(object_id, [])
        removed, added = _without(old, new), _without(new, old)
        if removed or added:
            changes.append(PromptChange(object_id, removed, added))
    return changes


def prompt_key(prompt: Prompt) -> Hashable:
    """What makes two prompts the same."""
    if isinstance(prompt, Point):
        return (*(round(c, DECIMALS) for c in prompt.voxel), prompt.positive)
    if isinstance(prompt, Box):
        return prompt.low, prompt.high
    return prompt.axis, prompt.index, np.packbits(prompt.mask).tobytes()


def _without(prompts: Sequence[Prompt], others: Iterable[Prompt]) -> tuple[Prompt, ...]:
    """The prompts that are not among others, each counted once."""
    there = Counter(prompt_key(p) for p in others)
    left = []
    for prompt in prompts:
        key = prompt_key(prompt)
        if there[key]:
            there[key] -= 1
        else:
            left.append(prompt)
    return tuple(left)


def _takes_the_place(new: Prompt, old: Prompt) -> bool:
    if isinstance(new, Box) and isinstance(old, Box):
        axis = new.fixed_axes[0]
        return old.fixed_axes == (axis,) and old.low[axis] == new.low[axis]
    if isinstance(new, MaskPrompt) and isinstance(old, MaskPrompt):
        return (new.axis, new.index) == (old.axis, old.index)
    return False
