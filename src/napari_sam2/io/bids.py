"""BIDS derivatives: where a label map of a BIDS image lies, and the files that make the folder valid.

``<root>/sub-x/[ses-x/]anat/sub-x[_ses-x][...]_desc-<desc>_dseg.nii.gz`` with ``.json`` and ``.tsv``
beside it, and ``dataset_description.json`` at the root (BIDS 1.10, "Imaging derivatives").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text
from napari_sam2.io.labels import write_labels
from napari_sam2.io.sidecar import Provenance, write_sidecars

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["BidsName", "write_bids_derivative"]

BIDS_VERSION: Final = "1.10.0"
CODE_URL: Final = "https://pypi.org/project/napari-sam2/"

_ENTITY_ORDER: Final = ("sub", "ses", "task", "acq", "ce", "trc", "rec", "dir", "run", "mod", "echo", "space", "desc")


@dataclass(frozen=True, slots=True)
class BidsName:
    """The parts of a BIDS file name.

    Attributes
    ----------
    entities : dict of str
        ``{"sub": "01", "ses": "02"}``, in the order of the standard.
    suffix : str
        ``"T1w"``.
    """

    entities: dict[str, str]
    suffix: str

    @classmethod
    def parse(cls, name: str) -> BidsName:
        """Take a file name apart.

        Raises
        ------
        UserInputError
            If it is not one of BIDS.
        """
        stem = name.split(".", maxsplit=1)[0]
        *pairs, suffix = stem.split("_")
        entities = {}
        for pair in pairs:
            match = re.fullmatch(r"([a-zA-Z]+)-([a-zA-Z0-9+]+)", pair)
            if match is None:
                break
            entities[match[1]] = match[2]
        if len(entities) != len(pairs) or "sub" not in entities or "-" in suffix:
            raise UserInputError(f"{name} is not a BIDS name such as sub-01_ses-02_T1w.nii.gz; give the subject.")
        return cls(entities, suffix)

    def derivative(self, description: str) -> Path:
        """Path of the label map, relative to the derivative's root and without its ending."""
        entities = {k: self.entities[k] for k in _ENTITY_ORDER if k in self.entities} | {"desc": description}
        name = "_".join([*(f"{key}-{value}" for key, value in entities.items()), "dseg"])
        folder = Path(f"sub-{entities['sub']}")
        if "ses" in entities:
            folder /= f"ses-{entities['ses']}"
        return folder / "anat" / name


def write_bids_derivative(
    labels: NDArray[Any],
    volume: Volume,
    root: str | os.PathLike[str],
    provenance: Provenance,
    *,
    subject: str = "",
    description: str = "",
    overwrite: bool = False,
) -> list[Path]:
    """Write labels, sidecars and what the derivative dataset needs.

    Parameters
    ----------
    labels : (I, J, K) array of integers
        On the grid of `volume`.
    volume : Volume
        Its source's name gives the entities.
    root : path-like
        The derivative dataset, for example ``derivatives/napari-sam2``; made if missing.
    provenance : Provenance
        How the labels were made.
    subject : str
        Letters and digits; needed when the source has no BIDS name, and replaces its subject otherwise.
    description : str
        ``desc`` entity; by default the source's suffix, so that labels of T1w and T2w do not collide.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If there is no subject, or a file cannot be written.
    """
    base = Path(root)
    name = _name(volume.source.name, subject)
    description = description or re.sub("[^a-zA-Z0-9]", "", name.suffix) or "manual"
    if not re.fullmatch("[a-zA-Z0-9]+", description):
        raise UserInputError(f"The BIDS description {description!r} may hold letters and digits only.")
    stem = base / name.derivative(description)
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = _dataset_files(base)
    out = write_labels(labels, volume, stem.with_name(stem.name + ".nii.gz"), overwrite=overwrite)
    return [*written, out, *write_sidecars(out, labels, volume, provenance, overwrite=overwrite)]


def _name(source: str, subject: str) -> BidsName:
    if not subject:
        return BidsName.parse(source)
    subject = subject.removeprefix("sub-")
    if not re.fullmatch("[a-zA-Z0-9]+", subject):
        raise UserInputError(f"The BIDS subject {subject!r} may hold letters and digits only.")
    try:
        found = BidsName.parse(source)
    except UserInputError:
        return BidsName({"sub": subject}, "")
    return BidsName({**found.entities, "sub": subject}, found.suffix)


def _dataset_files(root: Path) -> list[Path]:
    """Make the root's description and README if they are missing; they are never changed."""
    written = []
    description = root / "dataset_description.json"
    if not description.exists():
        facts = {
            "Name": "napari-sam2 segmentations",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "License": "n/a",
            "GeneratedBy": [{"Name": "napari-sam2", "Version": __version__, "CodeURL": CODE_URL}],
        }
        written.append(write_text(description, json.dumps(facts, indent=1) + "\n"))
    readme = root / "README"
    if not any(root.glob("README*")):
        text = (
            "Label maps made with napari-sam2.\n\nEach .nii.gz file lies on exactly the grid of its image. The .tsv "
            "beside it lists structures, colours and volumes; the .json says from which image, with which model and "
            "from which prompts it was made.\n\nResearch only. Not for diagnosis or treatment.\n"
        )
        written.append(write_text(readme, text))
    return written
