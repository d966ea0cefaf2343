"""Channels of an earlier session, opened again with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.channels.facts import channel_key
from napari_sam2.channels.recorded import placed_as_recorded, volume_recorded
from napari_sam2.channels.stack import ChannelStack
from napari_sam2.errors import EnvironmentLacksError, NapariSam2Error
from napari_sam2.io import read_volume
from napari_sam2.plugin.scan.channel_layers import layer_volume
from napari_sam2.record.replay import needed_channels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari.layers import Image

    from napari_sam2.core.volume import Volume
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.record.listing import JournalNote
    from napari_sam2.session.session import Session

__all__ = ["resume_with_channels"]


def resume_with_channels(work: ScanWork, session: Session, note: JournalNote, layers: Sequence[Image]) -> None:
    """Go on where an earlier session ended, with its channels.

    A channel is looked for among those that are open, the image layers, and where its file was.

    Parameters
    ----------
    work : ScanWork
        The scan.
    session : Session
        Its session, on the inference thread.
    note : JournalNote
        The earlier one.
    layers : sequence of Image
        Layers that could be channels.

    Raises
    ------
    EnvironmentLacksError
        Naming the channel that is gone or has changed; everything is as before then.
    UserInputError
        If the journal is damaged or open elsewhere; everything is as before then.
    """
    before = session.channels
    stack = ChannelStack(session.volume, (), before.names[0])
    for entry in needed_channels(note.folder):
        volume = _found(work, entry, before, layers)
        stack = stack.with_channel(placed_as_recorded(session.volume, volume, entry))
    session.state.use_channels(stack)
    try:
        work.autosave.resume(session, note)
    except BaseException:
        session.state.use_channels(before)
        raise


def _found(work: ScanWork, entry: Mapping[str, Any], open_now: ChannelStack, layers: Sequence[Image]) -> Volume:
    """The scan that a journal's channel was."""
    name, key = str(entry.get("name", ""))[:60], str(entry.get("key", ""))
    for volume in _open_scans(work, open_now, layers):
        if channel_key(volume) == key:
            return volume
    path = work.autosave.images.find(key)
    reason = "its file is not where it was"
    if path is not None:
        try:
            volume = read_volume(path, volume_index=volume_recorded(entry))
        except NapariSam2Error as error:
            reason = str(error).rstrip(".")
        else:
            if channel_key(volume) == key:
                return volume
            reason = f"{path.name} has changed since"
    raise EnvironmentLacksError(
        f"The session has a channel {name}: {reason}. Open the scan as it was (drop its file into the window), and "
        "press Resume again; nothing is lost."
    )


def _open_scans(work: ScanWork, open_now: ChannelStack, layers: Sequence[Image]) -> Iterator[Volume]:
    yield from (channel.volume for channel in open_now.further)
    for layer in layers:
        try:
            yield layer_volume(work, layer)
        except NapariSam2Error:
            continue
