"""Milestones of a run.

Keep its checkpoint in compact form, or write its averaged weights.

``python -m napari_sam2.training compact RUN TARGET``, ``python -m napari_sam2.training export RUN CONFIG WEIGHTS``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_sam2.training.checkpoint import write_compact
from napari_sam2.training.config import read_config
from napari_sam2.training.export import export_weights
from napari_sam2.training.recipe_command import run_command


def main() -> None:
    """Read the command line and do as it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    compact = commands.add_parser("compact")
    compact.add_argument("run", type=Path)
    compact.add_argument("target", type=Path)
    export = commands.add_parser("export")
    export.add_argument("run", type=Path)
    export.add_argument("config", type=Path)
    export.add_argument("weights", type=Path)
    options = parser.parse_args()
    if options.command == "compact":
        write_compact(options.run, options.target)
    else:
        export_weights(options.run, read_config(options.config), options.weights, options.config.parent)


if __name__ == "__main__":
    run_command(main)
