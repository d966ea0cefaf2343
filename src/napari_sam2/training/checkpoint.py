"""Checkpoints of a run: tensors as safetensors, everything else as JSON.

Nothing is pickled.

The full checkpoint continues a run bit by bit. The compact one is for a repository: weights and averaged weights
in half precision, Adam's second moments in bfloat16, first moments left out (they are made up within ten updates).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from napari_sam2.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["Progress", "averaged_weights", "holds_checkpoint", "load_checkpoint", "save_checkpoint", "write_compact"]

TENSORS, STATE = "checkpoint.safetensors", "checkpoint.json"
#: The compact checkpoint: weights and averaged weights, and what the optimiser knows.
COMPACT = ("compact-weights.safetensors", "compact-optimizer.safetensors")


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
    """Write a checkpoint.

    A crash half-way leaves the old one usable.
    """
    tensors = {f"net.{k}": v.detach().contiguous() for k, v in net.state_dict().items()}
    tensors |= {f"ema.{k}": v.contiguous() for k, v in ema.items()}
    names = {id(p): n for n, p in net.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"adam.{key}.{names[id(parameter)]}"] = torch.as_tensor(value).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    state_text = json.dumps(asdict(progress))
    # The state travels inside the tensor file, so one rename replaces both together.
    save_file(tensors, folder / f"{TENSORS}.part", metadata={"progress": state_text})
    (folder / f"{TENSORS}.part").replace(folder / TENSORS)
    (folder / STATE).write_text(state_text, encoding="utf-8")


def write_compact(folder: Path, target: Path) -> None:
    """Write the checkpoint of ``folder`` in compact form into ``target``."""
    tensors, progress = _stored(folder)
    kept = ("net.", "ema."), ("adam.exp_avg_sq.",)
    kinds = torch.float16, torch.bfloat16
    target.mkdir(parents=True, exist_ok=True)
    metadata = {"progress": json.dumps(asdict(progress))}
    for name, prefixes, kind in zip(COMPACT, kept, kinds, strict=True):
        chosen = {k: v.to(kind).contiguous() for k, v in tensors.items() if k.startswith(prefixes)}
        save_file(chosen, target / name, metadata=metadata)


def load_checkpoint(
    folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], Progress]:
    """Put a checkpoint, full or compact, back; returns averaged weights and progress."""
    tensors, progress = _stored(folder)
    try:
        net.load_state_dict(_part(tensors, "net."), strict=True)
    except RuntimeError as error:
        message = f"the checkpoint in {folder.name} is of another network; begin anew"
        raise ModelError(message) from error
    for name, parameter in net.named_parameters():
        second = tensors.get(f"adam.exp_avg_sq.{name}")
        if second is None:
            continue
        optimizer.state[parameter] = {
            "step": tensors.get(f"adam.step.{name}", torch.tensor(float(progress.update))),
            "exp_avg": tensors.get(f"adam.exp_avg.{name}", torch.zeros_like(second)),
            "exp_avg_sq": second,
        }
    return _part(tensors, "ema."), progress


def holds_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint, full or compact, to go on from."""
    return (folder / TENSORS).is_file() or all((folder / name).is_file() for name in COMPACT)


def averaged_weights(folder: Path) -> tuple[dict[str, Tensor], Progress]:
    """The averaged weights of a checkpoint, and its progress.

    Full or compact.
    """
    tensors, progress = _stored(folder)
    return _part(tensors, "ema."), progress


def _stored(folder: Path) -> tuple[dict[str, Tensor], Progress]:
    """Tensors in single precision, from the full checkpoint or else from the compact one."""
    if not holds_checkpoint(folder):
        message = f"{folder} holds no checkpoint to resume from; start without --resume"
        raise ModelError(message)
    full = folder / TENSORS
    files = [full] if full.is_file() else [folder / name for name in COMPACT]
    try:
        tensors = {key: value.float() for path in files for key, value in load_file(path).items()}
        return tensors, _progress(files[0])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{files[0].name} in {folder.name} is damaged, so that its run cannot go on; begin anew"
        raise ModelError(message) from error


def _progress(path: Path) -> Progress:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    return Progress(**json.loads(header["__metadata__"]["progress"]))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
