"""Mixes of channels as people name and read them; see `napari_sam2.core.mix`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from napari_sam2.core.mix import COLOURS, RGB, Mix, coloured, only
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AUTO",
    "FUSED",
    "PROMPT",
    "REFERENCE",
    "canonical",
    "left_open",
    "named_mix",
    "said_mix",
]

AUTO: Final = "auto"
"""What is taken without a choice: weights from the prompt."""

PROMPT: Final = "prompt"
"""Weights from the prompt."""

FUSED: Final = "fused"
"""Weights from the prompt, also where one channel parts it as well alone: what a person ticks is used."""

REFERENCE: Final = "reference"
"""Means the reference wherever channels are named, whatever it is called: files are renamed."""


def named_mix(spec: str, names: Sequence[str]) -> Mix | None:
    """The mix that a person names.

    Parameters
    ----------
    spec : str
        A channel's name; ``"rgb"`` or ``"rgb:FLAIR,T2"``; ``"FLAIR=0.7,T2=-0.3"``; ``"auto"``, ``"prompt"`` or
        ``"fused"``, of all channels or of some: ``"auto:FLAIR,T2"``.
    names : sequence of str
        Of the channels, the reference first.

    Returns
    -------
    Mix or None
        None where the prompt decides.

    Raises
    ------
    UserInputError
        If it cannot be meant.
    """
    if spec in names or spec == REFERENCE:
        return only(_place(spec, names), len(names))
    if left_open(spec, names) is not None:
        return None
    if spec == RGB or spec.startswith(f"{RGB}:"):
        chosen = [_place(name, names) for name in spec[4:].split(",")] if ":" in spec else range(len(names))
        if not 2 <= len(chosen) <= COLOURS or len(set(chosen)) != len(chosen):
            raise UserInputError(f"--fusion {spec[:60]}: name two or three different channels of {_listed(names)}.")
        return coloured(list(chosen), len(names))
    weights = [0.0] * len(names)
    for part in spec.split(","):
        name, equals, text = part.partition("=")
        weight = _weight(text)
        if not equals or weight is None:
            raise UserInputError(
                f"--fusion {spec[:60]}: give auto, prompt, rgb, rgb:A,B,C, prompt:A,B, a channel "
                f"({_listed(names)}), or weights "
                f"such as {names[0]}=0.7,{names[-1]}=0.3."
            )
        weights[_place(name, names)] = weight
    if not any(weights):
        raise UserInputError(f"--fusion {spec[:60]}: at least one channel needs a weight that is not 0.")
    return scaled(weights)


def canonical(spec: str, names: Sequence[str]) -> str:
    """A choice in which the reference is called `REFERENCE`.

    So that it can be meant again when its file, or its layer, is called otherwise.
    """
    if REFERENCE in names:
        return spec
    return "".join(REFERENCE if part == names[0] else part for part in re.split("([:,=])", spec))


def left_open(spec: str, names: Sequence[str]) -> tuple[str, tuple[int, ...]] | None:
    """Whether the prompt decides, and among which channels.

    Parameters
    ----------
    spec : str
        ``"auto"``, ``"prompt"``, ``"fused"``, or one of them for some channels: ``"prompt:FLAIR,T2"``.
    names : sequence of str
        Of the channels, the reference first.

    Returns
    -------
    tuple of str and tuple of int, or None
        `AUTO`, `PROMPT` or `FUSED`, and the places of the channels; None where a person has decided.

    Raises
    ------
    UserInputError
        If a channel is not there, or is named twice.
    """
    kind, colon, listed = spec.partition(":")
    if kind not in (AUTO, PROMPT, FUSED):
        return None
    among = tuple(_place(name, names) for name in listed.split(",")) if colon else tuple(range(len(names)))
    if len(set(among)) != len(among):
        raise UserInputError(f"--fusion {spec[:60]}: a channel is named twice; name each once.")
    return kind, among


def scaled(weights: Sequence[float]) -> Mix:
    """A grey mix that can reach from 0 to 1."""
    low = sum(weight for weight in weights if weight < 0)
    extent = sum(abs(weight) for weight in weights)
    return Mix("fused", (tuple(weight / extent for weight in weights),), (-low / extent,))


def said_mix(mix: Mix | None, names: Sequence[str]) -> str:
    """A mix in words, such as ``"T2 + 0.6 FLAIR"``; the reference's name without one."""
    if mix is None:
        return names[0]
    if mix.kind == "one":
        return names[mix.channel]
    if mix.kind == RGB:
        return " / ".join(_sum(row, names) for row in mix.weights) + " as red / green / blue"
    return _sum(mix.weights[0], names)


def _sum(weights: Sequence[float], names: Sequence[str]) -> str:
    terms = [
        ("- " if w < 0 else "+ ") + ("" if abs(w) == 1 else f"{abs(w):.2f} ") + n
        for w, n in zip(weights, names, strict=False)
        if w
    ]
    text = " ".join(terms)
    return text.removeprefix("+ ")


def _place(name: str, names: Sequence[str]) -> int:
    if name == REFERENCE and name not in names:
        return 0
    if name not in names:
        raise UserInputError(f"There is no channel {name[:60]!r}; there are {_listed(names)}.")
    return list(names).index(name)


def _weight(text: str) -> float | None:
    if not re.fullmatch(r"[-+]?\d{1,6}(\.\d+)?", text):
        return None
    weight = float(text)
    return weight if math.isfinite(weight) else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
