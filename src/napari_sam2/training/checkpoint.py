"""Checkpoints of a run: tensors as safetensors, everything else as JSON. Nothing is pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from napari_sam2.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]

TENSORS, STATE = "checkpoint.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    rollout : int
        Roll-outs done.
    update : int
        Optimiser steps done.
    samples : int
        Views decoded for training.
    seconds : float
        Time spent training, over all resumed parts.
    generator : dict
        State of the numpy generator.
    """

    rollout: int
    update: int
    samples: int
    seconds: float
    generator: dict[str, Any]


def save_checkpoint(
    folder: Path, net: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write a checkpoint so that a crash half-way leaves the old one usable."""
    tensors = {f"net.{k}": v.detach().contiguous() for k, v in net.state_dict().items()}
    tensors |= {f"ema.{k}": v.contiguous() for k, v in ema.items()}
    names = {id(p): n for n, p in net.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"adam.{key}.{names[id(parameter)]}"] = torch.as_tensor(value).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    state_text = json.dumps(
        {
            "rollout": progress.rollout,
            "update": progress.update,
            "samples": progress.samples,
            "seconds": progress.seconds,
            "generator": progress.generator,
        }
    )
    # The state travels inside the tensor file, so one rename replaces both together.
    save_file(tensors, folder / f"{TENSORS}.part", metadata={"progress": state_text})
    (folder / f"{TENSORS}.part").replace(folder / TENSORS)
    (folder / STATE).write_text(state_text, encoding="utf-8")


def load_checkpoint(
    folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], Progress]:
    """Put a checkpoint back into a network and its optimiser; returns averaged weights and progress."""
    path = folder / TENSORS
    if not path.is_file():
        message = f"{folder} holds no checkpoint to resume from; start without --resume"
        raise ModelError(message)
    tensors = load_file(path)
    progress = _progress(path)
    net.load_state_dict(_part(tensors, "net."), strict=True)
    for name, parameter in net.named_parameters():
        state = {
            key: tensors[f"adam.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"adam.{key}.{name}" in tensors
        }
        if state:
            optimizer.state[parameter] = state
    return _part(tensors, "ema."), progress


def _progress(path: Path) -> Progress:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    return Progress(**json.loads(header["__metadata__"]["progress"]))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
