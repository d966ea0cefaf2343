"""The state of a cohort.

One ``status.json`` per case, written last, and hashes that say whether it still holds.

There is no database. Whoever looks at the folder (another shard, another machine, the same command again) sees
the same truth. A case is done when its status says so, its inputs are what they were, and its outputs are as they
were written.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__
from napari_sam2.cohort.job import LABELS, SESSION
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import as_utf8, write_text
from napari_sam2.io.prompt_file import masks_named
from napari_sam2.io.read import files_of_image
from napari_sam2.io.sidecar import as_json_text, finite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam2.cohort.job import CaseJob, CohortSettings
    from napari_sam2.io.channel_file import ChannelFile

__all__ = [
    "DAMAGED",
    "DONE",
    "EDITED",
    "FAILED",
    "STATUS",
    "TODO",
    "UNTRUSTED",
    "hash_inputs",
    "hash_output",
    "read_status",
    "result_standing",
    "standing",
    "wanted_inputs",
    "write_status",
]

STATUS: Final = "status.json"
REVIEW: Final = "review.json"
"""What a person has decided on single slices."""
VERSION: Final = 2

DONE, FAILED, TODO, EDITED, DAMAGED = "done", "failed", "todo", "edited", "damaged"
"""Nothing to do; tried without success; to be done (again); changed by a person since, and therefore kept; and with a
status that cannot be trusted, so that nobody can tell whether a person has changed the results."""

UNTRUSTED: Final = (
    f"Its {STATUS} is damaged or of another version, so nobody can tell whether its results were edited. Remove that "
    "file, or repeat the case with --overwrite."
)

EVENTS: Final = f"{SESSION}/events.jsonl"
_BY_HAND: Final = (LABELS, EVENTS)
"""Outputs that a review changes."""
_LOOKED_AT: Final = b'"event":"resumed"'
"""In the lines that a session gets whenever it is opened, whether anything is done in it or not."""


def read_status(folder: Path) -> dict[str, Any]:
    """What is known of a case.

    Empty when it was never finished; its state is `DAMAGED` when the file is not as it was written.
    """
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError):
        return {"state": DAMAGED, "error": UNTRUSTED}
    if not isinstance(status, dict) or status.pop("sha256", "") != _checksum(status) or status["version"] != VERSION:
        return {"state": DAMAGED, "error": UNTRUSTED}
    return status


def write_status(folder: Path, facts: dict[str, Any]) -> None:
    """Write what became of a case.

    It is the last thing that is written of it.
    """
    status = finite({"version": VERSION, "program": f"napari-sam2 {__version__}", **facts})
    status["sha256"] = _checksum(status)
    write_text(folder / STATUS, as_json_text(status), overwrite=True)


def standing(job: CaseJob) -> str:
    """Where a case stands: `DONE`, `TODO`, `EDITED` or `DAMAGED`."""
    status = read_status(job.folder)
    state = result_standing(job.folder, status)
    return TODO if state == DONE and status.get("inputs") != wanted_inputs(job) else state


def result_standing(folder: Path, status: dict[str, Any]) -> str:
    """What a case's results say, whatever its inputs are now.

    `DONE`, `TODO`, `EDITED` or `DAMAGED`.
    """
    if status.get("state") == DAMAGED:
        return DAMAGED
    if status.get("state") != DONE:
        return EDITED if (folder / REVIEW).exists() else TODO
    outputs = _outputs_now(folder, status.get("outputs", {}))
    changed = {name for name, (was, now) in outputs.items() if was != now}
    if (folder / REVIEW).exists() or any(outputs[name][1] for name in changed.intersection(_BY_HAND)):
        return EDITED
    return TODO if changed else DONE


def wanted_inputs(job: CaseJob) -> dict[str, Any]:
    """Everything that decides about a result, for its status."""
    return {**job.inputs, "settings": _deciding(job.settings)}


def hash_inputs(
    image: Path,
    prompts: Path | None,
    session: Path | None,
    labels: Path | None,
    channels: Sequence[ChannelFile] = (),
) -> dict[str, str]:
    """SHA-256 of the files of a case, by what they are.

    A folder counts with all files in it.
    """
    named = {"image": image, "prompts": prompts, "session": session, "labels": labels}
    hashed = {name: sha256_of(*_files(name, path)) for name, path in named.items() if path is not None}
    for number, file in enumerate(channels, start=1):
        which = "all" if file.whole else file.volume_index
        hashed[f"channel_{number}"] = f"{sha256_of(*_files('image', file.path))} {file.name} {which}"
    return hashed


def hash_output(path: Path) -> str:
    """SHA-256 of an output.

    Of a session, it is that of what was done in it: to look at a case does not change it.
    """
    if not path.as_posix().endswith(EVENTS):
        return sha256_of(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            if _LOOKED_AT not in line:
                digest.update(line)
    return digest.hexdigest()


def _files(name: str, path: Path) -> list[Path]:
    if name == "session":
        return [path / "session.json", path / "events.jsonl"]
    if name == "prompts":
        return [path, *masks_named(path)]
    return list(files_of_image(path))


def _deciding(settings: CohortSettings) -> dict[str, str]:
    """The settings that change a result; the device is not one of them."""
    names = ("task", "quality", "window", "direction", "export")
    asked = {"text": ", ".join(settings.text), "answer": settings.answer} if settings.text else {}
    # Only where they are used, so that results without channels stay what they are.
    channels = {"register": settings.register, "fusion": settings.fusion}
    seen = {} if channels == {"register": "", "fusion": "auto"} else channels
    return {name: getattr(settings, name) for name in names} | asked | seen | settings.slide.said()


def _outputs_now(folder: Path, recorded: dict[str, str]) -> dict[str, tuple[str, str]]:
    hashes = {}
    for name, was in recorded.items():
        path = folder / name
        hashes[name] = (was, hash_output(path) if path.is_file() else "")
    return hashes


def _checksum(status: dict[str, Any]) -> str:
    """Of everything that a status says, so that a damaged or altered one is told from one as it was written."""
    return hashlib.sha256(as_utf8(json.dumps(status, sort_keys=True, ensure_ascii=False))).hexdigest()
