"""The command line.

It translates arguments into a `Session` and shows what comes back.
"""

from __future__ import annotations

from napari_sam2.cli.app import main

__all__ = ["main"]
