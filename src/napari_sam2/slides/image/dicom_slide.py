"""DICOM slides that OpenSlide does not read.

Grey values of 8 or 16 bits, JPEG-LS, RLE and others that pydicom decodes. highdicom finds the tiles (PS3.3 C.8.12.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.channel_display import ChannelDisplay
from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import EnvironmentLacksError, ImageFileError, NapariSam2Error
from napari_sam2.slides.image.opened import OpenedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["WHOLE_SLIDE", "DicomSlideSource", "open_dicom_slide", "reads_openslide"]

WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class of VL Whole Slide Microscopy images (DICOM PS3.4, annex B.5)."""

_OF_OPENSLIDE: Final = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
)  # fmt: skip
"""Transfer syntaxes that OpenSlide 4 reads, of 8-bit colours: plain, JPEG baseline, JPEG 2000."""

_FACTS: Final = (
    "SOPClassUID", "SeriesInstanceUID", "ImageType", "BitsAllocated", "SamplesPerPixel", "Rows", "Columns",
    "TotalPixelMatrixRows", "TotalPixelMatrixColumns", "NumberOfOpticalPaths", "PhotometricInterpretation",
    "SharedFunctionalGroupsSequence", "OpticalPathSequence", "PixelRepresentation", "TotalPixelMatrixOriginSequence",
    "ImageOrientationSlide",
)  # fmt: skip
_ALIKE: Final = ("BitsAllocated", "SamplesPerPixel", "PixelRepresentation")
"""What the files of one slide have in common."""

_DAMAGED: Final = "{} is damaged, or a DICOM slide of a kind that is not read; export it as OME-TIFF."
_OTHER_FLAVOURS: Final = {"LABEL", "OVERVIEW", "THUMBNAIL"}


def reads_openslide(file: Path) -> bool | None:
    """Whether OpenSlide reads a DICOM slide.

    None for what is no DICOM slide.
    """
    facts = _facts(file)
    if facts is None:
        return None
    syntax = str(getattr(getattr(facts, "file_meta", None), "TransferSyntaxUID", ""))
    return facts.get("BitsAllocated") == 8 and facts.get("SamplesPerPixel") == 3 and syntax in _OF_OPENSLIDE


def open_dicom_slide(file: Path) -> OpenedFile:
    """Open a DICOM slide with the other levels of its series.

    They lie in the same folder.

    Parameters
    ----------
    file : Path
        Any level.

    Raises
    ------
    ImageFileError
        If it is damaged, shows several optical paths in one instance, or its paths do not lie upon each other.
    EnvironmentLacksError
        If highdicom is not installed.
    """
    try:
        import highdicom
    except ImportError as error:
        raise EnvironmentLacksError(
            'DICOM slides of this kind need highdicom; run: pip install "napari-sam2[dicom]".'
        ) from error
    try:
        levels = _levels_beside(file)
        several = [p for level in levels for p, facts in level if int(facts.get("NumberOfOpticalPaths", 1) or 1) > 1]
        if several:
            raise ImageFileError(f"{several[0].name} holds several optical paths in one file; export them one by one.")
        for level in levels:
            _check_same_place(level)
        images = [[_opened(path, highdicom.imread) for path, _ in level] for level in levels]
        source = DicomSlideSource(file.name, images)
        is_colour = levels[0][0][1].SamplesPerPixel == 3
        displays = () if is_colour else tuple(ChannelDisplay(_path_name(facts)) for _, facts in levels[0])
        is_rgb = True if is_colour else (False if source.n_channels > 1 else None)
        return OpenedFile(source, _mpp(levels[0][0][1]), is_rgb, displays if len(displays) > 1 else ())
    except NapariSam2Error:
        raise
    except Exception as error:  # pydicom and highdicom raise many kinds on damaged files
        raise ImageFileError(_DAMAGED.format(file.name)) from error


def _opened(file: Path, imread: Callable[..., Any]) -> Any:
    """One file of a slide; a damaged one is named."""
    try:
        return imread(file, lazy_frame_retrieval=True)
    except Exception as error:
        raise ImageFileError(_DAMAGED.format(file.name)) from error


class DicomSlideSource:
    """The levels of a DICOM slide through highdicom.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    images : sequence of sequences of highdicom.Image
        Tiled, the finest level first; of each level one for each optical path.
    """

    def __init__(self, name: str, images: Sequence[Sequence[Any]]) -> None:
        self._name = name
        self._images = images
        finest = images[0][0]
        self.level_shapes = tuple((int(i.TotalPixelMatrixRows), int(i.TotalPixelMatrixColumns)) for i, *_ in images)
        self.n_channels = int(finest.SamplesPerPixel) * len(images[0])
        is_signed = int(finest.get("PixelRepresentation", 0)) == 1
        self.dtype = np.dtype(f"{'int' if is_signed else 'uint'}{int(finest.BitsAllocated)}")

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`. Stored values, without any of DICOM's transforms."""
        try:
            pieces = [
                image.get_total_pixel_matrix(
                    row_start=row,
                    row_end=row + rows,
                    column_start=col,
                    column_end=col + cols,
                    dtype=self.dtype,
                    apply_real_world_transform=False,
                    apply_modality_transform=False,
                    apply_voi_transform=False,
                    apply_presentation_lut=False,
                    apply_palette_color_lut=False,
                    apply_icc_profile=False,
                    as_indices=True,
                )
                for image in self._images[level]
            ]
        except Exception as error:  # pydicom's decoders raise many kinds on damaged tiles
            raise ImageFileError(
                f"{self._name} is damaged: a piece of level {level} cannot be decoded; copy or export it again."
            ) from error
        return np.concatenate([np.atleast_3d(np.asarray(piece)) for piece in pieces], axis=2)

    def close(self) -> None:
        """Nothing stays open between two pieces."""


def _facts(file: Path) -> Any:
    """The tags that tell what a file is; None when it is no DICOM slide."""
    try:
        import pydicom

        with file.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return None
        facts = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_FACTS))
    except Exception:  # pydicom raises many kinds on damaged files; whoever reads it says what is wrong
        return None
    return facts if facts.get("SOPClassUID") == WHOLE_SLIDE else None


def _levels_beside(file: Path) -> list[list[tuple[Path, Any]]]:
    """The levels of a file's series, each with its optical paths.

    Those in its folder, the finest first. Of two of one size and path, the file itself. Channels of fluorescence come
    as one file for each level and path; a level that not every path has is left out; if it is the file's own,
    there is its path alone.
    """
    own = _facts(file)
    others = [(path, _facts(path)) for path in sorted(file.parent.iterdir()) if path.is_file() and path != file]
    series = [
        (path, facts)
        for path, facts in others
        if facts is not None
        and facts.get("SeriesInstanceUID") == own.SeriesInstanceUID
        and not _OTHER_FLAVOURS.intersection(facts.get("ImageType", ()))
        and _size(facts) is not None
        and all(facts.get(tag) == own.get(tag) for tag in _ALIKE)
    ]
    by_path: dict[str, dict[tuple[int, int], tuple[Path, Any]]] = {}
    for path, facts in [(file, own), *series]:
        size = _size(facts) or (0, 0)
        key = str(_optics(facts).get("OpticalPathIdentifier", "")) if own.SamplesPerPixel == 1 else ""
        by_path.setdefault(key, {}).setdefault(size, (path, facts))
    shared = set.intersection(*(set(sizes) for sizes in by_path.values()))
    if _size(own) not in shared:
        # The one that was asked for is shown, not a coarser level of all.
        own_path = next(iter(by_path.values()))
        return [[own_path[size]] for size in sorted(own_path, reverse=True)]
    keys = sorted(by_path, key=lambda key: (len(key), key))
    return [[by_path[key][size] for key in keys] for size in sorted(shared, reverse=True)]


def _check_same_place(level: Sequence[tuple[Path, Any]]) -> None:
    """Refuse optical paths that do not lie upon each other: they are no channels of one picture."""
    (first, facts), *others = level
    for path, other in others:
        mpp = _mpp(facts)
        pixel = 1e-3 if mpp is None else min(mpp.row, mpp.col) / 1000
        if not np.allclose(_corners(facts), _corners(other), atol=pixel, rtol=0, equal_nan=True):
            raise ImageFileError(
                f"{first.name} and {path.name} are of one series and size, but do not lie upon each other: pixel size, "
                "origin or direction on the slide differ. Move one of them into a folder of its own."
            )


def _corners(facts: Any) -> NDArray[np.float64]:
    """Where the first and the last pixel of a level lie on the slide, (2, 2) in mm; NaN where that is not stated."""
    mpp, size = _mpp(facts), _size(facts)
    try:
        origin = facts.TotalPixelMatrixOriginSequence[0]
        first = [float(getattr(origin, f"{axis}OffsetInSlideCoordinateSystem")) for axis in "XY"]
        turned = np.array([float(value) for value in facts.ImageOrientationSlide]).reshape(2, 3)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return np.full((2, 2), np.nan)
    sides = np.array([np.nan, np.nan] if mpp is None or size is None else [size[0] * mpp.col, size[1] * mpp.row])
    return np.stack([first, first + sides / 1000 @ turned[:, :2]])


def _size(facts: Any) -> tuple[int, int] | None:
    """Columns and rows of a whole level; None for a file that does not say them."""
    size = facts.get("TotalPixelMatrixColumns"), facts.get("TotalPixelMatrixRows")
    return None if None in size else (int(size[0]), int(size[1]))


def _optics(facts: Any) -> Any:
    """What a file says of its optical path."""
    paths = facts.get("OpticalPathSequence")
    return paths[0] if paths else {}


def _path_name(facts: Any) -> str:
    """What a channel is called in the file; nothing when it is not called anything."""
    optics = _optics(facts)
    return str(optics.get("OpticalPathDescription", "") or optics.get("OpticalPathIdentifier", "")).strip()


def _mpp(facts: Any) -> Mpp | None:
    try:
        spacing = facts.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        row, col = 1000 * float(spacing[0]), 1000 * float(spacing[1])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return Mpp(row, col, "DICOM PixelSpacing") if row > 0 and col > 0 else None
