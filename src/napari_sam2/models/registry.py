"""All model families.

A new family is its folder and one row here.

Loading, the models that can be named, the conversion of official files and the command line's help follow from
the table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import CONFIG, check_header, read_settings, refusing
from napari_sam2.models.edgetam.family import FAMILY as EDGETAM
from napari_sam2.models.family import Family, function
from napari_sam2.models.sam1.family import FAMILY as SAM1
from napari_sam2.models.sam2.family import FAMILY as SAM2
from napari_sam2.models.sam3.family import FAMILY as SAM3
from napari_sam2.models.seen import read_seen
from napari_sam2.models.small.family import FAMILY as SMALL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

    from napari_sam2.models.base import ModelCard, SegmentationModel

__all__ = [
    "BUILT_IN",
    "FAMILIES",
    "ZOO",
    "convertible",
    "family_of_weights",
    "load_file",
    "load_folder",
    "sees_colours",
]

SMALLEST_VIEW: Final = 16
LARGEST_VIEW: Final = 4096
"""Pixels; four times what any model here was trained for."""

CLASSICAL: Final = Family(
    name="classical",
    title="histogram method",
    built_in="classical",
    load_built_in="classical:ClassicalModel",
    takes_device=False,
)

FAMILIES: Final = (SMALL, CLASSICAL, SAM2, EDGETAM, SAM1, SAM3)

ZOO: Final = {entry.name: entry for family in FAMILIES for entry in family.entries}
"""Checkpoints that a user can name. Sizes and parameter counts of SAM 2 as published in its README (2024-12)."""

BUILT_IN: Final = tuple(family.built_in for family in FAMILIES if family.built_in)
"""Models that come with the package."""


def convertible() -> tuple[str, ...]:
    """What official files can be converted, as people call them."""
    return tuple(name for family in FAMILIES for name in family.official_names)


def sees_colours(kind: str) -> bool:
    """Whether models of a kind were trained on colours; see `ModelCard.kind`."""
    return any(family.colours for family in FAMILIES if family.name == kind)


def family_of_weights(names: Iterable[str]) -> Family:
    """The family of official weights, by their names; SAM 2 by default.

    A family further down the table is told from those above it by what it has besides.
    """
    keys = list(names)
    fitting = [f for f in FAMILIES if f.mark and any(name.startswith(f.mark) for name in keys)]
    return fitting[-1] if fitting else SAM2


def load_folder(
    folder: Path,
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> SegmentationModel:
    """Load a checkpoint of any known kind.

    Parameters
    ----------
    folder : Path
        Holds ``config.json`` and ``model.safetensors`` in transformers' format.
    device : torch.device
        Where it will run.
    card : ModelCard, optional
        What is known of it; made from the folder otherwise. The hash is always computed.
    quality : str
        How slices are looked at, see `napari_sam2.models.quality`.
    input_size : int, optional
        Side of the views in pixels, for models that can change it.

    Raises
    ------
    ModelError
        If a file is missing or damaged, the configuration holds anything doubtful, or weights do not match.
    UserInputError
        If this kind of model has no such quality setting or input size.
    """
    settings = read_settings(folder)
    kind = settings.get("model_type")
    family = next((family for family in FAMILIES if kind in family.model_types), None)
    if family is None:
        families = ", ".join(f"{family.title} ({kind!r})" for family in FAMILIES for kind in family.model_types)
        raise ModelError(f"{folder.name} is a checkpoint of type {kind!r}; what can be used: {families}.")
    with refusing(f"{folder.name}/{CONFIG}", folder):
        model: SegmentationModel = function(family.load)(
            folder, settings, device, card, quality=quality, input_size=input_size
        )
    seen = read_seen(folder)
    if seen is not None:
        model.card = replace(model.card, seen=seen)
    return _of_possible_size(model, folder.name)


def load_file(family: Family, path: Path, device: torch.device) -> SegmentationModel:
    """Load a single weight file of a family.

    Raises
    ------
    ModelError
        If it is missing, damaged, or describes a network that cannot be.
    """
    check_header(path)
    with refusing(path.name, path):
        model: SegmentationModel = function(family.load_file)(path, device)
    return _of_possible_size(model, path.name)


def _of_possible_size(model: SegmentationModel, name: str) -> SegmentationModel:
    if not SMALLEST_VIEW <= model.input_size <= LARGEST_VIEW:
        raise ModelError(f"{name} is for views of {model.input_size} pixels, which no model has; copy it again.")
    return model
