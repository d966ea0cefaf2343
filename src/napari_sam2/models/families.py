"""Checkpoint folders: which kind of network one holds, and who loads it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import read_settings

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import torch

    from napari_sam2.models.base import ModelCard, SegmentationModel

__all__ = ["FAMILIES", "load_folder"]

FAMILIES: Final = {
    "sam": ("SAM", "napari_sam2.models.sam1.loading", "load_sam1"),
    "sam2_video": ("SAM 2", "napari_sam2.models.sam2.loading", "load_sam2"),
    "edgetam_video": ("EdgeTAM", "napari_sam2.models.edgetam.loading", "load_edgetam"),
    "sam3_tracker_video": ("SAM 3 tracker", "napari_sam2.models.sam3.loading", "load_sam3"),
    "sam3_video": ("SAM 3", "napari_sam2.models.sam3.loading", "load_sam3"),
}
"""Name for people, module and function, by what ``config.json`` calls ``model_type``."""


class _Loader(Protocol):
    def __call__(
        self,
        folder: Path,
        settings: dict[str, Any],
        device: torch.device,
        card: ModelCard | None,
        *,
        quality: str,
        input_size: int | None,
    ) -> SegmentationModel: ...


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
    if kind not in FAMILIES:
        known = ", ".join(f"{name} ({kind!r})" for kind, (name, _, _) in FAMILIES.items())
        raise ModelError(f"{folder.name} is a checkpoint of type {kind!r}; what can be used: {known}.")
    _, module, function = FAMILIES[kind]
    load = cast("_Loader", getattr(import_module(module), function))
    return load(folder, settings, device, card, quality=quality, input_size=input_size)
