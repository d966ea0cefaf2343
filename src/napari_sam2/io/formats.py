"""The table of file formats: how each is recognised, read and written.

A new format is one module with a reader or a writer, and one row here. Opening, export, sidecar names, the
napari manifest, file dialogs, the command line's help and docs/files.md follow from the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "FILM_SUFFIXES",
    "FORMATS",
    "SLIDE_SUFFIXES",
    "Format",
    "all_suffixes",
    "dialog_filter",
    "exported_suffixes",
    "function",
    "label_suffixes",
    "opened_suffixes",
    "readable",
    "suffix_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One file format.

    Attributes
    ----------
    kind : str
        Short name, unique in the table.
    title : str
        What people call it.
    suffixes : tuple of str
        Endings of names, the usual one first.
    also : tuple of str
        Further endings by which it is recognised, such as the second file of a pair.
    magic : callable, optional
        Whether the first 540 bytes (decompressed) are those of such a file.
    by_name : bool
        Whether the ending alone is enough, where the content says nothing.
    gzipped : bool
        Whether a file compressed as a whole is still one.
    read : str
        ``module:function`` in `napari_sam2.io` that gives a `Volume`, called with the path and ``volume_index``.
    files : str
        ``module:function`` that names all files of an image; its own alone where there is none.
    series : bool
        Whether the reader chooses among series of a folder, with ``series``.
    offered : bool
        Whether napari is told that this package opens it.
    is_labels, read_labels : str
        ``module:function`` that says whether a file with this `magic` holds named labels, and reads them onto a
        volume.
    write : str
        ``module:function`` that writes a label map, or what belongs to one.
    needs : tuple of str
        Arguments of `write` beside ``path`` and ``overwrite``, among labels, volume, structures, model, labelmap.
    is_label_map : bool
        Whether what `write` makes is a label map that segmentations are saved as.
    is_folder : bool
        Whether it is a folder.
    note : str
        What a person should know about reading or writing it.
    """

    kind: str
    title: str
    suffixes: tuple[str, ...]
    also: tuple[str, ...] = ()
    magic: Callable[[bytes], bool] | None = None
    by_name: bool = False
    gzipped: bool = True
    read: str = ""
    files: str = ""
    series: bool = False
    offered: bool = True
    is_labels: str = ""
    read_labels: str = ""
    write: str = ""
    needs: tuple[str, ...] = ()
    is_label_map: bool = False
    is_folder: bool = False
    note: str = ""


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda first: first.startswith(marks)


_PICTURES: Final = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}


def _is_dicom(first: bytes) -> bool:
    # DICOM's prefix counts first: its preamble may hold the beginning of a TIFF file.
    if first[128:132] == b"DICM":
        return True
    from napari_sam2.io.dicom_series import begins_dicom

    return begins_dicom(first) and not first.startswith(tuple(mark for marks in _PICTURES.values() for mark in marks))


FORMATS: Final[tuple[Format, ...]] = (
    Format(
        kind="nifti",
        title="NIfTI",
        suffixes=(".nii.gz", ".nii", ".hdr"),
        also=(".img", ".hdr.gz", ".img.gz"),
        magic=lambda first: first[344:347] in (b"n+1", b"ni1") or first[4:7] in (b"n+2", b"ni2"),
        by_name=True,
        read="nifti:read_nifti",
        files="nifti:files_of_nifti",
        note="versions 1 and 2, any real type, big-endian, RGB; scaling applied; `.hdr` with its `.img`",
    ),
    Format(
        kind="nrrd",
        title="NRRD",
        suffixes=(".nrrd", ".nhdr"),
        magic=_begins(b"NRRD"),
        read="nrrd:read_nrrd",
        files="nrrd:files_of_nrrd",
        note="gzip or raw",
    ),
    Format(
        kind="metaimage",
        title="MetaImage",
        suffixes=(".mha", ".mhd"),
        magic=lambda first: b"ElementDataFile" in first or b"ObjectType" in first,
        by_name=True,
        read="metaimage:read_metaimage",
        files="metaimage:files_of_metaimage",
        note="zlib or raw",
    ),
    Format(
        kind="mgh",
        title="MGH/MGZ",
        suffixes=(".mgz", ".mgh"),
        also=(".mgh.gz",),
        by_name=True,
        read="mgh:read_mgh",
        note="of FreeSurfer",
    ),
    Format(
        kind="dicom",
        title="DICOM",
        suffixes=(".dcm",),
        magic=_is_dicom,
        read="dicom:read_dicom",
        series=True,
        note='a folder, or one multi-frame file; needs `pip install "napari-sam2[dicom]"`; JPEG 2000, JPEG-LS and RLE '
        "included",
    ),
    Format(
        kind="ome-zarr-image",
        title="OME-Zarr",
        suffixes=(".ome.zarr", ".zarr", ".ome.zarr.zip", ".zarr.zip", ".ozx"),
        by_name=True,
        gzipped=False,
        is_folder=True,
        read="zarr_volume:read_zarr",
        files="zarr_volume:files_of_zarr",
        note="versions 0.4 and 0.5, a folder or a zip file; sizes and place as stated; needs "
        '`pip install "napari-sam2[zarr]"`',
    ),
    Format(
        kind="png",
        title="PNG",
        suffixes=(".png",),
        magic=_begins(*_PICTURES["png"]),
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, grey or RGB",
    ),
    Format(
        kind="jpeg",
        title="JPEG",
        suffixes=(".jpg", ".jpeg"),
        magic=_begins(*_PICTURES["jpeg"]),
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, grey or RGB",
    ),
    Format(
        kind="tiff",
        title="TIFF",
        suffixes=(".tif", ".tiff"),
        magic=_begins(*_PICTURES["tiff"]),
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, grey or RGB; a stack along z of OME-TIFF or ImageJ with the sizes that it states",
    ),
    Format(
        kind="bmp",
        title="BMP",
        suffixes=(".bmp",),
        magic=lambda first: first[:2] == b"BM" and first[15:18] == b"\0\0\0",
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, grey or RGB",
    ),
    Format(
        kind="webp",
        title="WebP",
        suffixes=(".webp",),
        magic=lambda first: first[:4] == b"RIFF" and first[8:12] == b"WEBP",
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, RGB",
    ),
    Format(
        kind="jpeg2000",
        title="JPEG 2000",
        suffixes=(".jp2", ".j2k", ".jpx"),
        magic=_begins(b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        gzipped=False,
        read="picture:read_picture",
        offered=False,
        note="one slice, grey or RGB",
    ),
    Format(
        kind="nifti-labels",
        title="NIfTI label map",
        suffixes=(".nii.gz", ".nii"),
        write="labels:write_labels",
        needs=("labels", "volume"),
        is_label_map=True,
        note="exactly on the image's grid",
    ),
    Format(
        kind="seg-nrrd",
        title="Slicer segmentation",
        suffixes=(".seg.nrrd",),
        magic=_begins(b"NRRD"),
        is_labels="seg_nrrd:is_seg_nrrd",
        read_labels="seg_nrrd:read_seg_nrrd",
        write="seg_nrrd:write_seg_nrrd",
        needs=("labels", "volume", "structures"),
        note="names, colours and terminology load by themselves in 3D Slicer",
    ),
    Format(
        kind="dicom-seg",
        title="DICOM SEG",
        suffixes=(".dcm",),
        magic=_is_dicom,
        gzipped=False,
        is_labels="dicom_seg_read:is_dicom_seg",
        read_labels="dicom_seg_read:read_dicom_seg",
        write="dicom_seg:write_dicom_seg",
        needs=("labels", "volume", "structures", "model", "labelmap"),
        note="for PACS, OHIF, Slicer; the reference must be the DICOM series. BINARY, or LABELMAP on request",
    ),
    Format(
        kind="ome-zarr",
        title="OME-Zarr labels",
        suffixes=(".ome.zarr",),
        write="ome_zarr:write_ome_zarr",
        is_folder=True,
        needs=("labels", "volume", "structures"),
        note="a chunked array, with the full affine beside the scale",
    ),
    Format(
        kind="itksnap",
        title="ITK-SNAP label description",
        suffixes=(".txt",),
        write="label_tables:write_itksnap_labels",
        needs=("structures",),
        note="to be loaded beside the NIfTI file",
    ),
    Format(
        kind="slicer-colours",
        title="Slicer colour table",
        suffixes=(".ctbl",),
        write="label_tables:write_slicer_colours",
        needs=("structures",),
        note="for a NIfTI label map in 3D Slicer",
    ),
)
"""Images first, in the order in which their marks are looked for; then label maps and what belongs to them."""

SLIDE_SUFFIXES: Final = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".ome.tif", ".ome.tiff", ".tif", ".tiff",
    ".qptiff", ".btf", ".tf8",
)  # fmt: skip
"""Whole-slide images, which `napari_sam2.slides` reads."""

FILM_SUFFIXES: Final = (".gif", ".avi", ".mp4", ".mov", ".m4v", ".mkv", ".webm")
"""Pictures over time, which `film_read` reads; other films have endings of volumes and slides."""


def function(reference: str) -> Callable[..., Any]:
    """The function that ``module:function`` names, with its module imported only now."""
    module, _, name = reference.partition(":")
    called: Callable[..., Any] = getattr(import_module(f"napari_sam2.io.{module}"), name)
    return called


def readable() -> str:
    """What images can be opened, as people call them.

    ``"NIfTI, ... and TIFF"``.
    """
    *titles, last = [row.title for row in FORMATS if row.read]
    return f"{', '.join(titles)} and {last}"


def opened_suffixes() -> tuple[str, ...]:
    """Endings of images that napari is told about."""
    return tuple(suffix for row in FORMATS if row.read and row.offered for suffix in row.suffixes)


def label_suffixes() -> tuple[str, ...]:
    """Endings of label maps that a segmentation is saved as."""
    return tuple(suffix for row in FORMATS if row.is_label_map for suffix in row.suffixes)


def exported_suffixes() -> tuple[str, ...]:
    """Endings that a label map is exported to."""
    return tuple(suffix for row in FORMATS if row.write for suffix in row.suffixes)


def all_suffixes() -> tuple[str, ...]:
    """Every ending in the table, the longest first.

    So ``.seg.nrrd`` is found before ``.nrrd``.
    """
    suffixes = {suffix for row in FORMATS for suffix in (*row.suffixes, *row.also)}
    return tuple(sorted({*suffixes, *SLIDE_SUFFIXES, *FILM_SUFFIXES}, key=lambda suffix: (-len(suffix), suffix)))


def suffix_of(name: str, suffixes: Iterable[str]) -> str | None:
    """The longest of some endings that a name has, whatever its case.

    None if it has none of them.
    """
    fitting = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return max(fitting, key=len, default=None)


def dialog_filter(title: str, suffixes: Iterable[str]) -> str:
    """Endings as Qt's file dialogs want them: ``"NIfTI (*.nii.gz *.nii)"``."""
    return f"{title} ({' '.join('*' + suffix for suffix in suffixes)})"
