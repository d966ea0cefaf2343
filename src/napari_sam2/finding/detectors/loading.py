"""Loading a detector from a folder.

Or by its id, from where the hub's own client has put it. Nothing is downloaded. Only safetensors and plain tables of
words are read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.checkpoint import CONFIG, WEIGHTS, known_only, read_network, read_settings, refusing

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from napari_sam2.finding.detectors.detector import Detector

__all__ = ["KINDS", "folder_of_detector", "load_detector", "settings_of"]

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def folder_of_detector(name: str) -> Path:
    """The folder of a detector.

    Parameters
    ----------
    name : str
        A folder, or an id such as ``IDEA-Research/grounding-dino-tiny`` whose files are on this machine already.

    Raises
    ------
    EnvironmentLacksError
        If the files of an id are not here; the message says how to get them.
    UserInputError
        If it is neither.
    """
    if Path(name).is_dir():
        return Path(name)
    if not HUB_ID.fullmatch(name):
        raise UserInputError(f"There is no folder {name!r}; give the folder of a detector, or its id on the hub.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise EnvironmentLacksError(
            f"{name} is not on this machine, and nothing is downloaded here: read its licence, run "
            f"'hf download {name}' where there is internet, and give the folder that it prints."
        ) from error


def load_detector(folder: Path, device: torch.device) -> Detector:
    """Load a detector of any known kind.

    Parameters
    ----------
    folder : Path
        Holds ``config.json``, ``model.safetensors`` and the table of words, in transformers' format.
    device : torch.device
        Where it will run.

    Raises
    ------
    ModelError
        If a file is missing or damaged, the configuration holds anything doubtful, or weights do not match.
    """
    settings = settings_of(folder)
    with refusing(f"{folder.name}/{CONFIG}", folder):
        return KINDS[settings["model_type"]](folder, settings, device)


def settings_of(folder: Path) -> dict[str, Any]:
    """What a detector's ``config.json`` says.

    Raises
    ------
    ModelError
        If it is missing, damaged, doubtful, or of another kind of network.
    """
    settings = read_settings(folder)
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"{folder.name} is a checkpoint of type {kind!r}; detectors are {', '.join(KINDS)}.")
    return settings


def _grounding_dino(folder: Path, settings: dict[str, Any], device: torch.device) -> Detector:
    import transformers

    from napari_sam2.finding.detectors.grounding_dino import GroundingDino

    of_mm = settings["model_type"] == "mm-grounding-dino"
    kind = transformers.MMGroundingDinoConfig if of_mm else transformers.GroundingDinoConfig
    network = transformers.MMGroundingDinoForObjectDetection if of_mm else transformers.GroundingDinoForObjectDetection
    own = known_only(settings, kind().to_dict())
    # Compiled kernels would come from elsewhere.
    config = kind(**{**own, "disable_custom_kernels": True})
    _check_files(folder, ("vocab.txt",), ("tokenizer.json",))
    tokenizer = transformers.BertTokenizer.from_pretrained(folder, local_files_only=True)
    preparation = transformers.GroundingDinoImageProcessorPil.from_pretrained(folder, local_files_only=True)
    loaded = read_network(folder, network, config).to(device)
    title = f"Grounding DINO {folder.name}"
    return GroundingDino(loaded, tokenizer, preparation, title, sha256_of(folder / WEIGHTS))


def _sam3(folder: Path, settings: dict[str, Any], device: torch.device) -> Detector:
    import transformers

    from napari_sam2.finding.detectors.sam3 import Sam3Detector

    # A whole SAM 3 (`sam3_video`) keeps the detector's settings inside its own.
    own = settings.get("detector_config", settings)
    if not isinstance(own, dict):
        raise ModelError(f"{folder.name} says nothing of its detector; fetch or copy it again.")
    config = transformers.Sam3Config(**known_only(own, transformers.Sam3Config().to_dict()))
    _check_files(folder, ("vocab.json", "merges.txt"), ("tokenizer.json",))
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    loaded = read_network(folder, transformers.Sam3Model, config).to(device)
    return Sam3Detector(loaded, tokenizer, f"SAM 3 {folder.name}", sha256_of(folder / WEIGHTS))


def _check_files(folder: Path, *choices: tuple[str, ...]) -> None:
    """Refuse a folder without a table of words: transformers would go on with an empty one."""
    if not any(all((folder / name).is_file() for name in names) for names in choices):
        listed = ", or ".join(" and ".join(names) for names in choices)
        raise ModelError(f"{folder.name} holds no table of words; copy {listed} of the same checkpoint beside it.")


KINDS: Final[dict[str, Callable[[Path, dict[str, Any], torch.device], Detector]]] = {
    "grounding-dino": _grounding_dino,
    "mm-grounding-dino": _grounding_dino,
    "sam3": _sam3,
    "sam3_video": _sam3,
}
"""How each ``model_type`` is loaded."""
