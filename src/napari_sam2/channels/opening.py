"""Opening further channels of a scan from files.

What belongs to another patient, lies elsewhere or holds several volumes is refused in one sentence.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.channels.alignment import checked_alignment, rigid_transform
from napari_sam2.channels.placing import is_same_grid, said_move
from napari_sam2.channels.refusing import check_channel, check_registration, doubts_about
from napari_sam2.channels.stack import Channel, ChannelStack, place_channel
from napari_sam2.core.window import choose_window
from napari_sam2.errors import ImageFileError, SeveralVolumesError, UserInputError
from napari_sam2.io import read_volume
from napari_sam2.io.channel_file import ChannelFile, channel_files
from napari_sam2.io.names import stem_of
from napari_sam2.io.pet import is_pet, suv_window
from napari_sam2.io.zarr_volume import names_of_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = [
    "ChannelFile",
    "channel_files",
    "channel_name",
    "free_name",
    "name_of",
    "open_channel",
    "read_stack",
    "twin_note",
    "volumes_of",
]

LEAST_REACH: Final = 0.9
"""Part of the scan in which a channel has values, below which that is told."""

_FORBIDDEN: Final = re.compile(r"[^\w.+-]+")


def read_stack(
    reference: Volume,
    files: Iterable[ChannelFile],
    *,
    register: str = "",
    reference_index: int | None = None,
    name: str = "",
    say: Callable[[str], None] = lambda note: None,
) -> ChannelStack:
    """Read further channels, and lay them on a reference.

    Parameters
    ----------
    reference : Volume
        The scan with the labels.
    files : iterable of ChannelFile
        The channels.
    register : str
        ``"rigid"``, or nothing: headers say where they lie.
    reference_index : int, optional
        Which volume of its own file the reference is; it is left out where all of that file are channels.
    name : str
        What the reference is called; after its file by default.
    say : callable
        Told what a person should know, a sentence at a time.

    Raises
    ------
    UserInputError
        If a channel cannot be read, belongs to another patient, or has no place on the reference.
    """
    check_registration(register)
    stack = ChannelStack(reference, (), name or name_of(reference, 0))
    for file in files:
        for given, volume, index in volumes_of(file, reference, reference_index):
            used = free_name(given, volume, stack.names)
            opened = open_channel(reference, volume, used, register=bool(register))
            notes = (*opened.notes, *twin_note(stack, volume))
            channel = replace(opened, volume_index=index, notes=notes)
            for note in channel.notes:
                say(f"{channel.name}: {note}")
            stack = stack.with_channel(channel)
    return stack


def free_name(given: str, volume: Volume, taken: Sequence[str]) -> str:
    """A channel's name, told apart from those that are taken.

    As it was given, or the scan's own.
    """
    name = given or name_of(volume, len(taken))
    # Files of one name lie in different folders.
    return name if given or name not in taken else f"{name}-{len(taken)}"


def volumes_of(
    file: ChannelFile, reference: Volume, reference_index: int | None = None
) -> Iterator[tuple[str, Volume, int | None]]:
    """The scans that a channel's file stands for.

    Parameters
    ----------
    file : ChannelFile
        As it was asked for.
    reference : Volume
        The scan with the labels, which is left out of its own file.
    reference_index : int, optional
        Which volume of that file it is.

    Yields
    ------
    tuple of str, Volume and int
        Name (empty where the file's own is as good), scan, and which volume of its file it is, if it holds several.

    Raises
    ------
    UserInputError
        If the file cannot be read, or holds several and none is named.
    """
    if not file.whole:
        try:
            volume = read_volume(file.path, volume_index=file.volume_index)
        except SeveralVolumesError as error:
            raise ImageFileError(
                f"{file.path.name} holds {error.count} volumes; give --channel FILE:N for one, 0 to {error.count - 1}, "
                "or FILE:all for each."
            ) from error
        index = file.volume_index
        yield file.name or ("" if index is None else _name_in_file(file, volume, index)), volume, index
        return
    try:
        yield file.name, read_volume(file.path), None
    except SeveralVolumesError as error:
        own = reference.source.path is not None and file.path.absolute() == reference.source.path
        for index in range(error.count):
            if not (own and index == (reference_index or 0)):
                volume = read_volume(file.path, volume_index=index)
                yield _name_in_file(file, volume, index), volume, index


def _name_in_file(file: ChannelFile, volume: Volume, index: int) -> str:
    """A channel's name among the volumes of a file: from its table, where it has one."""
    table = names_of_channels(file.path)
    stated = table[index] if index < len(table) else ""
    if stated:
        return f"{file.name}-{channel_name(stated)}" if file.name else channel_name(stated)
    return f"{file.name or name_of(volume, 0)}-{index}"


def name_of(volume: Volume, number: int) -> str:
    """What a channel is called by itself: its file's name without ending.

    A DICOM folder may be called after a person: its modality, or its number, then.
    """
    if volume.source.file_format == "dicom" or volume.source.path is None:
        return f"{volume.source.modality or 'channel'}-{number}"
    return _FORBIDDEN.sub("-", stem_of(volume.source.name)).strip("-_") or f"channel-{number}"


def channel_name(text: str) -> str:
    """A name for a channel, made from any text."""
    return _FORBIDDEN.sub("-", text).strip("-_")[:40] or "channel"


def open_channel(
    reference: Volume,
    volume: Volume,
    name: str,
    *,
    register: bool = False,
    window: Window | None = None,
) -> Channel:
    """Lay a scan on a reference, by its header or rigidly registered.

    Parameters
    ----------
    reference, volume : Volume
        Where to, and what.
    name : str
        What people call it.
    register : bool
        Whether to find the rigid transform; headers count otherwise, and what looks misplaced is told.
    window : Window, optional
        Chosen for the scan by default; PET gets its fixed one where SUV is known.

    Raises
    ------
    GeometryError
        If it belongs to another patient or has no place on the reference.
    """
    check_channel(reference, volume, name, register=register)
    notes = [*doubts_about(reference, volume), *volume.source.notes]
    if window is None and is_pet(volume):
        window, sentence = suv_window(volume)
        notes.append(sentence)
    window = window or _window_of(volume, name)
    if register:
        transform = rigid_transform(reference, volume, name)
        notes.append(
            f"laid on {reference.source.public_name} rigidly, by {said_move(reference, transform)}; look at it."
        )
        return _with_reach(place_channel(reference, volume, name, transform=transform, window=window, notes=notes))
    if not is_same_grid(reference, volume):
        size, spacing = (" x ".join(f"{n:g}" for n in np.round(values, 2)) for values in (volume.shape, volume.spacing))
        notes.append(f"its grid is another ({size} of {spacing} mm); it is resampled on the reference's, linearly.")
    if reference.oriented and volume.oriented:
        alignment = checked_alignment(reference, volume)
        if alignment.is_off:
            notes.append(
                f"it seems to lie {alignment.off_mm:.0f} mm off {reference.source.public_name}; look at both, and give "
                "--register rigid if so."
            )
    return _with_reach(place_channel(reference, volume, name, window=window, notes=notes))


def _window_of(volume: Volume, name: str) -> Window:
    try:
        return choose_window(volume)
    except ValueError as error:
        raise UserInputError(f"{name} shows nothing: all of its voxels are equal, or none is a number.") from error


def _with_reach(channel: Channel) -> Channel:
    """The channel with a sentence, where much of the scan is black in it."""
    laid = channel.laid.voxels[::2, ::2, ::2]
    share = float(np.isfinite(laid).mean()) if laid.dtype.kind == "f" else 1.0
    if share > LEAST_REACH:
        return channel
    note = f"it has values in {share:.0%} of the scan; the rest of it is black."
    return replace(channel, notes=(*channel.notes, note))


def twin_note(stack: ChannelStack, volume: Volume) -> tuple[str, ...]:
    """A sentence where a scan is one of the channels already."""
    scans = (stack.reference, *(channel.volume for channel in stack.further))
    for name, scan in zip(stack.names, scans, strict=True):
        if scan.shape == volume.shape and np.array_equal(scan.voxels, volume.voxels, equal_nan=True):
            return (f"it holds the same voxels as {name}, and adds nothing.",)
    return ()
