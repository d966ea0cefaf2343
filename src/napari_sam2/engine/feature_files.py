"""Features on disk: they outlive the memory budget and the process.

One safetensors file per view, as the model computed it, in a folder named after everything the numbers depend on.
Nothing but features is kept, yet features are derived from the scan: the folder deserves the same care.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Features, SegmentationModel

__all__ = ["DEFAULT_LIMIT", "DiskFeatures", "signature_of"]

_LOG = logging.getLogger(__name__)

DEFAULT_LIMIT: Final = 8 << 30
"""Bytes on disk: two thousand slices at 512 pixels, five hundred at 1024."""

FOLDERS: Final = "[0-9a-f]" * 32
NAME: Final = re.compile(r"\d{5,}-[0-9a-f]{16}\.safetensors")
"""Nothing else in the folder is counted or removed: a person may keep weights there, which end alike."""


def signature_of(volume: Volume, window: Window, axis: int, model: SegmentationModel) -> str:
    """What features depend on besides slice and view, as a hexadecimal SHA-256.

    Voxels, geometry, window, axis, the model with its weights, input size and type of numbers, and this program's
    version.
    """
    digest = hashlib.sha256()
    for index in range(volume.shape[0]):
        digest.update(np.ascontiguousarray(volume.voxels[index]).tobytes())
    card = model.card
    facts = (
        volume.voxels.shape,
        str(volume.voxels.dtype),
        volume.affine.tobytes(),
        volume.oriented,
        (window.low, window.high),
        axis,
        (card.name, card.revision, card.sha256),
        model.input_size,
        str(getattr(model, "dtype", "")),
        __version__,
    )
    digest.update(repr(facts).encode())
    return digest.hexdigest()


class DiskFeatures:
    """Features of one scan and model in a shared folder.

    Of one volume, window, axis and model.

    Parameters
    ----------
    folder : Path
        Where all features lie.
    signature : str
        From `signature_of`.
    limit : int
        Bytes that all features in the folder may take; the files not used for longest go first.
    """

    def __init__(self, folder: Path, signature: str, limit: int = DEFAULT_LIMIT) -> None:
        self._root = folder
        self._folder = folder / signature[:32]
        self._limit = limit
        self._bytes = sum(file.stat().st_size for file in self._files())

    def load(self, index: int, view: View) -> Features | None:
        """Features kept of a view, or None.

        A damaged file counts as none and is removed.
        """
        from safetensors import SafetensorError, safe_open

        path = self._path(index, view)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                features = tuple(file.get_tensor(str(number)) for number in range(len(file.keys())))
                intact = (file.metadata() or {}).get("crc32") == _checksum(features)
            os.utime(path)
        except (SafetensorError, OSError) as error:
            _LOG.warning("Features in %s cannot be read and are computed again: %s", path.name, error)
            self._remove(path)
            return None
        if not intact:
            _LOG.warning("Features in %s cannot be read and are computed again: their checksum is wrong.", path.name)
            self._remove(path)
            return None
        return features

    def save(self, index: int, view: View, features: Features) -> None:
        """Keep features of a view.

        A full disk costs a warning and nothing else.
        """
        from safetensors.torch import save_file

        path, temporary = self._path(index, view), None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkstemp(prefix=".", suffix=".part", dir=self._folder)[1])
            tensors = tuple(tensor.to("cpu").contiguous() for tensor in features)
            named = {str(number): tensor for number, tensor in enumerate(tensors)}
            save_file(named, temporary, {"crc32": _checksum(tensors)})
            size = temporary.stat().st_size
            self._make_room(size)
            temporary.replace(path)
            self._bytes += size
        except OSError as error:
            _LOG.warning("Features cannot be kept on disk: %s", error)
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        """All files of features in the folder, of whatever scan and model."""
        return (file for file in self._root.glob(f"{FOLDERS}/*") if NAME.fullmatch(file.name))

    def _make_room(self, size: int) -> None:
        if self._bytes + size <= self._limit:
            return
        for path in sorted(self._files(), key=lambda file: file.stat().st_mtime):
            self._remove(path)
            # A tenth more than needed, so that the folder is not searched for every slice.
            if self._bytes + size <= 0.9 * self._limit:
                return

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            self._bytes -= size

    def _path(self, index: int, view: View) -> Path:
        square = hashlib.sha256(repr((view.row, view.col, view.rows, view.cols, view.size)).encode()).hexdigest()
        return self._folder / f"{index:05d}-{square[:16]}.safetensors"


def _checksum(features: Features) -> str:
    """CRC-32 of all numbers, in hexadecimal: a disk's faults are to be seen, nobody's intent."""
    crc = 0
    for tensor in features:
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"
