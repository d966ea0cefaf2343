"""The layers of tests/layers.py: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import FACADE, GUI, LAYERS, NETWORKS, Layer, table

PACKAGE = Path(__file__).parents[1] / "src" / "napari_sam2"
ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"

WINDOW_COMMAND = "cli/window.py"
"""Opens napari with the panel, so the one command that imports the plugin."""


def imported_by(file: Path) -> set[str]:
    """Full names of all that a file imports, also inside functions and for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def allowed_packages(layer: Layer, package: str) -> set[str]:
    """The packages that files of `package` may import: itself, those before it in its row, and lower rows."""
    place = LAYERS.index(layer)
    lower = LAYERS[: place - 1] if layer.beside else LAYERS[:place]
    before = layer.packages[: layer.packages.index(package) + 1]
    ground = LAYERS[0].packages if layer is LAYERS[0] else ()
    return {name for row in lower for name in row.packages} | set(before) | set(ground)


def upward_imports(layer: Layer, package: str, package_folder: Path = PACKAGE) -> list[str]:
    path = package_folder / package
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    allowed = allowed_packages(layer, package)
    never = {name for group in layer.never for name in group}
    bad = []
    for file in files:
        where = file.relative_to(package_folder).as_posix()
        for name in sorted(imported_by(file)):
            first, *rest = name.split(".")
            upward = first == "napari_sam2" and rest[0] not in allowed
            if (upward and not (where == WINDOW_COMMAND and rest[0] == "plugin")) or first in never:
                bad.append(f"{where} imports {name}")
    return bad


@pytest.mark.parametrize(
    ("layer", "package"),
    [(layer, package) for layer in LAYERS for package in layer.packages],
    ids=[package for layer in LAYERS for package in layer.packages],
)
def test_a_file_imports_its_own_layer_and_those_below(layer, package):
    assert upward_imports(layer, package) == []


def test_an_upward_import_is_seen(tmp_path):
    core = tmp_path / "core"
    core.mkdir()
    (core / "volume.py").write_text("def f():\n    from napari_sam2.session.session import Session\n    import torch\n")
    layer = next(row for row in LAYERS if "core" in row.packages)
    assert upward_imports(layer, "core", tmp_path) == [
        "core/volume.py imports napari_sam2.session.session.Session",
        "core/volume.py imports torch",
    ]


def test_packages_of_the_same_height_do_not_import_each_other():
    layer = next(row for row in LAYERS if "models" in row.packages)
    assert "io" not in allowed_packages(layer, "engine")
    assert "engine" not in allowed_packages(layer, "models")
    assert "models" in allowed_packages(layer, "engine")


def test_every_package_has_its_layer():
    there = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there == {name for row in LAYERS for name in row.packages} | set(FACADE)


def test_the_table_of_the_docs_is_this_one():
    assert table() in ARCHITECTURE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("napari_sam2", GUI | NETWORKS),
        ("napari_sam2.cli.app", GUI | NETWORKS),
        # Sessions whose model is on a server: the small networks beside it run in numpy.
        ("napari_sam2.record.save", GUI | NETWORKS - {"safetensors"}),
    ],
    ids=["package", "command line", "session"],
)
def test_importing_the_package_brings_neither_torch_nor_qt(module, unwanted):
    code = f"import sys, {module}; print(sorted(m for m in {sorted(unwanted)} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
