"""Automatic runs on a square of the whole-slide phantom, by command: time, memory, seams.

    python benchmarks/slide_phantom.py phantom.ome.tif --plain --lively 10240
    python benchmarks/slide_automatic.py phantom.ome.tif --what nuclei --side 10000
    python benchmarks/slide_automatic.py phantom.ome.tif --what regions --size 800

``nuclei`` are looked for in the phantom's first square, which holds them; ``regions`` in the second one.
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

from napari_sam2.slides.formats.geojson import read_geojson
from napari_sam2.slides.nuclei.find import CORE

MAIN = "import sys; from napari_sam2.cli.app import main; sys.exit(main())"

NUCLEUS = 20.0
"""Expected diameter of the phantom's nuclei."""


def run(slide, what, region, size, model, folder):
    """The command's outlines, its wall and processor seconds and its peak memory (MiB)."""
    wanted, output = folder / "region.geojson", folder / "found.geojson"
    wanted.write_text(json.dumps({"type": "Feature", "geometry": shapely.geometry.mapping(region), "properties": {}}))
    auto = f"nuclei:{wanted}" if what == "nuclei" else str(wanted)
    command = [
        sys.executable, "-c", MAIN, "slide", str(slide), "--auto", auto, "--object-size",
        f"{size:g}px", "--model", model, "-o", str(output),
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    outlines = np.array([obj.geometry for obj in read_geojson(output)])
    return outlines, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def told_nuclei(outlines, region, middles):
    inside = middles[shapely.contains_xy(region, middles)]
    tree = shapely.STRtree(outlines)
    holding = np.bincount(tree.query(shapely.points(inside), predicate="within")[0], minlength=len(inside))
    print(f"{len(inside)} nuclei, {len(outlines)} outlines; nuclei in no outline {int((holding == 0).sum())}, ", end="")
    print(f"in two {int((holding > 1).sum())}")
    areas, edges = shapely.area(outlines), shapely.bounds(outlines)
    print(f"median area {np.median(areas):.0f} px; smaller than half of it {int((areas < np.median(areas) / 2).sum())}")
    print(f"sides on a border of tiles {int((edges % CORE == 0).sum())}; by chance {4 * len(outlines) / CORE:.0f}")


def told_regions(outlines, region, truth):
    glands = [obj for obj in truth if obj.class_name == "Gland" and region.contains(obj.geometry)]
    radii = np.array([obj.measurements["radius px"] for obj in glands])
    best = np.zeros(len(glands))
    used = np.zeros(len(outlines), dtype=bool)
    tree = shapely.STRtree(outlines)
    for number, gland in enumerate(glands):
        for other in tree.query(gland.geometry):
            overlap = gland.geometry.intersection(outlines[other]).area / gland.geometry.union(outlines[other]).area
            best[number] = max(best[number], overlap)
            used[other] |= overlap > 0.5
    for radius in sorted(set(radii)):
        here = best[radii == radius]
        print(f"radius {radius:.0f}: {int((here > 0.5).sum())} of {len(here)}, median IoU {np.median(here):.2f}")
    print(f"{len(outlines)} outlines, of which {int((~used).sum())} are no gland")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path, help="made by slide_phantom.py with --plain --lively")
    parser.add_argument("--what", choices=["nuclei", "regions"], default="nuclei")
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--size", type=float, help="expected diameter in pixels")
    parser.add_argument("--model", default="bundled")
    given = parser.parse_args()
    scene = json.loads(given.slide.with_name(given.slide.name + ".squares.json").read_text())
    top, left, lively = scene["squares"][0 if given.what == "nuclei" else 1]
    first = (lively - given.side) // 2
    region = shapely.box(left + first, top + first, left + first + given.side, top + first + given.side)
    size = given.size or (NUCLEUS if given.what == "nuclei" else 800.0)
    with tempfile.TemporaryDirectory() as folder:
        outlines, wall, seconds, peak = run(given.slide, given.what, region, size, given.model, Path(folder))
    print(f"{given.side} x {given.side} px: {wall:.0f} s, of processor time {seconds:.0f} s, peak {peak:.0f} MiB")
    first, _ = shapely.STRtree(outlines).query(outlines, predicate="overlaps")
    print(f"outlines that overlap {len(set(first.tolist()))}")
    if given.what == "nuclei":
        told_nuclei(outlines, region, np.array(scene["nuclei"][0]))
    else:
        told_regions(outlines, region, read_geojson(given.slide.with_name(given.slide.name + ".truth.geojson")))


if __name__ == "__main__":
    main()
