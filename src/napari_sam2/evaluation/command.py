"""Third-party predictors.

Any command that reads and writes the files of the CVPR 2025 challenge.

The command is run once per step in a folder of its own that holds ``inputs/case.npz``, and must write
``outputs/case.npz``. Arrays are in (z, y, x), where z numbers the slices:

- in: ``imgs`` (uint8, 0 to 255), ``spacing`` (mm, z y x), ``boxes`` (one dict with ``z_min``, ``z_max``, ``z_mid``,
  ``z_mid_x_min`` ...; last indices belong to the box), ``clicks`` (one dict of ``fg`` and ``bg``, each a list of
  (z, y, x)), ``clicks_order``, ``prev_pred``;
- out: ``segs``, 1 where the object is.

Where the object's slices are not told, ``z_min`` and ``z_max`` are those of the whole scan.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.channels.mix import AUTO
from napari_sam2.errors import NapariSam2Error, UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.prompts import Box, Point
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = ["STEP_SECONDS", "CommandPredictor", "PredictorFailedError"]

STEP_SECONDS: Final = 90.0
"""The challenge allows 90 s per object for all steps together; here each step may take as long."""

_SHOWN: Final = 200


class PredictorFailedError(NapariSam2Error, RuntimeError):
    """A predictor gave no usable answer to a step."""


class CommandPredictor:
    """A command with the challenge's files.

    Parameters
    ----------
    command : str
        Program and arguments, as in a shell; no shell runs it. ``{folder}`` is replaced by the folder.
    seconds : float
        Most seconds of one step.

    Raises
    ------
    UserInputError
        If the command is empty.
    """

    def __init__(self, command: str, seconds: float = STEP_SECONDS) -> None:
        self.name = command
        self._words = shlex.split(command)
        self._seconds = seconds
        self._inputs: dict[str, Any] = {}
        self._axes = (0, 1, 2)
        self._mask: NDArray[np.bool_] = np.zeros((1, 1, 1), bool)
        if not self._words:
            raise UserInputError('--predictor: give a command, for example --predictor "sh predict.sh".')

    def start(self, volume: Volume, window: Window, channels: ChannelStack | None = None, fusion: str = AUTO) -> None:
        """Begin with a scan: nothing is told of an object yet.

        The files of the challenge hold one image: further channels are not shown.
        """
        axis = volume.default_slice_axis
        rest = [a for a in range(3) if a != axis]
        self._axes = (axis, rest[1], rest[0])
        grey = window.apply(volume.voxels)
        grey = grey.mean(-1) if volume.is_rgb else grey
        images = np.rint(np.transpose(grey, self._axes) * 255).astype(np.uint8)
        spacing = np.array([volume.spacing[a] for a in self._axes])
        clicks: dict[str, list[list[int]]] = {"fg": [], "bg": []}
        self._inputs = {"imgs": images, "spacing": spacing, "clicks": [clicks], "clicks_order": [[]]}
        self._mask = np.zeros(images.shape, bool)

    def box(self, box: Box, extent: range | None) -> None:
        """Run the command with the box."""
        z, y, x = self._axes
        slices = extent or range(self._inputs["imgs"].shape[0])
        self._inputs["boxes"] = [
            {
                "z_min": slices.start,
                "z_max": slices.stop - 1,
                "z_mid": box.low[z],
                "z_mid_x_min": box.low[x],
                "z_mid_y_min": box.low[y],
                "z_mid_x_max": box.high[x],
                "z_mid_y_max": box.high[y],
            }
        ]
        self._run()

    def point(self, point: Point) -> None:
        """Run the command with one click more."""
        kind = "fg" if point.positive else "bg"
        self._inputs["clicks"][0][kind].append([round(point.voxel[a]) for a in self._axes])
        self._inputs["clicks_order"][0].append(kind)
        self._inputs["prev_pred"] = self._mask.astype(np.uint8)
        self._run()

    def mask(self) -> NDArray[np.bool_]:
        """The last answer, (I, J, K) bool."""
        return np.transpose(self._mask, np.argsort(self._axes))

    def _run(self) -> None:
        before, self._mask = self._mask, np.zeros_like(self._mask)
        with tempfile.TemporaryDirectory(prefix="napari-sam2-predictor-") as place:
            folder = Path(place)
            (folder / "inputs").mkdir()
            (folder / "outputs").mkdir()
            inputs: dict[str, Any] = {k: _listed(v) if isinstance(v, list) else v for k, v in self._inputs.items()}
            np.savez_compressed(folder / "inputs" / "case.npz", **inputs)
            self._call(folder)
            self._mask = _answer_in(folder / "outputs" / "case.npz", before.shape)

    def _call(self, folder: Path) -> None:
        words = [word.replace("{folder}", str(folder)) for word in self._words]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, timeout=self._seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise PredictorFailedError(f"The predictor took more than {self._seconds:g} s.") from error
        except OSError as error:
            raise PredictorFailedError(f"The predictor cannot be run: {error.strerror}.") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-_SHOWN:]
            raise PredictorFailedError(f"The predictor ended with code {done.returncode}: {said}")


def _listed(values: list[Any]) -> NDArray[np.object_]:
    """A list of Python objects as numpy keeps it in a file."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _answer_in(file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            masks = stored["segs"]
    except FileNotFoundError as error:
        raise PredictorFailedError("The predictor wrote no outputs/case.npz.") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PredictorFailedError("The predictor's outputs/case.npz holds no readable array 'segs'.") from error
    if masks.shape != shape:
        raise PredictorFailedError(f"The predictor's 'segs' have shape {masks.shape}; wanted is {shape}.")
    return np.asarray(masks == 1)
