"""The journal of an automatic run: one line of pieces per tile."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import as_utf8, write_bytes
from napari_sam2.slides.automatic.merge import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.tiles import Plan, Tile

__all__ = ["open_journal", "piece_to_json", "recorded_pieces", "signature_of"]


def signature_of(engine: CropEngine, plan: Plan) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    import shapely

    card, slide = engine.model.card, engine.slide
    return {
        "journal": 2,
        "slide": [slide.name, *slide.shape, hashlib.sha256(slide.overview.tobytes()).hexdigest()],
        "model": [card.name, card.revision, card.sha256],
        "plan": [plan.scale, plan.object_pixels, plan.core, plan.halo, plan.tissue is not None],
        "nuclei": None if plan.look is None else list(astuple(plan.look)),
        "standing": [list(astuple(look)) for look in plan.standing],
        "region": hashlib.sha256(shapely.to_wkb(plan.region)).hexdigest(),
    }


def open_journal(journal: Path, signature: dict[str, Any]) -> int:
    """Make the journal or check it, and count its tiles.

    A line that was not finished is dropped; the first one as well, where a full disk or a kill has cut it short.
    """
    head = as_utf8(json.dumps(signature) + "\n")
    complete, count = 0, 0
    first = b""
    if journal.exists():
        with journal.open("rb") as file:
            first = file.readline()
    if first != head and head.startswith(first):
        write_bytes(journal, head, overwrite=True)
        return 0
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


def recorded_pieces(journal: Path, plan: Plan) -> Iterator[tuple[Tile, list[Piece]]]:
    """Tiles that a journal holds, with their pieces.

    In the order of the plan.

    Raises
    ------
    UserInputError
        If a line of the journal is damaged.
    """
    with Path(journal).open(encoding="utf-8") as file:
        next(file)
        for number, (tile, line) in enumerate(zip(plan.tiles(), file, strict=False), start=2):
            try:
                pieces = [_piece_from_json(entry, plan) for entry in _parsed(line)["pieces"]]
            except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
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


def piece_to_json(piece: Piece) -> dict[str, Any]:
    """A piece as plain values; its mask as lengths of runs."""
    mask = piece.mask
    changes = np.flatnonzero(np.diff(mask.crop.ravel().astype(np.int8), prepend=0, append=0))
    return {
        "at": [mask.row, mask.col, *mask.shape],
        "runs": np.diff(changes, prepend=0).tolist(),
        "score": piece.score,
        "is_cut": piece.is_cut,
    }


def _piece_from_json(entry: dict[str, Any], plan: Plan) -> Piece:
    row, col, height, width = (int(n) for n in entry["at"])
    if not (0 < height <= plan.core + 2 * plan.halo and 0 < width <= plan.core + 2 * plan.halo):
        raise ValueError(f"a piece of {height} x {width} pixels is larger than a tile")
    changes = np.zeros(height * width + 1, dtype=np.int8)
    changes[np.cumsum(np.array(entry["runs"], dtype=np.int64))] = 1
    inside = np.cumsum(changes[:-1]) % 2 == 1
    mask = SliceMask(row, col, inside.reshape(height, width))
    return Piece(mask, float(entry["score"]), bool(entry["is_cut"]))
