"""Another program as a proposer: a command whose label map becomes candidates.

It runs in an environment of its own, on a copy of the scan without header text; what it is, is for the user to know.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nibabel
import numpy as np

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.finding.candidate import Candidate, Found, Proposer
from napari_sam2.hashing import sha256_of
from napari_sam2.io.export import find_names
from napari_sam2.io.labels import read_named_labels
from napari_sam2.terms.naming import meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = ["Program"]

IMAGE, OUTPUT, NAMES = "{image}", "{output}", "{names}"
LONGEST_SECONDS: Final = 3600


class Program(Proposer):
    """Proposes what a program has segmented.

    See `napari_sam2.finding.candidate.Proposer`.

    Parameters
    ----------
    command : str
        Words as a shell takes them, without a shell: ``{image}`` becomes a NIfTI file, ``{output}`` the label map
        that the program writes on its grid, and ``{names}`` the names that are asked for, one word each.

    Raises
    ------
    UserInputError
        If the command cannot be read, or has no ``{image}`` and ``{output}``.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserInputError(f"--program: the command cannot be read ({error}).") from error
        if not all(any(place in word for word in self._words) for place in (IMAGE, OUTPUT)):
            raise UserInputError(f"--program: the command needs {IMAGE} and {OUTPUT}, and may have {NAMES}.")
        self._name = Path(self._words[0]).name

    @property
    def sha256(self) -> str:
        """Of the command.

        What the program itself is made of is not known.
        """
        return hashlib.sha256("\0".join(self._words).encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """Nothing that this program reads."""
        return []

    def known(self) -> tuple[str, ...]:
        """Any name may be asked for."""
        return ()

    def check(self, names: Sequence[str]) -> None:
        """Take any names."""

    def steps(
        self, volume: Volume, window: Window, names: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[str | Found]:
        """Run the program, and take what it names as was asked.

        Raises
        ------
        EnvironmentLacksError
            If it cannot be run, or ends with an error.
        UserInputError
            If the scan is a colour picture, or no label map on its grid comes out.
        """
        if volume.is_rgb:
            raise UserInputError(f"{volume.source.name} is a colour picture; other programs are given scans only.")
        with tempfile.TemporaryDirectory(prefix="napari-sam2-") as folder:
            image, output = Path(folder) / "image.nii.gz", Path(folder) / "labels.nii.gz"
            nibabel.save(nibabel.Nifti1Image(_writable(volume), volume.affine), image)
            self._run(image, output, names)
            if not output.is_file():
                raise UserInputError(f"{self._name} has written no label map; it must write to {OUTPUT}.")
            labels, own = read_named_labels(output, volume)
            written = own or find_names(output)
            sha256 = sha256_of(output)
        ids = [int(i) for i in np.unique(labels) if i]
        by_id = written or dict(enumerate(names, start=1))
        meant = {i: meaning_of(by_id[i]) for i in ids if i in by_id}
        candidates: list[Candidate] = []
        missing = {}
        for name in names:
            asked = meaning_of(name)
            found = [i for i in meant if asked.covers(meant[i])]
            source = f"proposed by {self._name}"
            candidates += [Candidate.of_mask(meant[i].name, labels == i, None, source, sha256) for i in found]
            if not found:
                missing[name] = f"{name}: {self._name} has not found it."
        yield Found(tuple(candidates), missing)

    def _run(self, image: Path, output: Path, names: Sequence[str]) -> None:
        words = [
            part
            for word in self._words
            for part in (names if word == NAMES else [word.replace(IMAGE, str(image)).replace(OUTPUT, str(output))])
        ]
        try:
            done = subprocess.run(words, capture_output=True, timeout=LONGEST_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentLacksError(f"{self._name} did not end within {LONGEST_SECONDS} s.") from error
        except OSError as error:
            raise EnvironmentLacksError(f"{self._name} cannot be run ({error.strerror}); is it installed?") from error
        if done.returncode:
            raise EnvironmentLacksError(f"{self._name} ended with exit code {done.returncode}; run it by hand.")


def _writable(volume: Volume) -> np.ndarray:
    """Voxels in a type that NIfTI-1 readers know."""
    kind = volume.voxels.dtype
    return volume.voxels if kind in (np.uint8, np.int16, np.int32, np.float32) else volume.voxels.astype(np.float32)
