"""Where the labels of a scan are to be saved.

Unless the user says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_sam2.io.names import without_suffix

__all__ = ["suggested_path"]

PACKAGE: Final = Path(__file__).parents[2]

COMMON_NAMES: Final = frozenset(
    {"image", "img", "scan", "volume", "ct", "mr", "mri", "pet", "t1", "t2", "flair", "data"}
)
"""Names of files that say nothing of the case: its folder does."""


def suggested_path(name: str, source: Path | None, ending: str) -> Path:
    """A path beside the scan, under a name made from its own.

    Parameters
    ----------
    name : str
        Of the layer.
    source : Path, optional
        The file or folder of the scan, where it is known; the home folder is taken without, and for sample scans.
    ending : str
        Of the label map.
    """
    plain = without_suffix(name)
    if source is not None and plain.casefold() in COMMON_NAMES:
        plain = f"{source.parent.name}_{plain}"
    # Nothing belongs into this package, where its sample scans are.
    folder = Path("~") if source is None or source.is_relative_to(PACKAGE) else source.parent
    return folder / f"{plain}_labels{ending}"
