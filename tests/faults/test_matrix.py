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
        if re.match(r"\| \d+a? \|", line):
            yield cells[0].strip("| "), cells[-1].strip("| ")


def test_every_row_of_the_matrix_is_there():
    numbers = {int(number.rstrip("abc")) for number, _ in rows()}
    assert numbers == set(range(1, 79))


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
