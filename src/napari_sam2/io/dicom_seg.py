"""DICOM SEG out, by highdicom.

Segments are BINARY by default, which old and new viewers know; LABELMAP (DICOM 2024c) on request. The
standard makes a SEG carry the patient and study of its source: say `PATIENT_NOTICE` before writing.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2._version import __version__
from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import GeometryError, ImageFileError, UserInputError
from napari_sam2.io.atomic import atomic_write
from napari_sam2.io.dicom import DicomSource
from napari_sam2.io.dicom_seg_read import correct_slice_distance, read_dicom_seg, require_highdicom
from napari_sam2.io.dicom_series import quiet, read_dataset
from napari_sam2.io.lps import lps_from_affine
from napari_sam2.io.payload import existing_file
from napari_sam2.terms.structures import UNKNOWN, Structure
from napari_sam2.terms.terminology import ABNORMAL, BODY, ORGAN, TISSUE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["PATIENT_NOTICE", "segment_labels", "write_dicom_seg"]

PATIENT_NOTICE: Final = (
    "A DICOM SEG carries the patient's and the study's data over from the source, as the standard demands."
)

_REQUIRED: Final = ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_CATEGORIES: Final = {
    ORGAN: ("91772007", "Organ"),
    TISSUE: ("85756007", "Tissue"),
    BODY: ("91723000", "Anatomical Structure"),
    ABNORMAL: ("49755003", "Morphologically Abnormal Structure"),
}
_SERIES_NUMBER: Final = 900
"""High enough to be sorted behind the scanner's own series."""

_SQUARE: Final = 1e-3

UNICODE: Final = "ISO_IR 192"
"""The character set of what is written, whatever the source's: names may be in any script."""

LONGEST_NAME: Final = 64
"""Characters of DICOM's LO."""


def write_dicom_seg(
    labels: NDArray[Any],
    volume: Volume,
    path: str | os.PathLike[str],
    structures: Sequence[Structure],
    *,
    model: Mapping[str, str],
    labelmap: bool = False,
    automatic: bool = False,
    overwrite: bool = False,
) -> dict[int, int]:
    """Write labels as a DICOM SEG that refers to the source's instances.

    Parameters
    ----------
    labels : (I, J, K) array of integers
        On the grid of `volume`.
    volume : Volume
        Read from DICOM, whose files must still be there.
    path : path-like
        The ``.dcm`` file to make.
    structures : sequence of Structure
        One per label id; names are written as `segment_labels` has them.
    model : mapping of str
        The fields of the model's card; its name and hash identify the algorithm.
    labelmap : bool
        LABELMAP instead of BINARY.
    automatic : bool
        Whether no person gave prompts; otherwise the segments are SEMIAUTOMATIC.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    dict of int to int
        Label id -> segment number: segments are numbered from 1 without gaps.

    Raises
    ------
    UserInputError
        If the source is not DICOM, nothing is labelled, or the path cannot be used.
    GeometryError
        If the shapes differ or the source's grid is sheared.
    ImageFileError
        If the source lacks a tag that a SEG must carry, or its files are gone.
    EnvironmentLacksError
        If highdicom is not installed or the disk is full.
    """
    highdicom = require_highdicom()
    target = Path(path)
    if not isinstance(volume.source.header, DicomSource):
        raise UserInputError(f"{volume.source.name} is not DICOM, so no DICOM SEG can refer to it; write NIfTI.")
    numbers, segments = _numbered(labels, volume, structures)
    with quiet():
        source = _source_images(volume)
        # highdicom takes axis 0 across frames: (slice, row, column), so that frames are the source's planes.
        array = highdicom.Volume(
            array=segments.transpose(2, 1, 0),
            affine=lps_from_affine(volume.affine)[:, [2, 1, 0, 3]],
            coordinate_system="PATIENT",
            frame_of_reference_uid=source[0].FrameOfReferenceUID,
        )
        try:
            seg = _segmentation(array, source, structures, numbers, model, labelmap, automatic)
            seg.SpecificCharacterSet = UNICODE
            correct_slice_distance(seg, volume)
        except AttributeError as error:
            tag = getattr(error, "name", None) or str(error)
            raise ImageFileError(
                f"{volume.source.name} lacks the tag {tag}, which a DICOM SEG must carry over; write NIfTI instead."
            ) from error
        except (TypeError, ValueError, KeyError) as error:  # the reason may quote the patient
            raise ImageFileError(
                f"{volume.source.name} has tags that are not valid DICOM, so no SEG can refer to it; write NIfTI "
                "instead."
            ) from error
        with atomic_write(target, overwrite=overwrite) as temporary:
            seg.save_as(temporary)
            back, names = read_dicom_seg(temporary, volume)
            labelled = segment_labels(structures)
            if not np.array_equal(back, segments) or names != {n: labelled[i] for i, n in numbers.items()}:
                raise OSError("what was read back differs from what was written")
    return numbers


def segment_labels(structures: Sequence[Structure]) -> dict[int, str]:
    """Names by label id as DICOM can hold them.

    No backslash, which parts values, and at most 64 characters.

    Control characters, line ends among them, become spaces (PS3.5 6.2, value representation LO).
    """
    labels = {}
    for s in structures:
        plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in s.name.replace("\\", "/"))
        labels[s.label_id] = " ".join(plain.split())[:LONGEST_NAME].strip() or f"object {s.label_id}"
    return labels


def _numbered(
    labels: NDArray[Any], volume: Volume, structures: Sequence[Structure]
) -> tuple[dict[int, int], NDArray[Any]]:
    """Label id -> segment number, and the labels in those numbers."""
    if labels.shape != volume.shape:
        raise GeometryError(f"Labels must have the volume's shape {volume.shape}; got {labels.shape}.")
    steps = volume.affine[:3, :3] / volume.spacing
    if np.abs(steps.T @ steps - np.eye(3)).max() > _SQUARE:
        raise GeometryError(
            f"{volume.source.name} has a sheared grid (a tilted gantry), which a DICOM SEG cannot hold; write NIfTI."
        )
    present = [int(i) for i in np.unique(labels) if i != 0]
    if not present:
        raise UserInputError("Nothing is labelled, and a DICOM SEG cannot be empty.")
    unnamed = [i for i in present if i not in {s.label_id for s in structures}]
    if unnamed:
        raise UserInputError(f"The label ids {unnamed} have no structure.")
    numbers = {label_id: number for number, label_id in enumerate(present, start=1)}
    segments = np.zeros(labels.shape, label_dtype(len(numbers)))
    for label_id, number in numbers.items():
        segments[labels == label_id] = number
    return numbers, segments


def _source_images(volume: Volume) -> list[Any]:
    images = []
    for file in dict.fromkeys(s.path for s in volume.source.header.slices):
        existing_file(file)
        tags = read_dataset(file, stop_before_pixels=True)
        if not tags.get("SpecificCharacterSet", "x"):
            del tags.SpecificCharacterSet  # empty, as some exporters leave it, means the default
        _share_groups(tags)
        images.append(tags)
    for tag in _REQUIRED:
        if tag not in images[0]:
            raise ImageFileError(
                f"{volume.source.name} lacks the tag {tag}, which a DICOM SEG must carry over; write NIfTI instead."
            )
    return images


def _share_groups(tags: Any) -> None:
    """Copy plane groups that every frame repeats to where highdicom 0.28 looks for them.

    The stack was checked when it was read, so that all frames agree.
    """
    if "SharedFunctionalGroupsSequence" not in tags or "PerFrameFunctionalGroupsSequence" not in tags:
        return
    shared, first = tags.SharedFunctionalGroupsSequence[0], tags.PerFrameFunctionalGroupsSequence[0]
    for group in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if group not in shared and group in first:
            setattr(shared, group, first[group].value)


def _segmentation(
    array: Any,
    source: Sequence[Any],
    structures: Sequence[Structure],
    numbers: Mapping[int, int],
    model: Mapping[str, str],
    labelmap: bool,
    automatic: bool,
) -> Any:
    import highdicom
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

    by_id = {s.label_id: s for s in structures}
    labels = segment_labels(structures)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="napari-sam2",
        version=__version__,
        family=highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
        parameters={key: str(value) for key, value in model.items() if key in ("name", "revision", "sha256") and value},
    )
    kind = "AUTOMATIC" if automatic else "SEMIAUTOMATIC"
    return Segmentation(
        source_images=source,
        pixel_array=array,
        segmentation_type=SegmentationTypeValues.LABELMAP if labelmap else SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(by_id[i], labels[i], number, algorithm, kind) for i, number in numbers.items()],
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="napari-sam2",
        manufacturer_model_name="napari-sam2",
        software_versions=__version__,
        device_serial_number="0",
        transfer_syntax_uid=RLELossless if labelmap else ExplicitVRLittleEndian,
        series_description="napari-sam2 segmentation",
        content_label="NAPARI_SAM2",
    )


def _describe(structure: Structure, label: str, number: int, algorithm: Any, kind: str) -> Any:
    import highdicom
    from highdicom.color import CIELabColor
    from highdicom.sr import CodedConcept
    from pydicom.uid import generate_uid

    code = structure.code or UNKNOWN
    category = _CATEGORIES[code.category]
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=CodedConcept(category[0], "SCT", category[1]),
        segmented_property_type=CodedConcept(code.value, code.scheme, code.meaning),
        algorithm_type=kind,
        algorithm_identification=algorithm,
        tracking_uid=generate_uid(),
        tracking_id=label,
        display_color=CIELabColor.from_rgb(*structure.colour),
    )
