import torch

from napari_sam2.models.small.net import NetOutput
from napari_sam2.training.losses import LossWeights, dice, loss

SIZE = 16


def output(mask, iou=0.0, presence=0.0):
    return NetOutput(20 * (mask - 0.5), torch.tensor([iou]), torch.tensor([presence]), torch.zeros(1, 1, 1, 1))


def square():
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 4:12, 4:12] = 1
    return mask


def test_a_perfect_sure_answer_costs_next_to_nothing():
    assert loss(output(square(), 12.0, 12.0), square(), torch.ones(1), LossWeights()) < 0.01


def test_a_wrong_answer_costs_more_than_an_unsure_one():
    right, wrong = square(), 1 - square()
    unsure = NetOutput(torch.zeros(1, SIZE, SIZE), torch.zeros(1), torch.zeros(1), torch.zeros(1, 1, 1, 1))
    costs = [float(loss(o, right, torch.ones(1), LossWeights())) for o in (output(right), unsure, output(wrong))]
    assert costs == sorted(costs)


def test_trust_in_a_view_that_cuts_the_object_off_is_punished():
    whole, part = torch.ones(1), torch.full((1,), 0.2)
    trusting = output(square(), iou=8.0, presence=8.0)
    assert loss(trusting, square(), part, LossWeights()) > loss(trusting, square(), whole, LossWeights()) + 0.5


def test_absent_objects_can_be_made_to_count_more():
    empty = torch.zeros(1, SIZE, SIZE)
    sure_of_presence = output(empty, presence=3.0)
    few, many = LossWeights(absent_presence=1.0), LossWeights(absent_presence=4.0)
    assert loss(sure_of_presence, empty, torch.ones(1), many) > loss(sure_of_presence, empty, torch.ones(1), few)


def test_dice_of_two_empty_masks_is_one():
    empty = torch.zeros(1, SIZE, SIZE)
    assert dice(empty - 1, empty).tolist() == [1.0]
    assert dice(square() - 0.5, square()).tolist() == [1.0]
