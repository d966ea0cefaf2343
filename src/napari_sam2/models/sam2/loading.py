"""Load a SAM 2 checkpoint in transformers' format from a folder, and refuse anything doubtful.

Only safetensors is read, so nothing in a checkpoint can run code. transformers alone would fill missing
weights with random numbers and go on; here a missing or unexpected key is an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.base import ModelCard
from napari_sam2.models.quality import QUALITIES
from napari_sam2.models.sam2.sizing import resize_config

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from napari_sam2.models.quality import Quality
    from napari_sam2.models.sam2.adapter import Sam2Model

__all__ = ["load_sam2", "read_config"]

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"

_REFUSED: Final = {"auto_map", "custom_pipelines", "quantization_config", "trust_remote_code"}
"""Settings that name code to be run or other ways to read weights; no SAM 2 checkpoint needs them."""

_LEGACY_ROPE: Final = "memory_attention_rope_theta"
"""How transformers 4.56 spelt ``rope_parameters["rope_theta"]``; the hub's checkpoints still do."""

_MAX_CONFIG_BYTES: Final = 1 << 20


def load_sam2(
    folder: Path,
    device: torch.device,
    card: ModelCard | None = None,
    input_size: int | None = None,
    quality: Quality = QUALITIES["best"],
) -> Sam2Model:
    """Load a SAM 2 or SAM 2.1 video checkpoint.

    Parameters
    ----------
    folder : Path
        Holds ``config.json`` and ``model.safetensors``.
    device : torch.device
        Where it will run.
    card : ModelCard, optional
        What is known of it; made from the folder otherwise. The hash is always computed.
    input_size : int, optional
        Side of the views in pixels, a multiple of 32; what `quality` says by default, yet no
        more than the checkpoint's own.
    quality : Quality
        How slices are looked at.

    Raises
    ------
    ModelError
        If a file is missing or damaged, the configuration holds anything unknown, or keys do not match.
    """
    from transformers import Sam2VideoModel
    from transformers.utils import logging as transformers_logging

    from napari_sam2.models.sam2.adapter import Sam2Model

    config = read_config(folder, input_size)
    if input_size is None and quality.input_size is not None and quality.input_size < config.image_size:
        resize_config(config, quality.input_size)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{folder.name} holds no {WEIGHTS}; other weight formats can run code and are not read.")
    quiet = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        network, report = Sam2VideoModel.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        # safetensors, json and torch each raise their own; the person needs one sentence.
        raise ModelError(f"{folder.name}/{WEIGHTS} cannot be read ({error}); fetch or copy it again.") from error
    finally:
        transformers_logging.set_verbosity(quiet)
        if bars:
            transformers_logging.enable_progress_bar()
    _refuse_mismatch(folder.name, report)
    known = card or ModelCard(folder.name, "sam2", summary="A SAM 2 checkpoint from a local folder.")
    full_card = ModelCard(known.name, known.kind, known.revision, sha256_of(weights), known.license, known.summary)
    return Sam2Model(network.eval().float().to(device), full_card, quality.policy, half=quality.half)


def read_config(folder: Path, input_size: int | None = None) -> Any:
    """The checkpoint's configuration as a ``Sam2VideoConfig``, rebuilt from known keys only.

    Raises
    ------
    ModelError
        If it is missing, not JSON, of another kind of model, or names code or paths.
    """
    from transformers import Sam2VideoConfig

    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder.name} holds no {CONFIG}; a checkpoint is a folder with {CONFIG} and {WEIGHTS}.")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError(f"{folder.name}/{CONFIG} is larger than any configuration; fetch or copy it again.")
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{folder.name}/{CONFIG} is not valid JSON; fetch or copy it again.") from error
    kind = given.get("model_type") if isinstance(given, dict) else None
    if kind != Sam2VideoConfig.model_type:
        raise ModelError(
            f"{folder.name} is a checkpoint of type {kind!r}; SAM 2 video checkpoints ('sam2_video') can be used."
        )
    _refuse_untrusted(folder.name, given)
    config = Sam2VideoConfig(**_known_only(given, Sam2VideoConfig().to_dict()))
    if _LEGACY_ROPE in given:
        config.rope_parameters = {**config.rope_parameters, "rope_theta": float(given[_LEGACY_ROPE])}
    if input_size is not None:
        resize_config(config, input_size)
    return config


def _refuse_untrusted(name: str, given: dict[str, Any]) -> None:
    """Refuse settings, at any depth, that reach beyond the network's own numbers."""
    for key, value in given.items():
        if key in _REFUSED:
            raise ModelError(f"{name}/{CONFIG} holds {key!r}, which no SAM 2 checkpoint needs; it is not trusted.")
        if isinstance(value, str) and (".." in value or value.startswith(("/", "\\", "~"))):
            raise ModelError(f"{name}/{CONFIG} holds a path under {key!r}; it is not trusted.")
        if isinstance(value, dict):
            _refuse_untrusted(name, value)


def _known_only(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Settings that shape the network; older versions wrote many more, which mean nothing to it."""
    kept = {}
    for key, value in given.items():
        if key not in known:
            continue
        nested = key.endswith("_config") and isinstance(value, dict) and isinstance(known[key], dict)
        kept[key] = _known_only(value, known[key]) if nested else value
    return kept


def _refuse_mismatch(name: str, report: dict[str, Any]) -> None:
    faults = []
    for what, key in (
        ("misses", "missing_keys"),
        ("has unexpected", "unexpected_keys"),
        ("misshapes", "mismatched_keys"),
    ):
        keys = sorted(str(k) for k in report.get(key, ()))
        if keys:
            faults.append(f"{what} {len(keys)} weights such as {keys[0]}")
    if faults:
        raise ModelError(f"{name}/{WEIGHTS} does not fit SAM 2: it {' and '.join(faults)}; it is not used.")
