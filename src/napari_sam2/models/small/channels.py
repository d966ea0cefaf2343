"""What the small network looks at.

A view turned into thirteen image-like channels, or up to eighteen.

A network of this size learns little from raw intensities alone. So each prompt and each remembered slice
is also turned into a question that is easy to answer pixel by pixel: how much more common is this
intensity inside the object than around it? That is the log-likelihood ratio of two histograms, one inside
and one outside the prompt (or the remembered mask), read off at every pixel of the view.

Intensities are compared on the scale of the view being decoded: a remembered image goes through the
lookup table of the current one, so equal tissue keeps equal values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.models.small.histograms import RATIO_LIMIT, grown, log_ratio, near_ratio

__all__ = [
    "ALL_CHANNELS",
    "ANCHOR_CHANNELS",
    "CHANNELS",
    "Channel",
    "PromptBatch",
    "RememberedBatch",
    "box_statistics",
    "boxed_evidence",
    "build_channels",
    "rectangles",
    "resample",
]

#: Levels of the lookup table from raw intensity to normalised and equalised intensity.
LEVELS = 512
#: Share of pixels clipped at each end by the view's own normalisation.
CLIP = 0.01
#: Standard deviation of a drawn click over the side of the view.
CLICK_SIGMA = 0.035
#: How much more a click counts than a pixel inside the box.
CLICK_WEIGHT = 4.0
#: Half axes of the ellipse inside a box that is taken as object, over the box's sides.
ELLIPSE = 0.38
#: Pixels that must remain of a mask for its eroded core to be used.
MIN_CORE = 6.0
#: Local contrast: pixels that are averaged first, for speed; side of the neighbourhood in those; and the spread
#: below which all is noise.
LOCAL_POOL, LOCAL_SIDE, LOCAL_FLOOR = 4, 5, 0.04
#: How far an object may have grown beyond its last mask, over the view's side.
NEAR_GROWTH = 0.06


class Channel:
    """Index of each channel."""

    IMAGE = 0
    EQUALISED = 1
    BOX = 2
    POSITIVE = 3
    NEGATIVE = 4
    PRIOR = 5
    PROMPT_RATIO = 6
    PROMPT_DIFFERENCE = 7
    ANCHOR_RATIO = 8
    LAST_RATIO = 9
    LAST_IMAGE = 10
    LAST_MASK = 11
    LAST_DIFFERENCE = 12
    LOCAL = 13
    ANCHOR_IMAGE = 14
    ANCHOR_MASK = 15
    PROMPT_NEAR = 16
    LAST_NEAR = 17


#: Number of channels of small-1, and with those that came later: contrast with the near surroundings, and the
#: prompted slice's image and mask as seen from the current view; then what parts an object from its near surroundings.
CHANNELS, ANCHOR_CHANNELS, ALL_CHANNELS = 13, 16, 18


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts of B views, padded to the same number of points.

    Attributes
    ----------
    boxes : Tensor, (B, 4)
        Outer edges x0, y0, x1, y1 in pixels; ignored where ``has_box`` is 0.
    has_box : Tensor, (B,) float
    points : Tensor, (B, N, 2)
        Clicks (x, y), pixel centres at integers.
    labels : Tensor, (B, N)
        1 include, 0 exclude, -1 padding.
    prior : Tensor, (B, S, S)
        Coverage in [0, 1]: a mask given by a person, or the answer that a click corrects.
    has_prior : Tensor, (B,) float
    """

    boxes: Tensor
    has_box: Tensor
    points: Tensor
    labels: Tensor
    prior: Tensor
    has_prior: Tensor


@dataclass(frozen=True, slots=True)
class RememberedBatch:
    """One remembered slice for each of B views.

    Attributes
    ----------
    image : Tensor, (B, S, S)
        Intensities of the remembered view in [0, 1], as they came.
    mask : Tensor, (B, S, S)
        Probability of the object in the remembered view.
    shift : Tensor, (B, 3)
        Scale, dx, dy from a pixel of the current view to the remembered one.
    present : Tensor, (B,) float
        0 where there is nothing remembered; the rest is then ignored.
    """

    image: Tensor
    mask: Tensor
    shift: Tensor
    present: Tensor


def build_channels(
    image: Tensor, prompts: PromptBatch, anchor: RememberedBatch, last: RememberedBatch, count: int = CHANNELS
) -> Tensor:
    """Channels of B views.

    Parameters
    ----------
    image : Tensor, (B, S, S)
        Intensities in [0, 1].
    prompts : PromptBatch
        What a person gave on this very slice.
    anchor, last : RememberedBatch
        The prompted slice, and the slice just passed.
    count : int
        `CHANNELS`, `ANCHOR_CHANNELS` or `ALL_CHANNELS`.

    Returns
    -------
    Tensor, (B, count, S, S)
    """
    scale = _Scale(image)
    normal, equalised = scale.normalised(image), scale.equalised(image)
    box, core = _boxes(prompts, image.shape[-1])
    positive = _clicks(prompts.points, prompts.labels == 1, image.shape[-1])
    negative = _clicks(prompts.points, prompts.labels == 0, image.shape[-1])
    ratio, difference = _prompt_statistics(equalised, prompts, box, core, positive, negative)
    anchor_ratio = _memory_ratio(equalised, scale, anchor)
    last_ratio = _memory_ratio(equalised, scale, last)
    present = _column(last.present)
    last_image, last_mask = _seen_from_here(scale, last)
    channels = [
        normal - 0.5,
        equalised - 0.5,
        box,
        positive,
        negative,
        (2 * prompts.prior - 1) * _column(prompts.has_prior),
        ratio,
        difference,
        anchor_ratio,
        last_ratio,
        last_image,
        last_mask,
        (normal - 0.5) * present - last_image,
    ]
    if count >= ANCHOR_CHANNELS:
        channels += [_local_contrast(normal), *_seen_from_here(scale, anchor)]
    if count >= ALL_CHANNELS:
        before = resample(last.mask, last.shift) * present
        channels += [_prompt_near(equalised, prompts, box), near_ratio(equalised, before, grown(before, NEAR_GROWTH))]
    return torch.stack(channels, 1)


def boxed_evidence(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """What the near surroundings of boxes say of the objects in them.

    Parameters
    ----------
    image : Tensor, (B, S, S)
        Intensities in [0, 1].
    boxes : Tensor, (B, 4)
        Outer edges x0, y0, x1, y1 in pixels.

    Returns
    -------
    inside, evidence : Tensor, (B, S, S)
        Soft rectangles, 0 to 1; log-likelihood ratio of each place, see `near_ratio` of `histograms`.
    """
    equalised, rectangle, region = _boxed(image, boxes)
    return rectangle, RATIO_LIMIT * near_ratio(equalised, rectangle, region, rounds=1)


def box_statistics(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Equalised images of boxed views, and what their surroundings say.

    In one round of estimates, and in three.

    Parameters
    ----------
    image : Tensor, (B, S, S)
        Intensities in [0, 1].
    boxes : Tensor, (B, 4)
        Outer edges x0, y0, x1, y1 in pixels.

    Returns
    -------
    equalised, once, thrice : Tensor, (B, S, S)
        0 to 1; log-likelihood ratios, -1 to 1, see `near_ratio` of `histograms`.
    """
    equalised, rectangle, region = _boxed(image, boxes)
    return equalised, near_ratio(equalised, rectangle, region, rounds=1), near_ratio(equalised, rectangle, region)


def _boxed(image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Equalised images, soft rectangles, and what counts as inside of them; arguments as for `box_statistics`."""
    rectangle = rectangles(boxes, image.shape[-1])
    return _Scale(image).equalised(image), rectangle, (rectangle > 0.5).float()


def rectangles(boxes: Tensor, side: int) -> Tensor:
    """Soft rectangles of boxes, (B, S, S)."""
    axis = torch.arange(side, dtype=torch.float32, device=boxes.device)
    x0, y0, x1, y1 = (boxes[:, k, None] for k in range(4))
    across = torch.sigmoid(2 * (axis - x0)) * torch.sigmoid(2 * (x1 - axis))
    down = torch.sigmoid(2 * (axis - y0)) * torch.sigmoid(2 * (y1 - axis))
    return down[:, :, None] * across[:, None, :]


def resample(values: Tensor, shift: Tensor) -> Tensor:
    """A remembered view seen from the current one; zero outside.

    Parameters
    ----------
    values : Tensor, (B, S, S)
        In the remembered view.
    shift : Tensor, (B, 3)
        Scale, dx, dy from the current view to the remembered one, in pixels.
    """
    side = values.shape[-1]
    scale, offset = shift[:, 0], shift[:, 1:]
    # Pixel x lies at (2x + 1) / S - 1 in the coordinates of grid_sample.
    centre = (2 * offset + 1 + (side - 1) * scale[:, None]) / side - 1
    theta = torch.zeros(len(values), 2, 3, dtype=values.dtype, device=values.device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = centre
    grid = functional.affine_grid(theta, [len(values), 1, side, side], align_corners=False)
    return functional.grid_sample(values[:, None], grid, align_corners=False)[:, 0]


class _Scale:
    """The lookup table of each view: raw intensity to normalised and to equalised intensity."""

    def __init__(self, image: Tensor) -> None:
        index = _index(image)
        counts = torch.zeros(len(image), LEVELS, device=image.device)
        counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))
        total = counts.cumsum(1) / index.shape[1]
        # The middle rank of ties, so that a constant view stays constant.
        self.table = total - counts / (2 * index.shape[1])
        steps = torch.full((len(image), 1), CLIP, device=image.device)
        self.low = torch.searchsorted(total.contiguous(), steps).float() / (LEVELS - 1)
        high = torch.searchsorted(total.contiguous(), 1 - steps).clamp(max=LEVELS - 1)
        self.width = (high.float() / (LEVELS - 1) - self.low).clamp(min=0.01)

    def normalised(self, image: Tensor) -> Tensor:
        return ((image - self.low[:, :, None]) / self.width[:, :, None]).clamp(0, 1)

    def equalised(self, image: Tensor) -> Tensor:
        return self.table.gather(1, _index(image)).view_as(image)


def _index(image: Tensor) -> Tensor:
    return (image.flatten(1) * (LEVELS - 1)).round().long().clamp(0, LEVELS - 1)


def _local_contrast(normal: Tensor) -> Tensor:
    """Intensity against the mean of its neighbourhood, over the spread there; -1 to 1."""
    planes = torch.stack([normal, normal**2], 1)
    coarse = functional.pad(functional.avg_pool2d(planes, LOCAL_POOL), (LOCAL_SIDE // 2,) * 4, mode="replicate")
    both = functional.interpolate(
        functional.avg_pool2d(coarse, LOCAL_SIDE, 1), size=normal.shape[-2:], mode="bilinear", align_corners=False
    )
    spread = (both[:, 1] - both[:, 0] ** 2).clamp(min=0).sqrt()
    return torch.tanh((normal - both[:, 0]) / (2 * (spread + LOCAL_FLOOR)))


def _column(flags: Tensor) -> Tensor:
    return flags[:, None, None]


def _boxes(prompts: PromptBatch, side: int) -> tuple[Tensor, Tensor]:
    """Soft rectangle of each box, and the ellipse inside it that is taken as object."""
    axis = torch.arange(side, dtype=torch.float32, device=prompts.boxes.device)
    x0, y0, x1, y1 = (prompts.boxes[:, k, None] for k in range(4))
    has_box = _column(prompts.has_box)
    rectangle = rectangles(prompts.boxes, side) * has_box
    dx = (axis - (x0 + x1) / 2) / ((x1 - x0).clamp(min=2) * ELLIPSE)
    dy = (axis - (y0 + y1) / 2) / ((y1 - y0).clamp(min=2) * ELLIPSE)
    ellipse = ((dy**2)[:, :, None] + (dx**2)[:, None, :] < 1).float() * has_box
    return rectangle, ellipse


def _clicks(points: Tensor, chosen: Tensor, side: int) -> Tensor:
    """Gaussian spots; where several overlap, the strongest."""
    if not chosen.any():
        return torch.zeros(len(points), side, side, device=points.device)
    axis = torch.arange(side, dtype=torch.float32, device=points.device)
    width = 2 * (CLICK_SIGMA * side) ** 2
    across = torch.exp(-((axis - points[:, :, 0:1]) ** 2) / width)
    down = torch.exp(-((axis - points[:, :, 1:2]) ** 2) / width) * chosen[:, :, None]
    return (down[:, :, :, None] * across[:, :, None, :]).amax(1)


def _prompt_statistics(
    equalised: Tensor, prompts: PromptBatch, box: Tensor, core: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    # Without box and prior nothing is known of the outside: everything counts a little.
    far = torch.where(_column(prompts.has_box) > 0, 1 - box, torch.full_like(box, 0.15))
    if prompts.has_prior.any():
        inner, outer = _core_and_rest(prompts.prior)
        has_prior = _column(prompts.has_prior) > 0
        core, far = torch.where(has_prior, inner, core), torch.where(has_prior, outer, far)
    inside = core + CLICK_WEIGHT * positive
    outside = far + CLICK_WEIGHT * negative
    any_prompt = (inside.flatten(1).sum(1) > 0).float()
    ratio = log_ratio(equalised, equalised, inside, outside)
    mean = (equalised * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1e-6)
    prompted = _column(any_prompt)
    return ratio * prompted, (equalised - _column(mean)) * prompted


def _seen_from_here(scale: _Scale, memory: RememberedBatch) -> tuple[Tensor, Tensor]:
    """Image and mask of a remembered slice, laid on the current view; zero where nothing is remembered."""
    if not memory.present.any():
        return torch.zeros_like(memory.image), torch.zeros_like(memory.image)
    present = _column(memory.present)
    image = (resample(scale.normalised(memory.image), memory.shift) - 0.5) * present
    return image, (2 * resample(memory.mask, memory.shift) - 1) * present


def _memory_ratio(equalised: Tensor, scale: _Scale, memory: RememberedBatch) -> Tensor:
    if not memory.present.any():
        return torch.zeros_like(equalised)
    inside, outside = _core_and_rest(memory.mask)
    usable = memory.present * (inside.flatten(1).sum(1) > 0)
    return log_ratio(equalised, scale.equalised(memory.image), inside, outside) * _column(usable)


def _prompt_near(equalised: Tensor, prompts: PromptBatch, box: Tensor) -> Tensor:
    """Near statistics of a box, or of the mask that is corrected; zero where there is neither."""
    boxed = (_column(prompts.has_box) > 0) & (_column(prompts.has_prior) == 0)
    prior = prompts.prior * _column(prompts.has_prior)
    start = torch.where(boxed, box, prior)
    region = torch.where(boxed, (box > 0.5).float(), grown(prior, NEAR_GROWTH))
    return near_ratio(equalised, start, region)


def _core_and_rest(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of pixels that are surely inside and surely outside a mask; its rim counts for neither."""
    sure = (2 * mask - 1).clamp(min=0)[:, None]
    eroded = -functional.max_pool2d(-sure, 3, 1, 1)[:, 0]
    enough = _column((eroded.flatten(1).sum(1) > MIN_CORE).float())
    core = eroded * enough + sure[:, 0] * (1 - enough)
    rest = 1 - functional.max_pool2d(mask[:, None], 5, 1, 2)[:, 0]
    return core, rest
