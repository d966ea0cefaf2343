"""The mix of channels that an object is seen through.

It is settled with an object's first prompt and stays, since memory compares slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.channels.mix import AUTO, FUSED, left_open, named_mix, said_mix
from napari_sam2.channels.weights import mix_from_prompt
from napari_sam2.core.mix import only
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.models.base import ModelCard
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["check_seen", "chosen_mix", "mix_for", "settle_mix", "tuned_mix"]


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
    if obj.mix is not None or not prompts:
        return
    if not state.channels.several:
        tuned_mix(state.model.card, state.channels.names)
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

    Raises
    ------
    UserInputError
        If the model was tuned on channels that are not there, or with another mix than is asked for.
    """
    tuned = tuned_mix(model.card, stack.names)
    if tuned is not None:
        if fusion != AUTO:
            raise UserInputError(
                f"{model.card.name} sees {said_mix(tuned, stack.names)}, as it was tuned; leave the fusion at {AUTO}."
            )
        return tuned
    named = named_mix(fusion, stack.names)
    decides = left_open(fusion, stack.names)
    if named is not None or decides is None:
        return named or only(0, len(stack))
    kind, among = decides
    if len(among) == 1:
        return only(among[0], len(stack))
    index = min(prompts, key=lambda i: _doubt(prompts[i]))
    plane = stack.reference.plane(axis)
    return mix_from_prompt(stack, window, plane, index, prompts[index], among, alone=kind != FUSED)


def tuned_mix(card: ModelCard, names: Sequence[str]) -> Mix | None:
    """The mix that a model was tuned with.

    None for a model of one image.

    Parameters
    ----------
    card : ModelCard
        The model's.
    names : sequence of str
        Of the channels that are there, the reference first.

    Raises
    ------
    UserInputError
        If one of its channels is not there.
    """
    seen = card.seen
    if seen is None:
        return None
    further = tuple(names[1:])
    missing = [name for name in seen.names if name not in further]
    if missing:
        raise UserInputError(
            f"{card.name} was tuned on scans with the further channels {', '.join(seen.names)}, and here "
            f"{'are ' + ', '.join(further) if further else 'is none'}; give --channel {missing[0]}=FILE (a "
            "column or a layer of that name), or choose another model."
        )
    places = [0, *(1 + further.index(name) for name in seen.names)]
    return seen.mix.placed(places)


def check_seen(model: AnyModel, stack: ChannelStack, mix: Mix | None) -> None:
    """Refuse what a tuned model was not tuned on.

    Raises
    ------
    UserInputError
        Saying what it needs.
    """
    tuned = tuned_mix(model.card, stack.names)
    if tuned is not None and mix != tuned:
        raise UserInputError(
            f"{model.card.name} sees {said_mix(tuned, stack.names)}, as it was tuned, and this object is seen as "
            f"{said_mix(mix, stack.names)}; let it be seen as 'auto' (Channels, Model sees), or choose another model."
        )


def _doubt(prompts: SlicePrompts) -> tuple[bool, bool, int]:
    """Smaller for prompts that say more."""
    return prompts.box is None, prompts.mask is None, -len(prompts.points)
