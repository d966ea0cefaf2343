"""Commands, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_sam2._version import __version__
from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RESEARCH_USE", "app", "main"]

RESEARCH_USE: Final = "For research use only, not for diagnosis or treatment."

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
        typer.echo(f"napari-sam2 {__version__}. {RESEARCH_USE}")
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
    given = list(sys.argv[1:] if arguments is None else arguments)
    _register()
    command = typer.main.get_command(app)
    try:
        result = command.main(given, prog_name="napari-sam2", standalone_mode=False)
    except (UserInputError, EnvironmentLacksError, ModelError) as error:
        if "--debug" in given:
            raise
        typer.echo(f"napari-sam2: {error}", err=True)
        return EXIT_INPUT if isinstance(error, UserInputError) else EXIT_ENVIRONMENT
    except typer.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except MemoryError:
        typer.echo("napari-sam2: there is not enough memory; close other programs or use a smaller volume.", err=True)
        return EXIT_ENVIRONMENT
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        # typer's own usage errors: an unknown option, a missing argument.
        typer.echo(f"napari-sam2: {str(error.format_message()).rstrip('.?')}; see --help.", err=True)
        return EXIT_INPUT
    return result if isinstance(result, int) else 0


def _register() -> None:
    """Import the commands, each of which adds itself to `app`."""
    from napari_sam2.cli import demo, doctor, evaluate, export, measure, models, replay, segment, slide, train, window  # noqa: F401
