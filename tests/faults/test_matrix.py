"""The table of docs/reliability.md points at tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "reliability.md"


def rows():
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.match(r"\| (\d+[a-z]?|[FWMSPRAD]\d+) \|", line):
            yield cells[0].strip("| "), cells[-1].strip("| ")


def test_every_row_of_the_matrix_is_there():
    numbers = {int(number.rstrip("abcdefghijk")) for number, _ in rows() if number[0].isdigit()}
    assert numbers == set(range(1, 90))


def test_every_id_of_the_reports_has_a_row():
    ids = {number for number, _ in rows() if not number[0].isdigit()}
    wanted = {"F": 15, "W": 9, "M": 1, "S": 9, "P": 15, "R": 3, "A": 14}
    assert {f"{letter}{n:02d}" if letter in "FP" else f"{letter}{n}" for letter, last in wanted.items()
            for n in range(1, last + 1)} - {"P13"} <= ids  # fmt: skip


def test_every_test_that_the_table_names_exists():
    known: dict[str, set[str]] = {}
    missing = []
    for number, shown_by in rows():
        for file, name in re.findall(r"`([\w/]+\.py)::(\w+)`", shown_by):
            path = TESTS / file
            if file not in known:
                tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
                known[file] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            if name not in known[file]:
                missing.append(f"{number}: {file}::{name}")
    assert missing == []
