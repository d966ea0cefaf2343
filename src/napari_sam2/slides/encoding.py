"""Prompts, objects and settings of a slide's session as JSON.

And back, checked.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.checked import NewerError, colour_of, flag_of, list_of, number_of, text_of, whole_of
from napari_sam2.slides.formats.feature import object_of
from napari_sam2.slides.formats.stains import plain_names
from napari_sam2.slides.image.channels import ChannelMix
from napari_sam2.slides.objects import ObjectClass
from napari_sam2.slides.prompts import SlideBox, SlidePoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = [
    "LARGEST",
    "class_from_json",
    "class_to_json",
    "id_of",
    "mix_from_json",
    "mix_to_json",
    "outline_from_json",
    "prompt_from_json",
    "prompt_to_json",
    "prompts_from_json",
    "prompts_to_json",
]

Json = dict[str, Any]

LARGEST: Final = 1e9
"""Level-0 pixels; slides have up to a million."""


def id_of(value: Any) -> str:
    """An object's id."""
    return text_of(value, "the id of an object")


def outline_from_json(written: Any, object_id: str) -> SlideObject:
    """An object of a GeoJSON feature."""
    if not isinstance(written, dict):
        raise ValueError("an object must be a GeoJSON feature")
    obj = object_of(written)
    if obj.object_id != object_id:
        raise ValueError("an object has another id than its change")
    return obj


def prompts_to_json(prompts: Sequence[SlidePrompt]) -> list[Json]:
    """All prompts of an object."""
    return [prompt_to_json(prompt) for prompt in prompts]


def prompts_from_json(written: Any) -> tuple[SlidePrompt, ...]:
    """The prompts again."""
    return tuple(prompt_from_json(entry) for entry in list_of(written))


def prompt_to_json(prompt: SlidePrompt) -> Json:
    """One prompt."""
    if isinstance(prompt, SlidePoint):
        return {"point": [prompt.row, prompt.col], "positive": prompt.positive}
    return {"box": [[prompt.row0, prompt.col0], [prompt.row1, prompt.col1]]}


def prompt_from_json(written: Any) -> SlidePrompt:
    """One prompt again."""
    if "point" in written:
        row, col = (_coordinate(value) for value in list_of(written["point"], 2))
        return SlidePoint(row, col, positive=flag_of(written.get("positive", True)))
    if "box" not in written:
        raise NewerError(f"it holds a prompt of the kind {', '.join(map(str, written))[:40]!r}")
    (row0, col0), (row1, col1) = (list_of(corner, 2) for corner in list_of(written["box"], 2))
    return SlideBox(_coordinate(row0), _coordinate(col0), _coordinate(row1), _coordinate(col1))


def class_to_json(object_class: ObjectClass | None) -> list[Any] | None:
    """A class with its colour."""
    if object_class is None:
        return None
    return [object_class.name, None if object_class.colour is None else list(object_class.colour)]


def class_from_json(written: Any) -> ObjectClass | None:
    """The class again."""
    if written is None:
        return None
    name, colour = list_of(written, 2)
    return ObjectClass(text_of(name), colour_of(colour))


def mix_to_json(mix: ChannelMix | None) -> Json | None:
    """How fluorescence channels become colours.

    Of their names only those of stains are written: a file's label of a channel is free text, and may name a person.
    """
    return None if mix is None else {**asdict(mix), "names": plain_names(mix.names)}


def mix_from_json(written: Any) -> ChannelMix | None:
    """The mix again."""
    if written is None:
        return None
    names = tuple(text_of(name) for name in list_of(written["names"]))
    chosen = tuple(whole_of(number, 0, len(names) - 1, "a channel") for number in list_of(written["chosen"]))
    colours = tuple(colour_of(list_of(colour, 3)) for colour in list_of(written["colours"], len(chosen)))
    windows = []
    for window in list_of(written["windows"], len(chosen)):
        low, high = (number_of(end, -1e30, 1e30, "a window") for end in list_of(window, 2))
        windows.append((low, high))
    return ChannelMix(names, chosen, tuple(colour for colour in colours if colour is not None), tuple(windows))


def _coordinate(value: Any) -> float:
    number = number_of(value, -LARGEST, LARGEST, "a coordinate")
    if not math.isfinite(number):
        raise ValueError("a coordinate must be finite")
    return number
