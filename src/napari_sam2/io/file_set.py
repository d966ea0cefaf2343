"""Writing several files that belong together.

All of them take their names, or none does.

Every file is written beside its target first. Then a small record of what is about to happen is put on the disk, and
from there on the set is certain: a process that is killed while files take their names leaves the record, and the
next one that writes to the folder finishes the set. Before the record nothing was changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.hashing import sha256_of
from napari_sam2.io import atomic
from napari_sam2.io.atomic import PREFIX, check_folder, check_free, explained, flush_folder, temporary_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["file_set", "finish_sets"]

RECORD: Final = ".set"
LARGEST_RECORD: Final = 1 << 16


@contextlib.contextmanager
def file_set(targets: Sequence[Path], *, overwrite: bool = False) -> Iterator[list[Path]]:
    """Give the block one temporary file per target.

    Afterwards all targets are replaced together.

    Parameters
    ----------
    targets : sequence of Path
        Files of one folder, which must exist.
    overwrite : bool
        Whether existing files may be replaced.

    Yields
    ------
    list of Path
        Empty files beside the targets, in their order. When the block raises, no target has changed.

    Raises
    ------
    UserInputError
        If the folder is missing or closed to writing, or one of the files exists.
    EnvironmentLacksError
        If the disk is full or fails.
    """
    for target in targets:
        check_folder(target)
    finish_sets(targets[0].parent)
    for target in targets:
        check_free(target, overwrite=overwrite)
    temporaries: list[Path] = []
    try:
        try:
            temporaries.extend(temporary_beside(target) for target in targets)
            yield temporaries
            for temporary in temporaries:
                atomic.flush(temporary)
            record = _write_record(temporaries, targets, overwrite=overwrite)
        except OSError as error:
            raise explained(error, targets[0]) from error
        _publish_all(record, temporaries, targets, overwrite=overwrite)
    finally:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def finish_sets(folder: Path) -> None:
    """Finish sets of files that a killed process left behind."""
    with contextlib.suppress(OSError):
        for record in sorted(folder.glob(f"{PREFIX}*{RECORD}")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                for temporary, target, overwrite in _entries(record):
                    with contextlib.suppress(OSError):
                        _take_name(temporary, target, overwrite=overwrite)
                        temporary.unlink(missing_ok=True)
            record.unlink(missing_ok=True)


def _entries(record: Path) -> list[tuple[Path, Path, bool]]:
    """What a record says, if it is one of ours: temporary file, target, and whether the target may be replaced."""
    if record.stat().st_size > LARGEST_RECORD:
        return []
    content = json.loads(record.read_text(encoding="utf-8"))
    entries = []
    for entry in content["files"]:
        temporary, target = (os.fsdecode(bytes.fromhex(entry[key])) for key in ("temporary", "target"))
        plain = temporary.startswith(PREFIX) and all(Path(name).name == name for name in (temporary, target))
        waiting = record.parent / temporary
        if plain and waiting.is_file() and sha256_of(waiting) == entry["sha256"]:
            entries.append((waiting, record.parent / target, content["overwrite"] is True))
    return entries


def _write_record(temporaries: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> Path:
    content: dict[str, Any] = {
        "overwrite": overwrite,
        "files": [
            # Names as hexadecimal bytes: they need not be text.
            {
                "temporary": os.fsencode(temporary.name).hex(),
                "target": os.fsencode(target.name).hex(),
                "sha256": sha256_of(temporary),
            }
            for temporary, target in zip(temporaries, targets, strict=True)
        ],
    }
    record = targets[0].parent / f"{PREFIX}{secrets.token_hex(8)}{RECORD}"
    draft = temporary_beside(record)
    try:
        draft.write_text(json.dumps(content), encoding="utf-8")
        atomic.flush(draft)
        draft.replace(record)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(record.parent)
    return record


def _publish_all(record: Path, temporaries: Sequence[Path], targets: Sequence[Path], *, overwrite: bool) -> None:
    """Let every file take its name, or put everything back as it was."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for temporary, target in zip(temporaries, targets, strict=True):
            earlier = _kept_beside(target) if overwrite and target.exists() else None
            done.append((target, earlier))
            if earlier is None:
                check_free(target, overwrite=overwrite)
            _take_name(temporary, target, overwrite=overwrite)
    except BaseException as error:
        for target, earlier in reversed(done):
            with contextlib.suppress(OSError):
                if earlier is not None:
                    earlier.replace(target)
                    earlier.unlink(missing_ok=True)  # two names of one file: replacing does nothing
                elif _is_ours(record, target):
                    target.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explained(error, targets[0]) from error
        raise
    record.unlink(missing_ok=True)
    for _, earlier in done:
        if earlier is not None:
            earlier.unlink(missing_ok=True)
    flush_folder(record.parent)


def _is_ours(record: Path, target: Path) -> bool:
    content = json.loads(record.read_text(encoding="utf-8"))
    name = os.fsencode(target.name).hex()
    return target.is_file() and any(e["target"] == name and e["sha256"] == sha256_of(target) for e in content["files"])


def _kept_beside(target: Path) -> Path:
    """A second name of a file that is about to be replaced."""
    kept = target.parent / f"{PREFIX}{secrets.token_hex(8)}.part.old"
    try:
        os.link(target, kept)
    except OSError:  # a file system without hard links
        kept.write_bytes(target.read_bytes())
    return kept


def _take_name(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        if target.is_file() and temporary.samefile(target):
            return
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise
        temporary.replace(target)
