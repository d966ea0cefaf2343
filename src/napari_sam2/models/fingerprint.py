"""Which model a name stands for, by its files' hash.

The model is not loaded.
"""

from __future__ import annotations

from pathlib import Path

from napari_sam2.errors import UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.checkpoint import files_of
from napari_sam2.models.registry import FAMILIES
from napari_sam2.models.zoo import find

__all__ = ["fingerprint"]


def fingerprint(name: str) -> str:
    """SHA-256 of a model's files; its name where it has none.

    Parameters
    ----------
    name : str
        As for `napari_sam2.models.load_model`.

    Raises
    ------
    UserInputError
        If there is no such model.
    EnvironmentLacksError
        If it is not on this machine.
    """
    path = Path(name)
    for family in FAMILIES:
        if name == family.built_in:
            files = sorted(Path(__file__).parent.glob(family.weights)) if family.weights else []
            return sha256_of(*files) if files else name
        if family.file_suffix and path.suffix == family.file_suffix:
            if not path.is_file():
                raise UserInputError(f"There is no file {path.name}; give a model by its name, folder or weight file.")
            return sha256_of(path)
    folder = path if path.is_dir() else find(name)[0]
    return sha256_of(*(folder / file for file in files_of(folder)))
