"""Fixed validation.

The same clips every time, each protocol with and without the image.

The difference between the two is what the network learnt from the image; a network that copies its
prompt scores well with the image hidden too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam2.training.losses import dice
from napari_sam2.training.rollout import Rollout, RolloutSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.models.small.net import SmallNet
    from napari_sam2.training.clip import Clip
    from napari_sam2.training.sampler import ClipSampler

__all__ = ["PROTOCOLS", "Protocol", "fixed_clips", "validate"]

#: Slices of a validation clip.
SLICES = 5
#: Clips decoded at once.
BATCH = 24
#: Seeds of the clips and of the prompts; independent of the run's own seed.
CLIP_SEED, PROMPT_SEED = 777, 778


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is done with each clip.

    And which of its steps are scored.
    """

    name: str
    kind: str
    corrections: tuple[bool, ...]
    scored: tuple[int, ...]


PROTOCOLS = (
    Protocol("box", "box", (), (0,)),
    Protocol("click1", "click", (), (0,)),
    Protocol("click3", "click", (True, True), (2,)),
    Protocol("box-propagate", "box", (False,) * 4, (1, 2, 3, 4)),
    Protocol("mask-propagate", "mask", (False,) * 4, (1, 2, 3, 4)),
)


def fixed_clips(sampler: ClipSampler, count: int) -> list[Clip]:
    """The same clips for the same pools."""
    rng = np.random.default_rng(CLIP_SEED)
    return [sampler.draw(rng, SLICES) for _ in range(count)]


@torch.inference_mode()
def validate(
    net: SmallNet,
    clips: list[Clip],
    size: int,
    keep: tuple[int, ...] | None = None,
    hidden: bool = True,
    protocols: Sequence[Protocol] = PROTOCOLS,
) -> dict[str, float]:
    """Mean Dice of each of the protocols.

    With ``hidden``, ``<protocol>/blank`` is the same with the image hidden.
    """
    scores: dict[str, float] = {}
    for protocol in protocols:
        for blank in (False, True) if hidden else (False,):
            settings = RolloutSettings(
                size, teacher=0.0, drop=False, blank=blank, keep=keep, channels=net.config.channels
            )
            values = [
                _run(net, clips[start : start + BATCH], protocol, settings) for start in range(0, len(clips), BATCH)
            ]
            scores[protocol.name + ("/blank" if blank else "")] = float(np.concatenate(values).mean())
    return scores


def _run(net: SmallNet, clips: list[Clip], protocol: Protocol, settings: RolloutSettings) -> np.ndarray:
    rng = np.random.default_rng(PROMPT_SEED)
    rollout = Rollout(clips, [protocol.kind] * len(clips), rng, settings, net.config.widths[2])
    scored = []
    for step in range(len(protocol.corrections) + 1):
        inputs = rollout.inputs()
        output = net(inputs.channels, inputs.tokens)
        rollout.receive(output)
        if step in protocol.scored:
            # As in use: an object that is judged absent has an empty mask.
            logits = torch.where(output.presence[:, None, None] > 0, output.logits, torch.full_like(output.logits, -1))
            scored.append(dice(logits, inputs.truth).numpy())
        if step < len(protocol.corrections):
            rollout.go_on([protocol.corrections[step]] * len(clips))
    return np.concatenate(scored)
