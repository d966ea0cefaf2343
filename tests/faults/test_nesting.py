"""Wherever JSON is read, nesting without end is a fault like any other: Python raises another error for it."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "napari_sam2"
ENOUGH = {"RecursionError", "RuntimeError", "Exception", "BaseException"}


def reads_json(block: list[ast.stmt]) -> bool:
    calls = (node for statement in block for node in ast.walk(statement) if isinstance(node, ast.Call))
    return any(ast.unparse(call.func) in ("json.loads", "json.load") for call in calls)


def names_of(tried: ast.Try) -> set[str]:
    kinds = [handler.type for handler in tried.handlers]
    parts = [part for kind in kinds if kind for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind])]
    return {ast.unparse(part) for part in parts}


def test_whoever_expects_damaged_json_expects_endless_nesting():
    forgotten = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try) and reads_json(node.body):
                known = names_of(node)
                if known & {"ValueError", "json.JSONDecodeError"} and not known & ENOUGH:
                    forgotten.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert forgotten == []
