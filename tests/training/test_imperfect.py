import numpy as np
import torch

from napari_sam2.training import imperfect
from napari_sam2.training.imperfect import imperfect_masks

SIDE = 64


def disc(count=1):
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return ((x - 30) ** 2 + (y - 34) ** 2 < 15**2).float().expand(count, -1, -1).clone()


def spoiled(monkeypatch, way, count=20):
    monkeypatch.setattr(imperfect, "SHARES", tuple(float(w == way) for w in imperfect.WAYS))
    return imperfect_masks(np.random.default_rng(0), disc(count)) > 0.5


def test_an_eroded_mask_is_part_of_the_object(monkeypatch):
    masks = spoiled(monkeypatch, "eroded")
    assert not (masks & ~(disc(20) > 0.5)).any()
    assert (masks.flatten(1).sum(1) < disc()[0].sum()).all()


def test_a_grown_and_a_leaked_mask_hold_the_object_and_more(monkeypatch):
    for way in ("grown", "leaked"):
        masks = spoiled(monkeypatch, way)
        assert (masks | ~(disc(20) > 0.5)).all()
        assert (masks.flatten(1).sum(1) > disc()[0].sum()).all()


def test_a_half_lost_mask_keeps_a_part_of_every_size(monkeypatch):
    masks = spoiled(monkeypatch, "half lost", 100)
    shares = masks.flatten(1).sum(1) / disc()[0].sum()
    assert shares.max() <= 1
    assert shares.min() < 0.2
    assert shares.max() > 0.8


def test_a_shifted_mask_keeps_its_size_but_not_its_place(monkeypatch):
    masks = spoiled(monkeypatch, "shifted")
    shares = masks.flatten(1).sum(1) / disc()[0].sum()
    assert abs(float(shares.mean()) - 1) < 0.05
    assert (masks != (disc(20) > 0.5)).any()


def test_an_empty_memory_stays_empty():
    assert imperfect_masks(np.random.default_rng(0), torch.zeros(3, SIDE, SIDE)).sum() == 0
