"""The manifest: a table of cases.

Each line names one scan and what belongs to it.

CSV with a header. ``case`` and ``image`` are always needed; ``prompts`` (a prompt file), ``session`` (a folder to
replay) and ``labels`` (known labels) as the command asks; ``subject``, ``group`` and ``name`` (what a structure of
the labels is called, or several as in ``1=liver;2=spleen``) are optional; ``channel_1``, ``channel_2`` and so on name
further channels of the scan, as ``FILE``, ``NAME=FILE`` or ``FILE:2``; other columns are left alone. Paths are
relative to the manifest. Everything wrong is reported at once, by line.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.io.channel_file import ChannelFile, channel_files, is_the_scan
from napari_sam2.io.guard import is_one_of
from napari_sam2.io.payload import existing_file
from napari_sam2.io.prompt_file import check_prompt_file
from napari_sam2.io.read import check_image

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["CASE_NAME", "ManifestRow", "has_channels", "read_manifest"]

CASE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a case may be called: it becomes the name of a folder on any system."""

_DEVICES: Final = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)
"""No names of files on Windows (Microsoft, "Naming Files, Paths, and Namespaces"), nor is one that ends in a dot."""

_UNSEEN: Final = ("Cc", "Zl", "Zp")
"""Categories of Unicode that no name holds: control characters and breaks of lines and paragraphs."""

_CHANNEL: Final = re.compile(r"channel_\d{1,4}")

_PATHS: Final = ("image", "prompts", "session", "labels")
_SEPARATORS: Final = ",;\t"
"""Spreadsheets write semicolons where the comma is the decimal sign."""

HEADER_CHARACTERS: Final = 65_536
"""How much of a table is looked at for its header alone."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One case.

    Attributes
    ----------
    line : int
        Line of the manifest, counted from 1.
    case : str
        Its name, see `CASE_NAME`.
    image : Path
        The scan.
    prompts, session, labels : Path, optional
        Prompt file, session to replay, and known labels.
    channels : tuple of ChannelFile
        Further channels of the scan, named after their columns where nothing else is given: a file may be called after
        a person.
    subject, group : str
        Whose scan it is, what it is compared within; often empty.
    names : dict of int to str
        What structures of the labels are called, by id; under 0 the name of the only one. Often empty.
    """

    line: int
    case: str
    image: Path
    prompts: Path | None = None
    session: Path | None = None
    labels: Path | None = None
    channels: tuple[ChannelFile, ...] = ()
    subject: str = ""
    group: str = ""
    names: Mapping[int, str] = field(default_factory=dict)


def read_manifest(
    path: str | os.PathLike[str],
    *,
    needs: Sequence[Collection[str]] = (),
    checks: Mapping[str, Callable[[Path], None]] | None = None,
) -> tuple[ManifestRow, ...]:
    """Read a table of cases, and check every file that it names.

    Parameters
    ----------
    path : path-like
        A CSV file; commas, semicolons or tabs.
    needs : sequence of collections of str
        What every case must have beside its image: of each collection, at least one of these columns, for example
        ``[("prompts", "session")]``.
    checks : mapping of str to callable, optional
        Per column, what refuses a file in place of the checks for scans and their prompts.

    Returns
    -------
    tuple of ManifestRow
        In the order of the lines.

    Raises
    ------
    ImageFileError
        If the file cannot be opened.
    ManifestError
        With one sentence per fault and its line. Scans are looked at, not read: whether one is damaged shows when
        it is used.
    """
    file = existing_file(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError([f"{file.name} is not a text file in UTF-8; save it as CSV (UTF-8)."]) from error
    return _Table(file, needs, checks or {}).rows(text)


def has_channels(path: Path) -> bool:
    """Whether the header of a table names channels.

    Not, where it cannot be read.
    """
    try:
        if not path.is_file():
            return False
        with path.open(encoding="utf-8-sig") as table:
            header = table.readline(HEADER_CHARACTERS)
    except (OSError, ValueError):
        return False
    cells = re.split(f"[{_SEPARATORS}]", header)
    return bool(_channel_columns([cell.strip(' "\r\n').lower() for cell in cells]))


def _channel_columns(columns: list[str]) -> list[str]:
    """Columns of channels, by their numbers."""
    found = [column for column in columns if _CHANNEL.fullmatch(column)]
    return sorted(found, key=lambda column: int(column.partition("_")[2]))


class _Table:
    """One pass over the lines that collects faults instead of stopping at the first."""

    def __init__(
        self, file: Path, needs: Sequence[Collection[str]], checks: Mapping[str, Callable[[Path], None]]
    ) -> None:
        self._checks = checks
        self._file = file
        self._needs = needs
        self._faults: list[str] = []
        self._seen: dict[str, int] = {}

    def rows(self, text: str) -> tuple[ManifestRow, ...]:
        lines = self._lines(text)
        line, header = next(lines, (1, []))
        columns = [cell.strip().lower() for cell in header]
        self._check_header(line, columns)
        if self._faults:
            raise ManifestError(self._faults)
        rows = [self._row(line, columns, cells) for line, cells in lines]
        if not rows:
            self._faults.append(f"{self._file.name} holds no case; add one line for each.")
        if self._faults:
            raise ManifestError(self._faults)
        return tuple(row for row in rows if row is not None)

    def _lines(self, text: str) -> Iterator[tuple[int, list[str]]]:
        first = text.partition("\n")[0]
        separator = max(_SEPARATORS, key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
        except csv.Error as error:
            self._fault(reader.line_num, f"it is not CSV ({error}); check its quotation marks.")

    def _check_header(self, line: int, columns: list[str]) -> None:
        for column in sorted({column for column in columns if column and columns.count(column) > 1}):
            self._fault(line, f"the column {column!r} is there twice.")
        for names in (("case",), ("image",), *self._needs):
            if not set(names) & set(columns):
                needed = " or ".join(repr(name) for name in names)
                present = ", ".join(columns) or "nothing"
                self._fault(line, f"there is no column {needed}; the header has {present}.")

    def _row(self, line: int, columns: list[str], cells: list[str]) -> ManifestRow | None:
        if len(cells) != len(columns):
            self._fault(line, f"it has {len(cells)} cells, the header has {len(columns)}.")
            return None
        cell = {column: text.strip() for column, text in zip(columns, cells, strict=True)}
        before = len(self._faults)
        self._check_case(line, cell["case"])
        if not cell["image"]:
            self._fault(line, "the cell 'image' is empty.")
        for names in self._needs:
            if not any(cell.get(name) for name in names):
                self._fault(line, f"the cell {' or '.join(repr(name) for name in names)} is empty.")
        paths = {name: self._file.parent / cell[name] for name in _PATHS if cell.get(name)}
        for name, path in paths.items():
            self._check_file(line, name, path)
        if "labels" in paths and is_one_of(paths["labels"], [paths["image"]] if "image" in paths else []):
            self._fault(line, "labels: it is the image itself; give the label map.")
        for column in ("subject", "group", "name"):
            if any(unicodedata.category(character) in _UNSEEN for character in cell.get(column, "")):
                self._fault(line, f"the cell {column!r} holds a line break or a control character; type it again.")
        told = self._names(line, cell.get("name", ""))
        channels = [
            self._channel(line, column, cell[column], paths) for column in _channel_columns(columns) if cell[column]
        ]
        if len(self._faults) > before:
            return None
        return ManifestRow(
            line,
            cell["case"],
            paths["image"],
            prompts=paths.get("prompts"),
            session=paths.get("session"),
            labels=paths.get("labels"),
            channels=tuple(channels),
            subject=cell.get("subject", ""),
            group=cell.get("group", ""),
            names=told,
        )

    def _names(self, line: int, text: str) -> dict[int, str]:
        """A cell of names: ``1=liver;2=spleen``, or one name for the only structure."""
        if "=" not in text:
            return {0: text} if text else {}
        names: dict[int, str] = {}
        for part in text.split(";"):
            number, _, name = (piece.strip() for piece in part.partition("="))
            if "=" in name:
                self._fault(
                    line,
                    f"the name {part.strip()[:40]!r} holds '=' twice; part names with ';', and put the cell into "
                    "quotation marks where ';' parts the columns.",
                )
            elif number.isascii() and number.isdigit() and len(number) < 10 and int(number) and name:
                if int(number) in names:
                    self._fault(line, f"the id {int(number)} has two names; keep one.")
                names[int(number)] = name
            else:
                self._fault(line, f"the name {part.strip()[:40]!r} must be such as 1=liver, several with ';'.")
        return names

    def _channel(self, line: int, column: str, text: str, paths: Mapping[str, Path]) -> ChannelFile:
        """A channel's cell."""
        (file,) = channel_files([text], self._file.parent)
        self._check_file(line, column, file.path)
        if "labels" in paths and is_one_of(file.path, [paths["labels"]]):
            self._fault(line, f"{column}: it is the label map of the scan; give an image.")
        elif "image" in paths and is_the_scan(file, paths["image"]):
            self._fault(line, f"{column}: it is the image itself; give another scan.")
        return replace(file, name=file.name or column)

    def _check_case(self, line: int, case: str) -> None:
        if not CASE_NAME.fullmatch(case):
            self._fault(
                line,
                f"the case {case!r} must be letters, digits, '.', '_' and '-', since it names a folder; rename it.",
            )
        elif _DEVICES.fullmatch(case) or case.endswith("."):
            self._fault(line, f"the case {case!r} cannot be the name of a folder on every system; rename it.")
        elif case.casefold() in self._seen:
            self._fault(line, f"the case {case!r} is on line {self._seen[case.casefold()]} already; rename one.")
        self._seen.setdefault(case.casefold(), line)

    def _check_file(self, line: int, column: str, path: Path) -> None:
        try:
            if column in self._checks:
                self._checks[column](path)
            elif column == "prompts":
                check_prompt_file(path)
            elif column == "session":
                if not (path / "session.json").is_file():
                    raise UserInputError(f"{path.name} is not the folder of a session.")
            else:
                check_image(path)
        except UserInputError as error:
            for sentence in str(error).splitlines():
                self._fault(line, f"{column}: {sentence}")

    def _fault(self, line: int, sentence: str) -> None:
        self._faults.append(f"{self._file.name}, line {line}: {sentence}")
