"""DICOM SEG in, by highdicom, on the grid of an image.

Whatever frames were left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import EnvironmentLacksError, GeometryError, ImageFileError
from napari_sam2.io.dicom import DicomSource
from napari_sam2.io.dicom_series import invalid_tags, quiet, read_dataset, read_tags
from napari_sam2.io.lattice import onto_grid
from napari_sam2.io.lps import affine_from_lps, lps_from_affine
from napari_sam2.io.payload import existing_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["correct_slice_distance", "is_dicom_seg", "read_dicom_seg", "require_highdicom"]


def read_dicom_seg(path: str | os.PathLike[str], volume: Volume) -> tuple[NDArray[Any], dict[int, str]]:
    """Read a DICOM SEG onto the grid of an image.

    Returns
    -------
    labels : (I, J, K) array
        Segment numbers.
    names : dict of int to str
        Segment labels.

    Raises
    ------
    ImageFileError
        If the file is damaged, not a SEG, or its segments overlap.
    GeometryError
        If it belongs to another frame of reference or another grid.
    EnvironmentLacksError
        If highdicom is not installed.
    """
    highdicom = require_highdicom()
    file = existing_file(path)
    with quiet():
        try:
            dataset = read_dataset(file)
            is_fractional = dataset.get("SegmentationType") == "FRACTIONAL"
            correct_slice_distance(dataset, volume)
            seg = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
            names = {n: str(seg.get_segment_description(n).segment_label) for n in seg.segment_numbers if n > 0}
        except Exception as error:  # highdicom and pydicom raise many kinds on damaged files
            raise ImageFileError(f"{file.name} cannot be read as a DICOM SEG; export it again.") from error
        _check_frame_of_reference(seg, volume, file.name)
        try:
            combined = seg.get_volume(combine_segments=True)
        except Exception as error:  # highdicom raises many kinds on damaged files
            raise _fractional(file.name) if is_fractional else _explained(error, file.name, volume) from error
    affine = affine_from_lps(combined.affine[:3, :3], combined.affine[:3, 3])
    labels = onto_grid(np.asarray(combined.array), affine, volume, file.name)
    return labels.astype(label_dtype(max(names, default=0))), names


def is_dicom_seg(path: Path) -> bool:
    """Whether a file is a DICOM SEG."""
    tags = read_tags(path)
    try:
        return tags is not None and tags.get("Modality") == "SEG"
    except Exception as error:  # values are converted here, and pydicom raises many kinds
        raise invalid_tags(path, tags) from error


def _fractional(name: str) -> ImageFileError:
    return ImageFileError(
        f"{name} holds fractions or probabilities (SegmentationType FRACTIONAL), not labels; export it as BINARY, at a "
        "threshold of your choice."
    )


def _explained(error: Exception, name: str, volume: Volume) -> Exception:
    if isinstance(error, RuntimeError) and "overlap" in str(error):
        return ImageFileError(
            f"{name} has overlapping segments, which one label map cannot hold; export them one by one."
        )
    if isinstance(error, RuntimeError) and "regularly-spaced" in str(error):
        return GeometryError(
            f"{name} does not lie on the slices of {volume.source.name}; use the image it was drawn on."
        )
    return ImageFileError(f"{name} is damaged: its segments cannot be decoded; copy or export it again.")


def require_highdicom() -> Any:
    """Import highdicom, or say how to get it.

    Raises
    ------
    EnvironmentLacksError
        If it is not installed.
    """
    try:
        import highdicom
    except ImportError as error:
        raise EnvironmentLacksError(
            'DICOM SEG needs highdicom; install it with: pip install "napari-sam2[dicom]"'
        ) from error
    return highdicom


def correct_slice_distance(dataset: Any, volume: Volume) -> None:
    """Replace SpacingBetweenSlices, by which highdicom finds left-out frames, with the image's own.

    Writers copy it from scanners, where it is often wrong, or the gap instead of the distance.
    """
    groups = _groups(dataset)
    orientation = next((g.PlaneOrientationSequence[0] for g in groups if "PlaneOrientationSequence" in g), None)
    if orientation is None:
        return
    directions = np.array(orientation.ImageOrientationPatient, dtype=np.float64)
    normal = np.cross(directions[:3], directions[3:])
    steps = lps_from_affine(volume.affine)[:3, :3] / volume.spacing
    axis = int(np.abs(normal @ steps).argmax())
    for group in groups:
        for measures in group.get("PixelMeasuresSequence") or []:
            measures.SpacingBetweenSlices = round(volume.spacing[axis], 6)


def _groups(dataset: Any) -> list[Any]:
    """The functional groups of all frames together, then those of each."""
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    return [*shared, *(dataset.get("PerFrameFunctionalGroupsSequence") or [])]


def _check_frame_of_reference(seg: Any, volume: Volume, name: str) -> None:
    if not isinstance(volume.source.header, DicomSource):
        return
    tags = read_tags(volume.source.header.slices[0].path)
    image = None if tags is None else tags.get("FrameOfReferenceUID")
    try:
        own = seg.get("FrameOfReferenceUID")
    except Exception as error:  # values are converted here, and pydicom raises many kinds
        raise ImageFileError(f"{name} has a FrameOfReferenceUID that is not valid DICOM; export it again.") from error
    if image is not None and own not in (None, image):
        raise GeometryError(f"{name} belongs to another scan than {volume.source.name} (frame of reference differs).")
