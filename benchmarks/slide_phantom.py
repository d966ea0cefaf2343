"""Write a slide of full size, tile by tile, with regions whose outlines are known.

    python benchmarks/slide_phantom.py phantom.ome.tif --rows 80000 --cols 100000 --fields FOLDER

Pale tissue in a few large patches on white glass; in it glands (wobbly discs, from 60 to 6,000 pixels across)
and, when given, real fields (image.png with labels.png in each subfolder of FOLDER) at known places. No level is
ever held: every tile of every level is computed from the outlines alone. Beside the slide:
``<name>.truth.geojson`` (glands and nuclei) and ``<name>.fields.json`` (where fields lie).

With ``--plain`` tissue has neither fibres nor grain, and tiles that are alike are stored once: a file of some MB, made
in minutes, for what depends on the size of a slide alone. ``--lively SIDE`` adds fibres, grain and, in the first of
two squares of that side, nuclei: what automatic runs are measured on (``<name>.squares.json`` says where they are).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import shapely
import tifffile
from PIL import Image

from napari_sam2.slides.formats.geojson import write_geojson
from napari_sam2.slides.objects import ObjectClass, SlideObject
from napari_sam2.slides.polygons import mask_to_polygon

TILE = 512
MPP = 0.25
GLASS = np.array([243, 242, 244], dtype=np.float32)
STROMA = np.array([226, 188, 212], dtype=np.float32)
GLAND = np.array([150, 84, 158], dtype=np.float32)
NUCLEUS = np.array([78, 48, 120], dtype=np.float32)
NUCLEUS_STEP = 56
NUCLEUS_AXES = (12.0, 8.4)
"""Pixels between nuclei, and their half axes."""
RADII = (30, 60, 150, 400, 1000, 3000)


@dataclass(frozen=True)
class Blob:
    """A wobbly disc: radius r(angle) = radius * (1 + sum of three harmonics)."""

    row: float
    col: float
    radius: float
    amplitudes: tuple[float, ...]
    phases: tuple[float, ...]

    def reach(self, angle):
        """Radius at an angle."""
        pairs = zip(self.amplitudes, self.phases, strict=True)
        return self.radius * (1 + sum(a * np.sin((n + 2) * angle + p) for n, (a, p) in enumerate(pairs)))

    def outline(self, points=720):
        """Polygon in level-0 pixel corners."""
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        reach = self.reach(angle)
        return shapely.Polygon(np.stack([self.col + reach * np.cos(angle), self.row + reach * np.sin(angle)], axis=1))

    def holds(self, edges):
        """Whether a box lies inside, whatever the angle."""
        least = self.radius * (1 - sum(self.amplitudes))
        corners = shapely.get_coordinates(edges)
        return bool(np.hypot(corners[:, 0] - self.col, corners[:, 1] - self.row).max() <= least)

    def paint(self, pixels, colour, origin, scale):
        """Colour what lies in a tile whose corner is at `origin` (row, column) in level-0 pixels."""
        far = self.radius * 1.3
        (r0, r1), (c0, c1) = (
            (max(0, int((at - far - start) / scale)), min(TILE, int((at + far - start) / scale) + 1))
            for at, start in zip((self.row, self.col), origin, strict=True)
        )
        if r1 <= r0 or c1 <= c0:
            return
        down = (origin[0] + (np.arange(r0, r1, dtype=np.float32) + 0.5) * scale - self.row)[:, None]
        across = (origin[1] + (np.arange(c0, c1, dtype=np.float32) + 0.5) * scale - self.col)[None, :]
        away = np.hypot(down, across)
        least = self.radius * (1 - sum(self.amplitudes))
        inside = away <= least if away.max() <= least else away <= self.reach(np.arctan2(down, across))
        pixels[r0:r1, c0:c1][inside] = colour


class Nuclei:
    """One ellipse per cell of a jittered grid in a square; each lies inside its own cell."""

    def __init__(self, rng, top, left, side):
        self.top, self.left = top, left
        self.count = side // NUCLEUS_STEP
        size = self.count, self.count
        self.rows, self.cols = (NUCLEUS_STEP / 2 + rng.integers(-12, 13, size) for _ in range(2))
        self.turns = rng.uniform(0, np.pi, size)

    def paint(self, pixels, origin, scale):
        """Colour nuclei that lie in a tile."""
        corner = self.top, self.left
        places = (start + (np.arange(TILE) + 0.5) * scale - at for start, at in zip(origin, corner, strict=True))
        (cell_rows, rows), (cell_cols, cols) = (np.divmod(place, NUCLEUS_STEP) for place in places)
        here = tuple(np.flatnonzero((cells >= 0) & (cells < self.count)) for cells in (cell_rows, cell_cols))
        if not all(len(places) for places in here):
            return
        cells = np.ix_(cell_rows[here[0]].astype(int), cell_cols[here[1]].astype(int))
        down, across = rows[here[0]][:, None] - self.rows[cells], cols[here[1]][None, :] - self.cols[cells]
        turn = self.turns[cells]
        long, short = down * np.cos(turn) + across * np.sin(turn), across * np.cos(turn) - down * np.sin(turn)
        inside = np.zeros(pixels.shape[:2], dtype=bool)
        inside[np.ix_(*here)] = (long / NUCLEUS_AXES[0]) ** 2 + (short / NUCLEUS_AXES[1]) ** 2 <= 1
        pixels[inside] = NUCLEUS

    def middles(self):
        """(N, 2) array of x, y."""
        grid = np.arange(self.count) * NUCLEUS_STEP
        return np.column_stack(
            [(self.left + grid[None, :] + self.cols).ravel(), (self.top + grid[:, None] + self.rows).ravel()]
        )


def blob(rng, row, col, radius):
    return Blob(row, col, radius, tuple(rng.uniform(0.02, 0.08, 3)), tuple(rng.uniform(0, 2 * np.pi, 3)))


class Phantom:
    """The scene, from which any tile of any level follows."""

    def __init__(self, rows, cols, fields, seed=0, per_radius=(400, 300, 150, 60, 20, 5), *, plain=False, lively=0):
        rng = np.random.default_rng(seed)
        self.plain = plain
        self.shape = rows, cols
        size = min(rows, cols)
        self.patches = [blob(rng, rows * r, cols * c, size * s) for r, c, s in ((0.3, 0.28, 0.22), (0.66, 0.68, 0.25))]
        self.glands: list[Blob] = []
        self.fields: list[tuple[int, int, np.ndarray, np.ndarray]] = []
        taken: list[tuple[float, float, float]] = []
        for image, labels in fields * 4:
            place = self._free_place(rng, max(image.shape) / 1.4, taken)
            if place is not None:
                top, left = int(place[0] - image.shape[0] / 2), int(place[1] - image.shape[1] / 2)
                self.fields.append((top, left, image, labels))
        for radius, count in sorted(zip(RADII, per_radius, strict=True), reverse=True):
            if radius > size / 25:
                continue
            for _ in range(count):
                place = self._free_place(rng, radius * 1.4, taken)
                if place is not None:
                    self.glands.append(blob(rng, *place, radius))
        self.squares = [
            (int(patch.row - lively / 2), int(patch.col - lively / 2), lively) for patch in self.patches if lively
        ]
        self.nuclei = [Nuclei(rng, *square) for square in self.squares[:1]]
        self._glands = shapely.STRtree([g.outline(64).buffer(1) for g in self.glands])
        self._patches = shapely.STRtree([p.outline(256).buffer(1) for p in self.patches])

    def _free_place(self, rng, radius, taken):
        for _ in range(200):
            patch = self.patches[rng.integers(len(self.patches))]
            angle, away = rng.uniform(0, 2 * np.pi), patch.radius * 0.8 * np.sqrt(rng.uniform())
            row, col = patch.row + away * np.sin(angle), patch.col + away * np.cos(angle)
            if all((row - r) ** 2 + (col - c) ** 2 > (radius + other) ** 2 for r, c, other in taken):
                taken.append((row, col, radius))
                return row, col
        return None

    def tile(self, row, col, scale):
        """Pixels (TILE, TILE, 3) at the level of `scale`; None for bare glass."""
        edges = shapely.box(col * scale, row * scale, (col + TILE) * scale, (row + TILE) * scale)
        patches = self._patches.query(edges, predicate="intersects")
        if len(patches) == 0:
            return None
        origin = row * scale, col * scale
        glands = self._glands.query(edges)
        lively = self._lively(origin, scale)
        is_even = self.plain and not lively.any() and not len(glands)
        if is_even and any(self.patches[index].holds(edges) for index in patches):
            return np.broadcast_to(STROMA.astype(np.uint8), (TILE, TILE, 3))
        pixels = np.broadcast_to(GLASS, (TILE, TILE, 3)).copy()
        for index in patches:
            self.patches[index].paint(pixels, STROMA, origin, scale)
        for index in glands:
            self.glands[index].paint(pixels, GLAND, origin, scale)
        for nuclei in self.nuclei:
            nuclei.paint(pixels, origin, scale)
        if not lively.any():
            return pixels.astype(np.uint8)
        # Fibres and grain follow the place on the slide, so levels and neighbouring tiles agree.
        rows, cols = (start + (np.arange(TILE) + 0.5) * scale for start in origin)
        waves = _wave(rows / 61, cols / 47) + _wave(rows / 23, -cols / 37)
        alive = lively[..., None]
        pixels += 7 * (waves[..., None] * alive).astype(np.float32)
        pixels += _GRAIN * alive / max(1, scale / 2)
        for top, left, image, _ in self.fields:
            _paste(pixels, image, top / scale - row, left / scale - col, scale)
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def _lively(self, origin, scale):
        """Where a tile has fibres and grain, (TILE, TILE): everywhere, or of a plain phantom in its squares."""
        if not self.plain:
            return np.ones((TILE, TILE), dtype=bool)
        alive = np.zeros((TILE, TILE), dtype=bool)
        for top, left, side in self.squares:
            r0, c0 = (max(0, (at - start) // scale) for at, start in zip((top, left), origin, strict=True))
            r1, c1 = (max(0, (at + side - start) // scale) for at, start in zip((top, left), origin, strict=True))
            alive[r0:r1, c0:c1] = True
        return alive


def _wave(rows, cols):
    """sin(row + column), which is a sum of two outer products."""
    return np.outer(np.sin(rows), np.cos(cols)) + np.outer(np.cos(rows), np.sin(cols))


_GRAIN = np.random.default_rng(9).normal(0, 7, size=(TILE, TILE, 3)).astype(np.float32)


def _paste(pixels, image, top, left, scale):
    height, width = image.shape[0] // scale, image.shape[1] // scale
    top, left = round(top), round(left)
    if height == 0 or width == 0 or top >= TILE or left >= TILE or top + height <= 0 or left + width <= 0:
        return
    small = image[: height * scale, : width * scale].reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    r0, c0, r1, c1 = max(top, 0), max(left, 0), min(top + height, TILE), min(left + width, TILE)
    pixels[r0:r1, c0:c1] = small[r0 - top : r1 - top, c0 - left : c1 - left]


def read_fields(folder):
    if folder is None:
        return []
    found = []
    for path in sorted(Path(folder).glob("*/image.png")):
        labels = path.with_name("labels.png")
        if labels.exists():
            found.append((np.array(Image.open(path).convert("RGB")), np.array(Image.open(labels))))
    return found


def encoded(pixels):
    return imagecodecs.jpeg_encode(
        np.ascontiguousarray(pixels), level=85, colorspace="rgb", outcolorspace="ycbcr", subsampling="422"
    )


def tiles_of(phantom, scale, glass, first):
    """Encoded tiles of a level; of a plain phantom nothing for one that was there before, see `first`."""
    rows, cols = (-(-n // scale) for n in phantom.shape)
    numbers = {}
    for row in range(0, rows, TILE):
        for col in range(0, cols, TILE):
            pixels = phantom.tile(row, col, scale)
            tile = glass if pixels is None else encoded(pixels)
            number = numbers.setdefault(tile, len(first)) if phantom.plain else len(first)
            is_new = number == len(first)
            first.append(number)
            yield tile if is_new else b""


def share_tiles(path, firsts):
    """Let tiles of every level that were left out point at those that they equal."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for level, first in zip(file.series[0].levels, firsts, strict=True):
            for name in ("TileOffsets", "TileByteCounts"):
                tag = level.pages[0].tags[name]
                tag.overwrite([tag.value[number] for number in first])


def write_slide(phantom, path):
    glass = encoded(np.broadcast_to(GLASS.astype(np.uint8), (TILE, TILE, 3)).copy())
    scales = [1]
    while max(phantom.shape) / scales[-1] > 1024:
        scales.append(scales[-1] * 4)
    metadata = {"axes": "YXS"} | {f"PhysicalSize{a}": MPP for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    options = {
        "dtype": "uint8", "tile": (TILE, TILE), "photometric": "ycbcr", "compression": "jpeg", "subsampling": (2, 1),
        "planarconfig": "contig",
    }  # fmt: skip
    firsts = [[] for _ in scales]
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        for number, scale in enumerate(scales):
            began = time.perf_counter()
            size = tuple(-(-n // scale) for n in phantom.shape)
            pyramid = {"subifds": len(scales) - 1, "metadata": metadata} if number == 0 else {"subfiletype": 1}
            file.write(tiles_of(phantom, scale, glass, firsts[number]), shape=(*size, 3), **options, **pyramid)
            print(f"level {number}: {size[1]} x {size[0]} in {time.perf_counter() - began:.0f} s", flush=True)
    if phantom.plain:
        share_tiles(path, firsts)


def write_truth(phantom, path):
    objects = [
        SlideObject(g.outline(), object_class=ObjectClass("Gland"), measurements={"radius px": g.radius})
        for g in phantom.glands
    ]
    for top, left, _, labels in phantom.fields:
        for label in np.unique(labels[labels > 0]):
            outline = mask_to_polygon(labels == label, top, left, tolerance=0)
            objects.append(SlideObject(outline, object_class=ObjectClass("Nucleus")))
    write_geojson(objects, path.with_name(path.name + ".truth.geojson"), overwrite=True)
    places = [{"row": top, "col": left, "shape": image.shape[:2]} for top, left, image, _ in phantom.fields]
    path.with_name(path.name + ".fields.json").write_text(json.dumps(places))
    squares = {
        "squares": phantom.squares,
        "nuclei": [nuclei.middles().tolist() for nuclei in phantom.nuclei],
    }
    path.with_name(path.name + ".squares.json").write_text(json.dumps(squares))
    return len(objects)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--cols", type=int, default=100_000)
    parser.add_argument("--fields", type=Path, help="folder whose subfolders hold image.png and labels.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="no grain, tiles that are alike stored once: some MB")
    parser.add_argument("--lively", type=int, default=0, metavar="SIDE", help="with --plain: two squares that are not")
    given = parser.parse_args()
    phantom = Phantom(
        given.rows, given.cols, read_fields(given.fields), given.seed, plain=given.plain, lively=given.lively
    )
    print(f"{write_truth(phantom, given.output)} objects")
    write_slide(phantom, given.output)
    print(f"{given.output.stat().st_size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
