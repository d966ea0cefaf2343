"""What results and journals say of channels.

Names, checksums, places, windows; never a path.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.channels.mix import said_mix
from napari_sam2.channels.placing import IDENTITY
from napari_sam2.core.checked import list_of, number_of, text_of
from napari_sam2.core.mix import mix_to_json
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.io.labels import source_has_changed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import Channel, ChannelStack
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = [
    "changed_channels",
    "channel_key",
    "check_channels",
    "described_channel",
    "facts_of_channels",
    "transform_from_json",
]

SAME_PLACE: Final = 1e-3
"""Millimetres, and parts of a turn, by which two transforms may differ and be one: files round."""

FARTHEST: Final = 1e6


def channel_key(volume: Volume) -> str:
    """A short name of a scan: shape, place and voxels, hashed.

    The volumes of one file have one file's checksum and different keys.
    """
    digest = hashlib.sha256(repr((volume.shape, np.round(volume.affine, 4).tolist())).encode())
    digest.update(np.ascontiguousarray(volume.voxels).data)
    return digest.hexdigest()[:24]


def described_channel(channel: Channel) -> dict[str, Any]:
    """A channel as a journal has it."""
    return {
        "name": channel.name,
        "key": channel_key(channel.volume),
        "sha256": channel.volume.source.sha256,
        "volume": channel.volume_index,
        "transform": channel.transform.tolist(),
        "placed": channel.placed,
        "window": asdict(channel.window),
    }


def check_channels(stack: ChannelStack, described: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that a session's channels are open, in order.

    Raises
    ------
    EnvironmentLacksError
        Naming the one that is not, or is another scan or lies elsewhere than then.
    ValueError
        If the description is none.
    """
    for number, entry in enumerate(described):
        name, key = text_of(entry["name"]), text_of(entry["key"])
        transform = transform_from_json(entry["transform"])
        if number >= len(stack.further):
            raise EnvironmentLacksError(
                f"The session has a channel {name}, which is not open; give its file with --channel."
            )
        channel = stack.further[number]
        if channel_key(channel.volume) != key:
            raise EnvironmentLacksError(
                f"The session's channel {number + 1} was {name}, and {channel.name} is another scan; give the same "
                "channels in the same order."
            )
        if np.abs(channel.transform - transform).max() > SAME_PLACE:
            raise EnvironmentLacksError(
                f"The channel {name} lies elsewhere than in the session ({text_of(entry['placed'])} then); open "
                "it as it was then."
            )


def changed_channels(stack: ChannelStack) -> list[str]:
    """Sentences on channels whose files have changed since, or are gone."""
    sentences = []
    for channel in stack.further:
        what = "has changed on disk" if source_has_changed(channel.volume) else ""
        if not all(file.exists() for file in channel.volume.source.files):
            what = "is gone from the disk"
        if what:
            sentences.append(
                f"the file of the channel {channel.name} {what} since it was opened; the model saw it as it was then, "
                "and to go on with this session later the file is needed as it was."
            )
    return sentences


def transform_from_json(written: Any) -> NDArray[np.float64]:
    """A (4, 4) matrix, checked.

    Raises
    ------
    ValueError
        If it is none.
    """
    rows = [[number_of(v, -FARTHEST, FARTHEST, "a transform") for v in list_of(row, 4)] for row in list_of(written, 4)]
    return np.array(rows, dtype=np.float64)


def facts_of_channels(stack: ChannelStack, window: Window, mixes: Mapping[int, Mix | None]) -> dict[str, Any]:
    """What a sidecar says of channels.

    Parameters
    ----------
    stack : ChannelStack
        The channels.
    window : Window
        Of the reference.
    mixes : mapping of int to Mix
        By object id.

    Returns
    -------
    dict
        Empty where there is one channel.
    """
    if not stack.several:
        return {}
    windows = [{"Name": w.name, "Low": w.low, "High": w.high} for w in stack.windows(window)]
    rows: list[dict[str, Any]] = [{"Name": stack.names[0], "Placed": "reference", "Window": windows[0]}]
    for channel, used in zip(stack.further, windows[1:], strict=True):
        row: dict[str, Any] = {
            "Name": channel.name,
            "sha256": channel.volume.source.sha256,
            "Placed": channel.placed,
            "Window": used,
        }
        if channel.volume_index is not None:
            row["Volume"] = channel.volume_index
        if not np.array_equal(channel.transform, IDENTITY):
            row["TransformRASMM"] = channel.transform.tolist()
        if source_has_changed(channel.volume):
            row["ChangedSinceOpened"] = True
        row["Notes"] = list(channel.notes)
        rows.append(row)
    seen = {str(i): {"Image": said_mix(mix, stack.names), **(mix_to_json(mix) or {})} for i, mix in mixes.items()}
    return {"Channels": rows, "ImageOfObject": seen}
