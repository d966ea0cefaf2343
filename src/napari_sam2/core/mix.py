"""A mix: how channels become the image that a model sees.

One row of weights gives a grey image, three rows a coloured one. A mix is fixed for an object once it is chosen, since
memory compares slices; it is written into journal and sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import list_of, number_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["COLOURS", "RGB", "Mix", "coloured", "mix_from_json", "mix_to_json", "only"]

RGB: Final = "rgb"
COLOURS: Final = 3

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

    def placed(self, places: Sequence[int]) -> Mix:
        """The same mix of channels that are listed otherwise.

        `places` says for each of its channels where it is there.
        """
        rows = []
        for row in self.weights:
            weights = dict(zip(places, row, strict=False))
            rows.append(tuple(weights.get(place, 0.0) for place in range(max(places) + 1)))
        return Mix(self.kind, tuple(rows), self.offsets)

    def restricted(self, places: Sequence[int]) -> Mix:
        """The weights of some of its channels, in their order."""
        rows = (tuple(row[place] if place < len(row) else 0.0 for place in places) for row in self.weights)
        return Mix(self.kind, tuple(rows), self.offsets)

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


def _row_from_json(row: Any, n_channels: int) -> tuple[float, ...]:
    values = list_of(row, what="weights")
    if not 1 <= len(values) <= n_channels:
        raise ValueError(f"weights of {len(values)} channels, where {n_channels} are open")
    return tuple(float(number_of(value, -MOST_WEIGHT, MOST_WEIGHT, "a weight")) for value in values)


def _unit(channel: int, n_channels: int) -> tuple[float, ...]:
    return tuple(1.0 if number == channel else 0.0 for number in range(n_channels))
