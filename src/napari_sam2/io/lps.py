"""Converting between LPS+ and RAS+.

LPS+ is of DICOM, ITK and NRRD, RAS+ of NIfTI and this program; nothing else converts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["affine_from_lps", "lps_from_affine"]

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_from_lps(directions: ArrayLike, origin: ArrayLike) -> NDArray[np.float64]:
    """Put an LPS grid into a RAS+ affine.

    Parameters
    ----------
    directions : (3, 3) array-like
        Column v is the step from one voxel to the next along voxel axis v, in mm, LPS.
    origin : (3,) array-like
        Centre of voxel (0, 0, 0), in mm, LPS.
    """
    affine = np.eye(4)
    affine[:3, :3] = directions
    affine[:3, 3] = origin
    return _FLIP @ affine


def lps_from_affine(affine: ArrayLike) -> NDArray[np.float64]:
    """Turn a RAS+ affine into the LPS one of the same grid."""
    return _FLIP @ np.asarray(affine, dtype=np.float64)
