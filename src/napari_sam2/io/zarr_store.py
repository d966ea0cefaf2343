"""Zarr folders and zip files: opened without running what they name.

Only codecs of a known list are used: zarr's version 2 can name Python's pickle as one, which runs any code.
"""

from __future__ import annotations

import contextlib
import logging
import math
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import EnvironmentLacksError, ImageFileError, NapariSam2Error
from napari_sam2.io.ngff import attributes_of
from napari_sam2.io.payload import check_total_memory

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

__all__ = ["ZarrFile", "files_of_array", "is_zarr", "missing_pieces", "open_zarr", "read_array"]

_MARKS: Final = ("zarr.json", ".zattrs", ".zgroup", ".zarray")

_SAFE_CODECS: Final = frozenset({
    "blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "crc32", "crc32c", "adler32",
    "fletcher32", "fixedscaleoffset", "quantize", "packbits", "bitround", "bytes", "transpose", "sharding_indexed",
})  # fmt: skip
"""Codecs of zarr and numcodecs that turn bytes into numbers and do nothing else."""

_LARGEST_METADATA: Final = 64 << 20
_MOST_CHUNKS: Final = 1 << 20
"""Pieces of an array up to which the missing ones are counted."""


class ZarrFile:
    """An open zarr hierarchy.

    Parameters
    ----------
    path : Path
        The folder or zip file.
    group : zarr.Group
        At its root.
    store : object, optional
        An open zip store, closed with this.
    """

    def __init__(self, path: Path, group: Any, store: Any = None) -> None:
        self.path = path
        self.name = _name_of(path)
        self.group = group
        self._store = store

    def __enter__(self) -> ZarrFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close a zip file; of a folder nothing is open."""
        if self._store is not None:
            self._store.close()

    def attributes(self, path: str = "") -> Mapping[str, Any]:
        """What a group says; empty when there is no such group."""
        group = self.subgroup(path)
        return {} if group is None else dict(group.attrs)

    def subgroup(self, path: str) -> Any:
        """A group in it; None when there is none."""
        with self._explained():
            found = self.group if not path else self.group.get(path)
        return found if hasattr(found, "attrs") and not hasattr(found, "shape") else None

    def images(self) -> list[str]:
        """Paths of its images.

        The root, or the series that Bio-Formats writes side by side.
        """
        said = attributes_of(self.attributes())
        if "multiscales" in said:
            return [""]
        if "plate" in said:
            raise ImageFileError(f"{self.name} is a plate of wells; give the folder of one field, such as A/1/0 in it.")
        series = attributes_of(self.attributes("OME")).get("series")
        if not isinstance(series, list):
            with self._explained():
                series = sorted((key for key in self.group.group_keys() if key.isdecimal()), key=int)
        return [str(path) for path in series if "multiscales" in attributes_of(self.attributes(str(path)))]

    def label_groups(self, image: str = "") -> list[str]:
        """Paths of the label images of an image."""
        folder = f"{image}/labels" if image else "labels"
        listed = attributes_of(self.attributes(folder)).get("labels")
        return [f"{folder}/{name}" for name in listed if isinstance(name, str)] if isinstance(listed, list) else []

    def array(self, path: str) -> Any:
        """An array of numbers.

        Raises
        ------
        ImageFileError
            If it is missing or damaged, or of a codec that is not used.
        """
        with self._explained():
            found = self.group.get(path)
            if not hasattr(found, "shape"):
                raise ImageFileError(f"{self.name} is incomplete: it has no array {path[:80]!r}; copy it again.")
            _check_codecs(found.metadata.to_dict(), self.name)
            if found.dtype.kind not in "buif":
                raise ImageFileError(f"{self.name} holds values of type {found.dtype}; numbers are needed.")
            pieces = found.shards or found.chunks
            if 0 in pieces:
                raise ImageFileError(f"{self.name} is damaged: its pieces have a side of 0; copy or export it again.")
            check_total_memory(self.name, math.prod(pieces) * found.dtype.itemsize)
        return found

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what zarr raises on damaged metadata into one sentence."""
        try:
            yield
        except NapariSam2Error:
            raise
        except Exception as error:  # zarr and json raise many kinds
            raise ImageFileError(f"{self.name} is damaged: its zarr metadata cannot be read; copy it again.") from error


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a zarr folder.

    Or a zip file that holds one.
    """
    place = Path(path)
    with contextlib.suppress(OSError, ValueError):
        if place.is_dir():
            return any((place / mark).is_file() for mark in _MARKS)
        return place.is_file() and _root_in_zip(place) is not None
    return False


def open_zarr(path: str | os.PathLike[str]) -> ZarrFile:
    """Open a zarr hierarchy.

    Raises
    ------
    ImageFileError
        If it is damaged, or a single array without a group.
    EnvironmentLacksError
        If zarr is not installed.
    """
    try:
        import zarr
        from zarr.storage import ZipStore
    except ImportError as error:
        raise EnvironmentLacksError(
            'OME-Zarr needs zarr, which is not installed; run: pip install "napari-sam2[zarr]".'
        ) from error
    place = Path(path)
    name = _name_of(place)
    store = None
    _check_metadata_size(place, name)
    try:
        with _quiet():
            if place.is_dir():
                return ZarrFile(place, zarr.open_group(place, mode="r"))
            store = ZipStore(place, mode="r")
            return ZarrFile(place, zarr.open_group(store, path=_root_in_zip(place) or "", mode="r"), store)
    except Exception as error:  # zarr, zipfile and json raise many kinds
        if store is not None:
            store.close()
        raise ImageFileError(
            f"{name} is damaged, or no group of OME-Zarr: its zarr metadata cannot be read; copy it again."
        ) from error


def read_array(array: Any, chosen: tuple[Any, ...], name: str) -> np.ndarray[Any, Any]:
    """A part of an array in the machine's byte order.

    Raises
    ------
    ImageFileError
        If a piece of it is damaged.
    """
    try:
        values = np.asarray(array[chosen])
    except Exception as error:  # codecs raise many kinds on damaged pieces
        raise ImageFileError(f"{name} is damaged: a piece of it cannot be decoded; copy it again.") from error
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def missing_pieces(array: Any, name: str) -> tuple[str, ...]:
    """A note about pieces that no file holds.

    Zarr reads them as one value, whether left out or lost.
    """
    total = math.prod(math.ceil(n / c) for n, c in zip(array.shape, array.shards or array.chunks, strict=True))
    if total > _MOST_CHUNKS:
        return ()
    try:
        with _quiet():
            held = int(array._nshards_initialized) if array.shards else int(array.nchunks_initialized)
    except Exception as error:  # whatever the store finds wrong
        raise ImageFileError(f"{name} is damaged: its pieces cannot be listed; copy it again.") from error
    if held >= total:
        return ()
    return (
        f"{name}: {total - held} of {total} pieces are not there and read as {array.fill_value}; zarr leaves empty "
        "ones out, an incomplete copy loses others.",
    )


def files_of_array(path: Path, array_path: str) -> tuple[Path, ...]:
    """The files that hold an array and what is said of it.

    Metadata from the root down, then its pieces.
    """
    if not path.is_dir():
        return (path,)
    files: list[Path] = []
    folder = path
    parts = PurePosixPath(array_path).parts
    for part in ("", *parts[:-1]):
        folder = folder / part
        files += [folder / mark for mark in _MARKS if (folder / mark).is_file()]
    files += sorted(file for file in (path / array_path).rglob("*") if file.is_file())
    return tuple(files)


def _root_in_zip(path: Path) -> str | None:
    """The folder inside a zip file that is zarr's root.

    None when it is no zip file with zarr in it.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            marked = [PurePosixPath(n) for n in archive.namelist() if n.rpartition("/")[2] in _MARKS]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    roots = sorted((str(mark.parent) for mark in marked), key=lambda root: (root.count("/"), root != ".", root))
    return None if not roots else ("" if roots[0] == "." else roots[0])


def _check_metadata_size(place: Path, name: str) -> None:
    for mark in _MARKS:
        file = place / mark
        if place.is_dir() and file.is_file() and file.stat().st_size > _LARGEST_METADATA:
            raise ImageFileError(f"{name} is damaged: its metadata has more than 64 MiB; write it again.")


def _check_codecs(said: Mapping[str, Any], name: str) -> None:
    """Refuse an array of a codec that is not of `_SAFE_CODECS`."""
    if said.get("zarr_format") == 2:
        named = [said.get("compressor"), *(said.get("filters") or ())]
        ids = [str(codec.get("id")) for codec in named if codec is not None]
    else:
        ids = list(_codec_names(said.get("codecs") or ()))
    strange = next((codec for codec in ids if codec.removeprefix("numcodecs.") not in _SAFE_CODECS), None)
    if strange is not None:
        raise ImageFileError(
            f"{name} is compressed by {strange[:40]!r}, which is not read here; write it again with blosc, gzip or "
            "zstd."
        )


def _codec_names(codecs: Any) -> Iterator[str]:
    for codec in codecs:
        yield str(codec["name"])
        settings = codec.get("configuration") or {}
        yield from _codec_names((*settings.get("codecs", ()), *settings.get("index_codecs", ())))


def _name_of(path: Path) -> str:
    """The folder's name, with that of the hierarchy it lies in.

    A field of a plate is called ``0``.
    """
    whole = path.absolute()
    inside = next((p for p in whole.parents if p.name.lower().endswith(".zarr")), None)
    return whole.name if inside is None else str(PurePosixPath(*whole.parts[len(inside.parts) - 1 :]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without zarr's warnings about files that are not zarr's."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("zarr").setLevel(logging.ERROR)
        yield
