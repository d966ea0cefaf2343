"""Beginning a run from another network's weights.

It is of the same kind, perhaps smaller; weights may be blended with its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sam2.models.small.weights import read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_sam2.models.small.net import SmallNet

__all__ = ["begin_from", "blended"]

#: The layer that sees the input channels.
STEM = "stem.0.weight"


def begin_from(net: SmallNet, path: Path) -> list[str]:
    """Take over weights whose name and shape fit.

    Returns the names of those that did not.

    Input channels that the other network did not have begin with zero weights, and blocks that deepen a network
    begin as the identity, so a deepened network answers at first exactly as the other one did.
    """
    other = read_weights(path).net.state_dict()
    own = net.state_dict()
    left = []
    for name, value in own.items():
        weight = other.get(name)
        if weight is not None and weight.shape == value.shape:
            own[name] = weight.clone()
        elif weight is not None and name == STEM and weight.shape[1] < value.shape[1]:
            own[name] = torch.zeros_like(value)
            own[name][:, : weight.shape[1]] = weight
        else:
            left.append(name)
    net.load_state_dict(own)
    return left


def blended(net: SmallNet, path: Path, trained: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """A point between the first weights and those reached.

    On the line from the weights that a run began with.

    Between the two, what the first network could is kept and most of what was learnt is had (Wortsman et al.,
    Robust fine-tuning of zero-shot models, CVPR 2022). Blocks that the first network did not have began as the
    identity, by layers of zeros: those are blended with zero, the rest of a block is taken as it was trained.

    Parameters
    ----------
    net : SmallNet
        A new network of the run's sizes.
    path : Path
        The weight file that the run began with.
    trained : mapping of str to Tensor
        The weights that the run reached.
    share : float
        0 is the beginning, 1 what was reached.
    """
    new = set(begin_from(net, path))
    return {
        name: trained[name] if name in new and bool(value.any()) else torch.lerp(value, trained[name], share)
        for name, value in net.state_dict().items()
    }
