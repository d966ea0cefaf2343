"""What became of a cohort, read from its statuses.

One entry per case, one row per object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sam2.cohort.outliers import Flag, find_outliers
from napari_sam2.cohort.plan import read_cohort
from napari_sam2.cohort.review import FLAGGED, decisions_of
from napari_sam2.cohort.state import DAMAGED, DONE, EDITED, FAILED, TODO, read_status, result_standing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["CaseSummary", "CohortSummary", "summarise", "table_rows"]


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One case.

    Attributes
    ----------
    case, group : str
        From the manifest.
    state : str
        ``"done"``, ``"edited"``, ``"failed"`` or ``"todo"``.
    status : dict
        Its ``status.json``; empty when nothing is known yet.
    flags : tuple of Flag
        What is unusual about it.
    """

    case: str
    group: str
    state: str
    status: dict[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What is known of each object."""
        objects: list[dict[str, Any]] = self.status.get("objects", [])
        return objects

    @property
    def doubt(self) -> float:
        """Of its most doubtful object, 0 to 1."""
        return max((float(obj.get("doubt", 0.0)) for obj in self.objects), default=0.0)


@dataclass(frozen=True, slots=True)
class CohortSummary:
    """All cases, in the order of the manifest.

    Attributes
    ----------
    cases : tuple of CaseSummary
        One for each.
    settings : dict of str to str
        Of the last run.
    """

    cases: tuple[CaseSummary, ...]
    settings: dict[str, str]

    def count(self, *states: str) -> int:
        """How many cases stand so."""
        return sum(case.state in states for case in self.cases)


def summarise(output: Path) -> CohortSummary:
    """Read what became of a cohort.

    Raises
    ------
    UserInputError
        If the folder holds none.
    """
    cohort = read_cohort(output)
    cases = []
    for entry in cohort["cases"]:
        folder = output / entry["case"]
        status = read_status(folder)
        state = FAILED if status.get("state") in (FAILED, DAMAGED) else result_standing(folder, status)
        cases.append(CaseSummary(entry["case"], entry["group"], state, status if state != TODO else {}))
    usable = {case.case: (case.group, case.status) for case in cases if case.state in (DONE, EDITED)}
    flags = find_outliers(usable)
    for case in usable:
        for decision in decisions_of(output / case):
            if decision["decision"] == FLAGGED:
                sentence = f"{decision['name']}: slice {decision['slice']} was flagged by a person"
                flags.setdefault(case, []).insert(0, Flag("flagged", sentence, decision["object"]))
    return CohortSummary(
        tuple(CaseSummary(c.case, c.group, c.state, c.status, tuple(flags.get(c.case, ()))) for c in cases),
        cohort["settings"],
    )


def table_rows(summary: CohortSummary) -> list[dict[str, Any]]:
    """Rows of a cohort for a CSV file.

    One per object, and one for each case without objects.
    """
    if summary.settings.get("task") == "slide":
        return _slide_rows(summary)
    rows = []
    for case in summary.cases:
        image = case.status.get("image", {})
        spacing, window = image.get("spacing_mm", ["", "", ""]), image.get("window", ["", ""])
        for obj in case.objects or [{}]:
            own = [flag for flag in case.flags if flag.object_id in (obj.get("id"), None)]
            rows.append(
                {
                    "case": case.case,
                    "group": case.group,
                    "state": case.state,
                    "error": case.status.get("error", ""),
                    "id": obj.get("id", ""),
                    "name": obj.get("name", ""),
                    "voxels": obj.get("voxels", ""),
                    "volume_ml": obj.get("volume_ml", ""),
                    "components": obj.get("components", ""),
                    "touches_border": obj.get("touches_border", ""),
                    "doubt": obj.get("doubt", ""),
                    "most_doubtful_slice": _most_doubtful(obj),
                    **{f"dice_{name}": value for name, value in obj.get("dice", {}).items()},
                    "flags": "; ".join(flag.sentence for flag in own),
                    "spacing_i_mm": spacing[0],
                    "spacing_j_mm": spacing[1],
                    "spacing_k_mm": spacing[2],
                    "window_low": window[0],
                    "window_high": window[1],
                    "seconds": case.status.get("seconds", ""),
                }
            )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _most_doubtful(obj: Mapping[str, Any]) -> int | str:
    """The slice with the most doubt; nothing where none is in doubt."""
    doubtful = obj.get("doubtful", [])
    return int(max(doubtful, key=lambda s: s["doubt"])["slice"]) if doubtful else ""


def _slide_rows(summary: CohortSummary) -> list[dict[str, Any]]:
    """One row per slide and class, and one for each slide without objects."""
    rows = []
    for case in summary.cases:
        slide = case.status.get("slide", {})
        rows_cols = slide.get("shape", ["", ""])
        for found in case.status.get("classes", []) or [{}]:
            rows.append(
                {
                    "case": case.case,
                    "group": case.group,
                    "state": case.state,
                    "error": case.status.get("error", ""),
                    "class": found.get("name", ""),
                    "objects": found.get("count", 0 if case.state == DONE else ""),
                    "area_px": found.get("area_px", ""),
                    "area_mm2": "" if found.get("area_mm2") is None else found["area_mm2"],
                    "rows": rows_cols[0],
                    "columns": rows_cols[1],
                    "mpp": "" if slide.get("mpp") is None else slide["mpp"],
                    "seconds": case.status.get("seconds", ""),
                }
            )
    return rows
