"""The mix of channels that an object is seen through.

It is settled with an object's first prompt and stays, since memory compares slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.channels.mix import COLOURS, FUSED, PROMPT, coloured, left_open, named_mix, only
from napari_sam2.channels.weights import mix_from_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.channels.mix import Mix
    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.history import Step
    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["chosen_mix", "mix_for", "settle_mix"]


def settle_mix(
    state: SessionState, step: Step, obj: ObjectRecord, prompts: Mapping[int, SlicePrompts], mix: Mix | None
) -> None:
    """Choose an object's mix with its first prompts.

    Unless one is given; nothing where there is one channel.

    Parameters
    ----------
    state, step, obj
        Whose, and where the choice is noted.
    prompts : mapping of int to SlicePrompts
        Of the object, by slice.
    mix : Mix, optional
        What was chosen already.
    """
    if obj.mix is not None or not state.channels.several or not prompts:
        return
    state.store.set(step, obj, "mix", mix or chosen_mix(state, obj.axis, prompts, state.fusion))


def chosen_mix(state: SessionState, axis: int, prompts: Mapping[int, SlicePrompts], fusion: str) -> Mix:
    """The mix for prompts across an axis.

    Parameters
    ----------
    state : SessionState
        With its channels and its model.
    axis : int
        The slice axis.
    prompts : mapping of int to SlicePrompts
        By slice; the one that says most is asked.
    fusion : str
        What a person chose, see `named_mix`.
    """
    return mix_for(state.channels, state.window, state.model, axis, prompts, fusion)


def mix_for(
    stack: ChannelStack,
    window: Window,
    model: AnyModel,
    axis: int,
    prompts: Mapping[int, SlicePrompts],
    fusion: str,
) -> Mix:
    """The mix in which a model sees what is prompted.

    Parameters
    ----------
    stack : ChannelStack
        The channels.
    window : Window
        Of the reference.
    model : AnyModel
        Who looks.
    axis, prompts, fusion
        As in `chosen_mix`.
    """
    from napari_sam2.models.registry import sees_colours

    named = named_mix(fusion, stack.names)
    decides = left_open(fusion, stack.names)
    if named is not None or decides is None:
        return named or only(0, len(stack))
    kind, among = decides
    if len(among) == 1:
        return only(among[0], len(stack))
    if kind != PROMPT and len(among) <= COLOURS and sees_colours(model.card.kind):
        return coloured(among, len(stack))
    index = min(prompts, key=lambda i: _doubt(prompts[i]))
    plane = stack.reference.plane(axis)
    return mix_from_prompt(stack, window, plane, index, prompts[index], among, alone=kind != FUSED)


def _doubt(prompts: SlicePrompts) -> tuple[bool, bool, int]:
    """Smaller for prompts that say more."""
    return prompts.box is None, prompts.mask is None, -len(prompts.points)
