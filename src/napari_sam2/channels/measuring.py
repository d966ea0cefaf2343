"""Intensities of further channels inside labelled objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.window import is_ct
from napari_sam2.io.pet import suv_of
from napari_sam2.measures.measure import intensity_columns, intensity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import Channel, ChannelStack

__all__ = ["channel_columns"]


def channel_columns(
    stack: ChannelStack, labels: NDArray[np.integer], label_ids: Iterable[int]
) -> dict[int, dict[str, Any]]:
    """Columns of a table by label id, for every further channel.

    Parameters
    ----------
    stack : ChannelStack
        The channels.
    labels : (I, J, K) array of int
        On the reference's grid.
    label_ids : iterable of int
        The objects.

    Returns
    -------
    dict of int to dict
        ``PT-1_mean_suv`` and so on: HU of CT, SUV of PET where it is known, stored values otherwise. Voxels that a
        channel does not reach are left out; NaN where it reaches none.
    """
    units = [(channel, *_unit(channel)) for channel in stack.further]
    columns: dict[int, dict[str, Any]] = {}
    for label_id in label_ids:
        inside = labels == label_id
        columns[label_id] = {}
        for channel, unit, factor in units:
            values = channel.laid.voxels[inside]
            scaled = values if factor == 1 else values.astype(np.float64) * factor
            intensity = replace(intensity_of(scaled), unit=unit)
            columns[label_id] |= intensity_columns(intensity, channel.name)
    return columns


def _unit(channel: Channel) -> tuple[str, float]:
    """The unit of a channel's values, and what they are multiplied by for it."""
    factor, _ = suv_of(channel.volume)
    if channel.volume.source.modality == "PT" and factor is not None:
        return "SUV", factor
    return ("HU", 1.0) if is_ct(channel.volume) else ("", 1.0)
