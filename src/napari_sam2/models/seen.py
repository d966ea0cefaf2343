"""The channels that a model was tuned on.

A model that learned from several channels of a scan is of use for the same ones, mixed in the same way. Its folder
says which in ``channels.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.checked import list_of, text_of
from napari_sam2.core.mix import mix_from_json, mix_to_json
from napari_sam2.errors import ModelError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.core.mix import Mix
    from napari_sam2.models.base import ModelCard

__all__ = ["CHANNELS", "REPORT", "SeenChannels", "read_seen", "refuse_one_image", "seen_from_json", "seen_to_json"]

CHANNELS: Final = "channels.json"

REPORT: Final = "report.json"
"""Of a tuning; it says as well which channels its model sees."""

VERSION: Final = 1

MOST_CHANNELS: Final = 32
"""As in `napari_sam2.channels.stack`."""

MOST_BYTES: Final = 1 << 16
MOST_BYTES_OF_REPORT: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class SeenChannels:
    """Which channels a model sees, and how they are mixed.

    Attributes
    ----------
    names : tuple of str
        Of the channels beside the reference.
    mix : Mix
        Of the reference and these, in this order.
    """

    names: tuple[str, ...]
    mix: Mix


def read_seen(folder: Path) -> SeenChannels | None:
    """What the folder of a model says of channels.

    None for a model of one image.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    file = folder / CHANNELS
    if not file.exists() and not file.is_symlink():
        if _reported(folder):
            raise ModelError(
                f"{folder.name}/{CHANNELS} is missing, and {REPORT} says that the model sees several channels; copy "
                "the whole folder again."
            )
        return None
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        written = json.loads(file.read_text(encoding="utf-8"))
        if written["version"] != VERSION:
            raise ValueError("it is of another version")
        return seen_from_json(written)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(
            f"{folder.name}/{CHANNELS} does not say which channels the model was tuned on; copy the folder again."
        ) from error


def _reported(folder: Path) -> bool:
    """Whether the report beside a tuned model says that it sees further channels."""
    file = folder / REPORT
    try:
        if file.stat().st_size > MOST_BYTES_OF_REPORT:
            return False
        return bool(json.loads(file.read_text(encoding="utf-8"))["channels"]["seen"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def seen_to_json(seen: SeenChannels) -> dict[str, Any]:
    """As plain values."""
    return {"version": VERSION, "channels": list(seen.names), "mix": mix_to_json(seen.mix)}


def seen_from_json(written: Mapping[str, Any]) -> SeenChannels:
    """The same again.

    Raises
    ------
    ValueError, TypeError
        If it is nothing of the kind.
    """
    if not {"channels", "mix"} <= set(written):
        raise ValueError("no channels, or no mix")
    names = tuple(text_of(name) for name in list_of(written["channels"]))
    if not 1 <= len(names) < MOST_CHANNELS or len(set(names)) < len(names):
        raise ValueError(f"{len(names)} names of channels, or two alike")
    mix = mix_from_json(written["mix"], 1 + len(names))
    if mix is None:
        raise ValueError("no mix")
    return SeenChannels(names, mix)


def refuse_one_image(card: ModelCard) -> None:
    """Refuse a model of several channels where there is one picture.

    Raises
    ------
    UserInputError
        Naming the channels.
    """
    if card.seen is not None:
        raise UserInputError(
            f"{card.name} was tuned on scans with the further channels {', '.join(card.seen.names)}, and a picture has "
            "none; choose another model."
        )
