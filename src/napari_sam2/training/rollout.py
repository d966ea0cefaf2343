"""A batch of clips worked through as in use.

Prompt, correct, go on to the next slice, with own memories.

A roll-out holds what an engine would hold: the current view of each clip, the prompts given on the
current slice, the last answer, and two remembered slices, the prompted one and the one just passed. The
network's own answers, drift included, are what is remembered.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.models.small.channels import (
    PromptBatch,
    RememberedBatch,
    build_channels,
    resample,
)
from napari_sam2.models.small.net import TOKEN_STRIDE, NetOutput, Tokens
from napari_sam2.training.annotator import careless_mask, corrective_click, first_click, jittered_box, mask_box
from napari_sam2.training.clip import Clip, cut, shift_between, to_frame, to_view
from napari_sam2.training.dropout import withhold
from napari_sam2.training.imperfect import imperfect_masks
from napari_sam2.training.memory_batch import Remembered
from napari_sam2.training.rollout_settings import RolloutSettings, StepInputs

__all__ = ["Rollout", "RolloutSettings", "StepInputs"]

#: Most clicks kept per slice.
MAX_POINTS = 8
#: Share of answers to be corrected that are shown as a plain mask.
HARD_PRIOR = 0.4
#: Largest view of a bare click over the object's side.
FARTHEST = 6.5
#: Share of bare clicks whose view is centred on the click.
CENTRED_CLICKS = 0.7
#: Side of a closer view over the object's, and the smallest view in source pixels.
CLOSEUP, SMALLEST_VIEW = (0.35, 1.1), 12.0
#: Share of corrected slices whose view moves to the last answer.
FOLLOW_CORRECTED = 0.3


class Rollout:
    """See the module's first lines.

    Parameters
    ----------
    clips : list of Clip
        B clips.
    kinds : sequence of str
        First prompt of each clip: ``"box"``, ``"click"`` or ``"mask"``; what a person gave on a clip comes first.
    rng : numpy.random.Generator
    settings : RolloutSettings
    width : int
        Channels of the network's token features.
    """

    def __init__(
        self,
        clips: list[Clip],
        kinds: list[str],
        rng: np.random.Generator,
        settings: RolloutSettings,
        width: int,
    ) -> None:
        kinds = [k if clip.given is None else clip.given.kind for k, clip in zip(kinds, clips, strict=True)]
        self.clips, self.rng, self.settings = clips, rng, settings
        count, size = len(clips), settings.size
        self.cursor = [0] * count
        self.boxes = torch.zeros(count, 4)
        self.has_box = torch.zeros(count)
        self.points = torch.zeros(count, MAX_POINTS, 2)
        self.labels = torch.full((count, MAX_POINTS), -1)
        self.prior = torch.zeros(count, size, size)
        self.has_prior = torch.zeros(count)
        self.given_mask = torch.tensor([kind == "mask" for kind in kinds])
        self.views = self._first_views(kinds)
        self.image, self.truth = torch.zeros(count, size, size), torch.zeros(count, size, size)
        self._look()
        self._prompt(kinds)
        self._centre_on_clicks(kinds)
        self.last = Remembered.nothing(self.views, size, width)
        self.anchor = Remembered.nothing(self.views, size, width)
        self.probability = torch.zeros(count, size, size)
        self.features = self.last.features

    def inputs(self) -> StepInputs:
        """Channels, memories and truth of the current step."""
        size = self.settings.size
        shifts = [shift_between(self.views, m.views, size) for m in (self.anchor, self.last)]
        remembered = [
            RememberedBatch(m.image, m.mask, s, m.present)
            for m, s in zip((self.anchor, self.last), shifts, strict=True)
        ]
        prompts = PromptBatch(
            boxes=self._view_boxes(),
            has_box=self.has_box,
            points=to_view(self.points, self.views, size),
            labels=self.labels,
            prior=self.prior,
            has_prior=self.has_prior,
        )
        channels = build_channels(self.image, prompts, remembered[0], remembered[1], self.settings.channels)
        tokens = [
            Tokens(m.features, functional.avg_pool2d(m.mask[:, None], TOKEN_STRIDE)[:, 0], s, m.present)
            for m, s in zip((self.anchor, self.last), shifts, strict=True)
        ]
        if self.settings.drop:
            channels, tokens = withhold(self.rng, channels, tokens)
        if self.settings.keep is not None:
            kept = torch.zeros(channels.shape[1])
            kept[list(self.settings.keep)] = 1
            channels = channels * kept[:, None, None]
        return StepInputs(channels, tokens, self.truth, self._visible())

    def receive(self, output: NetOutput) -> None:
        """Take the network's answer to the current step."""
        self.probability = torch.sigmoid(output.logits.detach())
        if self.settings.judged:
            denied = (output.presence.detach() <= 0) & ~self._prompted()
            self.probability = torch.where(denied[:, None, None], torch.zeros(()), self.probability)
        self.features = output.features.detach().float()

    def go_on(self, correct: list[bool], last: bool = False) -> None:
        """Correct the current slice, or go to the next one.

        It is corrected with a click where ``correct`` is True.

        A clip at its last slice is corrected in any case. ``last`` says that one more step follows: only then
        may a correction be seen close up, since nobody follows an object from there.
        """
        correct = [c or self.cursor[k] + 1 >= len(self.clips[k].image) for k, c in enumerate(correct)]
        stay = torch.tensor(correct)
        self._remember(~stay)
        old_views = self.views.clone()
        self._clear_prompts(~stay)
        refined = self._refined(correct)
        self._click([c and not r for c, r in zip(correct, refined, strict=True)])
        self.cursor = [c if s else c + 1 for c, s in zip(self.cursor, correct, strict=True)]
        follow = ~stay | torch.tensor(self.rng.random(len(correct)) < FOLLOW_CORRECTED) | torch.tensor(refined)
        self.views = torch.where(follow[:, None], self._following(correct), self.views)
        if last and self.settings.closeup > 0:
            self._come_closer(stay & ~torch.tensor(refined))
        moved = resample(self.probability, shift_between(self.views, old_views, self.settings.size))
        self.prior = torch.where(stay[:, None, None], self._hardened(moved), torch.zeros_like(moved))
        self.has_prior = stay.float()
        self.given_mask = torch.zeros_like(self.given_mask)
        self._look()

    def _prompted(self) -> Tensor:
        """Whether a person gave anything on the current slice, (B,) bool."""
        return (self.has_box + self.has_prior + (self.labels >= 0).any(1).float()) > 0

    def _come_closer(self, corrected: Tensor) -> None:
        """Look at some corrected slices around the newest click, at a part of the object's size."""
        for k in torch.nonzero(corrected).flatten().tolist():
            clicks = self.points[k][self.labels[k] >= 0]
            if len(clicks) and self.rng.random() < self.settings.closeup:
                side = max(float(self.rng.uniform(*CLOSEUP)) * self.clips[k].extent, SMALLEST_VIEW)
                place = clicks[-1] + torch.from_numpy(self.rng.normal(0, 0.12 * side, 2).astype(np.float32))
                self.views[k] = torch.tensor([float(place[0]), float(place[1]), side])

    def _visible(self) -> Tensor:
        whole = torch.stack([clip.mask[k].sum() for clip, k in zip(self.clips, self.cursor, strict=True)])
        pixels = self.truth.flatten(1).sum(1) * (self.views[:, 2] / self.settings.size) ** 2
        return torch.where(whole > 0, (pixels / whole.clamp(min=1)).clamp(max=1), torch.ones_like(pixels))

    def _refined(self, correct: list[bool]) -> list[bool]:
        if self.settings.refine <= 0:
            return [False] * len(correct)
        return [
            c and bool(r < self.settings.refine) for c, r in zip(correct, self.rng.random(len(correct)), strict=True)
        ]

    def _hardened(self, probability: Tensor) -> Tensor:
        """Some answers as plain masks: what an engine has when the view has moved, or a person edited."""
        if self.settings.refine <= 0:
            return probability
        chosen = torch.from_numpy(self.rng.random(len(probability)) < HARD_PRIOR)
        return torch.where(chosen[:, None, None], (probability > 0.5).float(), probability)

    def _look(self) -> None:
        self.image, self.truth = cut(self.clips, self.cursor, self.views, self.settings.size)
        if self.settings.blank:
            self.image = torch.full_like(self.image, 0.5)

    def _first_views(self, kinds: list[str]) -> Tensor:
        views = []
        for clip, kind in zip(self.clips, kinds, strict=True):
            factor = self.rng.uniform(1.8, 2.8)
            if kind == "click":
                factor = float(np.exp(self.rng.uniform(np.log(self.settings.closest), np.log(FARTHEST))))
            reach = 0.3 if kind == "click" else 0.06
            offset = self.rng.normal(0, reach, 2).clip(-0.4, 0.4) * clip.extent
            views.append([offset[0], offset[1], factor * clip.extent])
        return torch.tensor(views, dtype=torch.float32)

    def _prompt(self, kinds: list[str]) -> None:
        size = self.settings.size
        truth = self.truth.numpy() > 0.5
        for k, kind in enumerate(kinds):
            if self._prompt_as_given(k):
                continue
            if kind == "box":
                box = jittered_box(self.rng, truth[k])
                if box is not None:
                    corners = torch.from_numpy(box).view(1, 2, 2)
                    self.boxes[k] = to_frame(corners, self.views[k : k + 1], size).flatten()
                    self.has_box[k] = 1
            click = first_click(self.rng, truth[k]) if kind == "click" else None
            if click is not None:
                self._add_point(k, click[0], click[1], 1)
        mask = self.given_mask[:, None, None]
        self.prior = torch.where(mask, self.truth, self.prior)
        self.has_prior = self.given_mask.float()

    def _prompt_as_given(self, k: int) -> bool:
        """Give what a person gave on this clip; whether there is anything."""
        given = self.clips[k].given
        if given is None:
            return False
        if len(given.corners):
            self.boxes[k], self.has_box[k] = given.box, 1
        count = min(MAX_POINTS, len(given.points))
        self.points[k, :count], self.labels[k, :count] = given.points[:count], given.labels[:count]
        return True

    def _centre_on_clicks(self, kinds: list[str]) -> None:
        """Move most views of bare clicks over the click, as an engine does that knows no more."""
        for k, kind in enumerate(kinds):
            if kind == "click" and self.labels[k, 0] == 1 and self.rng.random() < CENTRED_CLICKS:
                self.views[k, :2] = self.points[k, 0]
        self._look()

    def _add_point(self, k: int, x: float, y: float, label: int) -> None:
        free = torch.nonzero(self.labels[k] < 0).flatten()
        if len(free):
            pixel = torch.tensor([[[x, y]]])
            self.points[k, free[0]] = to_frame(pixel, self.views[k : k + 1], self.settings.size)[0, 0]
            self.labels[k, free[0]] = label

    def _view_boxes(self) -> Tensor:
        return to_view(self.boxes.view(-1, 2, 2), self.views, self.settings.size).flatten(1)

    def _remember(self, where: Tensor) -> None:
        """Keep the current slice as the last one, and as the anchor if a person prompted it."""
        mask = self.probability
        use_truth = torch.tensor(self.rng.random(len(where)) < self.settings.teacher)
        if self.settings.teacher > 0:
            lost = (mask > 0.5).flatten(1).sum(1) < 4
            use_truth = use_truth | (lost & torch.tensor(self.rng.random(len(where)) < 0.7))
            mask = torch.where(use_truth[:, None, None], careless_mask(self.rng, self.truth, 1.0), mask)
        if self.settings.imperfect > 0:
            wrong = torch.tensor(self.rng.random(len(where)) < self.settings.imperfect) & where
            if bool(wrong.any()):
                mask = mask.clone()
                mask[wrong] = imperfect_masks(self.rng, mask[wrong])
        mask = torch.where(self.given_mask[:, None, None], self.truth, mask)
        new = Remembered(self.image, mask, self.features, self.views, torch.ones(len(where)))
        self.last.keep(new, where)
        self.anchor.keep(new, where & self._prompted())
        self.probability = torch.where(where[:, None, None], mask, self.probability)

    def _clear_prompts(self, where: Tensor) -> None:
        self.has_box = torch.where(where, torch.zeros_like(self.has_box), self.has_box)
        self.labels = torch.where(where[:, None], torch.full_like(self.labels, -1), self.labels)

    def _click(self, correct: list[bool]) -> None:
        predicted, truth = self.probability.numpy() > 0.5, self.truth.numpy() > 0.5
        for k, chosen in enumerate(correct):
            click = corrective_click(self.rng, predicted[k], truth[k]) if chosen else None
            if click is not None:
                self._add_point(k, *click)

    def _following(self, correct: list[bool]) -> Tensor:
        """Views around the current answers; unchanged where there is none."""
        size = self.settings.size
        views = self.views.clone()
        for k, mask in enumerate(self.probability.numpy() > 0.5):
            box = mask_box(mask)
            if box is None or mask.sum() < 4:
                continue
            corners = to_frame(torch.from_numpy(box).view(1, 2, 2), self.views[k : k + 1], size)[0]
            factor = self.rng.uniform(2.0, 2.5) if correct[k] else self.rng.uniform(2.15, 2.7)
            side = factor * float((corners[1] - corners[0]).max())
            side = min(max(side, SMALLEST_VIEW), 3.5 * self.clips[k].extent + 12.0)
            views[k] = torch.tensor([*((corners[0] + corners[1]) / 2).tolist(), side])
        return views
