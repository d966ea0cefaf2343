"""The memory of a project.

Named structures of finished scans, laid over a new scan of the same kind.

Multi-atlas placement (Iglesias and Sabuncu, Med. Image Anal. 24, 2015): the finished scans most like the new one are
registered to it, as a whole and then around each structure, and their masks are voted. It knows places, not words: it
is of use within one body part and kind of scan, and of none for what lies somewhere else in each person.
"""

from __future__ import annotations

import difflib
import hashlib
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.errors import UserInputError
from napari_sam2.finding.candidate import Candidate, Found, Proposer
from napari_sam2.finding.laying import Laid, lay, union_of
from napari_sam2.finding.sides import check_sides
from napari_sam2.registration import COARSE_VOXELS, copy_of, register, said
from napari_sam2.terms.naming import StructureName, is_lesion, meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from SimpleITK import AffineTransform, Image

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.finding.exemplars import Exemplar, Exemplars

__all__ = ["LEAST_SCORE", "ProjectMemory"]

VOTERS: Final = 5
"""Finished scans that vote: five of seven hippocampi have a mean Dice of 0.785, three 0.764, one 0.742."""

LOOKED_AT: Final = 12
"""Finished scans among which the most similar are chosen."""

LEAST_SCORE: Final = 0.2
"""Below it a structure counts as not found."""

LEAST_SIDE: Final = 4
"""Voxels along each axis that a scan must have to be registered."""

NAMES_SHOWN: Final = 40


class ProjectMemory(Proposer):
    """Proposes structures where finished scans of the project have them; see `napari_sam2.finding.candidate.Proposer`.

    Parameters
    ----------
    exemplars : Exemplars
        The finished scans.
    least_score : float
        Below it a structure counts as not found.
    """

    def __init__(self, exemplars: Exemplars, least_score: float = LEAST_SCORE) -> None:
        self._exemplars = exemplars
        self._least_score = least_score

    @cached_property
    def sha256(self) -> str:
        """Of everything that it is made of."""
        hashes = [each for exemplar in self._exemplars.all for each in self._exemplars.hashes_of(exemplar)]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """Files that it reads, for whoever must not write over them."""
        return self._exemplars.files

    def known(self) -> tuple[str, ...]:
        """The names of all structures in the finished scans."""
        return tuple(sorted({name.name for e in self._exemplars.all for name in self._exemplars.names_of(e).values()}))

    def check(self, names: Sequence[str]) -> None:
        """Refuse lesions, and names that no finished scan holds."""
        for name in names:
            if is_lesion(name):
                raise UserInputError(
                    f"A lesion has no place that another scan could tell: point at {name!r} with a box or clicks."
                )
            if not self._meant(name):
                raise UserInputError(self._unknown(name))

    def steps(
        self, volume: Volume, window: Window, names: Sequence[str], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[str | Found]:
        """Lay the finished scans over a new one; each structure is voted."""
        self.check(names)
        _check_scan(volume, names)
        wanted = list(dict.fromkeys(target for name in names for target in self._meant(name)))
        coarse = copy_of(volume, window, COARSE_VOXELS)
        placed: list[tuple[float, Exemplar, AffineTransform]] = []
        usable = self._usable(volume, wanted)
        for exemplar in usable:
            if should_stop():
                break
            placed += self._placed(volume, coarse, exemplar)
            yield f"{exemplar.case} laid over it"
        placed.sort(key=lambda entry: -entry[0])
        laid: dict[StructureName, list[tuple[Exemplar, Laid]]] = {target: [] for target in wanted}
        # Exemplar by exemplar, so that each is read once for all structures.
        for _, exemplar, transform in placed:
            if should_stop():
                break
            self._lay_all(volume, window, exemplar, transform, laid)
            yield f"structures of {exemplar.case} laid over it"
        candidates: list[Candidate] = []
        missing: dict[str, str] = {}
        for target in wanted:
            if should_stop():
                break
            candidate = self._voted(volume, target, laid[target])
            if candidate is None:
                laid_over = "no finished scan could be laid over this one there"
                why = laid_over if usable else "only this scan itself holds it"
                missing[target.name] = f"{target.name}: not found; {why}."
            elif candidate.score is not None and candidate.score < self._least_score:
                missing[target.name] = (
                    f"{target.name}: not found (score {candidate.score:.2f}, below {self._least_score:g})."
                )
            else:
                candidates.append(candidate)
        yield Found(tuple(candidates), missing)

    def _meant(self, name: str) -> list[StructureName]:
        """The structures of finished scans that a name asks for: both sides of a pair when it names none."""
        asked = meaning_of(name)
        found = {
            known for e in self._exemplars.all for known in self._exemplars.names_of(e).values() if asked.covers(known)
        }
        by_side = {(known.concept, known.side): known for known in sorted(found, key=lambda k: k.name)}
        return [by_side[key] for key in sorted(by_side)]

    def _unknown(self, name: str) -> str:
        known = self.known()
        if not known:
            return (
                f"The finished scans of {self._exemplars.project} have no names for their structures; write them in "
                f"the column 'name', such as 1=liver;2=spleen, or in a .tsv beside each label map."
            )
        near = difflib.get_close_matches(meaning_of(name).name, known, 3)
        ordered = [*near, *(other for other in known if other not in near)]
        more = f" and {len(ordered) - NAMES_SHOWN} more" if len(ordered) > NAMES_SHOWN else ""
        listed = ", ".join(ordered[:NAMES_SHOWN])
        return f"No finished scan of {self._exemplars.project} holds {name!r}; they hold {listed}{more}."

    def _usable(self, volume: Volume, wanted: Sequence[StructureName]) -> list[Exemplar]:
        """The exemplars that hold something wanted; the scan itself is none."""
        holding = [
            e
            for e in self._exemplars.all
            if any(_same(known, target) for known in self._exemplars.names_of(e).values() for target in wanted)
        ]
        others = (e for e in holding if self._exemplars.hashes_of(e)[0] != volume.source.sha256)
        return list(islice(others, LOOKED_AT))

    def _placed(
        self, volume: Volume, coarse: Image, exemplar: Exemplar
    ) -> list[tuple[float, Exemplar, AffineTransform]]:
        """How much an exemplar says of the scan, and its transform from it; empty when they do not fit."""
        loaded = self._exemplars.load(exemplar)
        if volume.oriented and not loaded.volume.oriented:
            return []
        transform = register(coarse, loaded.coarse)
        return [] if transform is None else [(said(coarse, loaded.coarse, transform), exemplar, transform)]

    def _lay_all(
        self,
        volume: Volume,
        window: Window,
        exemplar: Exemplar,
        transform: AffineTransform,
        laid: dict[StructureName, list[tuple[Exemplar, Laid]]],
    ) -> None:
        """Lay an exemplar's structures over the scan, those that still want voters."""
        loaded = self._exemplars.load(exemplar)
        for target, voters in laid.items():
            ids = [i for i, name in loaded.names.items() if _same(name, target)]
            if ids and len(voters) < VOTERS:
                laid_one = lay(volume, window, loaded, ids, transform)
                if laid_one is not None:
                    voters.append((exemplar, laid_one))

    def _voted(self, volume: Volume, target: StructureName, laid: Sequence[tuple[Exemplar, Laid]]) -> Candidate | None:
        """What the laid exemplars agree on."""
        if not laid:
            return None
        block = union_of([one.block for _, one in laid])
        covers = [one.cover_in(block) for _, one in laid]
        says = np.array([one.fit * one.distinct * one.inside for _, one in laid])
        if not says.any():
            return None
        share = np.tensordot(says / says.sum(), covers, 1)
        mask = _largest(share > min(0.5, 0.7 * float(share.max())))
        agreements = [_overlap(cover > 0.5, mask) for cover in covers]
        source = f"placed from {', '.join(exemplar.case for exemplar, _ in laid)} of {self._exemplars.project}"
        told = hashlib.sha256("".join("".join(self._exemplars.hashes_of(e)) for e, _ in laid).encode())
        full = np.zeros(volume.shape, bool)
        full[block] = mask
        # The median: one exemplar of three that was laid wrongly says nothing about the others.
        score = float(np.median([a * one.distinct * one.inside for a, (_, one) in zip(agreements, laid, strict=True)]))
        return Candidate.of_mask(target.name, full, score, source, told.hexdigest())


def _same(known: StructureName, target: StructureName) -> bool:
    return (known.concept, known.side) == (target.concept, target.side)


def _check_scan(volume: Volume, names: Sequence[str]) -> None:
    name = volume.source.name
    if volume.is_rgb or min(volume.shape) < LEAST_SIDE:
        raise UserInputError(
            f"{name} is a picture or has fewer than {LEAST_SIDE} slices; names are found in scans of three dimensions."
        )
    check_sides(volume, names)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part; structures of several parts of similar size keep them."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    return np.isin(parts, np.flatnonzero(sizes > 0.2 * sizes.max()) + 1)


def _overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    total = int(first.sum() + second.sum())
    return 2 * float((first & second).sum()) / total if total else 0.0
