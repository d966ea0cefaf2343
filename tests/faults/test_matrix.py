"""The table of docs/reliability.md points at tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "reliability.md"


REPORTED = "## Faults that were reported"


def rows():
    """Number and tests of each row of the matrix; of the faults that were reported, what happened before."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.match(r"\| \d+[a-z]? \|", line) or (line.startswith("| ") and "::" in line):
            yield cells[0].strip("| "), cells[-1].strip("| ")


def test_every_row_of_the_matrix_is_there():
    numbers = {int(re.sub("[a-z]$", "", number)) for number, _ in rows() if re.fullmatch(r"\d+[a-z]?", number)}
    assert numbers == set(range(1, 90))


def test_every_fault_that_was_reported_is_held_by_a_test():
    part = TABLE.read_text(encoding="utf-8").split(REPORTED)[1].split("\n## ")[0]
    told = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| before |")]
    assert len(told) == 75
    assert [line for line in told if "::" not in line.split(" | ")[-1]] == []


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
