"""Further channels of a scan as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.io.guard import is_one_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["ChannelFile", "channel_files", "is_the_scan"]

_NAME: Final = re.compile(r"[^\W_][\w.+-]{0,39}")


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """A channel as it was asked for.

    Attributes
    ----------
    path : Path
        The file or DICOM folder.
    name : str
        As a person gave it; empty otherwise.
    volume_index : int, optional
        Which volume of a file that holds several.
    whole : bool
        Whether every volume of the file is a channel.
    """

    path: Path
    name: str = ""
    volume_index: int | None = None
    whole: bool = False


def channel_files(texts: Iterable[str | os.PathLike[str]], folder: Path | None = None) -> list[ChannelFile]:
    """Channels as they are written: ``FILE``, ``NAME=FILE``, ``FILE:2`` or ``FILE:all``.

    A file that is called so is meant itself.

    Parameters
    ----------
    texts : iterable of path-like
        As they were written.
    folder : Path, optional
        Where relative paths start; where the program was started by default.
    """
    return [_channel_file(text, Path() if folder is None else folder) for text in texts]


def is_the_scan(file: ChannelFile, image: Path) -> bool:
    """Whether a channel is the scan that it was given with.

    Another volume of the same file is not.
    """
    return file.volume_index is None and not file.whole and is_one_of(file.path, [image])


def _channel_file(given: str | os.PathLike[str], folder: Path) -> ChannelFile:
    path, text = folder / given, str(given)
    if not isinstance(given, str) or path.exists():
        return ChannelFile(path)
    name, equals, rest = text.partition("=")
    if not (equals and _NAME.fullmatch(name)):
        name, rest = "", text
    file, colon, which = rest.rpartition(":")
    if colon and not (folder / rest).exists() and (which == "all" or re.fullmatch("[0-9]{1,6}", which)):
        index = None if which == "all" else int(which)
        return ChannelFile(folder / file, name, index, which == "all")
    return ChannelFile(folder / rest, name)
