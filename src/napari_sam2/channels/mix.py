"""A mix: how channels become the image that a model sees.

One row of weights gives a grey image, three rows a coloured one. A mix is fixed for an object once it is chosen, since
memory compares slices; it is written into journal and sidecar.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import list_of, number_of, text_of
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "AUTO",
    "COLOURS",
    "FUSED",
    "PROMPT",
    "REFERENCE",
    "Mix",
    "canonical",
    "coloured",
    "left_open",
    "mix_from_json",
    "mix_to_json",
    "named_mix",
    "only",
    "said_mix",
]

AUTO: Final = "auto"
"""Colours for models that see them and up to three channels, weights from the prompt otherwise."""

PROMPT: Final = "prompt"
"""Weights from the prompt."""

FUSED: Final = "fused"
"""Weights from the prompt, also where one channel parts it as well alone: what a person ticks is used."""

RGB: Final = "rgb"
COLOURS: Final = 3

REFERENCE: Final = "reference"
"""Means the reference wherever channels are named, whatever it is called: files are renamed."""

MOST_WEIGHT: Final = 1e6


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of channels in the image for the model.

    Attributes
    ----------
    kind : str
        ``"one"``, ``"rgb"`` or ``"fused"``.
    weights : tuple of tuple of float
        One row for grey, three for colours, with a weight per channel; the reference is the first. Later channels than
        a row has weigh nothing.
    offsets : tuple of float
        Added to each row. Channels are windowed to [0, 1] before, and the sum is clipped to it.
    """

    kind: str
    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    def of(self, channels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The mixed image of windowed channels, each of one shape.

        The same shape for grey, with three colours behind it otherwise.
        """
        rows = [self._row(channels, row, offset) for row, offset in zip(self.weights, self.offsets, strict=True)]
        return rows[0] if len(rows) == 1 else np.stack(rows, axis=-1)

    def _row(
        self, channels: Sequence[NDArray[np.float32]], weights: tuple[float, ...], offset: float
    ) -> NDArray[np.float32]:
        total = np.full(channels[0].shape, offset, dtype=np.float32)
        for channel, weight in zip(channels, weights, strict=False):
            if weight:
                total += np.float32(weight) * channel
        return np.clip(total, 0.0, 1.0, out=total)

    @property
    def channel(self) -> int:
        """The channel that is seen alone, for the kind ``"one"``."""
        return self.weights[0].index(1.0)


def only(channel: int, n_channels: int) -> Mix:
    """One channel alone."""
    return Mix("one", (_unit(channel, n_channels),), (0.0,))


def coloured(channels: Sequence[int], n_channels: int) -> Mix:
    """Channels as red, green and blue; of two, the mean is blue."""
    rows = [_unit(channel, n_channels) for channel in channels]
    if len(rows) == 2:
        rows.append(tuple(sum(pair) / 2 for pair in zip(*rows, strict=True)))
    return Mix(RGB, tuple(rows), (0.0,) * COLOURS)


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
        None where the prompt or the model decides.

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
    """Who decides, the model or the prompt, and among which channels.

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


def mix_to_json(mix: Mix | None) -> dict[str, Any] | None:
    """A mix as plain values."""
    if mix is None:
        return None
    return {"kind": mix.kind, "weights": [list(row) for row in mix.weights], "offsets": list(mix.offsets)}


def mix_from_json(written: Any, n_channels: int) -> Mix | None:
    """The mix again.

    Raises
    ------
    ValueError
        If it is none, or of more channels than there are.
    """
    if written is None:
        return None
    kind = text_of(written["kind"])
    rows = tuple(_row_from_json(row, n_channels) for row in list_of(written["weights"]))
    offsets = tuple(float(number_of(o, -MOST_WEIGHT, MOST_WEIGHT, "an offset")) for o in list_of(written["offsets"]))
    n_rows = {"one": 1, "fused": 1, RGB: COLOURS}.get(kind)
    if n_rows is None or len(rows) != n_rows or len(offsets) != n_rows:
        raise ValueError(f"a mix of {len(rows)} rows cannot be of the kind {kind[:40]!r}")
    if kind == "one" and sorted(rows[0]) != [0.0] * (len(rows[0]) - 1) + [1.0]:
        raise ValueError("a mix of one channel gives it the weight 1")
    return Mix(kind, rows, offsets)


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


def _row_from_json(row: Any, n_channels: int) -> tuple[float, ...]:
    values = list_of(row, what="weights")
    if not 1 <= len(values) <= n_channels:
        raise ValueError(f"weights of {len(values)} channels, where {n_channels} are open")
    return tuple(float(number_of(value, -MOST_WEIGHT, MOST_WEIGHT, "a weight")) for value in values)


def _unit(channel: int, n_channels: int) -> tuple[float, ...]:
    return tuple(1.0 if number == channel else 0.0 for number in range(n_channels))


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
