"""Names, codes and colours that belong to a label file.

It holds them itself, or they lie beside it.
"""

from __future__ import annotations

import logging
import re
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import NapariSam2Error
from napari_sam2.io.label_tables import find_terms
from napari_sam2.io.names import without_suffix
from napari_sam2.terms.terminology import ABNORMAL, BODY, ORGAN, TISSUE, Code, Term, bundled_terms, find_term

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["terms_in"]

logger = logging.getLogger(__name__)

_CATEGORIES: Final = {"91772007": ORGAN, "85756007": TISSUE, "49755003": ABNORMAL}
"""Segmented property categories of DICOM to those of `Code`."""

_CARET_LABEL: Final = re.compile(r"<Label\b([^>]*)>(?:<!\[CDATA\[)?([^<\]]*)")
"""One entry of the label table that connectome programs and TotalSegmentator keep in a NIfTI extension."""

_ATTRIBUTE: Final = re.compile(r'(\w+)="([^"]*)"')

_TERMINOLOGY: Final = re.compile(
    r"TerminologyEntry:[^~|]*~(?P<category>[^\^~|]*)\^[^~|]*~(?P<scheme>[^\^~|]*)\^(?P<code>[^\^~|]*)\^(?P<meaning>[^~|]*)"
)


def terms_in(path: str | os.PathLike[str], names: Mapping[int, str]) -> dict[int, Term]:
    """What is known of the labels of a file, by id.

    In this order: the table beside it, as results are saved with; what the file holds itself (Slicer segmentation,
    DICOM SEG, the label table in a NIfTI extension); codes of the bundled list for the names that are left.

    Parameters
    ----------
    path : path-like
        The label map.
    names : mapping of int to str
        Names that reading it has given, see `napari_sam2.io.labels.read_named_labels`.
    """
    file = Path(path)
    beside = find_terms(file)
    if beside:
        return beside
    held: dict[int, Term] = {}
    try:
        held = _reader(file)(file)
    except (NapariSam2Error, OSError, ValueError, KeyError, AttributeError) as error:
        # Labels without names can be worked on; the label map itself has been read.
        logger.warning("The names in %s cannot be read: %s", without_suffix(file.name), type(error).__name__)
    terms = {}
    for label_id in {*names, *held}:
        term = held.get(label_id, Term(""))
        name = names.get(label_id) or term.name
        listed = find_term(name.replace("_", " "), bundled_terms())
        code = term.code or (None if listed is None else listed.code)
        terms[label_id] = Term(name, code, term.colour, label_id)
    return terms


def _reader(file: Path) -> Callable[[Path], dict[int, Term]]:
    name = file.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        return _of_seg_nrrd
    return _of_nifti if name.endswith((".nii", ".nii.gz")) else _of_dicom_seg


def _of_seg_nrrd(file: Path) -> dict[int, Term]:
    from napari_sam2.io.nrrd import nrrd_header

    header = nrrd_header(file)[0]
    terms, number = {}, 0
    while f"Segment{number}_LabelValue" in header:
        value = int(header[f"Segment{number}_LabelValue"])
        colour = _colour(header.get(f"Segment{number}_Color", "").split())
        match = _TERMINOLOGY.search(header.get(f"Segment{number}_Tags", ""))
        code = None
        if match is not None and match["code"] and match["code"] != "85756007":
            code = Code(match["code"], match["meaning"], _CATEGORIES.get(match["category"], BODY), match["scheme"])
        terms[value] = Term("", code, colour, value)
        number += 1
    return terms


def _of_nifti(file: Path) -> dict[int, Term]:
    import nibabel as nib

    terms: dict[int, Term] = {}
    header: Any = nib.load(file).header
    for extension in getattr(header, "extensions", ()):
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        for match in _CARET_LABEL.finditer(text):
            attributes = dict(_ATTRIBUTE.findall(match[1]))
            label_id, name = int(attributes["Key"]), unescape(match[2]).strip()
            if label_id and name:
                colour = _colour([attributes.get(c, "") for c in ("Red", "Green", "Blue")])
                terms[label_id] = Term(name, None, colour, label_id)
    return terms


def _of_dicom_seg(file: Path) -> dict[int, Term]:
    from highdicom.color import CIELabColor

    from napari_sam2.io.dicom_series import read_tags

    tags: Any = read_tags(file)
    terms = {}
    for segment in tags.SegmentSequence:
        number = int(segment.SegmentNumber)
        kind, category = segment.SegmentedPropertyTypeCodeSequence[0], segment.SegmentedPropertyCategoryCodeSequence[0]
        code = None
        if kind.CodeValue != "85756007":
            sort = _CATEGORIES.get(category.CodeValue, BODY)
            code = Code(str(kind.CodeValue), str(kind.CodeMeaning), sort, str(kind.CodingSchemeDesignator))
        lab = segment.get("RecommendedDisplayCIELabValue")
        colour = None
        if lab is not None:
            red, green, blue = (int(c) for c in CIELabColor.from_dicom_value(lab).to_rgb())
            colour = (red, green, blue)
        terms[number] = Term("", code, colour, number)
    return terms


def _colour(parts: list[str]) -> tuple[int, int, int] | None:
    """A colour of three numbers from 0 to 1."""
    if len(parts) != 3:
        return None
    red, green, blue = (min(255, max(0, round(float(part) * 255))) for part in parts)
    return red, green, blue
