import numpy as np
import torch

from napari_sam2.training.annotator import careless_mask, corrective_click, first_click, jittered_box, mask_box


def square(low, high, side=32):
    mask = np.zeros((side, side), bool)
    mask[low:high, low:high] = True
    return mask


def test_a_box_around_one_pixel_has_its_outer_edges():
    assert mask_box(square(3, 4)).tolist() == [2.5, 2.5, 3.5, 3.5]


def test_an_empty_mask_has_no_box_and_no_click():
    rng = np.random.default_rng(0)
    empty = np.zeros((8, 8), bool)
    assert mask_box(empty) is None
    assert jittered_box(rng, empty) is None
    assert first_click(rng, empty) is None


def test_first_clicks_lie_inside():
    rng, mask = np.random.default_rng(1), square(5, 20)
    for _ in range(30):
        x, y = first_click(rng, mask)
        assert mask[int(y), int(x)]


def test_a_corrective_click_lies_in_the_deeper_error():
    rng = np.random.default_rng(2)
    truth, predicted = square(4, 24), square(4, 12)
    x, y, label = corrective_click(rng, predicted, truth, random_share=0.0)
    assert label == 1
    assert truth[int(y), int(x)]
    assert not predicted[int(y), int(x)]
    x, y, label = corrective_click(rng, truth, predicted, random_share=0.0)
    assert label == 0
    assert corrective_click(rng, truth, truth) is None


def test_careless_masks_stay_close():
    masks = torch.from_numpy(np.stack([square(8, 24)] * 20)).float()
    drawn = careless_mask(np.random.default_rng(3), masks, 1.0) > 0.5
    overlap = (drawn & (masks > 0.5)).flatten(1).sum(1) / (drawn | (masks > 0.5)).flatten(1).sum(1)
    assert overlap.min() > 0.5
    assert overlap.std() > 0
