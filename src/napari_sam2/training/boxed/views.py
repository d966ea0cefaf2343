"""Boxed views with the model's answers, in files.

What the second network learns from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import SlicePlane
from napari_sam2.engine.close_box import close_box, close_square
from napari_sam2.engine.view import zoom_view
from napari_sam2.io.atomic import atomic_write
from napari_sam2.models.base import DecodeRequest
from napari_sam2.models.small.box_view import box_channels, seen_closer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_sam2.models.small.box_net import BoxNetConfig
    from napari_sam2.models.small.model import SmallModel
    from napari_sam2.training.boxed.drawing import Boxed

__all__ = ["Views", "joined", "made_views", "read_views", "write_views"]

AT_ONCE: Final = 16
"""Views that the model answers at once."""

HIGHEST: Final = 20.0
"""Of a logit that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """N boxed views, ready to learn from.

    Attributes
    ----------
    channels : Tensor, (N, C, S, S) float16
    before : Tensor, (N, S, S) float16
        Logits of the model, made to agree with the box.
    truth : Tensor, (N, S, S) float16
        Coverage of the object, 0 to 1.
    boxes : Tensor, (N, 4)
        Outer edges x0, y0, x1, y1 in pixels.
    """

    channels: Tensor
    before: Tensor
    truth: Tensor
    boxes: Tensor

    def __len__(self) -> int:
        return len(self.boxes)


def made_views(drawn: Sequence[Boxed], model: SmallModel, config: BoxNetConfig) -> Views:
    """Boxed slices as the second network sees them.

    With the model's answers.

    Parameters
    ----------
    drawn : sequence of Boxed
        Slices with boxes.
    model : SmallModel
        Answers them, without the rule for boxes.
    config : BoxNetConfig
        Says how close the network looks.
    """
    made = [_made(drawn[start : start + AT_ONCE], model, config) for start in range(0, len(drawn), AT_ONCE)]
    return joined(made)


def _made(drawn: Sequence[Boxed], model: SmallModel, config: BoxNetConfig) -> Views:
    requests, seen, truths = [], [], []
    policy = model.view_policy
    for item in drawn:
        plane = SlicePlane(0, 1, 2, False, False, (item.truth.shape[0], item.truth.shape[1]), (1.0, 1.0), 3, 1.0)
        box = np.array([item.box[edge] for edge in (1, 0, 3, 2)])
        view = zoom_view(plane, box.tolist(), policy.factor, policy.min_side, model.input_size)
        slices = [pixels.numpy() for pixels in (item.stack if config.neighbours else item.stack[[1, 1, 1]])]
        prompts = SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), box=box)
        features = model.encode(view.image(slices[1])[None])[0]
        requests.append(DecodeRequest(features, view.prompts(prompts, model.device)))
        seen.append(close_box(slices, plane, box, view, config.factor, config.size))
        truths.append(close_square(plane, box, config.factor, config.size).image(item.truth.numpy())[0])
    answers = model.decode(requests)
    logits = torch.stack(
        [
            seen_closer(answer.logits, close.shift, model.input_size, config.size)
            for answer, close in zip(answers, seen, strict=True)
        ]
    )
    stacks, boxes = torch.stack([close.stack for close in seen]), torch.stack([close.box for close in seen])
    channels, before = box_channels(stacks, logits, boxes, torch.tensor([close.voxels for close in seen]))
    half = torch.float16
    return Views(channels.to(half), before.clamp(-HIGHEST, HIGHEST).to(half), torch.stack(truths).to(half), boxes)


def joined(parts: Sequence[Views]) -> Views:
    """Views of several files as one."""
    return Views(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Views)))


def write_views(path: Path, views: Views) -> None:
    """Write views, as plain tensors."""
    with atomic_write(path) as temporary:
        save_file({field.name: getattr(views, field.name).contiguous() for field in fields(Views)}, temporary)


def read_views(path: Path) -> Views:
    """Read what `write_views` wrote."""
    return Views(**load_file(path))
