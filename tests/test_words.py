"""The first line of each public docstring names the thing in at most twelve words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import napari_sam2

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_WORDS: Final = 12

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(node: Documented, name: str = "") -> Iterator[tuple[str, Documented]]:
    """A module with its public classes and functions, and the methods of those classes."""
    yield name, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for part in node.body:
        if isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
            yield from _public(part, f"{name}.{part.name}".lstrip("."))


def _too_long(source: str) -> list[str]:
    """Names whose docstring begins with a line of too many words; a code in backticks is one word."""
    lines = [(name, (ast.get_docstring(node) or "").partition("\n")[0]) for name, node in _public(ast.parse(source))]
    return [name or "module" for name, line in lines if len(re.sub(r"`[^`]+`", "code", line).split()) > MOST_WORDS]


def test_the_first_line_of_a_docstring_names_the_thing_in_at_most_twelve_words() -> None:
    root = Path(napari_sam2.__file__).parent
    faults = [
        f"{path.relative_to(root).as_posix()}: {name}"
        for path in sorted(root.rglob("*.py"))
        for name in _too_long(path.read_text(encoding="utf-8"))
    ]
    assert faults == [], f"say it in {MOST_WORDS} words, and the rest in the next paragraph"


def test_a_line_of_thirteen_words_is_found_wherever_it_stands() -> None:
    twelve, thirteen = "w " * 11 + "w.", "w " * 12 + "w."
    source = f'"""{thirteen}"""\nclass A:\n  """{twelve}"""\n  def f(self):\n    """{thirteen}"""\n'
    assert _too_long(source) == ["module", "A.f"]
    assert _too_long(f'"""{twelve}\n\n{thirteen}"""') == []
    assert _too_long(f'def _own():\n  """{thirteen}"""\n') == []
