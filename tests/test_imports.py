"""The layers of docs/architecture.md: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "napari_sam2"

GUI = {"napari", "qtpy", "superqt", "magicgui", "PyQt6", "PySide6", "vispy"}
NETWORKS = {"torch", "transformers", "safetensors"}
CLI = tuple(f"cli/{file.name}" for file in (PACKAGE / "cli").glob("*.py") if file.name != "window.py")
CORE = (
    "errors",
    "volume",
    "prompts",
    "window",
    "labels",
    "results",
    "montage",
    "measure",
    "metrics",
    "recist",
    "structures",
    "tables",
)


def imported_by(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def files_of(*parts: str) -> list[Path]:
    found = []
    for part in parts:
        path = PACKAGE / part
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [file for file in found if file.is_file()]


def offenders(files: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in files
        for name in sorted(imported_by(file))
        if name.split(".")[0] in forbidden or any(name == f or name.startswith(f + ".") for f in forbidden)
    ]


@pytest.mark.parametrize(
    ("parts", "forbidden"),
    [
        (CORE, GUI | NETWORKS | {"nibabel", "SimpleITK", "pydicom"}),
        (("io",), GUI | NETWORKS | {"napari_sam2.engine", "napari_sam2.models", "napari_sam2.session"}),
        (("models", "engine"), GUI | {"nibabel", "SimpleITK", "napari_sam2.io", "napari_sam2.session"}),
        (("session.py",), GUI | {"napari_sam2.plugin", "napari_sam2.cli"}),
        (CLI, {"napari_sam2.plugin"}),
        (("plugin",), {"napari_sam2.cli"}),
    ],
    ids=["core", "io", "models and engine", "session", "cli", "plugin"],
)
def test_no_layer_imports_what_lies_above_it(parts, forbidden):
    assert offenders(files_of(*parts), forbidden) == []


@pytest.mark.parametrize("module", ["napari_sam2", "napari_sam2.cli.app"])
def test_importing_the_package_brings_neither_torch_nor_qt(module):
    code = f"import sys, {module}; print(sorted(m for m in {sorted(GUI | NETWORKS)} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
