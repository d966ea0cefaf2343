"""Channels of an earlier session, laid where they were laid then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sam2.channels.facts import transform_from_json
from napari_sam2.channels.opening import name_of
from napari_sam2.channels.stack import ChannelStack, place_channel
from napari_sam2.core.checked import text_of, whole_of
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam2.channels.opening import ChannelFile
    from napari_sam2.channels.stack import Channel
    from napari_sam2.core.volume import Volume

__all__ = ["placed_as_recorded", "read_recorded", "volume_recorded"]

MOST_VOLUMES = 1 << 20
"""Of one file; more is a damaged session."""

_DAMAGED = "The session is damaged: what it says of a channel cannot be read."


def read_recorded(
    reference: Volume, files: Sequence[ChannelFile], described: Sequence[Mapping[str, Any]]
) -> ChannelStack:
    """The channels of a session, laid where they were laid then.

    Parameters
    ----------
    reference : Volume
        The scan with the labels.
    files : sequence of ChannelFile
        One for each, in the session's order.
    described : sequence of dict
        What the session's journal says, see `napari_sam2.channels.facts.described_channel`.

    Raises
    ------
    UserInputError
        If there are more files than channels, or what is said of one is damaged.
    """
    if len(files) != len(described):
        raise UserInputError(f"The session has {len(described)} further channels; {len(files)} are given.")
    stack = ChannelStack(reference, (), name_of(reference, 0))
    for file, entry in zip(files, described, strict=True):
        index = volume_recorded(entry) if file.volume_index is None else file.volume_index
        volume = read_volume(file.path, volume_index=index)
        stack = stack.with_channel(placed_as_recorded(reference, volume, entry))
    return stack


def volume_recorded(entry: Mapping[str, Any]) -> int | None:
    """Which volume of its file a channel was.

    None where the file held one.

    Raises
    ------
    UserInputError
        If the description is damaged.
    """
    try:
        return None if entry["volume"] is None else whole_of(entry["volume"], 0, MOST_VOLUMES, "a volume")
    except (ValueError, TypeError, KeyError) as error:
        raise UserInputError(_DAMAGED) from error


def placed_as_recorded(reference: Volume, volume: Volume, entry: Mapping[str, Any]) -> Channel:
    """A scan as the channel that a journal describes.

    Parameters
    ----------
    reference : Volume
        The scan with the labels.
    volume : Volume
        The channel as it is read now.
    entry : mapping
        See `napari_sam2.channels.facts.described_channel`.

    Raises
    ------
    UserInputError
        If the description is damaged.
    """
    try:
        name, placed = text_of(entry["name"]), text_of(entry["placed"])
        transform = transform_from_json(entry["transform"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserInputError(_DAMAGED) from error
    channel = place_channel(reference, volume, name, transform=transform if placed == "registered" else None)
    return replace(channel, volume_index=volume_recorded(entry))
