"""The intensity window of a volume.

One mapping from intensities to [0, 1] for all of it.

It is never chosen per slice: SAM 2's memory compares slices, and the same tissue must look the same
in all of them. What is chosen is shown, can be changed, and is recorded with the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["CT_PRESETS", "Window", "choose_window", "is_ct", "without_padding"]

CT_PRESETS: Final[dict[str, tuple[float, float]]] = {
    "CT-soft": (40, 400),
    "CT-abdomen": (40, 400),
    "CT-mediastinum": (50, 350),
    "CT-lung": (-600, 1500),
    "CT-bone": (400, 1800),
    "CT-brain": (40, 80),
    "CT-subdural": (75, 215),
    "CT-stroke": (35, 40),
    "CT-temporal-bone": (600, 2800),
    "CT-neck": (40, 375),
    "CT-liver": (30, 150),
    "CT-spine": (50, 250),
    "CT-angio": (300, 600),
}
"""(level, width) in Hounsfield units, as in Radiopaedia's "Windowing (CT)"; CT-soft is MedSAM's."""

PERCENTILES: Final = (0.5, 99.5)
"""Of the finite, non-zero voxels without padding: the convention of MedSAM and nnU-Net for everything but CT."""

_AIR_HU: Final = (-1100, -600)
_BETWEEN_HU: Final = (-600, -250)
_SOFT_HU: Final = (-200, 300)
"""Hounsfield units of air and lung, of what lies between these and tissue, and of soft tissue with fat."""

_CLIPPED_AIR_HU: Final = (-1050, -950)
"""Where air stands when its noise was clipped away: -1000, or -1024 as the least that 12 bits can hold."""

_LEAST_AIR: Final = 0.001
_LEAST_SOFT: Final = 0.4
_LEAST_NEGATIVE: Final = 0.001
"""Shares of voxels that make a CT: with air, mostly soft tissue outside of it, and some of that (fat, noise) below
0. Phase and difference images reach below 0 too, but pile up at 0 or nowhere instead of at air."""

_LEAST_SHOWN: Final = 0.001
"""Share of voxels within a window that a file states."""

_MOST_EXTENT: Final = 10.0
"""Width of such a window over the range of the values."""

_WHOLE: Final = 0.01
"""Rounding that a header's scaling leaves in whole numbers."""

_PADDING_SHARE: Final = 0.0025
"""A value that fewer voxels have moves no percentile."""

_PADDING_ALONE: Final = (0.1, 0.25)
"""Padding stands alone: within this part of the range beside it lie fewer voxels than this part of its own."""

_SENTINEL_GAP: Final = 10.0
"""A bright sentinel lies this many ranges of all other values above them."""

_SAMPLE: Final = 2_000_000
"""Voxels looked at for percentiles; beyond that the window moves by less than a grey level."""


@dataclass(frozen=True, slots=True)
class Window:
    """A linear mapping of [low, high] to [0, 1].

    Anything outside is clipped.

    Attributes
    ----------
    low, high : float
        Intensities shown as black and white.
    name : str
        How it was chosen: a preset's name, ``"percentile"``, ``"file"``, ``"level/width"`` or ``"rgb"``.
    """

    low: float
    high: float
    name: str

    @property
    def level(self) -> float:
        """Centre of the window."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """Extent of the window."""
        return self.high - self.low

    def apply(self, intensities: NDArray[Any]) -> NDArray[np.float32]:
        """Map intensities of any shape to float32 in [0, 1].

        NaN and -inf become 0, +inf 1.
        """
        scaled: NDArray[np.float32] = (np.asarray(intensities, dtype=np.float32) - np.float32(self.low)) * np.float32(
            1 / (self.high - self.low)
        )
        finite = np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0)
        return np.clip(finite, 0.0, 1.0, out=finite)


def choose_window(volume: Volume, spec: str = "auto") -> Window:
    """The window for a volume.

    Parameters
    ----------
    volume : Volume
        What is to be shown to the model.
    spec : str
        ``"auto"``, a name of `CT_PRESETS` (any case), or level and width as ``"40/400"``.

    Raises
    ------
    UserInputError
        If `spec` is none of these, or the volume has no contrast to map.
    """
    if volume.is_rgb:
        if spec != "auto":
            raise UserInputError(
                f"{volume.source.name} holds RGB colours, which are used as they are; leave out the window {spec!r}."
            )
        return Window(0.0, 255.0, "rgb")
    if spec != "auto":
        return _parse(spec)
    stated = _stated_window(volume)
    if stated is not None:
        return stated
    if is_ct(volume):
        return _preset("CT-soft")
    return _percentile_window(volume)


def is_ct(volume: Volume) -> bool:
    """Whether intensities are Hounsfield units.

    The source says so, or the values are distributed like them.
    """
    if volume.source.modality:
        return volume.source.modality == "CT"
    sample, padding = without_padding(_sample(volume))
    is_whole = sample.dtype.kind != "f" or bool((np.abs(sample - np.rint(sample)) <= _WHOLE).all())
    return sample.size > 0 and is_whole and _is_like_ct(sample, padding)


def _is_like_ct(sample: NDArray[Any], padding: float | None) -> bool:
    """Whether whole numbers (N,) are spread as Hounsfield units are."""
    has_clipped_air = padding is not None and _CLIPPED_AIR_HU[0] <= padding <= _CLIPPED_AIR_HU[1]
    air = _share(sample, *_AIR_HU)
    has_air = has_clipped_air or (air >= _LEAST_AIR and air >= _share(sample, *_BETWEEN_HU))
    if not has_air or np.percentile(sample, PERCENTILES[0]) < _AIR_HU[0]:
        return False
    tissue = sample[sample > _BETWEEN_HU[1]]
    if tissue.size == 0:  # lung or air alone
        return True
    if _share(tissue, *_SOFT_HU) < _LEAST_SOFT:
        return False
    return float((tissue < 0).mean()) >= _LEAST_NEGATIVE


def without_padding(sample: NDArray[Any]) -> tuple[NDArray[Any], float | None]:
    """Leave out values that stand for nothing.

    A negative padding, or a sentinel far above everything else.

    Parameters
    ----------
    sample : (N,) array
        Finite values.

    Returns
    -------
    sample : (M,) array
        Without them.
    padding : float or None
        The negative value that was left out.
    """
    if sample.size:
        highest = sample.max()
        rest = sample[sample != highest]
        if rest.size and rest.min() < rest.max():
            # As Python's float: the range of a float32 sentinel would overflow.
            top, high, low = float(highest), float(rest.max()), float(rest.min())
            sample = rest if top - high > _SENTINEL_GAP * (high - low) else sample
    if sample.size == 0 or (lowest := sample.min()) >= 0:
        return sample, None
    rest = sample[sample != lowest]
    count = sample.size - rest.size
    if rest.size == 0 or rest.min() == rest.max() or count < _PADDING_SHARE * sample.size:
        return sample, None
    reach = float(lowest) + _PADDING_ALONE[0] * (float(rest.max()) - float(lowest))
    if np.count_nonzero(rest < reach) >= _PADDING_ALONE[1] * count:
        return sample, None
    return rest, float(lowest)


def _share(sample: NDArray[Any], low: float, high: float) -> float:
    return float(((sample >= low) & (sample < high)).mean())


def _preset(name: str) -> Window:
    level, width = CT_PRESETS[name]
    return Window(level - width / 2, level + width / 2, name)


def _parse(spec: str) -> Window:
    for name in CT_PRESETS:
        if spec.lower() in (name.lower(), name.lower().removeprefix("ct-")):
            return _preset(name)
    number = r"[-+]?\d+(?:\.\d+)?"
    match = re.fullmatch(rf"({number})/({number})", spec)
    if match is None:
        raise UserInputError(
            f"The window {spec!r} is not known; give 'auto', level/width such as 40/400, or one of "
            f"{', '.join(CT_PRESETS)}."
        )
    level, width = float(match[1]), float(match[2])
    if not (np.isfinite(level) and np.isfinite(width)):
        raise UserInputError("The window has a number that is too large; give level/width such as 40/400.")
    if width <= 0:
        raise UserInputError(f"The window {spec!r} has a width of {width:g}; it must be greater than 0.")
    return Window(level - width / 2, level + width / 2, "level/width")


def _stated_window(volume: Volume) -> Window | None:
    """The window that the file states; None without one, and where it shows next to nothing of the values."""
    display = volume.source.display
    if display is None or display.window is None:
        return None
    low, high = display.window
    values = _sample(volume)
    values = values[values != 0]
    if values.size == 0 or _share(values, low, high) < _LEAST_SHOWN:
        return None
    least, most = np.percentile(values, PERCENTILES)
    # Programs write the whole range of the number's type where nobody has chosen one.
    return Window(low, high, "file") if high - low <= _MOST_EXTENT * float(most - least) else None


def _percentile_window(volume: Volume) -> Window:
    sample = _sample(volume)
    if sample.size == 0:
        raise UserInputError(f"{volume.source.name} has no finite voxel, so there is nothing to segment.")
    values, _ = without_padding(sample)
    nonzero = values[values != 0]
    if nonzero.size == 0 or sample.min() == sample.max():
        raise UserInputError(
            f"{volume.source.name} has no contrast: every voxel is {sample[0]:g}, so there is nothing to segment."
        )
    low, high = (float(value) for value in np.percentile(nonzero, PERCENTILES))
    if high <= low:
        # A few bright voxels on a constant background: the percentiles coincide, the extremes do not.
        low, high = float(sample.min()), float(sample.max())
    return Window(low, high, "percentile")


def _sample(volume: Volume) -> NDArray[Any]:
    """Finite voxels: all of them in a small volume, an evenly spread sample of a large one."""
    flat = volume.voxels.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    finite = np.isfinite(sample)
    return sample if finite.all() else sample[finite]
