"""Rows as text that a spreadsheet shows and never runs.

CSV or TSV.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["csv_text", "plain_cell", "safe_cell"]

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins like this (OWASP, "CSV Injection")."""


def csv_text(rows: Sequence[Mapping[str, Any]], separator: str = ",") -> str:
    r"""Write rows with the first row's keys as header.

    Parameters
    ----------
    rows : sequence of mapping
        The same keys in each. Text is made safe; numbers keep six digits; NaN is an empty cell.
    separator : str
        ``","`` or ``"\t"``.
    """
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_cell(row[key]) for key in rows[0]])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """Text for a cell.

    One line, no tabs, and never run as a formula.
    """
    flat = " ".join(text.split())
    return "'" + flat if text.startswith(_FORMULA_STARTS) or flat.startswith(_FORMULA_STARTS) else flat


def plain_cell(cell: str) -> str:
    """What `safe_cell` made safe, as it was."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA_STARTS else cell


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
