"""A general detector as a proposer.

It looks for words on some slices of a scan, and what it sees is linked into boxes in three dimensions.
Experimental. A detector was trained on photographs; it proposes, and a person decides.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.errors import UserInputError
from napari_sam2.finding.candidate import Candidate, Found, Proposer
from napari_sam2.finding.detectors.guarded import Guarded
from napari_sam2.finding.detectors.picture import picture_of
from napari_sam2.finding.linking import linked
from napari_sam2.finding.sides import BODY, check_sides, side_of
from napari_sam2.hashing import sha256_of
from napari_sam2.models.checkpoint import WEIGHTS
from napari_sam2.terms.naming import NO_SIDE, is_paired, meaning_of, phrase_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.volume import SlicePlane, Volume
    from napari_sam2.core.window import Window
    from napari_sam2.finding.detectors.detector import Boxes, Detector
    from napari_sam2.finding.linking import Chain
    from napari_sam2.terms.naming import StructureName

    Voxel = tuple[int, int, int]

__all__ = ["EXPERIMENTAL", "Detection", "slices_to_look_at"]

EXPERIMENTAL: Final = (
    "Detectors are experimental: such networks know photographs, not scans, and their scores say nothing of whether "
    "something is there; look at every candidate"
)

MOST_SLICES: Final = 32
LEAST_STEP_MM: Final = 5.0
"""How many slices are looked at, at most, and how near to each other."""

LEAST_SCORE: Final = 0.25
"""Below it a chain counts as not found."""

LONGEST_PHRASE: Final = 80
"""Letters: more would not fit the places of a text encoder, of which SAM 3 has 32."""

MOST_CANDIDATES: Final = 6
LEAST_PART: Final = 0.5
"""How many candidates one name may have, and the least score of them as a part of the best one's."""


class Detection(Proposer):
    """Proposes what a detector finds on slices; see `napari_sam2.finding.candidate.Proposer`.

    Parameters
    ----------
    load : callable
        Gives the detector, asked once, when it is needed.
    folder : Path
        Where its files lie.
    least_score : float, optional
        Below it a chain counts as not found; `LEAST_SCORE` by default.
    """

    notes = (EXPERIMENTAL,)

    def __init__(self, load: Callable[[], Detector], folder: Path, least_score: float | None = None) -> None:
        self._load, self._folder = load, folder
        self.least_score = LEAST_SCORE if least_score is None else least_score

    @cached_property
    def guarded(self) -> Guarded:
        """The detector, loaded when it is first asked."""
        return Guarded(self._load())

    @cached_property
    def sha256(self) -> str:
        """Of its weights and what it was asked to believe."""
        return hashlib.sha256(f"{sha256_of(self._folder / WEIGHTS)} {self.least_score}".encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """What lies in its folder."""
        return sorted(path for path in self._folder.iterdir() if path.is_file())

    def known(self) -> tuple[str, ...]:
        """Any name may be asked for."""
        return ()

    def check(self, names: Sequence[str]) -> None:
        """Refuse names without words, or with too many.

        Such as codes that no list holds.
        """
        for name in names:
            phrase = phrase_of(meaning_of(name))
            if not re.search("[a-z]", phrase):
                raise UserInputError(f"{name!r} is no word that a detector could know; give the structure's name.")
            if len(phrase) > LONGEST_PHRASE:
                raise UserInputError(f"{name[:40]!r} ... is too long for a detector; give a few words.")

    def steps(
        self, volume: Volume, window: Window, names: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[str | Found]:
        """Look at slices, link what is found, and tell sides apart."""
        self.check(names)
        check_sides(volume, names)
        wanted = list(dict.fromkeys(meaning_of(name) for name in names))
        phrases = list(dict.fromkeys(phrase_of(name) for name in wanted))
        looked = _Looked(volume.plane(), slices_to_look_at(volume))
        on_slices: dict[str, list[Boxes]] = {phrase: [] for phrase in phrases}
        for index in looked.indices:
            if should_stop():
                yield Found()
                return
            grey = window.apply(looked.plane.take(volume.voxels, index))
            picture = picture_of(grey, looked.plane.spacing)
            body = None if volume.is_rgb else picture.pixels[..., 0] > 255 * BODY
            for phrase, boxes in zip(phrases, self.guarded.boxes(picture.pixels, phrases, body), strict=True):
                on_slices[phrase].append(picture.on_slice(boxes))
            yield f"slice {index} looked at"
        candidates: list[Candidate] = []
        missing: dict[str, str] = {}
        for name in wanted:
            chains = linked(on_slices[phrase_of(name)], looked.plane.spacing)
            found = self._candidates(volume, window, chains, looked, name)
            candidates += found
            if not found:
                missing[name.name] = f"{name.name}: not found; {self._why(chains, name)}."
        yield Found(tuple(candidates), missing)

    def _why(self, chains: Sequence[Chain], name: StructureName) -> str:
        """Why nothing is proposed, as the end of a sentence."""
        if not chains:
            return "the detector sees nothing that it would not call by any word, on enough slices"
        if chains[0].score < self.least_score:
            return f"score {chains[0].score:.2f}, below {self.least_score:g}"
        return (
            f"what the detector sees does not lie clearly on the patient's {name.side}; the scan must show the whole "
            "width of the body, or leave the side out"
        )

    def _candidates(
        self, volume: Volume, window: Window, chains: Sequence[Chain], looked: _Looked, name: StructureName
    ) -> list[Candidate]:
        """Candidates of one name: the best of the side that was asked for, or the best ones and their sides."""
        found = []
        paired = is_paired(name)
        for chain in chains:
            low, high = looked.box_of(chain)
            side = side_of(volume, window, low, high) if paired else NO_SIDE
            if chain.score < self.least_score or (name.side and side != name.side):
                continue
            called = name.name if name.side or not side else f"{side} {name.name}"
            source = f"found by {self.guarded.detector.name} on {len(chain.sections)} slices, experimental"
            found.append(
                Candidate(called, low, high, chain.score, source, self.guarded.detector.sha256, seen=looked.seen(chain))
            )
        if not found:
            return []
        most = 1 if name.side else MOST_CANDIDATES
        least = LEAST_PART * (found[0].score or 0.0)
        return [candidate for candidate in found if (candidate.score or 0.0) >= least][:most]


@dataclass(frozen=True, slots=True)
class _Looked:
    """Which slices of a plane were looked at."""

    plane: SlicePlane
    indices: tuple[int, ...]

    def box_of(self, chain: Chain) -> tuple[Voxel, Voxel]:
        """First and last voxel of a chain: half a step beyond its first and last section."""
        ends = (self._half_way(chain.sections[0].place, -1), self._half_way(chain.sections[-1].place, 1))
        corners = np.concatenate([self._corners(chain.edges, index) for index in ends])
        return _as_voxel(corners.min(axis=0)), _as_voxel(corners.max(axis=0))

    def seen(self, chain: Chain) -> Box:
        """The section on which a model is best asked."""
        index = self.indices[chain.best.place]
        first, second = self._corners(chain.best.edges, index)
        return Box((_as_voxel(first), _as_voxel(second)))

    def _half_way(self, place: int, way: int) -> int:
        """The last slice that is nearer to one that was looked at than to the next."""
        index, after = self.indices[place], place + way
        if not 0 <= after < len(self.indices):
            return 0 if way < 0 else self.plane.n_slices - 1
        return index + way * ((abs(self.indices[after] - index) - 1) // 2)

    def _corners(self, edges: NDArray[np.float64], index: int) -> NDArray[np.float64]:
        """Opposite corner voxels (2, 3) of outer edges in mm on a slice; at least one pixel each way."""
        pixels = edges / np.tile(self.plane.spacing, 2)
        low = np.clip(np.floor(pixels[:2] + 0.5), 0, np.array(self.plane.shape) - 1)
        high = np.clip(np.ceil(pixels[2:] - 0.5) - 1, low, np.array(self.plane.shape) - 1)
        return self.plane.to_voxel(np.stack([low, high]), index)


def _as_voxel(place: NDArray[np.float64]) -> Voxel:
    return int(place[0]), int(place[1]), int(place[2])


def slices_to_look_at(volume: Volume) -> tuple[int, ...]:
    """Indices of the slices that are looked at.

    Evenly over all, at most `MOST_SLICES`, and at least `LEAST_STEP_MM` apart in a scan that says where it lies; others
    may be films.
    """
    plane = volume.plane()
    apart = round(LEAST_STEP_MM / plane.slice_spacing) if volume.oriented else 1
    step = max(1, apart, -(-plane.n_slices // MOST_SLICES))
    return tuple(range((plane.n_slices - 1) % step // 2, plane.n_slices, step))
