"""Cases of a BIDS dataset.

Images that have a prompt file in a folder laid out like the dataset.

``derivatives/prompts/sub-01/anat/sub-01_T1w.json`` belongs to ``sub-01/anat/sub-01_T1w.nii.gz``. What no prompts are
given for is not segmented.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.io.bids import BidsName
from napari_sam2.io.channel_file import ChannelFile
from napari_sam2.io.manifest import ManifestRow
from napari_sam2.io.prompt_file import check_prompt_file
from napari_sam2.io.read import check_image

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PROMPTS", "channel_beside", "check_suffixes", "find_cases"]

PROMPTS: Final = Path("derivatives", "prompts")

_IMAGES: Final = (".nii.gz", ".nii")

_FREE: Final = ("ce", "acq", "run", "rec", "trc")
"""Entities in which a channel may differ from its scan: contrast agent, protocol, run, reconstruction, tracer."""


def find_cases(
    dataset: Path,
    prompts: Path | None = None,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    channels: Sequence[str] = (),
) -> tuple[ManifestRow, ...]:
    """Find the images of a dataset that have prompts.

    Parameters
    ----------
    dataset : Path
        The root, with ``dataset_description.json``.
    prompts : Path, optional
        The folder of prompt files; `PROMPTS` in the dataset by default.
    participants, sessions : sequence of str
        Only these labels, with or without ``sub-`` and ``ses-``; all by default.
    channels : sequence of str
        Suffixes of other images of the same session, such as ``T2w``, which are channels of each.

    Returns
    -------
    tuple of ManifestRow
        By name; a case is called as its image, the line is its place.

    Raises
    ------
    UserInputError
        If it is no dataset, or has no prompts.
    ManifestError
        With one sentence for each prompt file without an image, wrong file, or label that is not there.
    """
    if not (dataset / "dataset_description.json").is_file():
        raise UserInputError(f"{dataset.name} holds no dataset_description.json; give the root of a BIDS dataset.")
    folder = dataset / PROMPTS if prompts is None else prompts
    files = sorted(folder.glob("sub-*/**/sub-*.json"))
    if not files:
        raise UserInputError(
            f"There is no prompt file such as {PROMPTS.as_posix()}/sub-01/anat/sub-01_T1w.json; make some, or say with "
            "--prompts where they are."
        )
    check_suffixes(channels)
    chosen_labels = {"sub": _labels(participants, "sub-"), "ses": _labels(sessions, "ses-")}
    faults: list[str] = []
    rows: list[ManifestRow] = []
    labels_there: dict[str, set[str]] = {"sub": set(), "ses": set()}
    for file in files:
        try:
            entities = BidsName.parse(file.name).entities
            for key, labels in labels_there.items():
                labels.add(entities.get(key, ""))
            if any(labels and entities.get(key, "") not in labels for key, labels in chosen_labels.items()):
                continue
            image = _image_of(dataset, file.relative_to(folder))
            check_image(image)
            check_prompt_file(file)
            further = [channel_beside(image, suffix) for suffix in channels]
        except UserInputError as error:
            faults += str(error).splitlines()
            continue
        rows.append(
            ManifestRow(len(rows) + 1, file.stem, image, prompts=file, channels=tuple(further), subject=entities["sub"])
        )
    for key, labels in chosen_labels.items():
        faults += [f"There are no prompts for {key}-{label}." for label in sorted(labels - labels_there[key])]
    if faults:
        raise ManifestError(faults)
    return tuple(rows)


def _image_of(dataset: Path, prompts: Path) -> Path:
    images = [dataset / prompts.with_name(prompts.stem + ending) for ending in _IMAGES]
    there = [image for image in images if image.is_file()]
    if len(there) > 1:
        raise UserInputError(
            f"{prompts.as_posix()}: the dataset has {' and '.join(image.name for image in there)}; keep one of them."
        )
    if not there:
        raise UserInputError(f"{prompts.as_posix()}: the dataset has no such image, {prompts.stem}.nii.gz.")
    return there[0]


def check_suffixes(suffixes: Sequence[str]) -> None:
    """Refuse what no channel's suffix can be.

    Raises
    ------
    UserInputError
        If one is not of letters and digits, or is given twice.
    """
    for number, suffix in enumerate(suffixes):
        if not (suffix.isascii() and suffix.isalnum()):
            raise UserInputError(
                f"--channel-suffix {suffix!r}: give a suffix of BIDS, of letters and digits, such as T2w."
            )
        if suffix in suffixes[:number]:
            raise UserInputError(f"--channel-suffix {suffix} is given twice; give each suffix once.")


def channel_beside(image: Path, suffix: str) -> ChannelFile:
    """The image beside another that is a channel of it.

    It differs in its suffix, or also in what was given (``ce``, ``acq``, ``run``).

    Raises
    ------
    UserInputError
        If there is not exactly one, or it cannot be read.
    """
    own = BidsName.parse(image.name)
    others = [path for path in sorted(image.parent.glob(f"sub-*_{suffix}.nii*")) if path.name.endswith(_IMAGES)]
    same = [path for path in others if _differs_only_in(BidsName.parse(path.name), own, ())]
    fitting = same or [path for path in others if _differs_only_in(BidsName.parse(path.name), own, _FREE)]
    fitting = [path for path in fitting if path != image]
    if len(fitting) != 1:
        found = f"{len(fitting)} such images" if fitting else "no such image"
        raise UserInputError(f"{image.name}: there is {found} with the suffix {suffix} beside it; a channel is one.")
    check_image(fitting[0])
    return ChannelFile(fitting[0], suffix)


def _differs_only_in(one: BidsName, other: BidsName, free: tuple[str, ...]) -> bool:
    keys = (one.entities.keys() | other.entities.keys()) - set(free)
    return all(one.entities.get(key) == other.entities.get(key) for key in keys)


def _labels(names: Sequence[str], prefix: str) -> set[str]:
    return {label.removeprefix(prefix) for label in names}
