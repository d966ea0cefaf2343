"""A region segmented without prompts: points on a grid, tile by tile, written down as it goes.

Each tile is answered on its own and its pieces are appended to a journal (JSON lines), so that a run can be
cancelled, or killed, and goes on where it was; the result is the same. Joining the pieces is a second, cheap
pass over the journal. Memory depends on neither the slide nor the number of objects.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine.view import whole_view
from napari_sam2.errors import UserInputError
from napari_sam2.models.base import DecodeRequest
from napari_sam2.slides.automatic.merge import Piece, merge_pieces, same_object
from napari_sam2.slides.automatic.tiles import make_plan
from napari_sam2.slides.image.tissue import find_tissue
from napari_sam2.slides.objects import SCORE, SlideObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam2.engine.engine import Engine
    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Decoded
    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.tiles import Plan, Tile

__all__ = ["LARGEST", "SMALLEST", "AutomaticRequest", "joined_objects", "plan_of", "run_tiles", "tile_steps"]

MINIMUM_SCORE: Final = 0.6
"""Predicted IoU below which a mask is not worth showing."""

STABILITY_LOGIT: Final = 1.0
MINIMUM_STABILITY: Final = 0.7
"""A mask must hardly change when its threshold moves by one logit: the test of Kirillov et al., "Segment
Anything", ICCV 2023, for what is an object, and what is texture."""

SMALLEST: Final = 0.25
LARGEST: Final = 6.0
"""Diameters (of a disc of equal area) over the expected one, outside which a mask is dirt, or background."""

BATCH: Final = 8
"""Points decoded together; those that the masks found so far hold are not asked about."""

VIEW_MARGIN: Final = 0.02

FEATURES: Final = 64 << 20
"""Bytes of features kept within a tile: views around points are hardly ever met again."""


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticRequest:
    """What a person asks an automatic run for.

    Attributes
    ----------
    region : shapely geometry
        In level-0 pixel corners.
    tissue_only : bool
        Whether glass in it is left out.
    object_size : float
        Expected diameter in level-0 pixels.
    """

    region: Any
    tissue_only: bool
    object_size: float

    def as_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes it again."""
        import shapely

        return {
            "region": shapely.to_wkb(self.region, hex=True),
            "tissue_only": self.tissue_only,
            "object_size": self.object_size,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> AutomaticRequest:
        """The request that `as_json` wrote."""
        import shapely

        return cls(shapely.from_wkb(written["region"]), bool(written["tissue_only"]), float(written["object_size"]))


def plan_of(engine: CropEngine, request: AutomaticRequest) -> Plan:
    """The tiles of a request; `make_plan` says what may be wrong with it."""
    slide = engine.slide
    tissue = find_tissue(slide) if request.tissue_only else None
    return make_plan(slide.shape, engine.model, request.region, request.object_size, tissue)


def run_tiles(
    engine: CropEngine,
    plan: Plan,
    journal: Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Answer all tiles of a plan that the journal does not hold yet.

    Parameters
    ----------
    engine : CropEngine
        Slide and model.
    plan : Plan
        What to do.
    journal : Path
        Made, or gone on with.
    on_progress : callable
        Told how many tiles are done, and of how many.
    should_stop : callable
        Asked between tiles; True ends the run, to be gone on with later.

    Returns
    -------
    bool
        Whether all tiles are done.

    Raises
    ------
    UserInputError
        If the journal belongs to another run.
    """
    told = -1
    for done, total in tile_steps(engine, plan, journal):
        if done == told:
            continue
        told = done
        on_progress(done, total)
        if done < total and should_stop():
            return False
    return True


def tile_steps(engine: CropEngine, plan: Plan, journal: Path) -> Iterator[tuple[int, int]]:
    """The same run in small steps: (tiles done, tiles in all) after every few points, so that others get a turn.

    It may be left at any step; tiles that were done are in the journal.

    Raises
    ------
    UserInputError
        If the journal belongs to another run.
    """
    done = _open_journal(journal, _signature(engine, plan))
    total = sum(1 for _ in plan.tiles())
    with journal.open("a", encoding="utf-8") as file:
        for count, tile in enumerate(plan.tiles()):
            if count < done:
                continue
            pieces: list[Piece] = []
            for found in _find_pieces(engine, plan, tile):
                pieces += found
                yield count, total
            file.write(json.dumps({"tile": [tile.row, tile.col], "pieces": [_as_json(p) for p in pieces]}) + "\n")
            file.flush()
            # No other tile sees the same crop: what is known of it is let go.
            engine.forget(tile.crop(plan.scale))
    yield total, total


def joined_objects(engine: CropEngine, plan: Plan, journal: Path) -> Iterator[SlideObject]:
    """Objects of a finished (or cancelled) run, one by one; as detections, which QuPath handles by the thousand."""
    diameter = plan.object_pixels * plan.scale
    smallest, largest = (math.pi / 4 * (f * diameter) ** 2 for f in (SMALLEST, LARGEST))
    for merged in merge_pieces(_recorded(journal, plan), plan.scale):
        if smallest <= merged.geometry.area <= largest:
            yield SlideObject(
                merged.geometry,
                kind="detection",
                measurements={SCORE: merged.score},
                metadata={"model": engine.model.card.name},
            )


def _find_pieces(engine: CropEngine, plan: Plan, tile: Tile) -> Iterator[list[Piece]]:
    """What a tile holds: nothing while points are asked about, one batch after the other, and all of it at the end."""
    points = plan.points(tile)
    yield []
    if len(points) == 0:
        return
    on_crop = engine.engine_on(tile.crop(plan.scale), FEATURES)
    origin = np.array(tile.seen[:2])
    largest = math.pi / 4 * (LARGEST * plan.object_pixels) ** 2
    found: list[tuple[SliceMask, float]] = []
    covered = np.zeros(on_crop.plane.shape, dtype=bool)
    waiting = [*(points - origin)]
    while waiting:
        batch: list[NDArray[np.float64]] = []
        while waiting and len(batch) < BATCH:
            point = waiting.pop(0)
            if not covered[int(point[0]), int(point[1])]:
                batch.append(point)
        for point, (mask, score) in zip(batch, _ask(on_crop, batch, plan.object_pixels), strict=True):
            if score < MINIMUM_SCORE or not 0 < mask.n_voxels <= largest or covered[int(point[0]), int(point[1])]:
                continue
            found.append((mask, score))
            covered |= mask.full(on_crop.plane.shape)
        yield []
    pieces = [_piece(mask, score, tile, plan) for mask, score in _without_doubles(found, on_crop.plane.shape)]
    yield [piece for piece in pieces if piece is not None]


def _ask(engine: Engine, points: list[NDArray[np.float64]], object_pixels: float) -> list[tuple[SliceMask, float]]:
    """One mask and score per point (row, column) of the crop."""
    if not points:
        return []
    half = object_pixels / 2
    prompts = [SlicePrompts(point[None], np.ones(1, dtype=bool)) for point in points]
    views = [_view(engine, point, half) for point in points]
    with torch.inference_mode():
        requests = [
            DecodeRequest(features, view.prompts(given, engine.model.device))
            for features, view, given in zip(engine.features.get([(0, v) for v in views]), views, prompts, strict=True)
        ]
        decoded = engine.model.decode(requests)
    return [_in_full(engine, given, view, answer) for given, view, answer in zip(prompts, views, decoded, strict=True)]


def _view(engine: Engine, point: NDArray[np.float64], half: float) -> View:
    if not engine.model.view_policy.zoom:
        return whole_view(engine.plane, engine.model.input_size)
    around = (point[0] - half, point[1] - half, point[0] + half, point[1] + half)
    return engine.view_around(around, engine.model.view_policy.factor)


def _in_full(engine: Engine, given: SlicePrompts, view: View, decoded: Decoded) -> tuple[SliceMask, float]:
    """The mask of an answer; when it fills the view of a model that zooms, that of a larger view."""
    mask = engine.mask_of(decoded, view)
    bounds = mask.bounds
    if bounds is None or not engine.model.view_policy.zoom or view.contains(bounds, VIEW_MARGIN):
        return mask, _worth(decoded)
    anchor = engine.predict(0, given, previous=mask)
    return anchor.mask, _worth(anchor.decoded)


def _worth(decoded: Decoded) -> float:
    """The predicted IoU of a stable mask; 0 for one that hangs on its threshold."""
    certain = int((decoded.logits > STABILITY_LOGIT).sum())
    possible = int((decoded.logits > -STABILITY_LOGIT).sum())
    return decoded.predicted_iou if certain >= MINIMUM_STABILITY * max(possible, 1) else 0.0


def _without_doubles(found: list[tuple[SliceMask, float]], shape: tuple[int, int]) -> list[tuple[SliceMask, float]]:
    """The best masks, none of which is one that was taken before."""
    kept: list[tuple[SliceMask, float]] = []
    for mask, score in sorted(found, key=lambda entry: -entry[1]):
        if not any(same_object(mask, other, (0, 0, *shape)) for other, _ in kept):
            kept.append((mask, score))
    return kept


def _piece(mask: SliceMask, score: float, tile: Tile, plan: Plan) -> Piece | None:
    """What is taken of a mask on a tile: its trusted part."""
    row0, col0, row1, col1 = tile.trusted
    top, left = row0 - tile.seen[0], col0 - tile.seen[1]
    full = mask.full((tile.seen[2] - tile.seen[0], tile.seen[3] - tile.seen[1]))
    trusted = full[top : top + row1 - row0, left : left + col1 - col0]
    if not trusted.any():
        return None
    is_cut = (
        (row0 > 0 and trusted[0].any())
        or (col0 > 0 and trusted[:, 0].any())
        or (row1 < plan.shape[0] and trusted[-1].any())
        or (col1 < plan.shape[1] and trusted[:, -1].any())
    )
    part = SliceMask.of(trusted)
    return Piece(SliceMask(part.row + row0, part.col + col0, part.crop), score, bool(is_cut))


def _signature(engine: CropEngine, plan: Plan) -> dict[str, Any]:
    """What must be the same for a run to be gone on with."""
    import shapely

    card, slide = engine.model.card, engine.slide
    return {
        "journal": 1,
        "slide": [slide.name, *slide.shape, hashlib.sha256(slide.overview.tobytes()).hexdigest()],
        "model": [card.name, card.revision, card.sha256],
        "plan": [plan.scale, plan.object_pixels, plan.core, plan.halo, plan.tissue is not None],
        "region": hashlib.sha256(shapely.to_wkb(plan.region)).hexdigest(),
    }


def _open_journal(journal: Path, signature: dict[str, Any]) -> int:
    """Make the journal or check it, drop a line that was not finished, and count the tiles it holds."""
    if not journal.exists() or journal.stat().st_size == 0:
        journal.write_text(json.dumps(signature) + "\n", encoding="utf-8")
        return 0
    complete, count = 0, 0
    with journal.open("rb") as file:
        first = file.readline()
        if not first.endswith(b"\n") or _parsed(first) != signature:
            raise UserInputError(
                f"{journal.name} belongs to a run on another slide, region, model or size; remove it, or choose "
                "another output."
            )
        complete = file.tell()
        for line in file:
            if line.endswith(b"\n"):
                complete, count = complete + len(line), count + 1
    with journal.open("rb+") as file:
        file.truncate(complete)
    return count


def _recorded(journal: Path, plan: Plan) -> Iterator[tuple[Tile, list[Piece]]]:
    with Path(journal).open(encoding="utf-8") as file:
        next(file)
        for number, (tile, line) in enumerate(zip(plan.tiles(), file, strict=False), start=2):
            try:
                pieces = [_from_json(entry, plan) for entry in _parsed(line)["pieces"]]
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise UserInputError(
                    f"{journal.name} is damaged in line {number}; remove it, and the run begins anew."
                ) from error
            yield tile, pieces


def _parsed(line: bytes | str) -> Any:
    """One line as JSON; None when it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _as_json(piece: Piece) -> dict[str, Any]:
    mask = piece.mask
    changes = np.flatnonzero(np.diff(mask.crop.ravel().astype(np.int8), prepend=0, append=0))
    return {
        "at": [mask.row, mask.col, *mask.crop.shape],
        "runs": np.diff(changes, prepend=0).tolist(),
        "score": piece.score,
        "is_cut": piece.is_cut,
    }


def _from_json(entry: dict[str, Any], plan: Plan) -> Piece:
    row, col, height, width = (int(n) for n in entry["at"])
    if not (0 < height <= plan.core + 2 * plan.halo and 0 < width <= plan.core + 2 * plan.halo):
        raise ValueError(f"a piece of {height} x {width} pixels is larger than a tile")
    changes = np.zeros(height * width + 1, dtype=np.int8)
    changes[np.cumsum(np.array(entry["runs"], dtype=np.int64))] = 1
    inside = np.cumsum(changes[:-1]) % 2 == 1
    mask = SliceMask(row, col, inside.reshape(height, width))
    return Piece(mask, float(entry["score"]), bool(entry["is_cut"]))
