"""Models that answer prompts, and the protocol they share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError

if TYPE_CHECKING:
    import torch

    from napari_sam2.models.base import SegmentationModel

__all__ = ["DEFAULT_MODEL", "load_model", "resolve_device"]

DEFAULT_MODEL: Final = "bundled"
"""The default model; its weights come with the package."""


def load_model(
    name: str | Path = DEFAULT_MODEL, device: str = "auto", *, quality: str = "auto", input_size: int | None = None
) -> SegmentationModel:
    """Load a model by name or from a folder.

    Never from the network.

    Parameters
    ----------
    name : str or Path
        ``"classical"``, ``"bundled"``, a name of `napari_sam2.models.zoo.ZOO`, a folder with
        ``config.json`` and ``model.safetensors`` in transformers' format, or a ``.safetensors`` file
        made by ``napari-sam2 train``.
    device : str
        ``"auto"`` takes a GPU when there is one.
    quality : str
        For SAM 2: ``"fast"``, ``"balanced"`` or ``"best"``, see `napari_sam2.models.quality.QUALITIES`;
        ``"auto"`` is ``best`` on a CUDA device and ``balanced`` elsewhere. Models that answer at one size
        only have ``"best"`` alone.
    input_size : int, optional
        For SAM 2: side of the views in pixels instead of what `quality` says.

    Raises
    ------
    UserInputError
        If there is no such model, or it has no such quality setting or input size.
    EnvironmentLacksError
        If the model is not on this machine, or the device does not exist.
    ModelError
        If the checkpoint is damaged or not trusted.
    """
    from napari_sam2.models.family import function
    from napari_sam2.models.registry import FAMILIES, load_file, load_folder
    from napari_sam2.models.zoo import find

    for family in FAMILIES:
        if str(name) == family.built_in:
            where = (resolve_device(device),) if family.takes_device else ()
            built_in: SegmentationModel = function(family.load_built_in)(*where)
            return built_in
        if family.file_suffix and Path(name).suffix == family.file_suffix:
            return load_file(family, Path(name), resolve_device(device))
    folder, card = (Path(name), None) if Path(name).is_dir() else find(str(name))
    return load_folder(folder, resolve_device(device), card, quality=quality, input_size=input_size)


def resolve_device(device: str = "auto") -> torch.device:
    """The torch device for a name.

    ``"auto"`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    EnvironmentLacksError
        If the device does not exist on this machine.
    """
    from napari_sam2.models.threads import check_torch

    check_torch()
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))
    kind, _, number = device.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    is_known = device == kind or (re.fullmatch("[0-9]{1,3}", number) is not None and int(number) < count)
    if not available.get(kind, False) or not is_known:
        choices = ", ".join(name for name, there in available.items() if there)
        raise EnvironmentLacksError(f"There is no device {device[:60]!r} on this machine; available: auto, {choices}.")
    return torch.device(device)
