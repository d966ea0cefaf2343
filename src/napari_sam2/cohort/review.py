"""The review of a whole cohort.

Its most doubtful slices, whichever case they are in, and what was decided.

Decisions are kept beside the case in ``review.json``; accepted masks and corrections are in the case's own session.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.plan import read_cohort
from napari_sam2.cohort.state import DONE, EDITED, REVIEW, read_status, result_standing
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ACCEPTED", "FLAGGED", "ORDERS", "ReviewItem", "decide", "decisions_of", "review_items"]

ORDERS: Final = ("doubt", "voxels", "case")
"""By doubt alone, which ranks slices; by doubt times voxels, which asks how much may be wrong; or one case after the
other, by its most doubtful slice."""

ACCEPTED, FLAGGED = "accepted", "flagged"

_DECISION: Final = {"object", "name", "slice", "decision"}


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A slice of a case to look at.

    Attributes
    ----------
    case : str
        Its name.
    object_id, name
        The object.
    axis, index : int
        The slice.
    doubt : float
        0 to 1, see docs/review.md.
    voxels : int
        Of the object on that slice.
    """

    case: str
    object_id: int
    name: str
    axis: int
    index: int
    doubt: float
    voxels: int


def review_items(output: Path, by: str = "doubt") -> list[ReviewItem]:
    """Slices that nobody has decided on.

    The most doubtful of the cohort first.

    Parameters
    ----------
    output : Path
        The folder of a cohort.
    by : str
        One of `ORDERS`.

    Raises
    ------
    UserInputError
        If the folder holds no cohort, or there is no such order.
    """
    if by not in ORDERS:
        raise UserInputError(f"--by {by}: choose one of {', '.join(ORDERS)}.")
    items: list[ReviewItem] = []
    cohort = read_cohort(output)
    if cohort["settings"].get("task") == "slide":
        raise UserInputError(
            "Slides have no slices to go through; open one with 'napari-sam2 open' and load its objects.geojson."
        )
    for entry in cohort["cases"]:
        folder = output / entry["case"]
        status = read_status(folder)
        if result_standing(folder, status) not in (DONE, EDITED):
            continue
        decided = {(d["object"], d["slice"]) for d in decisions_of(folder)}
        for obj in status.get("objects", []):
            items += [
                ReviewItem(entry["case"], obj["id"], obj["name"], obj["axis"], s["slice"], s["doubt"], s["voxels"])
                for s in obj.get("doubtful", [])
                if (obj["id"], s["slice"]) not in decided
            ]
    worst: dict[str, float] = {}
    for item in items:
        worst[item.case] = max(worst.get(item.case, 0.0), item.doubt)

    def rank(item: ReviewItem) -> tuple[float, str, float, int, int]:
        weight = {"doubt": item.doubt, "voxels": item.doubt * item.voxels, "case": worst[item.case]}[by]
        return -weight, item.case, -item.doubt, item.object_id, item.index

    return sorted(items, key=rank)


def decisions_of(folder: Path) -> list[dict[str, Any]]:
    """What was decided on slices of a case.

    ``object``, ``name``, ``slice``, ``decision``, ``t``.

    Raises
    ------
    UserInputError
        If the file is damaged: to write a new one would forget what was decided.
    """
    try:
        content = json.loads((folder / REVIEW).read_text(encoding="utf-8"))
        decisions: list[dict[str, Any]] = content["decisions"]
        if not all(entry.keys() >= _DECISION for entry in decisions):
            raise KeyError(REVIEW)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserInputError(
            f"{folder.name}/{REVIEW} is damaged; remove it to review that case again, or bring an earlier copy back."
        ) from error
    return decisions


def decide(output: Path, item: ReviewItem, decision: str) -> None:
    """Keep that a slice was accepted or flagged.

    A later decision on the same slice replaces it.

    Raises
    ------
    EnvironmentLacksError
        If the disk is full.
    """
    folder = output / item.case
    others = [d for d in decisions_of(folder) if (d["object"], d["slice"]) != (item.object_id, item.index)]
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    mine = {"object": item.object_id, "name": item.name, "slice": item.index, "decision": decision, "t": now}
    text = json.dumps({"version": 1, "decisions": [*others, mine]}, indent=1, ensure_ascii=False)
    write_text(folder / REVIEW, text + "\n", overwrite=True)
