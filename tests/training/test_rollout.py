import numpy as np
import torch

from napari_sam2.models.small.net import NetOutput
from napari_sam2.training.clip import Clip
from napari_sam2.training.rollout import Rollout, RolloutSettings

SIZE, WIDTH = 32, 16


def clip(slices=4):
    """A bright square that stays where it is."""
    mask = torch.zeros(slices, 60, 60)
    mask[:, 20:40, 20:40] = 1
    return Clip(0.2 + 0.6 * mask, mask, torch.eye(2), torch.tensor([29.5, 29.5]), 20.0)


def rollout(kinds=("box",), **settings):
    made = RolloutSettings(SIZE, teacher=0.0, drop=False, **settings)
    return Rollout([clip() for _ in kinds], list(kinds), np.random.default_rng(0), made, WIDTH)


def answer(run, present, mask=None):
    truth = run.truth if mask is None else mask
    count = len(truth)
    score = torch.full((count,), 5.0 if present else -5.0)
    run.receive(NetOutput(20 * truth - 10, score, score, torch.zeros(count, WIDTH, SIZE // 8, SIZE // 8)))


def test_a_denied_carried_slice_is_remembered_as_empty_only_when_judged():
    for judged in (True, False):
        run = rollout(judged=judged)
        answer(run, present=True)
        run.go_on([False])
        run.inputs()
        answer(run, present=False)
        run.go_on([False])
        assert bool(run.last.mask.max() < 0.5) is judged


def test_a_prompted_slice_is_kept_even_when_its_presence_is_denied():
    run = rollout(judged=True)
    answer(run, present=False)
    run.go_on([False])
    assert run.last.mask.max() > 0.9


def test_imperfect_memories_differ_from_what_was_answered_but_a_given_mask_does_not():
    spoiled, given = rollout(["box"] * 8, imperfect=1.0), rollout(["mask"] * 8, imperfect=1.0)
    for run in (spoiled, given):
        answer(run, present=True)
        run.go_on([False] * 8)
    assert ((spoiled.last.mask > 0.5) != (spoiled.last.mask[:1] > 0.5)).any()
    assert all(torch.equal(a > 0.5, b > 0.5) for a, b in zip(given.last.mask, given.anchor.mask, strict=True))
    assert (given.last.mask > 0.5).flatten(1).sum(1).min() > 100


def test_the_last_correction_may_be_seen_close_up_around_the_click():
    run = rollout(closeup=1.0)
    lost = run.truth.clone()
    lost[:, : SIZE // 2] = 0
    answer(run, present=True, mask=lost)
    before = float(run.views[0, 2])
    run.go_on([True], last=True)
    assert float(run.views[0, 2]) < before
    click = run.points[0][run.labels[0] >= 0][-1]
    assert (click - run.views[0, :2]).abs().max() < run.views[0, 2] / 2
    assert run.inputs().visible < 1


def test_corrections_before_the_last_keep_their_view():
    run = rollout(closeup=1.0)
    lost = run.truth.clone()
    lost[:, : SIZE // 2] = 0
    answer(run, present=True, mask=lost)
    run.go_on([True])
    assert float(run.views[0, 2]) > 1.2 * 20.0
