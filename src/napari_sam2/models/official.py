"""Convert official checkpoints (``.pt``, ``.pth``) to transformers' format.

Meta's files and those of models fine-tuned with Meta's code, MedSAM2 among them, hold a dictionary with the
weights under ``"model"``. They are pickles, which can run code when they are opened: they are read with
``weights_only=True``, which admits tensors and plain containers only, and never in any other way.

The architecture is read off the weights; what they cannot tell is the input size.
"""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from typing import TYPE_CHECKING

from napari_sam2.errors import ModelError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.checkpoint import PREPARATION, WEIGHTS, files_of, find_faults
from napari_sam2.models.family import function
from napari_sam2.models.registry import convertible, family_of_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["convert_official"]


def convert_official(path: Path, folder: Path, *, input_size: int = 1024, license_id: str = "") -> Path:
    """Write a checkpoint in transformers' format from an official ``.pt`` file.

    Parameters
    ----------
    path : Path
        The official file.
    folder : Path
        Where ``config.json``, ``model.safetensors`` and ``manifest.json`` go; made if missing.
    input_size : int
        Side in pixels that the model was trained for.
    license_id : str
        SPDX identifier of the weights' licence, recorded in the manifest.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    ModelError
        If the file holds more than weights, or weights of another network.
    """
    import torch
    import transformers
    from safetensors.torch import save_file

    official = _read(path)
    family = family_of_weights(official)
    names = import_module(f"napari_sam2.models.{family.official}")
    weights = names.renamed(official, path.name)
    config = names.config_of(weights, path.name, input_size)
    with torch.device("meta"):
        expected = getattr(transformers, names.NETWORK)(config).state_dict()
    _refuse_misfit(path.name, expected, weights)
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS)
    if family.preparation:
        preparation = json.dumps(function(family.preparation)(path.name), indent=1)
        (folder / PREPARATION).write_text(preparation + "\n", encoding="utf-8")
    hashes = {file: sha256_of(folder / file) for file in files_of(folder)}
    manifest = {
        "name": folder.name,
        "revision": "",
        "source": {"file": path.name, "sha256": sha256_of(path)},
        "license": license_id,
        "sha256": hashes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return folder


def _read(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights and could run code when it is opened; it was not opened. "
            f"Ask for a file with weights alone."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be read as a checkpoint ({type(error).__name__}).") from error
    inner = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(inner, dict) or not inner or not all(isinstance(v, torch.Tensor) for v in inner.values()):
        raise ModelError(f"{path.name} holds no weights of SAM, neither at its top nor under 'model'.")
    return {name: tensor.detach().float() if tensor.is_floating_point() else tensor for name, tensor in inner.items()}


def _refuse_misfit(file: str, expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    shared = expected.keys() & weights.keys()
    faults = find_faults(
        expected.keys() - weights.keys(),
        weights.keys() - expected.keys(),
        [name for name in shared if expected[name].shape != weights[name].shape],
    )
    if faults:
        raise ModelError(f"{file} does not fit any of {', '.join(convertible())}: it {faults}; it is not used.")
