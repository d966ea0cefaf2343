"""Answers to a box agree with the box, and can still be had as they were before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sam2.models.base import DecodeRequest, ViewPrompts
from napari_sam2.models.small.boxed import refined_by_box
from napari_sam2.models.small.model import BOXED, READ, SmallModel, bundled_weights, load_bundled

SIDE = 96
BOX = torch.tensor([25.5, 30.5, 70.5, 65.5])


def plane(value):
    return torch.full((SIDE, SIDE), float(value))


def in_box():
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[31:66, 26:71] = True
    return inside


def two_tissues():
    """A bright L in the box on dark ground: its notch looks like what lies around the box."""
    bright = in_box()
    bright[31:55, 45:71] = False
    image = plane(0.2)
    image[bright] = 0.8
    return image + 0.02 * torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)), bright


@pytest.fixture(scope="module")
def bundled():
    return load_bundled(torch.device("cpu"))


def boxed_request(model, **also):
    image, _ = two_tissues()
    features = model.encode(image[None, None])[0]
    no_points = torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool)
    prompts = ViewPrompts(*also.pop("points", no_points), box=BOX, **also)
    return DecodeRequest(features, prompts)


def test_what_looks_like_the_surroundings_is_left_out():
    image, bright = two_tissues()
    unsure = torch.where(in_box(), plane(0.5), plane(-4))
    found = refined_by_box(unsure, image, BOX) > 0
    assert found[34:52, 50:68].float().mean() < 0.1
    assert found[ndimage.binary_erosion(bright.numpy(), iterations=2)].all()


def test_an_answer_that_is_too_small_grows_until_it_touches_the_box():
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    deep = 1 - (((columns - 48) / 22.5) ** 2 + ((rows - 48) / 17.5) ** 2).sqrt()
    too_small = 5 * (deep - 0.25)
    assert in_box()[too_small > 0].all()
    found = refined_by_box(too_small, plane(0.5), BOX) > 0
    bounds = [np.flatnonzero(found.numpy().any(axis)) for axis in (0, 1)]
    assert (bounds[0][0], bounds[0][-1]) == pytest.approx((26, 70), abs=3)
    assert (bounds[1][0], bounds[1][-1]) == pytest.approx((31, 65), abs=3)
    assert (too_small > 0).sum() < 0.75 * found.sum()


def test_the_threshold_is_lowered_no_further_than_it_may_be():
    far_below = torch.where(in_box(), plane(-2), plane(-6))
    far_below[40:50, 40:50] = 4
    assert torch.equal(refined_by_box(far_below, plane(0.5), BOX) > 0, far_below > 0)


def test_one_part_without_holes_is_kept():
    answer = torch.where(in_box(), plane(3), plane(-6))
    answer[31:66, 55:60] = -6
    answer[40:45, 35:40] = -6
    found = refined_by_box(answer, plane(0.5), BOX) > 0
    assert ndimage.label(found.numpy())[1] == 1
    assert found[40:45, 35:40].all()
    assert not found[:, 60:].any()


def test_an_answer_of_nothing_stays_as_it_was():
    nothing = plane(-9)
    assert torch.equal(refined_by_box(nothing, plane(0.5), BOX), nothing)


def test_the_model_refines_a_bare_box_and_leaves_a_corrected_one(bundled):
    plain = bundled.at_revision("small-1")
    (now,), (then,) = (m.decode([boxed_request(m)]) for m in (bundled, plain))
    image = plain.encode(two_tissues()[0][None, None])[0][0]
    assert not torch.equal(now.logits, then.logits)
    assert torch.equal(now.logits, refined_by_box(then.logits, image, BOX))
    click = torch.tensor([[40.0, 50.0]]), torch.tensor([True])
    (now,), (then,) = (m.decode([boxed_request(m, points=click)]) for m in (bundled, plain))
    assert torch.equal(now.logits, then.logits)


def test_the_revision_says_how_boxes_are_answered(bundled):
    plain, ruled = (bundled.at_revision("small-1" + ending) for ending in ("", BOXED))
    assert [model.card.revision for model in (bundled, ruled, plain)] == [
        "small-1" + READ,
        "small-1" + BOXED,
        "small-1",
    ]
    assert {model.card.sha256 for model in (bundled, ruled, plain)} == {bundled.card.sha256}
    assert [model.boxed for model in (bundled, ruled, plain)] == [True, True, False]
    assert [model.close_view is None for model in (bundled, ruled, plain)] == [False, True, True]
    for model in (bundled, ruled, plain):
        assert model.at_revision(model.card.revision) is model
        for other in (bundled, ruled, plain):
            again = other.at_revision(model.card.revision)
            assert (again.card, again.boxed, again.close_view) == (model.card, model.boxed, model.close_view)
    mask = two_tissues()[1].float()
    for model in (bundled, ruled, plain):
        fitted = model.fit([(model.encode(two_tissues()[0][None, None])[0], mask)], 0).model()
        for changed in (fitted, model.quick(), model.on_cpu()):
            assert (changed.card, changed.close_view) == (model.card, model.close_view)


def test_a_model_from_a_file_has_no_second_network():
    own = SmallModel(bundled_weights())
    assert own.card.revision == "small-1" + BOXED
    assert own.at_revision("small-1" + READ).card.revision == "small-1" + BOXED
