"""A region segmented without prompts.

Points on a grid, tile by tile, written down as it goes.

Each tile is answered on its own and its pieces are appended to a journal (JSON lines), so that a run can be
cancelled, or killed, and goes on where it was; the result is the same. Joining the pieces is a second, cheap
pass over the journal. Memory depends on neither the slide nor the number of objects.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.engine.verbs import ModelElsewhere
from napari_sam2.errors import UserInputError
from napari_sam2.slides.automatic.merge import Piece, merge_pieces
from napari_sam2.slides.automatic.standing_out import looks_on
from napari_sam2.slides.automatic.tile_journal import open_journal, piece_to_json, recorded_pieces, signature_of
from napari_sam2.slides.automatic.tile_pieces import LARGEST, SMALLEST, find_pieces
from napari_sam2.slides.automatic.tiles import make_plan
from napari_sam2.slides.image.tissue import find_tissue
from napari_sam2.slides.nuclei.find import find_nuclei, nuclei_plan
from napari_sam2.slides.objects import EXPECTED, SCORE, SlideObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.tiles import Plan

__all__ = ["PROPOSER", "AutomaticRequest", "joined_objects", "plan_of", "run_tiles", "size_like", "tile_steps"]

PROPOSER: Final = "nuclei proposer 2"
"""Named in the metadata of nuclei: no segmentation model has made them."""


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
    nuclei : bool
        Whether nuclei are looked for, and not whatever the model takes for an object.
    """

    region: Any
    tissue_only: bool
    object_size: float
    nuclei: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes it again."""
        import shapely

        return {
            "region": shapely.to_wkb(self.region, hex=True),
            "tissue_only": self.tissue_only,
            "object_size": self.object_size,
            "nuclei": self.nuclei,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> AutomaticRequest:
        """The request that `as_json` wrote."""
        import shapely

        region = shapely.from_wkb(written["region"])
        # Journals of earlier versions do not say what was looked for: objects.
        nuclei = bool(written.get("nuclei", False))
        return cls(region, bool(written["tissue_only"]), float(written["object_size"]), nuclei)


def plan_of(engine: CropEngine, request: AutomaticRequest) -> Plan:
    """The tiles of a request.

    Raises
    ------
    UserInputError
        As `make_plan`; or if objects are looked for by a model on a server: it would be asked about thousands of
        points of every tile.
    """
    slide = engine.slide
    tissue = find_tissue(slide) if request.tissue_only else None
    if request.nuclei:
        return nuclei_plan(slide, request.region, request.object_size, tissue)
    if isinstance(engine.model, ModelElsewhere):
        raise UserInputError(
            "Looking for objects asks a model about thousands of points; start it on the server's machine, or here "
            "without a server (--remote). Prompts on slides are answered by a server, and nuclei need no model."
        )
    plan = make_plan(slide.shape, engine.model, request.region, request.object_size, tissue)
    return replace(plan, standing=looks_on(slide, plan)) if engine.model.view_policy.zoom else plan


def size_like(outlines: Iterable[Any]) -> float:
    """Expected diameter of more objects like these.

    The median of discs with the areas of `outlines` (shapely geometries), in their pixels.

    Raises
    ------
    UserInputError
        If none of them has an area.
    """
    areas = [outline.area for outline in outlines if outline.area > 0]
    if not areas:
        raise UserInputError("Nothing was drawn that says how large objects are; outline one or more, or give a size.")
    return 2 * math.sqrt(statistics.median(areas) / math.pi)


def run_tiles(
    engine: CropEngine,
    plan: Plan,
    journal: Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Answer all tiles that the journal does not hold yet.

    They are those of a plan.

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
    last_done = -1
    for done, total in tile_steps(engine, plan, journal):
        if done == last_done:
            continue
        last_done = done
        on_progress(done, total)
        if done < total and should_stop():
            return False
    return True


def tile_steps(engine: CropEngine, plan: Plan, journal: Path) -> Iterator[tuple[int, int]]:
    """The same run in small steps.

    (tiles done, tiles in all) after every few points, so that others get a turn.

    It may be left at any step; tiles that were done are in the journal.

    Raises
    ------
    UserInputError
        If the journal belongs to another run.
    """
    done = open_journal(journal, signature_of(engine, plan))
    total = sum(1 for _ in plan.tiles())
    with journal.open("a", encoding="utf-8") as file:
        for count, tile in enumerate(plan.tiles()):
            if count < done:
                continue
            pieces: list[Piece] = []
            found = find_pieces(engine, plan, tile) if plan.look is None else find_nuclei(engine.slide, plan, tile)
            for batch in found:
                pieces += batch
                yield count, total
            file.write(json.dumps({"tile": [tile.row, tile.col], "pieces": [piece_to_json(p) for p in pieces]}) + "\n")
            file.flush()
            # No other tile sees the same crop: what is known of it is let go.
            engine.forget(tile.crop(plan.scale))
    yield total, total


def joined_objects(engine: CropEngine, plan: Plan, journal: Path) -> Iterator[SlideObject]:
    """Objects of a finished (or cancelled) run, one by one.

    As detections, which QuPath handles by the thousand.
    """
    diameter = plan.object_pixels * plan.scale
    smallest, largest = (math.pi / 4 * (f * diameter) ** 2 for f in (SMALLEST, LARGEST))
    for merged in merge_pieces(recorded_pieces(journal, plan), plan.scale):
        if smallest <= merged.geometry.area <= largest:
            yield SlideObject(
                merged.geometry,
                kind="detection",
                measurements={SCORE if plan.look is None else EXPECTED: merged.score},
                metadata={"model": engine.model.card.name if plan.look is None else PROPOSER},
            ).on_plane(engine.slide.z_and_t)
