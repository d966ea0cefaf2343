"""What a person finished in a session.

Nothing else of it counts as truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.models import load_model
from napari_sam2.record.journal import restore
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.volume import Volume
    from napari_sam2.session.objects import SegmentedObject

__all__ = ["finished_labels", "finished_prompts"]


def finished_labels(
    volume: Volume, folder: Path, channels: ChannelStack | None = None
) -> tuple[NDArray[np.integer], dict[int, str]]:
    """The finished objects of a session.

    Parameters
    ----------
    volume : Volume
        The scan.
    folder : Path
        The session's journal; nothing in it is changed, and no model is asked.
    channels : ChannelStack, optional
        The scan with the channels that it had then.

    Returns
    -------
    labels : (I, J, K) array of int
        Zero wherever no finished object is.
    names : dict of int to str
        Of the finished objects.

    Raises
    ------
    UserInputError
        If the journal is another scan's or damaged, nothing is finished, or a finished object has no name.
    EnvironmentLacksError
        If the session has a channel that is not given.
    """
    session, finished = _finished(volume, folder, channels)
    labels = session.label_map()
    labels[~np.isin(labels, [obj.object_id for obj in finished])] = 0
    return labels, {obj.object_id: obj.name for obj in finished}


def finished_prompts(
    volume: Volume, folder: Path, channels: ChannelStack | None = None
) -> dict[int, tuple[Prompt, ...]]:
    """What a person gave for each finished object.

    In the order in which it was given; parameters and errors as in `finished_labels`.
    """
    return {obj.object_id: obj.prompts for obj in _finished(volume, folder, channels)[1]}


def _finished(volume: Volume, folder: Path, channels: ChannelStack | None) -> tuple[Session, list[SegmentedObject]]:
    """The session, and its finished objects, each with a name."""
    session = Session(volume, load_model("classical"), channels=channels)
    restore(session, folder)
    finished = [obj for obj in session.objects.values() if obj.finished]
    if not finished:
        raise UserInputError(f"nothing in {folder.name} is marked as finished; finish its objects first.")
    nameless = [obj.object_id for obj in finished if not obj.name]
    if nameless:
        raise UserInputError(f"the finished object {nameless[0]} of {folder.name} has no name; name it.")
    return session, finished
