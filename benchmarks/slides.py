"""Time, memory and accuracy on slides.

    python benchmarks/slides.py phantom.ome.tif --fields FOLDER --json slides.json

`phantom.ome.tif` comes from ``benchmarks/slide_phantom.py``. Every measurement of memory runs in a process of
its own. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.automatic.run import joined_objects, run_tiles
from napari_sam2.slides.automatic.tiles import make_plan
from napari_sam2.slides.formats.geojson import read_geojson
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.image.tissue import find_tissue
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.reader import open_slide

RADII = (60, 400, 3000)
PER_RADIUS = 5


def iou(a, b):
    return a.intersection(b).area / a.union(b).area


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def box_around(outline):
    col0, row0, col1, row1 = outline.bounds
    return SlideBox(np.floor(row0), np.floor(col0), np.ceil(row1) - 1, np.ceil(col1) - 1)


def clicks(path, truth_path, model_name):
    """Time from prompt to polygon, and agreement with the known outline, by size of the object."""
    truth = read_geojson(truth_path)
    model = load_model(model_name)
    began = time.perf_counter()
    slide = open_slide(path)
    found = {"open_s": time.perf_counter() - began, "levels": len(slide.levels), "base_mib": peak_mib()}
    rows = []
    for radius in RADII:
        chosen = [o.geometry for o in truth if o.measurements.get("radius px") == radius][:PER_RADIUS]
        for outline in chosen:
            for kind in ("box", "click", "refined box"):
                engine = CropEngine(slide, model)
                inside = outline.representative_point()
                prompt = SlidePoint(inside.y, inside.x) if kind == "click" else box_around(outline)
                began = time.perf_counter()
                answer = engine.answer([prompt], field=radius * 6 if kind == "click" else None)
                if kind == "refined box":
                    answer = refine(engine, answer)
                polygon = answer.polygon()
                seconds = time.perf_counter() - began
                began = time.perf_counter()
                engine.answer([prompt], field=radius * 6 if kind == "click" else None)
                again = time.perf_counter() - began
                entry = {"radius": radius, "kind": kind, "scale": answer.crop.scale, "s": seconds, "again_s": again}
                rows.append(entry | {"iou": iou(polygon, outline)})
    slide.close()
    return found | {"peak_mib": peak_mib(), "answers": rows}


def small_picture(model_name):
    """The same work on 2,000 x 2,000 pixels: the floor of memory."""
    model = load_model(model_name)
    base = peak_mib()
    pixels = np.full((2000, 2000, 3), 230, dtype=np.uint8)
    rows, cols = np.ogrid[:2000, :2000]
    for row, col, radius in ((300, 300, 60), (1200, 1200, 400)):
        pixels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = (150, 84, 158)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.png"
        Image.fromarray(pixels).save(path)
        slide = open_slide(path)
        seconds = []
        for row, col, radius in ((300, 300, 60), (1200, 1200, 400)) * 3:
            engine = CropEngine(slide, model)
            began = time.perf_counter()
            engine.answer([SlideBox(row - radius, col - radius, row + radius, col + radius)]).polygon()
            seconds.append(time.perf_counter() - began)
    return {"base_mib": base, "peak_mib": peak_mib(), "median_s": float(np.median(seconds))}


def duplicates(_):
    """5,000 discs, found tile by tile by a model that knows the answer: what is counted is the tiling alone."""
    from tests.slides.conftest import ComponentModel

    rng = np.random.default_rng(3)
    discs = [
        (r + rng.integers(-2, 3), c + rng.integers(-2, 3)) for r in range(12, 1500, 21) for c in range(12, 1500, 21)
    ]
    pixels = np.full((1512, 1512, 3), 240, dtype=np.uint8)
    rows, cols = np.ogrid[-6:7, -6:7]
    for r, c in discs:
        pixels[r - 6 : r + 7, c - 6 : c + 7][rows**2 + cols**2 <= 36] = (150, 70, 160)
    slide = Slide(ArraySource(pixels), "discs")
    model = ComponentModel(128)
    engine = CropEngine(slide, model)
    plan = make_plan(slide.shape, model, shapely.box(0, 0, 1512, 1512), 13.0, find_tissue(slide))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run_tiles(engine, plan, Path(folder) / "j.jsonl")
        objects = list(joined_objects(engine, plan, Path(folder) / "j.jsonl"))
    seconds = time.perf_counter() - began
    tiles = sum(1 for _ in plan.tiles())
    return {"objects": len(discs), "found": len(objects), "tiles": tiles, "s": seconds, "peak_mib": peak_mib()}


def nuclei(fields, model_name):
    """Dice per nucleus from its bounding box, on real stained fields with outlines drawn by people."""
    model = load_model(model_name)
    found = {}
    for path in sorted(Path(fields).glob("*/image.png")):
        labels_path = path.with_name("labels.png")
        if not labels_path.exists():
            continue
        labels = np.array(Image.open(labels_path))
        engine = CropEngine(open_slide(path), model)
        scores = []
        for label in np.unique(labels[labels > 0]):
            truth = labels == label
            rows, cols = np.nonzero(truth)
            answer = engine.answer([SlideBox(rows.min(), cols.min(), rows.max(), cols.max())])
            mask = np.zeros_like(truth)
            crop = answer.crop
            height, width = (
                min(n, s - o) for n, s, o in zip(answer.mask.shape, truth.shape, (crop.row, crop.col), strict=True)
            )
            mask[crop.row : crop.row + height, crop.col : crop.col + width] = answer.mask[:height, :width]
            scores.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
        found[path.parent.name] = {
            "nuclei": len(scores), "mean": float(np.mean(scores)), "min": float(np.min(scores)),
            "median": float(np.median(scores)),
        }  # fmt: skip
    return found


def in_process(*arguments):
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--fields", type=Path, help="folder whose subfolders hold image.png and labels.png")
    parser.add_argument("--model", default="classical")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=("clicks", "small", "duplicates", "nuclei"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, ".")
    parts = {
        "clicks": lambda: clicks(given.slide, f"{given.slide}.truth.geojson", given.model),
        "small": lambda: small_picture(given.model),
        "duplicates": lambda: duplicates(given.model),
        "nuclei": lambda: nuclei(given.fields, given.model),
    }
    if given.part:
        print(json.dumps(parts[given.part]()))
        return
    wanted = [p for p in parts if not (p == "clicks" and not given.slide) and not (p == "nuclei" and not given.fields)]
    options = ["--model", given.model] + (["--fields", given.fields] if given.fields else [])
    report = {p: in_process(*([given.slide] if given.slide else []), *options, "--part", p) for p in wanted}
    show(report)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


def show(report):
    found = report.get("clicks")
    if found:
        print(f"open: {found['open_s'] * 1000:.0f} ms; memory {found['base_mib']:.0f} -> {found['peak_mib']:.0f} MiB")
        for radius in RADII:
            for kind in ("box", "click", "refined box"):
                rows = [r for r in found["answers"] if (r["radius"], r["kind"]) == (radius, kind)]
                if rows:
                    s, again, agreement = (np.median([r[k] for r in rows]) for k in ("s", "again_s", "iou"))
                    least = min(r["iou"] for r in rows)
                    print(
                        f"radius {radius:5d} px, {kind:11s} (1 px = {rows[0]['scale']:2d}): {s * 1000:5.0f} ms, again "
                        f"{again * 1000:4.0f} ms, IoU median {agreement:.3f}, least {least:.3f}"
                    )
    for part in ("small", "duplicates", "nuclei"):
        if part in report:
            print(part, json.dumps(report[part]))


if __name__ == "__main__":
    main()
