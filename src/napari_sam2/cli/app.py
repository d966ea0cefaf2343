"""Commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_sam2._version import __version__
from napari_sam2.cli.guard import guard_commands
from napari_sam2.cli.printing import echo, finish_printing, use_any_terminal
from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RESEARCH_USE", "app", "exit_code_of", "explained", "main"]

RESEARCH_USE: Final = "For research use only, not for diagnosis or treatment."

_COMMANDS: Final = (
    "demo", "segment", "find", "measure", "evaluate", "replay", "export", "cohort", "slide", "film", "train", "tune",
    "window", "serve", "models", "doctor",
)  # fmt: skip
"""Modules of the commands, in the order of the help."""

EXIT_BUG: Final = 1
EXIT_INPUT: Final = 2
EXIT_ENVIRONMENT: Final = 3
EXIT_INTERRUPTED: Final = 130
"""What shells report for a program ended by Ctrl+C."""

app = typer.Typer(
    name="napari-sam2",
    help=f"Interactive 3-D segmentation of MRI, CT and histology with SAM 2. {RESEARCH_USE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        echo(f"napari-sam2 {__version__}. {RESEARCH_USE}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of all commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0 done; 2 bad input or usage; 3 the machine lacks something; 1 a bug; 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _register()
    command = guard_commands(typer.main.get_command(app))
    return exit_code_of(lambda: command.main(words, prog_name="napari-sam2", standalone_mode=False), words)


def exit_code_of(work: Callable[[], object], words: Sequence[str]) -> int:
    """Run a command, and return its exit code.

    What it raises becomes a sentence; see `main`.

    Parameters
    ----------
    work : callable
        The command; a whole number that it returns is the exit code.
    words : sequence of str
        Its arguments; with ``--debug`` errors keep their traceback.
    """
    use_any_terminal()
    try:
        result = work()
        finish_printing()
    except typer.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            raise
        sentence, code = explained(error)
        echo(f"napari-sam2: {sentence}", err=True)
        return code
    return result if isinstance(result, int) else 0


def explained(error: Exception) -> tuple[str, int]:
    """What to tell a person of an error, and its exit code."""
    if isinstance(error, UserInputError):
        return str(error), EXIT_INPUT
    if isinstance(error, EnvironmentLacksError | ModelError):
        return str(error), EXIT_ENVIRONMENT
    if isinstance(error, MemoryError) or _is_lack_of_memory(error):
        return "there is not enough memory; close other programs or use a smaller volume.", EXIT_ENVIRONMENT
    if hasattr(error, "format_message"):
        # typer's own usage errors: an unknown option, a missing argument.
        return f"{str(error.format_message()).rstrip('.?')}; see --help.", EXIT_INPUT
    if isinstance(error, OSError):
        # Names only: where a file lies may tell who the patient is.
        name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, str | bytes) else "the system"
        reason = error.strerror or type(error).__name__
        return f"{name}: {reason}; look at the file, its folder and the disk.", EXIT_ENVIRONMENT
    kind = type(error).__name__
    return f"this should not have happened ({kind}); please report what the same command shows with --debug.", EXIT_BUG


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether a library says in its own way that an allocation failed."""
    text = str(error).lower()
    if isinstance(error, ImportError):
        return "failed to map segment" in text or "cannot allocate memory" in text
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def _register() -> None:
    """Import the commands, each of which adds itself to `app`."""
    from importlib import import_module

    for name in _COMMANDS:
        import_module(f"napari_sam2.cli.{name}")
