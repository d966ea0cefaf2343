"""Which subjects are held out.

By a hash of who they are, written down, never drawn again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam2.tuning.cases import FinishedScan

__all__ = ["RULE", "Split", "make_split", "read_split", "split_to_json"]

EVERY: Final = 5
"""One subject in so many is held out."""

FEW: Final = 4
"""From so many subjects on, at least two are held out; below, one."""

RULE: Final = (
    "A subject is held out when the SHA-256 of its name, as a number, is divisible by 5; subjects with the smallest "
    "hash follow until there are two (one of fewer than four subjects); never more than half. Subjects of an earlier "
    "split stay where they were."
)

Split = dict[str, bool]
"""Subject -> whether it is held out."""


def make_split(scans: Sequence[FinishedScan], earlier: dict[str, bool] | None = None) -> Split:
    """Split subjects.

    Parameters
    ----------
    scans : sequence of FinishedScan
        All scans.
    earlier : dict of str to bool, optional
        Image hash -> held out, of an earlier split (`read_split`): its subjects stay where they were.

    Raises
    ------
    UserInputError
        If there is one subject, or the earlier split leaves nobody to learn from or to judge by.
    """
    subjects = sorted({scan.subject for scan in scans}, key=_digest)
    if len(subjects) < 2:
        raise UserInputError(
            "All scans are of one subject, so nobody is left to judge by; add scans of other subjects (the column "
            "'subject'). Without them, every run adapts to the scan at hand by itself."
        )
    earlier_parts = {scan.subject: (earlier or {})[scan.sha256] for scan in scans if scan.sha256 in (earlier or {})}
    split = {subject: earlier_parts.get(subject, _digest(subject) % EVERY == 0) for subject in subjects}
    free = [subject for subject in subjects if subject not in earlier_parts]
    least = 1 if len(subjects) < FEW else 2
    most = len(subjects) // 2
    for subject in free:
        if sum(split.values()) < least:
            split[subject] = True
    for subject in reversed(free):
        if sum(split.values()) > most:
            split[subject] = False
    if len(set(split.values())) < 2:
        raise UserInputError("The earlier split holds out all of these subjects or none; add scans of others.")
    return split


def split_to_json(scans: Sequence[FinishedScan], split: Split) -> str:
    """The split as text: images by hash, nobody by name."""
    subjects = []
    for subject, held_out in split.items():
        images = sorted(scan.sha256 for scan in scans if scan.subject == subject)
        truths = sorted(scan.truth_sha256 for scan in scans if scan.subject == subject)
        channels = sorted(c.sha256 for scan in scans if scan.subject == subject for c in scan.channels)
        further = {"channels": channels} if channels else {}
        subjects.append({"held_out": held_out, "images": images, **further, "truth": truths})
    subjects.sort(key=lambda entry: str(entry["images"]))
    return json.dumps({"version": 1, "rule": RULE, "subjects": subjects}, indent=1) + "\n"


def read_split(file: Path) -> dict[str, bool]:
    """Image hash -> held out, from a file of `split_to_json`.

    Raises
    ------
    UserInputError
        If it is anything else.
    """
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != 1:
            raise ValueError(content["version"])
        return {str(image): bool(entry["held_out"]) for entry in content["subjects"] for image in entry["images"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserInputError(f"{file.name} is not the split of an earlier tuning; give its split.json.") from error


def _digest(subject: str) -> int:
    return int(hashlib.sha256(subject.encode("utf-8", "surrogateescape")).hexdigest(), 16)
