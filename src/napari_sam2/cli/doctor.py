"""``napari-sam2 doctor``: what this machine has, to be pasted into an issue."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from typing import TYPE_CHECKING, Final

from rich.table import Table

from napari_sam2._version import __version__
from napari_sam2.cli.app import app
from napari_sam2.cli.printing import out

if TYPE_CHECKING:
    from pathlib import Path

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
    """Show versions, devices, Qt, models and disk space.

    Names no file of yours.
    """
    table = Table("what", "found", show_header=False)
    for what, fact in _facts():
        table.add_row(what, fact)
    out.print(table)


def _facts() -> list[tuple[str, str]]:
    import torch

    from napari_sam2.models.zoo import BUILT_IN, ZOO, is_here, models_folder

    facts = [
        ("napari-sam2", __version__),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"),
    ]
    facts += [(name, _version(name)) for name in PACKAGES]
    facts.append(("CUDA", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no device"))
    facts.append(("MPS", "yes" if torch.backends.mps.is_available() else "no device"))
    here = [name for name in ZOO if is_here(name)]
    facts.append(("models here", ", ".join([*BUILT_IN, *here])))
    folder = models_folder()
    facts.append(("free for models", _free_space(folder)))
    facts.append(("display", os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "none"))
    return facts


def _free_space(folder: Path) -> str:
    for parent in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return f"{shutil.disk_usage(parent).free / 1e9:.1f} GB"
    return "unknown"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
