"""Snapping to an edge that is where it is known to be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.hand_tools.edges import snap_to_edge
from napari_sam2.core.hand_tools.shaping import grow, shrink


def disc(radius: float, n: int = 60, centre: float = 30.0) -> np.ndarray:
    rows, cols = np.indices((n, n))
    return (rows - centre) ** 2 + (cols - centre) ** 2 <= radius**2


def picture(truth: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.08, truth.shape)
    return np.where(truth, 0.7, 0.3) + noise


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("radius", [15.0, 21.0])
def test_a_border_that_is_three_millimetres_off_finds_the_edge(radius: float) -> None:
    truth = disc(18)
    drawn = disc(radius)
    snapped = snap_to_edge(picture(truth), drawn, 4.0, (1.0, 1.0))
    assert overlap(drawn, truth) < 0.88
    assert overlap(snapped, truth) > 0.97


def test_nothing_moves_farther_than_the_band() -> None:
    drawn = disc(10)
    snapped = snap_to_edge(picture(disc(25)), drawn, 3.0, (1.0, 1.0))
    assert not (snapped & ~grow(drawn, 3.0, (1.0, 1.0))).any()
    assert not (shrink(drawn, 3.0, (1.0, 1.0)) & ~snapped).any()


def test_millimetres_count_where_rows_and_columns_differ() -> None:
    truth, drawn = disc(18)[:, ::2], disc(15)[:, ::2]
    snapped = snap_to_edge(picture(truth), drawn, 4.0, (1.0, 2.0))
    assert overlap(snapped, truth) > 0.95


def test_without_an_edge_or_a_mask_nothing_changes() -> None:
    drawn = disc(10)
    assert np.array_equal(snap_to_edge(np.ones((60, 60)), drawn, 3.0, (1.0, 1.0)), drawn)
    assert not snap_to_edge(np.ones((60, 60)), np.zeros((60, 60), bool), 3.0, (1.0, 1.0)).any()


def test_a_part_thinner_than_the_band_is_not_lost() -> None:
    truth = np.zeros((40, 40), dtype=bool)
    truth[10:30, 19:22] = True
    assert overlap(snap_to_edge(picture(truth), truth, 4.0, (1.0, 1.0)), truth) > 0.85
