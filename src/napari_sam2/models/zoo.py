"""Models by name: where they lie, how they are fetched and verified.

Nothing is downloaded unless `fetch` is called. A fetched or copied checkpoint lies in a folder of its own
under `models_folder`, with a ``manifest.json`` that pins its revision and the SHA-256 of its files.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.base import ModelCard
from napari_sam2.models.checkpoint import CONFIG, PREPARATION, WEIGHTS, files_of
from napari_sam2.models.family import Entry
from napari_sam2.models.registry import BUILT_IN, ZOO, load_folder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BUILT_IN",
    "ZOO",
    "Entry",
    "describe",
    "fetch",
    "find",
    "folder_of",
    "import_checkpoint",
    "is_here",
    "models_folder",
    "own_models",
    "verify",
]

MANIFEST: Final = "manifest.json"
FILES: Final = (CONFIG, WEIGHTS)
BESIDE: Final = ("card.md", "report.json", "curve.png", "split.json")
"""What a tuning says of its model."""


def models_folder() -> Path:
    """Where checkpoints are kept: ``NAPARI_SAM2_MODELS``, or the user's data folder."""
    chosen = os.environ.get("NAPARI_SAM2_MODELS")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path

    return user_data_path("napari-sam2", appauthor=False) / "models"


def folder_of(name: str) -> Path:
    """The folder of a checkpoint of the zoo.

    It lies there once it has been fetched.
    """
    return models_folder() / name.replace("/", "--")


def is_here(name: str) -> bool:
    """Whether a checkpoint of the zoo is on this machine.

    In a folder that may be read.
    """
    try:
        return all((folder_of(name) / file).is_file() for file in FILES)
    except OSError:
        return False


def own_models() -> list[str]:
    """Names of imported and tuned checkpoints in `models_folder`."""
    fetched = {folder_of(name).name for name in ZOO}
    folder = models_folder()
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if path.name not in fetched)
    return [name for name in names if is_here(name)]


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
    if not is_here(name):
        raise EnvironmentLacksError(
            f"{name} is not on this machine; run 'napari-sam2 models fetch {name}' ({entry.megabytes} MB, "
            f"{entry.license}), or copy config.json and model.safetensors from another machine into a folder "
            f"and give that folder instead of the name."
        )
    manifest = _read_manifest(folder)
    return folder, ModelCard(name, "", str(manifest.get("revision", "")), "", entry.license, entry.summary)


def fetch(name: str, *, revision: str = "main", report: Callable[[str], None] = lambda _: None) -> Path:
    """Download a checkpoint of the zoo.

    A broken download is resumed by calling again.

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
    if name not in ZOO:
        raise UserInputError(f"{name} was imported from a file; there is nothing to fetch.")
    folder = folder_of(name)
    files = (entry.official,) if entry.official else (*FILES, *([PREPARATION] if entry.prepared else []))
    try:
        from huggingface_hub import HfApi, hf_hub_download

        commit = HfApi().model_info(name, revision=revision, timeout=20).sha
        report(f"Fetching {name} at {commit} ({entry.megabytes} MB, {entry.license}).")
        for file in files:
            hf_hub_download(name, file, revision=commit, local_dir=folder)
    except Exception as error:
        # The hub's client raises a dozen kinds for "no network"; for the user they are one.
        then = (
            f"and run 'napari-sam2 models import {entry.official}'."
            if entry.official
            else f"copy them into {folder} and run 'napari-sam2 models verify {name}'."
        )
        ask = (
            f" ask for access at https://huggingface.co/{name}, run 'hf auth login' and try again, or"
            if entry.gated
            else ""
        )
        raise EnvironmentLacksError(
            f"{name} could not be fetched ({type(error).__name__});{ask} on a machine with internet download "
            f"{' and '.join(files)} from https://huggingface.co/{name}, {then}"
        ) from error
    if entry.official:
        return _convert_fetched(entry, folder, str(commit))
    _refuse_pages(folder)
    hashes = {file: sha256_of(folder / file) for file in files_of(folder)}
    _write_manifest(folder, {"name": name, "revision": commit, "license": entry.license, "sha256": hashes})
    return folder


def _refuse_pages(folder: Path) -> None:
    """Remove downloads that are not what they are named: a proxy may have answered with a page.

    Raises
    ------
    ModelError
        Naming the file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
        with safe_open(folder / FILES[1], framework="pt"):
            pass
    except (SafetensorError, ValueError, RecursionError) as error:
        wrong = FILES[1] if isinstance(error, SafetensorError) else FILES[0]
        for file in FILES:
            (folder / file).unlink()
        raise ModelError(
            f"What came as {wrong} is something else, perhaps a page of your network's proxy; fetch it again."
        ) from error


def _convert_fetched(entry: Entry, folder: Path, commit: str) -> Path:
    from napari_sam2.models.official import convert_official

    fetched = folder / entry.official
    convert_official(fetched, folder, input_size=entry.input_size, license_id=entry.license)
    fetched.unlink()
    _write_manifest(folder, {**_read_manifest(folder), "name": entry.name, "revision": commit})
    return folder


def verify(name: str) -> dict[str, str]:
    """Compare a checkpoint's files with their pinned hashes.

    Hashes were pinned when it came.

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
    hashes = {file: sha256_of(folder / file) for file in files_of(folder)}
    manifest = _read_manifest(folder)
    pinned = manifest.get("sha256")
    if not isinstance(pinned, dict):
        manifest = {"name": name, "revision": "", "sha256": hashes}
        _write_manifest(folder, manifest)
        return hashes
    for file in {**hashes, **pinned}:
        if pinned.get(file) != hashes.get(file):
            raise ModelError(f"{name}: {file} is not the file that was fetched (its SHA-256 differs); fetch it again.")
    return hashes


def describe(name: str) -> str:
    """What a person should know before `fetch`.

    Size, licence and its terms, in one sentence each.

    Raises
    ------
    UserInputError
        If there is no such model.
    """
    entry = _entry(name)
    return f"{name}: {entry.summary} {entry.megabytes} MB to download. Licence {entry.license}: {entry.terms}"


def import_checkpoint(path: Path, name: str = "", *, input_size: int | None = None) -> Path:
    """Convert an official ``.pt`` checkpoint, or take in a folder.

    It can be loaded by `name` or folder afterwards.

    Parameters
    ----------
    path : Path
        A file of Meta's layout, see `napari_sam2.models.registry.convertible`, or a folder with a checkpoint, such as
        one of ``napari-sam2 tune``.
    name : str
        What the user will type; the name of the file without its ending, or of the folder, by default.
    input_size : int, optional
        Side in pixels it was trained for; 512 for MedSAM2's files, 1024 for all others by default.

    Returns
    -------
    Path
        The folder of the converted checkpoint.

    Raises
    ------
    UserInputError
        If there is no such file, or the name is taken.
    ModelError
        If the file holds more than weights, or weights of another network.
    """
    from napari_sam2.models.official import convert_official

    name = name or (path.resolve().name if path.is_dir() else path.stem)
    if not path.exists():
        raise UserInputError(f"There is no file {path.name}; give the path of an official .pt file, or a folder.")
    if name in ZOO or name in BUILT_IN or Path(name).name != name:
        raise UserInputError(f"{name!r} cannot be the name of an imported model; give another one.")
    if path.is_dir():
        return _take_in(path, folder_of(name))
    marked = (entry for entry in ZOO.values() if entry.file_mark and entry.file_mark in path.name.lower())
    like = next(marked, Entry("", "", 0, 0.0, ""))
    return convert_official(path, folder_of(name), input_size=input_size or like.input_size, license_id=like.license)


def _take_in(checkpoint: Path, folder: Path) -> Path:
    """Copy a folder that holds a model, with its card, under a name that is free."""
    import torch

    if folder.exists():
        raise UserInputError(f"There is a model {folder.name} already; give another name.")
    load_folder(checkpoint, torch.device("cpu"))
    coming = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(parents=True)
    for name in (*files_of(checkpoint), *(each for each in BESIDE if (checkpoint / each).is_file())):
        shutil.copyfile(checkpoint / name, coming / name)
    coming.rename(folder)
    return folder


def _entry(name: str) -> Entry:
    if name not in ZOO:
        imported = folder_of(name)
        if all((imported / file).is_file() for file in FILES):
            license_id = str(_read_manifest(imported).get("license", ""))
            return Entry(name, license_id, 0, 0.0, "An imported checkpoint.", terms="See where it came from.")
        raise UserInputError(
            f"There is no model {name!r}; give a folder with a checkpoint, or one of {', '.join((*BUILT_IN, *ZOO))}."
        )
    return ZOO[name]


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _write_manifest(folder: Path, manifest: dict[str, object]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
