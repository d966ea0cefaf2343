"""How a roll-out is made.

And what it hands to the network at each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.models.small.channels import CHANNELS

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sam2.models.small.net import Tokens

__all__ = ["RolloutSettings", "StepInputs"]


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How a roll-out is made.

    Attributes
    ----------
    size : int
        Side of the views in pixels.
    teacher : float
        Probability that a remembered mask is the truth, carelessly drawn, instead of the own answer.
    drop : bool
        Withhold channels and memories from single samples.
    blank : bool
        Replace every image by a constant; a control, never used in training.
    keep : tuple of int, optional
        Channels to keep, all others are zero; for ablations.
    refine : float
        Probability that a corrected slice gets no new click, only a closer view of the last answer.
    closest : float
        Smallest view of a bare click over the object's side; below 1 the view shows a part of it.
    imperfect : float
        Probability that a remembered mask has gone wrong in some way.
    closeup : float
        Probability that the last correction of a clip is seen in a view around the click, at the error's scale.
    judged : bool
        As an engine does, remember an empty mask for a carried slice whose presence was denied.
    channels : int
        Input channels of the network.
    """

    size: int
    teacher: float = 0.3
    drop: bool = True
    blank: bool = False
    keep: tuple[int, ...] | None = None
    refine: float = 0.0
    closest: float = 1.4
    imperfect: float = 0.0
    closeup: float = 0.0
    judged: bool = False
    channels: int = CHANNELS


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What the network gets for one step, and what it should say.

    Attributes
    ----------
    channels : Tensor, (B, 13, S, S)
    tokens : list of Tokens
        The prompted slice and the one just passed.
    truth : Tensor, (B, S, S)
        0 or 1.
    visible : Tensor, (B,)
        Share of the object on its slice that lies within the view; 1 where there is no object.
    """

    channels: Tensor
    tokens: list[Tokens]
    truth: Tensor
    visible: Tensor
