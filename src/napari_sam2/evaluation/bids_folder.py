"""Which image of a BIDS folder a label map is of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.bids import BidsName

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

__all__ = ["labelled_images"]

_LABELS: Final = "_dseg.nii.gz"
_NO_IMAGES: Final = (_LABELS, "_probseg.nii.gz", "_mask.nii.gz")


def labelled_images(folder: Path, channels: Collection[str] = ()) -> list[tuple[Path, Path, str]]:
    """Images with a label map anywhere below a folder.

    Parameters
    ----------
    folder : Path
        A BIDS dataset or a derivative.
    channels : collection of str
        Suffixes of images that are channels of others, so that no label map is of them.

    Returns
    -------
    list of (Path, Path, str)
        Image, label map, and subject such as ``sub-01``.

    Raises
    ------
    UserInputError
        With a sentence for each label map that may belong to several images, or names one that is not there.
    """
    images: dict[str, list[Path]] = {}
    for image in sorted(folder.rglob("sub-*.nii.gz")):
        if not image.name.endswith(_NO_IMAGES):
            images.setdefault(image.name, []).append(image)
    entities = {name: BidsName.parse(name).entities for name in images}
    found, faults = [], []
    for labels in sorted(folder.rglob(f"sub-*{_LABELS}")):
        own = BidsName.parse(labels.name).entities
        wanted = {key: value for key, value in own.items() if key not in ("desc", "space")}
        names = [name for name, of in entities.items() if {k: v for k, v in of.items() if k != "desc"} == wanted]
        if not names:
            continue
        try:
            name = _meant(labels, names, channels)
            image = _only_copy(labels, images[name], folder)
        except UserInputError as error:
            faults.append(str(error))
            continue
        found.append((image, labels, f"sub-{own['sub']}"))
    if faults:
        raise UserInputError("\n".join(faults))
    return found


def _meant(labels: Path, names: Sequence[str], channels: Collection[str]) -> str:
    """The name of the image that a label map is of.

    What the file beside it says, or its description (``desc-T1w``), or the one that is no channel.
    """
    told = [source.rpartition("/")[2] for source in _sources(labels)]
    told = [name for name in told if name.endswith(".nii.gz") and not name.endswith(_NO_IMAGES)]
    if told and not any(name in names for name in told):
        raise UserInputError(
            f"{labels.name}: 'Sources' in the .json beside it names {told[0]}, which is not here; by its name "
            f"{' or '.join(names)} would fit. Add the image, or correct 'Sources'."
        )
    description = BidsName.parse(labels.name).entities.get("desc")
    suffixes = {name: BidsName.parse(name).suffix for name in names}
    ways = (
        names,
        [name for name in names if name in told],
        [name for name in names if suffixes[name] == description],
        [name for name in names if suffixes[name] not in channels],
    )
    only = next((way for way in ways if len(way) == 1), None)
    if only is None:
        raise UserInputError(
            f"{labels.name} may belong to {' or '.join(names)}; name one under 'Sources' in the .json beside it."
        )
    return only[0]


def _only_copy(labels: Path, copies: Sequence[Path], folder: Path) -> Path:
    """The image among files of one name in several folders.

    Copies of one content are one image; otherwise the one whose place or hash is named beside the labels.
    """
    if len(copies) == 1:
        return copies[0]
    hashes = {copy: sha256_of(copy) for copy in copies}
    if len(set(hashes.values())) == 1:
        return copies[0]
    sources = _sources(labels)
    named = [
        copy
        for copy in copies
        if f"sha256:{hashes[copy]}" in sources or any(_is_place_of(source, copy, folder) for source in sources)
    ]
    if len(named) == 1:
        return named[0]
    places = " and ".join(copy.relative_to(folder).as_posix() for copy in copies)
    raise UserInputError(
        f"{labels.name} may belong to any of {places}, which differ; name one under 'Sources' in the .json beside it, "
        "with its folder."
    )


def _is_place_of(source: str, copy: Path, folder: Path) -> bool:
    """Whether a source such as ``bids::sub-01/anat/sub-01_T1w.nii.gz`` names this file from the folder on."""
    return "/" in source and source.rpartition(":")[2] == copy.relative_to(folder).as_posix()


def _sources(labels: Path) -> list[str]:
    """What a label map's file says that it was made from, with the hash of its image."""
    beside = labels.with_name(labels.name.replace(".nii.gz", ".json"))
    try:
        facts: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        named = facts.get("Sources", [])
        sources = [named] if isinstance(named, str) else [str(source) for source in named]
        about = facts.get("Source")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []
    return [*sources, f"sha256:{about.get('sha256')}"] if isinstance(about, dict) else sources
