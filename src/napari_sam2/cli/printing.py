"""The one place that prints.

Whatever a name holds, it reaches the terminal as plain text.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["PlainConsole", "echo", "errors", "finish_printing", "note", "out", "plain", "use_any_terminal"]

_KEPT: Final = "\n\t"
_ESCAPED: Final = ("Cc", "Cf", "Cs")
"""Unicode's control characters, marks without a width (some turn the direction of reading) and lone surrogates."""


def plain(text: str) -> str:
    r"""Text with escapes for what a terminal would obey.

    And for what it cannot show; such as ``\x1b``.

    Names of files and objects may come from anywhere.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in _KEPT or unicodedata.category(c) not in _ESCAPED else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class PlainConsole(Console):
    """A rich console that takes no text for markup.

    It shows text as `plain` does, in tables as well.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, soft_wrap=True, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """As rich's own, which every piece of text goes through."""
        return super().render_str(plain(text), **how)

    def on_broken_pipe(self) -> None:
        """Go on in silence when nobody reads any more.

        As after ``| head``: what was saved stays saved.
        """
        self.quiet = True
        _print_nowhere(sys.stderr if self.stderr else sys.stdout)


out: Final = PlainConsole()
"""Results, on stdout."""

errors: Final = PlainConsole(stderr=True)
"""Everything else, on stderr."""


def echo(line: str, *, err: bool = False) -> None:
    """Print one line as it is, without wrapping."""
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(plain(line) + "\n")
        stream.flush()
    except BrokenPipeError:
        _print_nowhere(stream)


def finish_printing() -> None:
    """Bring what was printed to where it goes.

    Now an error can still be told.

    Raises
    ------
    OSError
        If it cannot be written, as to a full disk.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _print_nowhere(sys.stdout)
    except OSError:
        _print_nowhere(sys.stdout)
        raise


def _print_nowhere(stream: TextIO) -> None:
    """Let the rest of a stream vanish, so that Python does not stumble over it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def note(sentence: str) -> None:
    """Tell a person something beside the result."""
    errors.print(f"note: {sentence}")


def use_any_terminal() -> None:
    """Let a terminal show escapes instead of ending the program.

    For characters that it cannot show.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
