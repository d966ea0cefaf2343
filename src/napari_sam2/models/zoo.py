"""The models a user can name: what they are, where they lie, and how they get here.

Nothing is downloaded unless `fetch` is called. A fetched or copied checkpoint lies in a folder of its own
under `models_folder`, with a ``manifest.json`` that pins its revision and the SHA-256 of its files.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError
from napari_sam2.models.base import ModelCard
from napari_sam2.models.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUILT_IN", "ZOO", "Entry", "fetch", "find", "folder_of", "models_folder", "verify"]

MANIFEST: Final = "manifest.json"
FILES: Final = ("config.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint on the Hugging Face hub.

    Attributes
    ----------
    name : str
        Repository on the hub, which is also what the user types.
    license : str
        SPDX identifier of the weights' licence.
    megabytes : int
        Size of the download.
    parameters : float
        Millions of parameters.
    summary : str
        What it is good for.
    """

    name: str
    license: str
    megabytes: int
    parameters: float
    summary: str


ZOO: Final = {
    entry.name: entry
    for entry in (
        Entry("facebook/sam2.1-hiera-tiny", "Apache-2.0", 156, 38.9, "SAM 2.1, the fastest; the choice on a laptop."),
        Entry("facebook/sam2.1-hiera-small", "Apache-2.0", 184, 46.0, "SAM 2.1, slightly more exact than tiny."),
        Entry("facebook/sam2.1-hiera-base-plus", "Apache-2.0", 324, 80.8, "SAM 2.1, the balance on a small GPU."),
        Entry("facebook/sam2.1-hiera-large", "Apache-2.0", 898, 224.4, "SAM 2.1, the most exact; wants a GPU."),
    )
}
"""Sizes and parameter counts as published in the SAM 2 repository's README (2024-12)."""

BUILT_IN: Final = ("classical",)
"""Models that need no file."""


def models_folder() -> Path:
    """Where checkpoints are kept: ``NAPARI_SAM2_MODELS``, or the user's data folder."""
    given = os.environ.get("NAPARI_SAM2_MODELS")
    if given:
        return Path(given)
    from platformdirs import user_data_path

    return user_data_path("napari-sam2", appauthor=False) / "models"


def folder_of(name: str) -> Path:
    """The folder in which a checkpoint of the zoo lies once it has been fetched."""
    return models_folder() / name.replace("/", "--")


def find(name: str) -> tuple[Path, ModelCard]:
    """Folder and card of a checkpoint that is on this machine.

    Raises
    ------
    EnvironmentLacksError
        If it is not; the message says how to get it.
    UserInputError
        If there is no such model.
    """
    entry = _entry(name)
    folder = folder_of(name)
    if not all((folder / file).is_file() for file in FILES):
        raise EnvironmentLacksError(
            f"{name} is not on this machine; run 'napari-sam2 models fetch {name}' ({entry.megabytes} MB, "
            f"{entry.license}), or copy config.json and model.safetensors from another machine into a folder "
            f"and give that folder instead of the name."
        )
    manifest = _read_manifest(folder)
    return folder, ModelCard(name, "sam2", str(manifest.get("revision", "")), "", entry.license, entry.summary)


def fetch(name: str, *, revision: str = "main", report: Callable[[str], None] = lambda _: None) -> Path:
    """Download a checkpoint of the zoo; a broken download is resumed by calling again.

    Parameters
    ----------
    name : str
        One of `ZOO`.
    revision : str
        Branch, tag or commit on the hub; the commit it stands for is pinned in the manifest.
    report : callable
        Told what is happening, one sentence at a time.

    Raises
    ------
    EnvironmentLacksError
        If the hub cannot be reached; the message says how to bring the files by hand.
    """
    entry = _entry(name)
    folder = folder_of(name)
    try:
        from huggingface_hub import HfApi, hf_hub_download

        commit = HfApi().model_info(name, revision=revision, timeout=20).sha
        report(f"Fetching {name} at {commit} ({entry.megabytes} MB, {entry.license}).")
        for file in FILES:
            hf_hub_download(name, file, revision=commit, local_dir=folder)
    except Exception as error:
        # The hub's client raises a dozen kinds for "no network"; for the user they are one.
        raise EnvironmentLacksError(
            f"{name} could not be fetched ({type(error).__name__}); on a machine with internet download "
            f"config.json and model.safetensors from https://huggingface.co/{name}, copy them into {folder} "
            f"and run 'napari-sam2 models verify'."
        ) from error
    hashes = {file: sha256_of(folder / file) for file in FILES}
    (folder / MANIFEST).write_text(json.dumps({"name": name, "revision": commit, "sha256": hashes}, indent=1) + "\n")
    return folder


def verify(name: str) -> dict[str, str]:
    """Compare a checkpoint's files with the hashes that were pinned when it came.

    Returns
    -------
    dict
        SHA-256 by file. A folder copied by hand has no hashes yet: they are pinned now.

    Raises
    ------
    ModelError
        If a file has changed since.
    """
    folder, _ = find(name)
    hashes = {file: sha256_of(folder / file) for file in FILES}
    manifest = _read_manifest(folder)
    pinned = manifest.get("sha256")
    if not isinstance(pinned, dict):
        manifest = {"name": name, "revision": "", "sha256": hashes}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        return hashes
    for file, found in hashes.items():
        if pinned.get(file) != found:
            raise ModelError(f"{name}: {file} is not the file that was fetched (its SHA-256 differs); fetch it again.")
    return hashes


def _entry(name: str) -> Entry:
    if name not in ZOO:
        raise UserInputError(
            f"There is no model {name!r}; give a folder with a checkpoint, or one of {', '.join((*BUILT_IN, *ZOO))}."
        )
    return ZOO[name]


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
