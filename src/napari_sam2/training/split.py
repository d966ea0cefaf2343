"""Which items of a training set are held out.

By subject, by hash, written down before anything is trained.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Split", "read_split"]


@dataclass(frozen=True, slots=True)
class Split:
    """A written split.

    Attributes
    ----------
    salt : str
        Goes before the subject's name when it is hashed.
    share : float
        A subject whose hash falls below this share is held out.
    held_out : frozenset of str
        The items that are held out, as written.
    subjects : mapping of str to str
        Item to subject, where they differ.
    """

    salt: str
    share: float
    held_out: frozenset[str]
    subjects: Mapping[str, str]

    def holds_out(self, item: str) -> bool:
        """Whether the written list holds this item out."""
        return item in self.held_out

    def by_rule(self, items: Iterable[str]) -> set[str]:
        """The items that the hash of their subject holds out.

        They should equal what is written.
        """
        return {item for item in items if _fraction(self.salt, self.subjects.get(item, item)) < self.share}


def read_split(path: Path) -> Split:
    """Read a split: ``salt``, ``share``, the lists ``labelled``, ``maps``, ``unlabelled``, and ``[subjects]``."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        held_out = frozenset(name for key in ("labelled", "maps", "unlabelled") for name in values.get(key, []))
        subjects = {item: subject for subject, items in values.get("subjects", {}).items() for item in items}
        return Split(values["salt"], float(values["share"]), held_out, subjects)
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise UserInputError(f"{path} is not a split file: {error!r}") from error


def _fraction(salt: str, subject: str) -> float:
    """The first 32 bits of a hash as a number in [0, 1)."""
    return int(hashlib.sha256(f"{salt}/{subject}".encode()).hexdigest()[:8], 16) / 2**32
