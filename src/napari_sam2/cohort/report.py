"""The report of a cohort.

One page that opens in any browser without a network, and a CSV file beside it.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Final

from napari_sam2._version import __version__
from napari_sam2.cohort.job import OVERVIEW
from napari_sam2.cohort.plan import REPORT, TABLE
from napari_sam2.cohort.summary import summarise, table_rows
from napari_sam2.io.atomic import write_text
from napari_sam2.io.sidecar import INTENDED_USE
from napari_sam2.tables import csv_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.cohort.summary import CaseSummary, CohortSummary

__all__ = ["write_report"]

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.quiet { color: #5c5c5c; } .tiles { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1rem 0; }
.tile { border: 1px solid #ccc; border-radius: 6px; padding: .6rem 1.1rem; min-width: 6rem; }
.tile b { display: block; font-size: 1.6rem; } .bad b { color: #b3261e; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .35rem .6rem; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid #e3e3e3; } th { border-bottom: 2px solid #888; white-space: nowrap; }
th button { font: inherit; font-weight: 600; background: none; border: 0; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
td:first-child { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td:nth-child(7) { min-width: 11rem; }
img { max-height: 96px; max-width: 45vw; background: #000; display: block; }
.failed { color: #b3261e; } .flag { display: inline-block; background: #fff3cd;
  border-radius: 4px; padding: 0 .35rem; margin: 1px; }
"""

_SCRIPT: Final = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compared = (x, y) => isNaN(x - y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
  const order = (a, b) => compared(key(a), key(b)) * (up ? 1 : -1);
  body.append(...[...body.rows].sort(order));
});
"""

_COLUMNS: Final = ("case", "group", "state", "volume (mL)", "doubt", "seconds", "look at", "slices")


def write_report(output: Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``cohort.csv`` into a cohort's folder; earlier ones are replaced.

    Returns
    -------
    page, table : Path

    Raises
    ------
    UserInputError
        If the folder holds no cohort.
    EnvironmentLacksError
        If the disk is full.
    """
    summary = summarise(output)
    page = write_text(output / REPORT, _page(summary), overwrite=True)
    table = write_text(output / TABLE, csv_text(table_rows(summary)), overwrite=True)
    return page, table


def _page(summary: CohortSummary) -> str:
    # Nothing is loaded from anywhere but the folder itself, and no script runs but the one below.
    policy = (
        f"default-src 'none'; img-src 'self' file:; style-src {_allowed(_STYLE)}; script-src {_allowed(_SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    settings = ", ".join(f"{key} {value}" for key, value in summary.settings.items())
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>Cohort</title><style>{_STYLE}</style></head><body>",
        f"<h1>Cohort of {len(summary.cases)} cases</h1>",
        f"<p class=quiet>napari-sam2 {__version__}; {escape(settings)}. {INTENDED_USE}</p>",
        _totals(summary),
        _failures(summary),
        _outliers(summary),
        "<h2>All cases</h2><p class=quiet>Click a heading to sort. The pictures show the largest object where it is "
        "largest, in three planes, then the three most doubtful slices.</p>",
        _table(summary),
        f"<script>{_SCRIPT}</script></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _allowed(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _totals(summary: CohortSummary) -> str:
    flagged = sum(bool(case.flags) for case in summary.cases)
    tiles = [
        ("done", summary.count("done"), ""),
        ("edited by hand", summary.count("edited"), ""),
        ("failed", summary.count("failed"), "bad" if summary.count("failed") else ""),
        ("not done yet", summary.count("todo"), ""),
        ("unusual", flagged, ""),
    ]
    cells = "".join(f'<div class="tile {kind}"><b>{count}</b>{name}</div>' for name, count, kind in tiles)
    return f"<div class=tiles>{cells}</div>"


def _failures(summary: CohortSummary) -> str:
    failed = [case for case in summary.cases if case.state == "failed"]
    if not failed:
        return ""
    rows = "".join(
        f"<tr><td>{escape(case.case)}</td><td class=failed>{escape(str(case.status.get('error', '')))}</td></tr>"
        for case in failed
    )
    return f"<h2>Failed</h2><table><thead><tr><th>case<th>why</thead><tbody>{rows}</tbody></table>"


def _outliers(summary: CohortSummary) -> str:
    kinds = Counter(flag.kind for case in summary.cases for flag in case.flags)
    if not kinds:
        return ""
    counts = ", ".join(f"{escape(kind)} {count}" for kind, count in kinds.most_common())
    return (
        f"<h2>Unusual</h2><p>{counts}.</p><p class=quiet>Compared within group and structure by the modified z-score, "
        "beyond 3.5. A reason to look, never a verdict.</p>"
    )


def _table(summary: CohortSummary) -> str:
    heads = "".join(f"<th>{name}" if name == "slices" else f"<th><button>{name}</button>" for name in _COLUMNS)
    ordered = sorted(summary.cases, key=lambda case: (-len(case.flags), -case.doubt, case.case))
    return f"<table><thead><tr>{heads}</thead><tbody>{''.join(_row(case) for case in ordered)}</tbody></table>"


def _row(case: CaseSummary) -> str:
    volumes = "<br>".join(f"{escape(str(o['name']))} {o['volume_ml']:.3g}" for o in case.objects)
    total = sum(o["volume_ml"] for o in case.objects)
    if "classes" in case.status:  # a slide
        classes = case.status["classes"]
        volumes = "<br>".join(f"{escape(str(c['name']))}: {c['count']} objects" for c in classes)
        total = sum(c["count"] for c in classes)
    flags = " ".join(f"<span class=flag>{escape(flag.sentence)}</span>" for flag in case.flags)
    picture = f"{escape(case.case)}/{OVERVIEW}" if OVERVIEW in case.status.get("outputs", {}) else ""
    image = f'<a href="{picture}"><img loading=lazy alt="slices of {escape(case.case)}" src="{picture}"></a>'
    seconds = case.status.get("seconds", 0.0)
    return (
        f"<tr><td>{escape(case.case)}<td>{escape(case.group)}<td class={case.state}>{case.state}"
        f'<td data-value="{total:.6g}">{volumes}<td class=number>{case.doubt:.2f}<td class=number>{seconds:.1f}'
        f'<td data-value="{len(case.flags)}">{flags}<td>{image if picture else ""}</tr>'
    )
