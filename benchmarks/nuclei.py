"""Nuclei found without prompts, against a plain watershed.

    python benchmarks/nuclei.py FOLDER [FOLDER ...] [--outline bundled]

Each folder holds fields, one folder each, with `image.png` and `labels.png` (16 bits, one number per nucleus). The
size that is said is that of three nuclei of each field, as ``--like`` takes it. `--outline MODEL` also lets a model
draw each nucleus anew from a box around it. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import shapely
from nuclei_fields import agreement, fields_in
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed

from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.automatic.run import AutomaticRequest, joined_objects, plan_of, run_tiles, size_like
from napari_sam2.slides.polygons import mask_to_polygon, polygon_to_mask
from napari_sam2.slides.prompts import SlideBox

COLOURED = 2
EXAMPLES = 3


def plain_watershed(rgb):
    """What anybody writes with scikit-image in a quarter of an hour."""
    grey = rgb.astype(float)
    if (grey.max(axis=2) - grey.min(axis=2)).mean() > COLOURED:
        signal = rgb2hed(rgb)[..., 0]
    else:
        signal = grey.mean(axis=2) if np.median(grey) < 128 else 255 - grey.mean(axis=2)
    signal = gaussian(signal, 1)
    above = remove_small_objects(signal > threshold_otsu(signal), max_size=30)
    above = ndimage.binary_fill_holes(above)
    distance = gaussian(ndimage.distance_transform_edt(above), 1)
    peaks = peak_local_max(distance, min_distance=5, labels=label(above))
    seeds = np.zeros(above.shape, dtype=int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=above)


def examples_in(labels):
    """Outlines of nuclei of middling size: what a person who wants more of them would draw."""
    areas = np.bincount(labels.ravel())[1:]
    order = np.argsort(areas)
    middle = order[max(0, len(order) // 2 - EXAMPLES // 2) :][:EXAMPLES] + 1
    return [mask_to_polygon(labels == number, tolerance=0) for number in middle]


def proposed(slide, model, diameter):
    """Objects of a run over the whole field."""
    rows, cols = slide.shape
    engine = CropEngine(slide, model)
    request = AutomaticRequest(shapely.box(0, 0, cols, rows), tissue_only=False, object_size=diameter, nuclei=True)
    plan = plan_of(engine, request)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "tiles.jsonl"
        run_tiles(engine, plan, journal)
        return list(joined_objects(engine, plan, journal))


def outlined(slide, model, objects):
    """The same nuclei, each drawn anew by a model from a box around it."""
    engine = CropEngine(slide, model)
    for obj in objects:
        col0, row0, col1, row1 = obj.geometry.bounds
        answer = engine.answer([SlideBox(row0, col0, row1 - 1, col1 - 1)])
        yield answer.polygon()


def drawn(outlines, shape):
    labels = np.zeros(shape, dtype=int)
    for number, outline in enumerate(outlines, start=1):
        labels[polygon_to_mask(outline, 0, 0, shape)] = number
    return labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--outline", help="also let this model draw each nucleus anew")
    options = parser.parse_args()
    model = load_model("classical")
    outliner = load_model(options.outline) if options.outline else None
    ways = ["watershed", "nuclei", *(["nuclei, outlined"] if outliner else [])]
    print("| field | nuclei | " + " | ".join(f"{way}: F1, PQ, count" for way in ways) + " |")
    print("|---" * (2 + len(ways)) + "|")
    scores = []
    for field in (field for folder in options.folders for field in fields_in(folder)):
        with field.slide() as slide:
            objects = proposed(slide, model, size_like(examples_in(field.labels)))
            found = [plain_watershed(field.rgb), drawn((obj.geometry for obj in objects), slide.shape)]
            if outliner is not None:
                found.append(drawn(outlined(slide, outliner, objects), slide.shape))
        scores.append([agreement(labels, field.labels) for labels in found])
        cells = " | ".join(f"{f1:.2f}, {quality:.2f}, {error:+.0%}" for f1, quality, error in scores[-1])
        print(f"| {field.name} | {field.labels.max()} | {cells} |", flush=True)
    means = np.mean(scores, axis=0)
    print("| mean | | " + " | ".join(f"{f1:.2f}, {quality:.2f}, {error:+.0%}" for f1, quality, error in means) + " |")
    gains = [score[1][0] - score[0][0] for score in scores]
    print(f"\nF1 ahead of the watershed by 0.10 or more on {sum(g >= 0.1 for g in gains)} of {len(gains)} fields, "
          f"behind it on {sum(g < 0 for g in gains)}; least {min(gains):+.2f}.")  # fmt: skip


if __name__ == "__main__":
    main()
