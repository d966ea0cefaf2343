"""Small real scans with known labels.

They are shipped with the package; sources and licences are in README.md.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from napari_sam2.errors import UserInputError

__all__ = ["SAMPLES", "sample"]

SAMPLES: Final[dict[str, dict[int, str]]] = {
    "ct_abdomen": {
        1: "spleen",
        2: "right kidney",
        3: "left kidney",
        5: "liver",
        6: "stomach",
        21: "urinary bladder",
        29: "vertebra L3",
        52: "aorta",
        77: "left hip",
    },
    "mr_spine": {1: "spinal cord"},
}
"""Name of the sample -> its structures by label id."""


def sample(name: str) -> tuple[Path, Path, dict[int, str]]:
    """Find a sample scan.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`.

    Returns
    -------
    image_path, labels_path : Path
        NIfTI files on the same grid.
    label_names : dict of int to str
        The structure behind each id.

    Raises
    ------
    UserInputError
        If there is no such sample.
    """
    if name not in SAMPLES:
        raise UserInputError(f"There is no sample {name!r}; choose one of {', '.join(SAMPLES)}.")
    folder = Path(str(files(__name__)))
    return folder / f"{name}.nii.gz", folder / f"{name}_labels.nii.gz", dict(SAMPLES[name])
