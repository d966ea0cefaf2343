import numpy as np

from napari_sam2.evaluation.baselines import (
    copy_through,
    ellipse_in_box,
    flood_from_click,
    otsu_in_box,
    walk_from_clicks,
    walk_through,
)
from napari_sam2.measures.metrics import dice


def disc(side=48, centre=(24, 26), radius=9):
    y, x = np.ogrid[:side, :side]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def picture(mask):
    noise = np.random.default_rng(0).normal(0, 0.02, mask.shape)
    return (0.3 + 0.4 * mask + noise).astype(np.float32)


BOX = (15, 17, 34, 36)  # of the disc with radius 9


def test_the_inscribed_ellipse_of_a_discs_box_is_the_disc():
    assert dice(ellipse_in_box((48, 48), BOX), disc()) > 0.9


def test_a_plain_disc_is_easy_for_all():
    mask = disc()
    image = picture(mask)
    assert dice(otsu_in_box(image, BOX), mask) > 0.93
    assert dice(flood_from_click(image, (24, 26), 0.15), mask) > 0.9
    assert dice(walk_from_clicks(image, [(24, 26)], [1]), mask) > 0.9


def test_a_constant_image_gives_the_ellipse():
    flat = np.full((48, 48), 0.5, np.float32)
    assert np.array_equal(otsu_in_box(flat, BOX), ellipse_in_box((48, 48), BOX))


def test_copying_stops_where_the_object_stops():
    present = np.array([False, True, True, False])
    copied = copy_through(disc(), 1, present)
    assert copied.any((1, 2)).tolist() == present.tolist()


def test_the_walker_follows_a_moving_disc():
    masks = np.stack([disc(centre=(24, 20 + k)) for k in range(5)])
    images = np.stack([picture(m) for m in masks])
    assert dice(walk_through(images, masks[2], 2), masks) > 0.85
