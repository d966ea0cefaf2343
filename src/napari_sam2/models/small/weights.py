"""Weight files of the small model.

One safetensors file, half precision, checked before use.

The file's own metadata holds the network's sizes, the view size it was trained for and how it is asked. A
file is refused when its hash differs from the expected one, when it cannot be read, when its metadata hold
anything unknown or out of range, or when a tensor is missing, left over or of another shape.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_sam2.errors import ModelError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.small.net import NetConfig, SmallNet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["FORMAT", "MIRRORED", "NEVER", "SmallWeights", "order_metadata", "read_weights", "write_weights"]

#: Written into every file; small-1's files still say the first one.
FIRST_FORMAT, FORMAT = "napari-sam2-small-1", "napari-sam2-small-2"
#: When an answer is the mean over the view and its mirror image: always (small-1), or only where a person prompted.
MIRRORED = ("always", "prompted")
#: Of a network that is asked once, to be quick; no file says so.
NEVER = "never"
#: Metadata that a file may hold, and the view sizes that it may ask for (multiples of 16).
KEYS = frozenset({"format", "name", "input_size", "config", "mirrored"})
VIEW_SIZES = range(32, 513, 16)


@dataclass(frozen=True, slots=True)
class SmallWeights:
    """A network with its weights.

    Attributes
    ----------
    net : SmallNet
        In single precision, in evaluation mode.
    input_size : int
        Side of the views that it was trained for.
    name : str
        The run's name.
    sha256 : str
        Hash of the file.
    mirrored : str
        One of `MIRRORED`, or `NEVER`.
    """

    net: SmallNet
    input_size: int
    name: str
    sha256: str
    mirrored: str = "always"


def write_weights(
    path: Path, state: Mapping[str, Tensor], config: NetConfig, input_size: int, name: str, mirrored: str = "always"
) -> str:
    """Write weights in half precision; returns the file's SHA-256."""
    tensors = {key: value.detach().to(torch.float16).contiguous() for key, value in state.items()}
    metadata = {
        "format": FORMAT,
        "name": name,
        "input_size": str(input_size),
        "config": json.dumps(config.to_dict()),
        "mirrored": mirrored,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=metadata)
    order_metadata(path)
    return sha256_of(path)


def order_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file.

    Its writer (0.6) keeps them in an order that differs by process.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(ordered) > length:
            raise ModelError(f"the header of {path.name} cannot be put in order; report this")
        file.seek(8)
        file.write(ordered.ljust(length))


def read_weights(path: Path, sha256: str = "") -> SmallWeights:
    """Read weights.

    Parameters
    ----------
    path : Path
        The safetensors file.
    sha256 : str
        The hash that the file must have; empty accepts any.

    Raises
    ------
    ModelError
        If the file is missing, damaged, another file than expected, or not of this kind.
    """
    if not path.is_file():
        message = f"the weight file {path.name} is not there; reinstall the package or give another path"
        raise ModelError(message)
    digest = sha256_of(path)
    if sha256 and digest != sha256:
        message = f"{path.name} is not the expected file: its SHA-256 is {digest}, expected {sha256}"
        raise ModelError(message)
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key).float() for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        message = f"{path.name} is damaged or not a safetensors file: {error}"
        raise ModelError(message) from error
    if metadata.get("format") not in (FIRST_FORMAT, FORMAT):
        message = f"{path.name} holds {metadata.get('format', 'no format')!r}, expected {FORMAT!r}"
        raise ModelError(message)
    net, input_size, mirrored = _described(metadata, path.name)
    _load_strictly(net, tensors, path)
    return SmallWeights(net.eval(), input_size, metadata["name"], digest, mirrored)


def _described(metadata: Mapping[str, str], name: str) -> tuple[SmallNet, int, str]:
    """An empty network of the described sizes, the view size, and when views are mirrored; all within bounds."""
    if not metadata.get("name"):
        raise ModelError(f"{name} is damaged: it does not name its model; fetch or copy it again")
    unknown = sorted(set(metadata) - KEYS)
    if unknown:
        raise ModelError(f"{name} describes {', '.join(unknown)}, which this version does not know")
    try:
        config = NetConfig.from_dict(json.loads(metadata["config"]))
        input_size, mirrored = int(metadata["input_size"]), metadata.get("mirrored", MIRRORED[0])
    except (ModelError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"{name} is damaged: its settings cannot be read; fetch or copy it again"
        raise ModelError(message) from error
    if input_size not in VIEW_SIZES or mirrored not in MIRRORED:
        message = f"{name} is damaged: its settings are outside of what the network can have; fetch or copy it again"
        raise ModelError(message)
    return SmallNet(config), input_size, mirrored


def _load_strictly(net: SmallNet, tensors: dict[str, Tensor], path: Path) -> None:
    expected = net.state_dict()
    faults = [f"missing {key}" for key in expected if key not in tensors]
    faults += [f"unexpected {key}" for key in tensors if key not in expected]
    faults += [
        f"{key} has shape {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if faults:
        message = f"{path.name} does not fit the network: {'; '.join(faults[:5])}"
        raise ModelError(message)
    net.load_state_dict(tensors, strict=True)
