"""Fields of nuclei with outlines drawn by hand, and how well a result agrees with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import relabel_sequential

from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.reader import open_slide


@dataclass(frozen=True, eq=False)
class Field:
    """One picture with every nucleus outlined by hand."""

    name: str
    path: Path
    rgb: np.ndarray
    labels: np.ndarray
    is_dark: bool

    def slide(self) -> Slide:
        return open_slide(self.path)


def fields_in(folder: Path):
    """Fields of a folder: those in folders of their own with `image.png` and `labels.png`."""
    for path in sorted(folder.glob("*/image.png")):
        if not path.with_name("labels.png").exists():
            continue
        with open_slide(path) as slide:
            rgb, is_dark = slide.read(0, 0, 0, *slide.shape), slide.is_fluorescence
        labels = relabel_sequential(np.array(Image.open(path.with_name("labels.png"))).astype(np.int64))[0]
        yield Field(path.parent.name, path, rgb, labels, is_dark)


def median_diameter(labels):
    """Of discs with the areas of the nuclei, in pixels."""
    return 2 * float(np.sqrt(np.median(np.bincount(labels.ravel())[1:]) / np.pi))


def overlaps(found, truth):
    """IoU of every found with every true object, (found, true)."""
    shape = int(found.max()) + 1, int(truth.max()) + 1
    both = np.bincount((found.astype(np.int64) * shape[1] + truth).ravel(), minlength=shape[0] * shape[1])
    both = both.reshape(shape)
    union = both.sum(axis=1)[:, None] + both.sum(axis=0)[None] - both
    return (both / np.maximum(union, 1))[1:, 1:]


def agreement(found, truth):
    """F1 at IoU 0.5, panoptic quality, and the error of the count over the true one."""
    found = relabel_sequential(found.astype(np.int64))[0]
    iou = overlaps(found, truth)
    hits = iou > 0.5
    n_found, n_true = iou.shape
    mean = max((n_found + n_true) / 2, 1e-9)
    return hits.sum() / mean, iou[hits].sum() / mean, (n_found - n_true) / max(n_true, 1)
