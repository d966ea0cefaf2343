"""How much commoner an intensity is inside an object than around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["grown", "log_ratio", "near_ratio"]

#: Bins of the histograms, and the kernel that smooths them.
BINS = 48
SMOOTHING = (1.0, 3.0, 5.0, 6.0, 5.0, 3.0, 1.0)
#: Log-likelihood ratios are clipped at this value and divided by it.
RATIO_LIMIT = 3.0
#: Floor of a histogram bin: an intensity never seen gives no certainty.
RATIO_FLOOR = 2e-3
#: Near statistics: rounds, and the ring around the region that counts as outside, over the view's side.
NEAR_ROUNDS, NEAR_RING = 3, 0.07


def log_ratio(image: Tensor, seen: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """Log-likelihood ratio of two histograms at each pixel.

    Parameters
    ----------
    image : Tensor, (B, S, S)
        Equalised intensities at which the ratio is read.
    seen : Tensor, (B, S, S)
        Equalised intensities that the histograms are made of.
    inside, outside : Tensor, (B, S, S)
        Weights of the pixels of ``seen`` in either histogram.

    Returns
    -------
    Tensor, (B, S, S)
        -1 to 1.
    """
    bins = (seen * (BINS - 1)).round().long().flatten(1)
    ratio = torch.log((_histogram(bins, inside) + RATIO_FLOOR) / (_histogram(bins, outside) + RATIO_FLOOR)).clamp(
        -RATIO_LIMIT, RATIO_LIMIT
    )
    where = (image * (BINS - 1)).round().long().flatten(1)
    return (ratio / RATIO_LIMIT).gather(1, where).view_as(image)


def near_ratio(equalised: Tensor, start: Tensor, region: Tensor, rounds: int = NEAR_ROUNDS) -> Tensor:
    """How an object's intensities differ from those right around it.

    Two histograms and the places that they speak for are estimated in turn, as GrabCut does with colours and without
    its graph (Rother, Kolmogorov and Blake, SIGGRAPH 2004); a place outside the region is never the object's.

    Parameters
    ----------
    equalised : Tensor, (B, S, S)
    start : Tensor, (B, S, S)
        First guess of the object, in [0, 1].
    region : Tensor, (B, S, S)
        1 where the object may lie.
    rounds : int
        How often histograms and places are estimated in turn.

    Returns
    -------
    Tensor, (B, S, S)
        Log-likelihood ratio, -1 to 1; zero in views without a first guess.
    """
    bins = (equalised * (BINS - 1)).round().long().flatten(1)
    around = grown(region, NEAR_RING)
    inside = start * region
    ratio = torch.zeros_like(equalised)
    for _ in range(rounds):
        one, other = _histogram(bins, inside), _histogram(bins, around - inside)
        table = torch.log((one + RATIO_FLOOR) / (other + RATIO_FLOOR)).clamp(-RATIO_LIMIT, RATIO_LIMIT)
        ratio = functional.avg_pool2d(
            table.gather(1, bins).view_as(equalised)[:, None], 3, 1, 1, count_include_pad=False
        )[:, 0]
        inside = torch.sigmoid(ratio) * region
    known = (start.flatten(1).sum(1) > 0).float()
    return ratio / RATIO_LIMIT * known[:, None, None]


def grown(mask: Tensor, reach: float) -> Tensor:
    """A mask grown by a square.

    Parameters
    ----------
    mask : Tensor, (B, S, S)
        In [0, 1]; object above 0.5.
    reach : float
        Half of the square's side over the view's side.

    Returns
    -------
    Tensor, (B, S, S)
        1 within the square around any place of the object, else 0.
    """
    pixels = max(1, round(reach * mask.shape[-1]))
    taller = functional.max_pool2d((mask > 0.5).float()[:, None], (2 * pixels + 1, 1), 1, (pixels, 0))
    return functional.max_pool2d(taller, (1, 2 * pixels + 1), 1, (0, pixels))[:, 0]


def _histogram(bins: Tensor, weights: Tensor) -> Tensor:
    counts = torch.zeros(len(bins), BINS, device=bins.device)
    counts.scatter_add_(1, bins, weights.flatten(1))
    kernel = torch.tensor(SMOOTHING, device=bins.device)
    smooth = functional.conv1d(counts[:, None], (kernel / kernel.sum()).view(1, 1, -1), padding=3)[:, 0]
    return smooth / (smooth.sum(1, keepdim=True) + 1e-6)
