"""A model without weights: likelihood of intensities inside and outside.

The prompt says roughly what is inside and what is outside. Histograms of both give a log-likelihood ratio
for every pixel of the view (Boykov and Jolly, "Interactive graph cuts", ICCV 2001, use it as the data
term); smoothed, thresholded and cleaned up it is a mask. From slice to slice the mask just passed adds a
prior, and the statistics of the prompted slice stay.

It is the yardstick for every neural model, and it keeps the product useful where no weights are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy import ndimage

from napari_sam2.models.base import Decoded, ModelCard, ViewPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.models.base import (
        DecodeRequest,
        Features,
        MemoryRef,
        RememberRequest,
        ViewPrompts,
        ViewShift,
    )

    Map = NDArray[np.float32]

__all__ = ["ClassicalModel"]

VIEW_SIZE: Final = 96
"""Pixels; finer views gain nothing, since the histograms have enough samples."""

N_BINS: Final = 48
"""Quantile bins of the prompted view: equal population, so any contrast is resolved."""

CORE: Final = 0.76
"""The ellipse inside a box that counts as certainly inside, as a share of the box."""

SMOOTHING: Final = 1.4
"""Standard deviation in view pixels of the blur of likelihoods; removes single voxels."""

LIKELIHOOD_LIMIT: Final = 3.0
"""A bin that occurs only inside (or outside) counts no more than this, in nats."""

PRIOR_WEIGHT: Final = 1.2
"""What the mask of the slice just passed counts, far from its edge, against the likelihood's limit."""

CORRECTION_WEIGHT: Final = 0.1
"""What is left of that prior when a click says that the mask is wrong."""

PRIOR_REACH: Final = 0.35
"""Distance from that edge, over the object's radius, at which the prior counts 76 %."""

CLICK_SPREAD: Final = 0.035
"""Standard deviation of a click's influence on the statistics, over the view's side."""

BACKGROUND_SHARE: Final = 0.15
"""How much any pixel counts as background when a click says nothing about the object's extent."""

PRESENT_MARGIN: Final = 0.0
"""Mean likelihood inside a propagated mask below which the object has probably ended: no evidence either way."""


@dataclass(frozen=True, slots=True, eq=False)
class _Statistics:
    """Log-likelihood ratio, in [-1, 1], per quantile bin of intensity.

    ``axis`` (C,) projects colours to the scalar whose bins ``edges`` separates.
    """

    axis: NDArray[np.float64]
    edges: NDArray[np.float64]
    ratio: NDArray[np.float64]

    def likelihood(self, image: Map) -> NDArray[np.float64]:
        """Smoothed ratio (S, S) of an image (C, S, S)."""
        scalar = np.tensordot(self.axis, image, axes=1)
        ratio = self.ratio[np.searchsorted(self.edges, scalar, side="right")]
        return np.asarray(ndimage.gaussian_filter(ratio, SMOOTHING, mode="nearest"))


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    mask: NDArray[np.bool_]
    statistics: _Statistics | None


class ClassicalModel:
    """Prompt-conditioned histogram likelihood, behind the engine's protocol."""

    def __init__(self) -> None:
        self.card = ModelCard(
            name="classical",
            kind="classical",
            revision="1",
            license="Apache-2.0",
            summary="Histogram likelihood, no weights: good for objects that differ in brightness from what is around.",
        )
        self.view_policy = ViewPolicy(zoom=True, factor=2.3, follow_factor=2.4, encodes=False)
        self.input_size = VIEW_SIZE
        self.max_memories = 1
        self.device = torch.device("cpu")

    def encode(self, images: Tensor) -> list[Features]:
        """The image itself: there is nothing to compute ahead of a prompt."""
        return [(image,) for image in images]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Answer each request on its own."""
        return [_decode(request) for request in requests]

    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """The mask, and the statistics of a prompted slice."""
        memories = []
        for request in requests:
            mask = (request.decoded.logits > 0).cpu().numpy() & (request.decoded.object_score > 0)
            statistics = _refined(request.features[0].cpu().numpy(), mask) if request.prompted and mask.any() else None
            memories.append(_Memory(mask, statistics))
        return memories


def _decode(request: DecodeRequest) -> Decoded:
    image = request.features[0].cpu().numpy()
    prompts = request.prompts
    if prompts is None:
        return _track(image, request.memories)
    if prompts.mask is not None and prompts.box is None and not len(prompts.points):
        mask = prompts.mask.cpu().numpy()
        return _answer(mask * 20 - 10, bool((mask > 0.5).any()), 1.0)
    earlier = _earlier_mask(request)
    inside, outside = _weights(prompts, earlier)
    likelihood = _learn(image, inside, outside).likelihood(image)
    if earlier is not None and earlier.any():
        likelihood = likelihood + CORRECTION_WEIGHT * _prior(earlier)
    likelihood = likelihood + _pull(prompts)
    mask = likelihood > 0
    if prompts.box is not None:
        mask &= _box_mask(prompts.box.cpu().numpy())
    mask = _clean(mask, _seed(prompts, earlier))
    return _answer(_signed(likelihood, mask), bool(mask.any()), _confidence(likelihood, mask))


def _track(image: Map, memories: Sequence[MemoryRef]) -> Decoded:
    """Carry the nearest mask into this view, with the statistics of the nearest prompted slice."""
    nearest = min(memories, key=lambda ref: abs(ref.offset))
    before = _shifted(nearest.memory.mask, nearest.shift)
    learnt = next((ref.memory.statistics for ref in memories if ref.memory.statistics is not None), None)
    if learnt is None or not before.any():
        return _answer(np.full(before.shape, -10.0), False, 0.0)
    likelihood = learnt.likelihood(image)
    decided = likelihood + _prior(before)
    mask = _clean(decided > 0, before)
    present = bool(mask.any()) and float(likelihood[mask].mean()) > PRESENT_MARGIN
    return _answer(_signed(decided, mask), present, _confidence(likelihood, mask))


def _weights(prompts: ViewPrompts, earlier: NDArray[np.bool_] | None) -> tuple[Map, Map]:
    """How much each pixel tells about inside and about outside."""
    positive, negative = _clicks(prompts)
    if earlier is not None and earlier.any():
        core = ndimage.binary_erosion(earlier, iterations=2)
        inside = (core if core.any() else earlier).astype(np.float32)
        outside = (~ndimage.binary_dilation(earlier, iterations=2)).astype(np.float32)
    elif prompts.box is not None:
        box = prompts.box.cpu().numpy()
        inside, outside = _ellipse(box, CORE).astype(np.float32), (~_box_mask(box)).astype(np.float32)
    else:
        inside, outside = np.zeros_like(positive), np.full_like(positive, BACKGROUND_SHARE)
    return inside + 4 * positive, outside + 4 * negative


def _learn(image: Map, inside: Map, outside: Map) -> _Statistics:
    """Statistics of an image (C, S, S) under weights (S, S)."""
    axis = _colour_axis(image, inside, outside)
    scalar = np.tensordot(axis, image, axes=1)
    edges = np.unique(np.quantile(scalar, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scalar, side="right")
    densities = []
    for weight in (inside, outside):
        counts = np.bincount(bins.ravel(), weights=weight.ravel(), minlength=len(edges) + 1)
        counts = ndimage.gaussian_filter1d(counts, 1.5, mode="nearest")
        densities.append(counts / max(counts.sum(), 1e-6))
    ratio = np.log((densities[0] + 2e-3) / (densities[1] + 2e-3))
    return _Statistics(axis, edges, np.clip(ratio, -LIKELIHOOD_LIMIT, LIKELIHOOD_LIMIT) / LIKELIHOOD_LIMIT)


def _refined(image: Map, mask: NDArray[np.bool_]) -> _Statistics:
    """Statistics from an answered mask: certain inside, and what lies around it."""
    core = ndimage.binary_erosion(mask, iterations=2)
    outside = ~ndimage.binary_dilation(mask, iterations=2)
    return _learn(image, (core if core.any() else mask).astype(np.float32), outside.astype(np.float32))


def _colour_axis(image: Map, inside: Map, outside: Map) -> NDArray[np.float64]:
    """Fisher's linear discriminant between inside and outside; [1] for grey images."""
    channels = image.shape[0]
    if channels == 1:
        return np.ones(1)
    pixels = image.reshape(channels, -1).astype(np.float64)
    means, spread = [], np.eye(channels) * 1e-4
    for weight in (inside.ravel(), outside.ravel()):
        share = weight / max(weight.sum(), 1e-6)
        mean = pixels @ share
        centred = pixels - mean[:, None]
        spread = spread + (centred * share) @ centred.T
        means.append(mean)
    return np.asarray(np.linalg.solve(spread, means[0] - means[1]))


def _prior(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """In favour inside a mask and against outside, more so away from its edge."""
    distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    distance = np.where(mask, distance - 0.5, distance + 0.5)
    radius = math.sqrt(mask.sum() / math.pi)
    return np.asarray(PRIOR_WEIGHT * np.tanh(distance / max(PRIOR_REACH * radius, 1.0)))


def _pull(prompts: ViewPrompts) -> NDArray[np.float64]:
    """What a click says about its own surroundings, whatever the intensities."""
    positive, negative = _clicks(prompts)
    return 2.0 * positive - 2.0 * negative


def _clicks(prompts: ViewPrompts) -> tuple[Map, Map]:
    """Gaussian spots (S, S) at positive and at negative clicks."""
    grid = np.arange(VIEW_SIZE, dtype=np.float32)
    maps = np.zeros((2, VIEW_SIZE, VIEW_SIZE), dtype=np.float32)
    for (x, y), positive in zip(prompts.points.cpu().numpy(), prompts.positive.tolist(), strict=True):
        width = 2 * (CLICK_SPREAD * VIEW_SIZE) ** 2
        spot = np.exp(-((grid[:, None] - y) ** 2) / width) * np.exp(-((grid[None, :] - x) ** 2) / width)
        target = maps[0 if positive else 1]
        np.maximum(target, spot, out=target)
    return maps[0], maps[1]


def _earlier_mask(request: DecodeRequest) -> NDArray[np.bool_] | None:
    if request.previous is not None:
        logits = request.previous.logits
        if logits.shape[-1] != VIEW_SIZE:
            logits = torch.nn.functional.interpolate(logits[None, None], (VIEW_SIZE, VIEW_SIZE), mode="bilinear")[0, 0]
        return (logits > 0).cpu().numpy()
    drawn = None if request.prompts is None else request.prompts.mask
    return None if drawn is None else (drawn > 0.5).cpu().numpy()


def _seed(prompts: ViewPrompts, earlier: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """What a component must touch to belong to the object."""
    if len(prompts.points) and bool(prompts.positive.any()):
        seed = _clicks(prompts)[0] > 0.5
        return seed if earlier is None else seed | earlier
    if earlier is not None and earlier.any():
        return earlier
    if prompts.box is not None:
        return _ellipse(prompts.box.cpu().numpy(), CORE)
    return np.ones((VIEW_SIZE, VIEW_SIZE), dtype=bool)


def _clean(mask: NDArray[np.bool_], seed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the components that share a good part of the seed, without holes."""
    labels, count = ndimage.label(mask)
    if count > 1:
        shared = np.bincount(labels[seed], minlength=count + 1)
        shared[0] = 0
        keep = shared >= max(1, 0.2 * shared.max())
        keep[0] = False
        mask = keep[labels]
    elif not (mask & seed).any():
        return np.zeros_like(mask)
    return np.asarray(ndimage.binary_fill_holes(mask))


def _signed(likelihood: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logits that agree with the cleaned mask everywhere."""
    magnitude = np.maximum(np.abs(likelihood), 0.05) * 10
    return np.where(mask, magnitude, -magnitude)


def _confidence(likelihood: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """A stand-in for predicted IoU: how clearly the likelihood separates the mask from its surroundings."""
    if not mask.any():
        return 0.0
    around = ndimage.binary_dilation(mask, iterations=6) & ~mask
    contrast = likelihood[mask].mean() - (likelihood[around].mean() if around.any() else 0.0)
    return float(np.clip(0.5 * contrast + 0.3, 0.0, 1.0))


def _answer(logits: NDArray[np.floating], present: bool, quality: float) -> Decoded:
    return Decoded(torch.from_numpy(np.ascontiguousarray(logits, dtype=np.float32)), 5.0 if present else -5.0, quality)


def _shifted(mask: NDArray[np.bool_], shift: ViewShift) -> NDArray[np.bool_]:
    """A remembered mask, as it lies in the current view (nearest pixel)."""
    x = np.rint(shift.scale * np.arange(VIEW_SIZE) + shift.dx).astype(int)
    y = np.rint(shift.scale * np.arange(VIEW_SIZE) + shift.dy).astype(int)
    inside: NDArray[np.bool_] = ((y >= 0) & (y < VIEW_SIZE))[:, None] & ((x >= 0) & (x < VIEW_SIZE))[None, :]
    inside &= mask[np.clip(y, 0, VIEW_SIZE - 1)][:, np.clip(x, 0, VIEW_SIZE - 1)]
    return inside


def _box_mask(box: NDArray[np.floating]) -> NDArray[np.bool_]:
    grid = np.arange(VIEW_SIZE)
    x0, y0, x1, y1 = box
    return np.outer((grid >= y0) & (grid <= y1), (grid >= x0) & (grid <= x1))


def _ellipse(box: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    grid = np.arange(VIEW_SIZE)
    x0, y0, x1, y1 = box
    across = (grid - (x0 + x1) / 2) / max((x1 - x0) / 2 * share, 1.0)
    down = (grid - (y0 + y1) / 2) / max((y1 - y0) / 2 * share, 1.0)
    return np.asarray(down[:, None] ** 2 + across[None, :] ** 2 <= 1)
