"""Quality settings of SAM 2: speed against exactness of the boundary.

What counts for a boundary is the mask grid, whose cells are a quarter of the input's side: over a whole
slice of 256 voxels a 1024-pixel view has one cell per voxel, a 512-pixel view one cell per 2 x 2 voxels.
A view that follows the object spends the same pixels on the object alone. `docs/performance.md` holds
what each setting costs and how exact it can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.models.base import ViewPolicy

if TYPE_CHECKING:
    import torch

__all__ = ["QUALITIES", "Quality", "choose_quality", "fitted_size", "refuse_other_sizes"]

CELLS_PER_PIXEL: Final = 4
"""Pixels of the input per cell of the mask grid, in every SAM 2."""

SMALLEST_INPUT: Final = 256
"""Pixels; below this objects are smaller than anything SAM 2 was trained on."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One setting.

    Attributes
    ----------
    name : str
        What the user types.
    input_size : int, optional
        Side of the views in pixels; None is the checkpoint's own.
    policy : ViewPolicy
        The whole slice, or a square that follows the object.
    half : bool
        Whether numbers are multiplied in bfloat16 where the processor has it.
    meaning : str
        One sentence for people.
    """

    name: str
    input_size: int | None
    policy: ViewPolicy
    half: bool
    meaning: str


QUALITIES: Final = {
    quality.name: quality
    for quality in (
        Quality(
            "fast",
            512,
            ViewPolicy(zoom=False, fit=True, quality="fast"),
            True,
            "The whole slice at 512 pixels, in bfloat16.",
        ),
        Quality(
            "balanced",
            512,
            # Twice the object: as exact as 1024 pixels on the whole slice up to a quarter of its side.
            # Smaller views would give a voxel more than two cells of the mask grid, which helps nothing.
            ViewPolicy(
                zoom=True,
                factor=2.0,
                follow_factor=2.0,
                min_side=512 / CELLS_PER_PIXEL / 2,
                slack=1.6,
                quality="balanced",
            ),
            True,
            "512 pixels on a square around the object, which follows it, in bfloat16.",
        ),
        Quality(
            "best",
            None,
            ViewPolicy(zoom=False, quality="best"),
            False,
            "The whole slice at the checkpoint's own size.",
        ),
    )
}
"""From the fastest to the one that does exactly what the checkpoint was trained for."""


def choose_quality(name: str, device: torch.device) -> Quality:
    """The setting of a name.

    ``"auto"`` is ``best`` on a CUDA device and ``balanced`` elsewhere.

    Raises
    ------
    UserInputError
        If there is no such setting.
    """
    if name == "auto":
        name = "best" if device.type == "cuda" else "balanced"
    if name not in QUALITIES:
        raise UserInputError(f"There is no quality {name!r}; choose auto, {', '.join(QUALITIES)}.")
    return QUALITIES[name]


def refuse_other_sizes(family: str, own_size: int, quality: str, input_size: int | None) -> None:
    """Refuse other sizes for a model that has one.

    Such a model looks at whole slices at one size only.

    Parameters
    ----------
    family : str
        What people call such models.
    own_size : int
        The side in pixels that the checkpoint was trained for.
    quality, input_size
        As given to `napari_sam2.models.load_model`.

    Raises
    ------
    UserInputError
        If anything but ``"best"`` or ``"auto"``, or another size, was asked for.
    """
    if quality not in (*QUALITIES, "auto"):
        raise UserInputError(f"There is no quality {quality!r}; choose auto or best.")
    if quality not in ("auto", "best"):
        raise UserInputError(
            f"{family} answers at {own_size} pixels on the whole slice only, so there is no quality {quality!r}; "
            f"choose auto or best."
        )
    if input_size not in (None, own_size):
        raise UserInputError(f"{family} answers at {own_size} pixels only; got an input size of {input_size}.")


def fitted_size(longest: float, input_size: int) -> int:
    """The input size at which a whole slice is worth looking at.

    Parameters
    ----------
    longest : float
        The longer side of the slice, in voxels of the finer spacing.
    input_size : int
        The size that was chosen; never exceeded.

    Returns
    -------
    int
        A multiple of 32 with one cell of the mask grid per voxel; more would only enlarge what is not there.
    """
    enough = -(-int(CELLS_PER_PIXEL * longest) // 32) * 32
    return min(input_size, max(enough, SMALLEST_INPUT))
