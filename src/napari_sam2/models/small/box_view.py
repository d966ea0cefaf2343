"""What the second network sees of a boxed slice.

Channels of its close view, and the way from the model's view there and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from napari_sam2.models.small.box_net import LOGIT_SCALE, Place
from napari_sam2.models.small.boxed import agreed_with_box, refined_by_box
from napari_sam2.models.small.channels import box_statistics, rectangles

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sam2.models.base import ViewShift
    from napari_sam2.models.small.box_net import BoxNet

__all__ = ["box_channels", "read_closely", "seen_closer", "seen_from_afar"]

#: Added to the network's logits, and what is added where the box's longer side has fewer voxels than the last number:
#: it was trained on objects with holes and thin ones as well, and where it is in doubt an object that a person boxes is
#: rather larger, the more so the fewer voxels it has. Chosen on sections that nothing was trained on.
LIFT, LIFT_SMALL, SMALL = 0.3, 0.6, 24.0
#: A view is left to the rule when it looks like PET, where the network did not keep what the rule gives: with less
#: detail than the first number, or than the second and a ring darker than a share of what is bright in the box.
SMOOTH, DETAIL, DARK, BRIGHT = 0.04, 0.15, 0.4, 0.9
#: Share of the box's longer side around it, whose intensities count for the scale of the image's channels.
RING = 0.15
#: Spread below which all is noise.
FLOOR = 0.01


def box_channels(stack: Tensor, logits: Tensor, boxes: Tensor, voxels: Tensor) -> tuple[Tensor, Tensor]:
    """What the network sees of B boxed views.

    Parameters
    ----------
    stack : Tensor, (B, 3, S, S)
        The slice before, the boxed slice and the one after, in [0, 1].
    logits : Tensor, (B, S, S)
        The model's answer in this view.
    boxes : Tensor, (B, 4)
        Outer edges x0, y0, x1, y1 in pixels of the view.
    voxels : Tensor, (B,)
        Voxels of the slice along a pixel of the view.

    Returns
    -------
    channels : Tensor, (B, `CHANNELS`, S, S)
    before : Tensor, (B, S, S)
        The model's answer, made to agree with the box.
    """
    image = stack[:, 1]
    before = torch.stack([refined_by_box(one, seen, box) for one, seen, box in zip(logits, image, boxes, strict=True)])
    equalised, once, thrice = box_statistics(image, boxes)
    across, down_, distance, near = _places(boxes, image.shape[-1])
    weight = near / near.sum((1, 2), keepdim=True).clamp(min=1e-6)
    mean = (image * weight).sum((1, 2), keepdim=True)
    spread = ((image - mean) ** 2 * weight).sum((1, 2), keepdim=True).sqrt()
    slices = torch.tanh((stack - mean[:, None]) / (2 * spread[:, None] + FLOOR))
    pixel = (torch.log2(voxels.clamp(min=1e-3)) / 3).clamp(-1, 1)[:, None, None].expand_as(image)
    known = [torch.tanh(values / LOGIT_SCALE) for values in (logits, before)]
    others = [equalised - 0.5, once, thrice, known[0], known[1], distance, across, down_, pixel]
    return torch.cat([slices, torch.stack(others, 1)], 1), before


def read_closely(net: BoxNet, stack: Tensor, logits: Tensor, box: Tensor, voxels: float) -> Tensor | None:
    """The network's answer to a boxed view.

    Parameters
    ----------
    net : BoxNet
    stack : Tensor, (3, S, S)
        The slice before, the boxed slice and the one after, in [0, 1].
    logits : Tensor, (S, S)
        The model's answer in this view.
    box : Tensor, (4,)
        Outer edges x0, y0, x1, y1 in pixels of the view.
    voxels : float
        Voxels of the slice along a pixel of the view.

    Returns
    -------
    Tensor, (S, S), or None
        Logits, made to agree with the box; None where the view looks like PET.
    """
    boxes = box[None]
    channels, before = box_channels(stack[None], logits[None], boxes, torch.tensor([voxels], device=box.device))
    if _like_pet(stack[1], channels[0, Place.IMAGE], box):
        return None
    longer = float(torch.maximum(box[2] - box[0], box[3] - box[1])) * voxels
    lift = LIFT_SMALL if longer < SMALL else LIFT
    return agreed_with_box(net(channels, before)[0] + lift, box)


def _like_pet(image: Tensor, scaled: Tensor, box: Tensor) -> bool:
    """Whether a view is very smooth, or shows something hot on dark ground; an image (S, S), and its channel."""
    inside = rectangles(box[None], image.shape[-1])[0] > 0.5
    ring = (_places(box[None], image.shape[-1])[3][0] > 0) & ~inside
    if not bool(inside.any()) or not bool(ring.any()):
        return False
    dark = float(image[ring].median()) < DARK * float(image[inside].quantile(BRIGHT))
    middle = scaled[1:-1, 1:-1]
    around = scaled[:-2, 1:-1] + scaled[2:, 1:-1] + scaled[1:-1, :-2] + scaled[1:-1, 2:]
    curved = (4 * middle - around).abs()[inside[1:-1, 1:-1]].mean()
    detail = float(curved / (scaled[inside].std() + 2 * FLOOR))
    return detail < SMOOTH or (dark and detail < DETAIL)


def seen_closer(values: Tensor, shift: ViewShift, own: int, size: int) -> Tensor:
    """A view's values as seen in a closer view, (size, size).

    Parameters
    ----------
    values : Tensor, (h, h)
        Over the whole of a view of ``own`` pixels.
    shift : ViewShift
        From a pixel of the closer view to one of that view.
    own, size : int
        Sides of both, in pixels.
    """
    scale, x, y = _relation(shift, own, size)
    return _sampled(values, scale, x, y, size, "border")


def seen_from_afar(values: Tensor, shift: ViewShift, own: int, around: float) -> Tensor:
    """A closer view's values as seen in the whole view.

    In pixels as fine as those of the closer view.

    Parameters
    ----------
    values : Tensor, (n, n)
        In the closer view.
    shift, own
        As for `seen_closer`.
    around : float
        Value of what the closer view does not show.
    """
    scale, x, y = _relation(shift, own, values.shape[-1])
    side = max(own, round(values.shape[-1] / scale))
    return _sampled(values - around, 1 / scale, -x / scale, -y / scale, side, "zeros") + around


def _relation(shift: ViewShift, own: int, size: int) -> tuple[float, float, float]:
    """Share of the whole view's side that the closer view takes, and where it begins, x and y, over that side."""
    begins = [(offset + 0.5 - 0.5 * shift.scale) / own for offset in (shift.dx, shift.dy)]
    return shift.scale * size / own, begins[0], begins[1]


def _sampled(values: Tensor, scale: float, x: float, y: float, side: int, padding: str) -> Tensor:
    # A place t of the result, in [0, 1], lies at scale * t + x (or y); grid_sample counts from -1 to 1.
    theta = torch.tensor([[scale, 0, scale + 2 * x - 1], [0, scale, scale + 2 * y - 1]], device=values.device)
    grid = functional.affine_grid(theta[None], [1, 1, side, side], align_corners=False)
    return functional.grid_sample(values.float()[None, None], grid, padding_mode=padding, align_corners=False)[0, 0]


def _places(boxes: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distance from the middle across and down, signed distance to the nearest side, the box with a ring around it."""
    axis = torch.arange(side, dtype=torch.float32, device=boxes.device)
    x0, y0, x1, y1 = (boxes[:, k, None] for k in range(4))
    longer = RING * torch.maximum(x1 - x0, y1 - y0)
    u = (axis - (x0 + x1) / 2).abs() / ((x1 - x0) / 2).clamp(min=0.5)
    v = (axis - (y0 + y1) / 2).abs() / ((y1 - y0) / 2).clamp(min=0.5)
    across, down_ = (2 * torch.tanh(u / 2))[:, None, :], (2 * torch.tanh(v / 2))[:, :, None]
    in_x, in_y = torch.minimum(axis - x0, x1 - axis), torch.minimum(axis - y0, y1 - axis)
    inside = torch.minimum(in_y[:, :, None], in_x[:, None, :])
    shorter = (torch.minimum(x1 - x0, y1 - y0) / 2).clamp(min=1)[:, :, None]
    near = (in_y > -longer)[:, :, None] & (in_x > -longer)[:, None, :]
    whole = torch.zeros_like(inside)
    return across + whole, down_ + whole, (inside / shorter).clamp(-1, 1), near.float()
