"""Fitting the small network to one object.

From the slices that a person answered for.

Online adaptation as in video object segmentation: the prompted slice is the only teacher. It is bent, moved, scaled,
brightened and blurred by noise into a "slice just passed" and, once more, into a "current slice"; the network learns
to find the object on the second from the first and the prompted slice. In some views the slice just passed has lost a
part of the object, in some the object is gone from the current slice, and in some a copy of it lies nearby.
Only the decoding blocks, the mask layer and the scores learn; what a slice is remembered by stays as it was. In the end
the weights are mixed with those from before (Wortsman et al., "Robust fine-tuning of zero-shot models", 2109.01903):
what was measured of that, and of leaving it out, is in docs/corrections.md.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.models.small.channels import PromptBatch, RememberedBatch, build_channels
from napari_sam2.models.small.net import TOKEN_STRIDE, SmallNet, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lesson", "NetworkFit"]

VIEWS: Final = 4
"""Views of one step."""

RATE: Final = 3e-4
MIXED: Final = 0.75
"""Share of the fitted weights in the end; the rest is as before."""

#: Shares of views whose passed slice has lost a part, whose object is gone, and with a copy nearby.
LOST_PART, GONE, COPIED = 0.3, 0.25, 0.15
SCALE, TURN, MOVE, BEND = 0.25, 0.15, 0.06, 0.05
GAIN, NOISE = 0.08, 0.02
#: Weight of the presence in the loss.
PRESENCE: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A slice that a person answered for, as the network sees it.

    Attributes
    ----------
    image, mask : (S, S) Tensor
        Intensities, and probability of the object, both 0 to 1.
    """

    image: Tensor
    mask: Tensor


class NetworkFit:
    """The fit of a network to one object, step by step.

    The network given is left as it is.

    The same lessons, seed and number of steps give the same weights on one machine with one number of threads.

    Parameters
    ----------
    net : SmallNet
        What to begin with.
    lessons : sequence of Lesson
        At least one.
    seed : int
        Of all that is drawn.
    """

    def __init__(self, net: SmallNet, lessons: Sequence[Lesson], seed: int = 0) -> None:
        self._before = net
        with torch.inference_mode(False):
            self._net = copy.deepcopy(net)
            self._net.requires_grad_(False)
            for weight in self._learning():
                weight.requires_grad_(True)
            self._optimiser = torch.optim.AdamW(self._learning(), lr=RATE, weight_decay=0.0)
            self._taught = [_remembered(self._net, lesson) for lesson in lessons]
        self._chance = torch.Generator().manual_seed(seed)
        self._views = 0

    def step(self) -> None:
        """Learn from one batch of views."""
        with torch.inference_mode(False), torch.enable_grad():
            views = [self._taught[(self._views + n) % len(self._taught)] for n in range(VIEWS)]
            loss = _loss(self._net, views, self._chance)
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            self._optimiser.step()
        self._views += VIEWS

    def mixed(self) -> SmallNet:
        """The network as it is now, mixed with what it was before."""
        with torch.inference_mode(False), torch.no_grad():
            net = copy.deepcopy(self._net)
            net.requires_grad_(False)
            for weight, before in zip(net.parameters(), self._before.parameters(), strict=True):
                weight.copy_(before + MIXED * (weight - before))
        return net

    def _learning(self) -> list[Tensor]:
        parts = (self._net.decode, self._net.mask, self._net.scores)
        return [weight for part in parts for weight in part.parameters()]


@dataclass(frozen=True, slots=True, eq=False)
class _Taught:
    """A lesson with what the network remembers it by, (C, S / 8, S / 8)."""

    image: Tensor
    mask: Tensor
    features: Tensor


def _remembered(net: SmallNet, lesson: Lesson) -> _Taught:
    """The lesson; copies, since what was made in inference mode cannot be learned from."""
    image, mask = lesson.image.clone(), lesson.mask.clone()
    with torch.no_grad():
        features = net(_alone(image[None], mask[None], net.config.channels), []).features[0]
    return _Taught(image, mask, features)


def _loss(net: SmallNet, views: Sequence[_Taught], chance: torch.Generator) -> Tensor:
    device = views[0].image.device
    image, mask, features = (torch.stack([getattr(v, name) for v in views]) for name in ("image", "mask", "features"))
    passed, passed_mask = _warped(image, mask, chance)
    now, truth = _warped(passed, passed_mask, chance)
    draws = torch.rand(len(views), 3, generator=chance)
    for n in range(len(views)):
        if draws[n, 0] < LOST_PART:
            passed_mask[n] = _without_a_part(passed_mask[n], chance)
        if draws[n, 1] < GONE:
            now[n] = _without_object(now[n], truth[n], chance)
            truth[n] = 0
        elif draws[n, 2] < COPIED:
            now[n], truth[n] = _with_a_copy(now[n], truth[n], chance)
    same = torch.tensor([1.0, 0.0, 0.0], device=device).expand(len(views), 3)
    there = torch.ones(len(views), device=device)
    anchor, last = RememberedBatch(image, mask, same, there), RememberedBatch(passed, passed_mask, same, there)
    with torch.no_grad():
        nobody = _no_prompts(len(views), image.shape[-1], device)
        channels = build_channels(now, nobody, anchor, last, net.config.channels)
        passed_features = net(_alone(passed, passed_mask, net.config.channels), []).features
    tokens = [
        Tokens(found, functional.avg_pool2d(part.mask[:, None], TOKEN_STRIDE)[:, 0], same, there)
        for found, part in ((features, anchor), (passed_features, last))
    ]
    output = net(channels, tokens)
    target = (truth > 0.5).float()
    probability = torch.sigmoid(output.logits)
    overlap = 2 * (probability * target).sum((1, 2)) + 1
    present = (target.flatten(1).sum(1) > 0).float()
    dice = (1 - overlap / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)) * (0.3 + 0.7 * present)
    presence = functional.binary_cross_entropy_with_logits(output.presence, present)
    return functional.binary_cross_entropy_with_logits(output.logits, target) + dice.mean() + PRESENCE * presence


def _warped(image: Tensor, mask: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Views bent, moved, scaled, turned, brightened, with noise; (B, S, S) each."""
    count, side, _ = image.shape

    def drawn(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=chance) - 1

    angle, scale = drawn(count) * TURN, 1 + drawn(count, 2) * SCALE
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * scale[:, 0], -angle.sin() * scale[:, 0]
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * scale[:, 1], angle.cos() * scale[:, 1]
    theta[:, :, 2] = drawn(count, 2) * MOVE
    grid = functional.affine_grid(theta, [count, 1, side, side], align_corners=False)
    bend = functional.interpolate(drawn(count, 2, 6, 6) * BEND, size=(side, side), mode="bicubic", align_corners=True)
    grid = (grid + bend.movedim(1, -1)).to(image.device)
    both = functional.grid_sample(torch.stack([image, mask], 1), grid, padding_mode="border", align_corners=False)
    inside = functional.grid_sample(torch.ones_like(mask)[:, None], grid, align_corners=False)[:, 0]
    gain = (1 + drawn(count, 1, 1) * GAIN).to(image.device)
    noise = (torch.randn(count, side, side, generator=chance) * NOISE).to(image.device)
    return (both[:, 0] * gain + noise).clamp(0, 1), both[:, 1] * (inside > 0.5)


def _without_a_part(mask: Tensor, chance: torch.Generator) -> Tensor:
    """The mask cut by a straight line that takes a tenth to half of it."""
    places = torch.nonzero(mask > 0.5).float()
    if len(places) < 16:
        return mask
    angle = torch.rand(1, generator=chance) * 2 * torch.pi
    direction = torch.cat([angle.cos(), angle.sin()]).to(mask.device)
    kept = 0.5 + 0.4 * float(torch.rand(1, generator=chance))
    border = torch.quantile(places @ direction, kept)
    axis = torch.arange(mask.shape[-1], device=mask.device, dtype=torch.float32)
    along = axis[:, None] * direction[0] + axis[None] * direction[1]
    return mask * (along <= border)


def _without_object(image: Tensor, mask: Tensor, chance: torch.Generator) -> Tensor:
    """The object covered by what lies around it."""
    side = image.shape[-1]
    cover = functional.max_pool2d(mask[None, None], 5, 1, 2)[0, 0]
    size = mask.sum().sqrt().clamp(min=4)
    angle = float(torch.rand(1, generator=chance)) * 2 * torch.pi
    step = [int(1.3 * float(size) * part) for part in (torch.tensor(angle).cos(), torch.tensor(angle).sin())]
    around = torch.roll(image, step, (0, 1))
    left = torch.roll(cover, step, (0, 1))
    # What was rolled in may be the object itself: there, the mean of the surroundings stands in.
    rest = float((image * (1 - cover)).sum() / (1 - cover).sum().clamp(min=1))
    around = around * (1 - left) + rest * left
    soft = functional.avg_pool2d(cover[None, None], 5, 1, 2)[0, 0] if side > 8 else cover
    return image * (1 - soft) + around * soft


def _with_a_copy(image: Tensor, mask: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """The object a second time, off its place, where it does not count."""
    size = float(mask.sum().sqrt().clamp(min=4))
    angle = torch.rand(1, generator=chance) * 2 * torch.pi
    step = [int(1.4 * size * float(part)) for part in (angle.cos(), angle.sin())]
    copied = torch.roll(mask, step, (0, 1)) * (1 - mask)
    return image * (1 - copied) + torch.roll(image, step, (0, 1)) * copied, mask


def _alone(image: Tensor, mask: Tensor, channels: int) -> Tensor:
    """Channels of slices that are answered by their own masks, as when they are remembered."""
    count, side, _ = image.shape
    ones = torch.ones(count, device=image.device)
    prompts = replace(_no_prompts(count, side, image.device), prior=mask, has_prior=ones)
    empty, same = torch.zeros_like(image), torch.tensor([1.0, 0.0, 0.0], device=image.device).expand(count, 3)
    nothing = RememberedBatch(empty, empty, same, 1 - ones)
    return build_channels(image, prompts, nothing, nothing, channels)


def _no_prompts(count: int, side: int, device: torch.device) -> PromptBatch:
    zeros = torch.zeros(count, device=device)
    return PromptBatch(
        torch.zeros(count, 4, device=device),
        zeros,
        torch.zeros(count, 1, 2, device=device),
        torch.full((count, 1), -1, device=device),
        torch.zeros(count, side, side, device=device),
        zeros,
    )
