"""``napari-sam2 doctor``: what this machine has, to be pasted into an issue."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from typing import Final

from rich.console import Console
from rich.table import Table

from napari_sam2._version import __version__
from napari_sam2.cli.app import app

__all__ = ["doctor"]

PACKAGES: Final = (
    "napari",
    "numpy",
    "torch",
    "transformers",
    "nibabel",
    "SimpleITK",
    "scikit-image",
    "pydicom",
    "highdicom",
    "PyQt6",
    "PySide6",
)


@app.command()
def doctor() -> None:
    """Show versions, devices, Qt, models and disk space; names no file of yours."""
    table = Table("what", "found", show_header=False)
    for what, found in _facts():
        table.add_row(what, found)
    Console(highlight=False).print(table)


def _facts() -> list[tuple[str, str]]:
    import torch

    from napari_sam2.models.zoo import BUILT_IN, FILES, ZOO, folder_of, models_folder

    facts = [
        ("napari-sam2", __version__),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"),
    ]
    facts += [(name, _version(name)) for name in PACKAGES]
    facts.append(("CUDA", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no device"))
    facts.append(("MPS", "yes" if torch.backends.mps.is_available() else "no device"))
    here = [name for name in ZOO if all((folder_of(name) / file).is_file() for file in FILES)]
    facts.append(("models here", ", ".join([*BUILT_IN, *here])))
    folder = models_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    facts.append(("free for models", f"{shutil.disk_usage(existing).free / 1e9:.1f} GB"))
    facts.append(("display", os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "none"))
    return facts


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
