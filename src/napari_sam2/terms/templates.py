"""Lists of structures with fixed ids.

As common programs and challenges number them.

TotalSegmentator: task ``total`` of version 2. FreeSurfer: the structures of ``aseg`` in FreeSurferColorLUT. BraTS: the
labels of the adult glioma challenge since 2023.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from napari_sam2.terms.terminology import Term, bundled_terms

__all__ = ["template_files", "with_codes"]


def template_files() -> dict[str, Path]:
    """Name -> table of each bundled list."""
    folder = Path(str(files("napari_sam2.terms").joinpath("templates")))
    return {path.stem: path for path in sorted(folder.glob("*.csv"))}


def with_codes(term: Term) -> Term:
    """A term with the code of the bundled structure.

    The one of the same words, in whatever order; if the term has none.

    ``kidney_left``, ``Left-Kidney`` and ``left kidney`` are one.
    """
    if term.code is not None:
        return term
    words = _words(term.name)
    listed = next((other for other in bundled_terms() if _words(other.name) == words), None)
    return term if listed is None else replace(term, code=listed.code)


def _words(name: str) -> frozenset[str]:
    return frozenset(name.casefold().replace("_", " ").replace("-", " ").split())
