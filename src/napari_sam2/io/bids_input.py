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
from napari_sam2.io.manifest import ManifestRow
from napari_sam2.io.prompt_file import check_prompt_file
from napari_sam2.io.read import check_image

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PROMPTS", "find_cases"]

PROMPTS: Final = Path("derivatives", "prompts")

_IMAGES: Final = (".nii.gz", ".nii")


def find_cases(
    dataset: Path,
    prompts: Path | None = None,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
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
        except UserInputError as error:
            faults += str(error).splitlines()
            continue
        rows.append(ManifestRow(len(rows) + 1, file.stem, image, prompts=file, subject=entities["sub"]))
    for key, labels in chosen_labels.items():
        faults += [f"There are no prompts for {key}-{label}." for label in sorted(labels - labels_there[key])]
    if faults:
        raise ManifestError(faults)
    return tuple(rows)


def _image_of(dataset: Path, prompts: Path) -> Path:
    for ending in _IMAGES:
        image = dataset / prompts.with_name(prompts.stem + ending)
        if image.is_file():
            return image
    raise UserInputError(f"{prompts.as_posix()}: the dataset has no such image, {prompts.stem}.nii.gz.")


def _labels(names: Sequence[str], prefix: str) -> set[str]:
    return {label.removeprefix(prefix) for label in names}
