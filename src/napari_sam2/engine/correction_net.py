"""The network that knows how far an error goes, around a click.

A U-Net over what `correction_evidence` tells of every cell of a wide grid; it adds to what the perceptron says of each
cell alone. It runs in numpy, in double precision: a client without torch answers like any other, and a journal replays
alike on any machine and with any number of threads. `napari_sam2.training.corrections.torch_net` is the same in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.correction_evidence import FEATURES
from napari_sam2.engine.one_thread import ONE_THREAD

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Evidence

__all__ = ["CHANNELS", "COARSEST", "GROUP", "LEAST_CELLS", "Network", "channels_of", "padding", "slices_away"]

CHANNELS: Final = FEATURES + 3
"""Numbers of a cell: the features, whether it is on the click's side, nearness of a trusted slice, the perceptron."""

COARSEST: Final = 4
"""Cells that one of the coarsest level spans."""

LEAST_CELLS: Final = 12
"""Cells along every axis: torch 2.13 leaves gradients of 3-D convolutions in bfloat16 unset on grids of two slices."""

GROUP: Final = 8
"""Channels that are normed together."""

_FAR: Final = 5.0
"""Spreads from the mean at which features are clipped."""

_TINY: Final = 1e-5
"""Added to variances, as torch does."""


def channels_of(
    evidence: Evidence,
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    alone: NDArray[np.floating],
    trusted: Collection[int] = (),
) -> NDArray[np.float32]:
    """What the network sees, (CHANNELS, slices, rows, columns).

    Parameters
    ----------
    evidence : Evidence
        Around the click.
    mean, spread : (FEATURES,) array
        With which features are normed.
    alone : (N,) array
        The perceptron's logits of the open cells.
    trusted : collection of int
        Slices that a person boxed, accepted or painted.
    """
    normed = np.clip((evidence.maps - mean) / spread, -_FAR, _FAR)
    known = np.exp(-slices_away(evidence, trusted) / 2)
    prior = np.zeros(evidence.side.shape)
    prior[evidence.open] = np.clip(alone, -_FAR, _FAR)
    return np.concatenate(
        [
            np.moveaxis(normed, -1, 0),
            evidence.side[None],
            np.broadcast_to(known.reshape(1, -1, 1, 1), (1, *evidence.side.shape)),
            prior[None],
        ]
    ).astype(np.float32)


def slices_away(evidence: Evidence, trusted: Collection[int]) -> NDArray[np.float64]:
    """How far slices of a grid are from the nearest trusted one.

    In depths, (slices,); infinite where none is trusted.
    """
    first, stride = evidence.window[0].start, evidence.strides[0]
    at = first + stride * (np.arange(len(evidence.side)) + 0.5) - 0.5
    away = np.min([np.abs(at - index) for index in trusted], axis=0) if len(trusted) else np.full(len(at), np.inf)
    in_depths: NDArray[np.float64] = away * evidence.slice_step / stride / evidence.depth
    return in_depths


class Network:
    """A U-Net of three levels, in double precision.

    Parameters
    ----------
    weights : mapping of str to array
        By the names of `napari_sam2.training.corrections.torch_net.CorrectionNet`.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._weights = {name: values.astype(np.float64) for name, values in weights.items()}

    def __call__(self, channels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits (slices, rows, columns) that cells are the click's, from (CHANNELS, slices, rows, columns)."""
        with ONE_THREAD:
            return self._answer(channels)

    def _answer(self, channels: NDArray[np.float32]) -> NDArray[np.float64]:
        slices, rows, columns = channels.shape[1:]
        missing = [(0, padding(count)) for count in channels.shape[1:]]
        padded = np.pad(channels.astype(np.float64), [(0, 0), *missing], mode="edge")
        fine = self._block(self._mixed(np.moveaxis(padded, 0, -1), "enter"), "fine")
        middle = self._block(self._block(self._halved(fine, "halve"), "middle.0"), "middle.1")
        coarse = self._block(self._block(self._halved(middle, "quarter"), "coarse.0"), "coarse.1")
        middle = self._block(middle + _grown(self._mixed(coarse, "to_middle")), "middle_again")
        fine = self._block(fine + _grown(self._mixed(middle, "to_fine")), "fine_again")
        logits: NDArray[np.float64] = self._mixed(fine, "leave")[:slices, :rows, :columns, 0] + channels[-1]
        return logits

    def _block(self, values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """A convolution, normed over groups of channels, added to what was there."""
        made = _convolved(values, self._weights[f"{name}.convolution.weight"])
        made += self._weights[f"{name}.convolution.bias"]
        mean, variance = _moments(made.reshape(-1, made.shape[-1]))
        scale = self._weights[f"{name}.norm.weight"] / np.sqrt(variance + _TINY).repeat(GROUP)
        made *= scale
        made += self._weights[f"{name}.norm.bias"] - mean.repeat(GROUP) * scale
        damping = np.exp(-made)
        damping += 1
        made /= damping
        made += values
        return made

    def _mixed(self, values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """A convolution of every cell alone."""
        weight = self._weights[f"{name}.weight"]
        mixed: NDArray[np.float64] = values @ weight.reshape(len(weight), -1).T + self._weights[f"{name}.bias"]
        return mixed

    def _halved(self, values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """Half as many cells along every axis, each from eight."""
        weight = self._weights[f"{name}.weight"]
        slices, rows, columns, width = values.shape
        parted = values.reshape(slices // 2, 2, rows // 2, 2, columns // 2, 2, width).transpose(0, 2, 4, 1, 3, 5, 6)
        kernel = weight.transpose(2, 3, 4, 1, 0).reshape(8 * width, len(weight))
        halved: NDArray[np.float64] = parted.reshape(*parted.shape[:3], 8 * width) @ kernel
        return halved + self._weights[f"{name}.bias"]


def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of groups of channels, (groups,) each, from (cells, channels)."""
    means = values.mean(axis=0)
    # From near the mean of every channel, so that squares keep their digits.
    squares = np.einsum("ij,ij->j", values - means, values - means) / len(values)
    mean = means.reshape(-1, GROUP).mean(axis=1)
    apart = (means.reshape(-1, GROUP) - mean[:, None]) ** 2
    return mean, (squares.reshape(-1, GROUP) + apart).mean(axis=1)


def padding(count: int) -> int:
    """Cells that an axis lacks for the network's levels."""
    return max(LEAST_CELLS - count, -count % COARSEST)


def _convolved(values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """A convolution over 27 neighbours.

    Slice by slice, so that what is gathered stays in the cache; each is gathered once and given to its neighbours.
    """
    slices, rows, columns, width = values.shape
    made_width = len(weight)
    kernel = weight.transpose(3, 4, 1, 2, 0).reshape(9 * width, 3 * made_width)
    padded = np.pad(values, [(0, 0), (1, 1), (1, 1), (0, 0)])
    along = padded.strides
    made = np.zeros((slices, rows * columns, made_width))
    gathered = np.empty((rows, columns, 3, 3 * width))
    given = np.empty((rows * columns, 3, made_width))
    for index in range(slices):
        gathered[...] = np.lib.stride_tricks.as_strided(
            padded[index:], gathered.shape, (along[1], along[2], along[1], along[3])
        )
        np.matmul(gathered.reshape(rows * columns, -1), kernel, out=given.reshape(rows * columns, -1))
        for tap in range(max(0, index + 2 - slices), min(3, index + 2)):
            made[index + 1 - tap] += given[:, tap]
    return made.reshape(slices, rows, columns, made_width)


def _grown(coarse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice as many cells along every axis."""
    return coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
