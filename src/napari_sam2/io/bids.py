"""BIDS derivatives: names of label maps and the files of a dataset.

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
from napari_sam2.io.label_set import check_label_set, write_label_set
from napari_sam2.io.sidecar import sidecar_paths

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.io.sidecar import Provenance

__all__ = ["MAKER", "BidsName", "files_of_derivative", "write_bids_derivative", "write_dataset_files"]

BIDS_VERSION: Final = "1.10.0"
MAKER: Final = "napari-sam2"
"""As ``GeneratedBy`` of a dataset names this program."""
CODE_URL: Final = "https://pypi.org/project/napari-sam2/"

_ENTITY_ORDER: Final = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain", "rec", "dir", "run", "mod", "echo", "flip",
    "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg", "res", "den", "label", "desc",
)  # fmt: skip
"""As in ``schema/rules/entities.yaml`` of BIDS 1.10; a name with any other entity is refused, since two images that
differ in it alone would get one label map."""


class _UnknownEntityError(UserInputError):
    """A BIDS name with an entity that the standard does not know."""


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
            if match is None or match[1] in entities:
                break
            entities[match[1]] = match[2]
        if len(entities) != len(pairs) or "sub" not in entities or "-" in suffix:
            raise UserInputError(f"{name} is not a BIDS name such as sub-01_ses-02_T1w.nii.gz; give the subject.")
        unknown = [key for key in entities if key not in _ENTITY_ORDER]
        if unknown:
            raise _UnknownEntityError(f"{name} has the entity {unknown[0]!r}, which BIDS does not know; rename it.")
        return cls(entities, suffix)

    def derivative(self, description: str) -> Path:
        """Path of the label map in a derivative, without its ending.

        It is relative to the derivative's root.
        """
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
    target = files_of_derivative(volume.source.name, base, subject=subject, description=description)[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    check_label_set(target, volume, overwrite=overwrite)
    written = write_dataset_files(base)
    return [*written, *write_label_set(labels, volume, target, provenance, overwrite=overwrite)]


def files_of_derivative(
    source_name: str, root: str | os.PathLike[str], *, subject: str = "", description: str = ""
) -> list[Path]:
    """Label map and sidecars of a derivative.

    Parameters and errors as in `write_bids_derivative`.
    """
    name = _name(source_name, subject)
    description = description or re.sub("[^a-zA-Z0-9]", "", name.suffix) or "manual"
    if not re.fullmatch("[a-zA-Z0-9]+", description):
        raise UserInputError(f"The BIDS description {description!r} may hold letters and digits only.")
    stem = Path(root) / name.derivative(description)
    target = stem.with_name(stem.name + ".nii.gz")
    return [target, *sidecar_paths(target)]


def _name(source: str, subject: str) -> BidsName:
    if not subject:
        return BidsName.parse(source)
    subject = subject.removeprefix("sub-")
    if not re.fullmatch("[a-zA-Z0-9]+", subject):
        raise UserInputError(f"The BIDS subject {subject!r} may hold letters and digits only.")
    try:
        parsed = BidsName.parse(source)
    except _UnknownEntityError:
        raise
    except UserInputError:
        return BidsName({"sub": subject}, "")
    return BidsName({**parsed.entities, "sub": subject}, parsed.suffix)


def write_dataset_files(root: Path, *, links: Mapping[str, str] | None = None) -> list[Path]:
    """Make the root's description and README if they are missing.

    They are never changed.

    Parameters
    ----------
    root : Path
        The derivative dataset; it exists.
    links : mapping of str to str, optional
        Other datasets by the name that ``bids:NAME:path`` gives them: their paths relative to `root`.

    Returns
    -------
    list of Path
        The files made.
    """
    written = []
    description = root / "dataset_description.json"
    if not description.exists():
        facts = {
            "Name": "napari-sam2 segmentations",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "License": "n/a",
            "GeneratedBy": [{"Name": MAKER, "Version": __version__, "CodeURL": CODE_URL}],
            **({"DatasetLinks": dict(links)} if links else {}),
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
