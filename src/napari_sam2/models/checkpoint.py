"""Reading a checkpoint in transformers' format from a folder.

Anything doubtful is refused.

Only safetensors is read, so nothing in a checkpoint can run code. transformers alone would fill missing
weights with random numbers and go on; here a missing or unexpected key is an error.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError, NapariSam2Error
from napari_sam2.hashing import sha256_of
from napari_sam2.models.base import ModelCard
from napari_sam2.models.seen import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "CONFIG",
    "PREPARATION",
    "WEIGHTS",
    "card_of",
    "check_header",
    "files_of",
    "find_faults",
    "known_only",
    "read_network",
    "read_settings",
    "refusing",
]

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
PREPARATION: Final = "preprocessor_config.json"

_REFUSED: Final = {"auto_map", "custom_pipelines", "quantization_config", "trust_remote_code"}
"""Settings that name code to be run or other ways to read weights; no checkpoint of SAM's family needs them."""

_MAX_CONFIG_BYTES: Final = 1 << 20
_MAX_HEADER_BYTES: Final = 8 << 20
_LARGEST_SIZE: Final = 1 << 18
"""Above any width, side or vocabulary of the networks here (SAM 3's vocabulary has 49,408 words)."""
_MOST_LAYERS: Final = 512


def files_of(folder: Path) -> list[str]:
    """Names of a checkpoint's files.

    Settings and weights, and how images are prepared and which channels are seen where that is said.
    """
    return [CONFIG, WEIGHTS, *(name for name in (PREPARATION, CHANNELS) if (folder / name).is_file())]


def read_settings(folder: Path) -> dict[str, Any]:
    """What a checkpoint's ``config.json`` says; ``model_type`` is the kind of network.

    Raises
    ------
    ModelError
        If it is missing, not JSON, or names code or paths.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder.name} holds no {CONFIG}; a checkpoint is a folder with {CONFIG} and {WEIGHTS}.")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError(f"{folder.name}/{CONFIG} is larger than any configuration; fetch or copy it again.")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{folder.name}/{CONFIG} is not valid JSON; fetch or copy it again.") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{folder.name}/{CONFIG} holds no settings; fetch or copy it again.")
    _refuse_untrusted(folder.name, settings)
    _refuse_sizes(f"{folder.name}/{CONFIG}", settings)
    return settings


@contextlib.contextmanager
def refusing(name: str, place: Path) -> Iterator[None]:
    """Turn a library's errors on damaged metadata into one sentence.

    Parameters
    ----------
    name : str
        What is named in the sentence.
    place : Path
        Whose path is left out of messages.

    Raises
    ------
    ModelError
        Instead of anything but this package's own errors and a lack of memory.
    """
    try:
        yield
    except ModelError as error:
        raise ModelError(str(error).replace(str(place), place.name)) from error
    except (NapariSam2Error, MemoryError):
        raise
    except Exception as error:  # configurations are checked by a dozen kinds of errors in transformers and torch
        if "can't allocate memory" in str(error) or "out of memory" in str(error):
            raise MemoryError(name) from error
        raise ModelError(
            f"{name} does not describe a network that can be ({type(error).__name__}); fetch or copy it again."
        ) from error


def check_header(path: Path) -> None:
    """Refuse a safetensors file with a damaged header or impossible sizes.

    Raises
    ------
    ModelError
        In one sentence.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if 0 < length <= _MAX_HEADER_BYTES else None
        described = json.loads(header.get("__metadata__", {}).get("config", "{}"))
    except FileNotFoundError as error:
        raise ModelError(f"There is no weight file {path.name}; give another path.") from error
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(f"{path.name} is damaged or not a safetensors file; copy or train it again.") from error
    _refuse_sizes(path.name, described)


def _refuse_sizes(name: str, described: Any) -> None:
    """Refuse numbers, at any depth, that would take memory or time without end."""
    if isinstance(described, dict):
        for key, value in described.items():
            is_count = isinstance(value, int) and "layers" in key
            if is_count and not 0 <= value <= _MOST_LAYERS:
                raise ModelError(f"{name} holds {str(value)[:20]} under {key!r}, which no network has; copy it again.")
            _refuse_sizes(name, value)
    elif isinstance(described, list):
        for value in described:
            _refuse_sizes(name, value)
    elif isinstance(described, int) and abs(described) > _LARGEST_SIZE:
        raise ModelError(f"{name} holds the number {str(described)[:20]}, which no network has; copy it again.")


def read_network(folder: Path, network: type[Any], config: Any) -> Any:
    """The network of a checkpoint with its weights.

    In eval mode and float32 on the CPU.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors``.
    network : type
        The class of transformers.
    config : transformers.PreTrainedConfig
        Its configuration, rebuilt from known settings.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or its keys or shapes do not match.
    """
    from transformers.utils import logging as transformers_logging

    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder.name} holds no {WEIGHTS}; other weight formats can run code and are not read.")
    quiet = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        loaded, report = network.from_pretrained(
            folder, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        # safetensors, json and torch each raise their own; the person needs one sentence.
        raise ModelError(
            f"{folder.name}/{WEIGHTS} cannot be read ({_reason(error, folder)}); fetch or copy it again."
        ) from error
    finally:
        transformers_logging.set_verbosity(quiet)
        if bars:
            transformers_logging.enable_progress_bar()
    faults = find_faults(*(report.get(key, ()) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")))
    if faults:
        raise ModelError(f"{folder.name}/{WEIGHTS} does not fit its configuration: it {faults}; it is not used.")
    return loaded.eval().float()


def _reason(error: Exception, folder: Path) -> str:
    return str(error).replace(str(folder), folder.name)[:300]


def find_faults(missing: Any, surplus: Any, misshapen: Any) -> str:
    """Faults of a file's weights as words; empty when there are none."""
    return " and ".join(
        f"{what} {len(names)} weights such as {sorted(str(name) for name in names)[0]}"
        for what, names in (("misses", missing), ("has unexpected", surplus), ("misshapes", misshapen))
        if names
    )


def card_of(folder: Path, known: ModelCard | None, kind: str, summary: str) -> ModelCard:
    """The card of a checkpoint with its hash.

    Made from the folder where nothing is known of it.
    """
    return replace(
        known or ModelCard(folder.name, kind, summary=summary), kind=kind, sha256=sha256_of(folder / WEIGHTS)
    )


def known_only(settings: Mapping[str, Any], accepted: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that shape the network.

    Older versions wrote many more, which mean nothing to it.
    """
    kept = {}
    for key, value in settings.items():
        if key not in accepted:
            continue
        nested = key.endswith("_config") and isinstance(value, dict) and isinstance(accepted[key], dict)
        kept[key] = known_only(value, accepted[key]) if nested else value
    return kept


def _refuse_untrusted(name: str, given: dict[str, Any]) -> None:
    """Refuse settings, at any depth, that reach beyond the network's own numbers."""
    for key, value in given.items():
        if key in _REFUSED:
            raise ModelError(f"{name}/{CONFIG} holds {key!r}, which no such checkpoint needs; it is not trusted.")
        if isinstance(value, str) and (".." in value or value.startswith(("/", "\\", "~"))):
            raise ModelError(f"{name}/{CONFIG} holds a path under {key!r}; it is not trusted.")
        if isinstance(value, dict):
            _refuse_untrusted(name, value)
