"""``napari-sam2-bids``: a BIDS-App, with the arguments that those have."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2._version import __version__
from napari_sam2.channels.mix import AUTO
from napari_sam2.cli.app import RESEARCH_USE, exit_code_of
from napari_sam2.cli.guard import paths_among
from napari_sam2.cli.printing import errors
from napari_sam2.errors import UserInputError
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

EXIT_SOME_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Segment the images of a BIDS dataset that have prompts.

    Or report on all that were segmented.

    Returns
    -------
    int
        0 done; 1 some cases failed; 2 bad input; 3 the machine lacks something.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    choices = _parser().parse_args(words)
    return exit_code_of(lambda: _guarded(choices), words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "napari-sam2-bids",
        description=f"Segment images of a BIDS dataset from prompt files (derivatives/prompts). {RESEARCH_USE}",
        epilog="napari-sam2-bids dataset derivatives/napari-sam2 participant --participant-label 01 02",
    )
    parser.add_argument("bids_dir", type=Path, help="the dataset")
    parser.add_argument("output_dir", type=Path, help="the derivative dataset; made if missing")
    parser.add_argument("level", choices=("participant", "group"), help="segment, or report on all participants")
    parser.add_argument("--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL")
    parser.add_argument("--session-label", "--session_label", nargs="+", default=[], metavar="LABEL")
    parser.add_argument("--prompts", type=Path, help="folder of prompt files, laid out like the dataset")
    parser.add_argument(
        "--channel-suffix", "--channel_suffix", nargs="+", default=[], metavar="SUFFIX",
        help="other images of the same session, such as T2w FLAIR, which the model sees as well",
    )  # fmt: skip
    parser.add_argument("--register", choices=("", "rigid"), default="", help="rigid: lay channels on the image")
    parser.add_argument(
        "--fusion", default="auto", help="what the model sees: auto, prompt, rgb, a suffix, A=0.7,B=0.3"
    )
    parser.add_argument("--n-procs", "--n_procs", type=int, default=0, help="worker processes; 0 chooses")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="'bundled', 'classical', a name or a folder")
    parser.add_argument("--window", default="auto", help="auto, a CT preset, or level/width")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--remote", metavar="URL", help="let a server answer: http://127.0.0.1:8765, https://host")
    parser.add_argument("--token-file", "--token_file", type=Path, help="the file with the server's token")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    parser.add_argument("-v", "--version", action="version", version=f"napari-sam2 {__version__}. {RESEARCH_USE}")
    return parser


def _guarded(choices: argparse.Namespace) -> int:
    """Run the level, unless the output is an input.

    The guard of the other commands: a dataset, prompts or a model are never written to.
    """
    inputs = paths_among(value for name, value in vars(choices).items() if name != "output_dir")
    refuse_inputs_as_outputs(inputs, [choices.output_dir])
    return _participants(choices) if choices.level == "participant" else _group(choices)


def _participants(choices: argparse.Namespace) -> int:
    from napari_sam2.cli.options import check_remote, check_starts_nothing
    from napari_sam2.cohort.derivatives import COHORT_FOLDER, check_output, file_derivatives
    from napari_sam2.cohort.job import CohortSettings
    from napari_sam2.cohort.run import Workers, run_cohort
    from napari_sam2.io.bids_input import PROMPTS, find_cases

    if choices.n_procs < 0:
        raise UserInputError(f"--n-procs {choices.n_procs}: give a number of processes; 0 chooses.")
    check_remote(choices.device, "auto", choices.remote, choices.token_file)
    check_starts_nothing(choices.remote)
    check_output(choices.bids_dir, choices.prompts or choices.bids_dir / PROMPTS, choices.output_dir)
    suffixes = choices.channel_suffix
    if (choices.register or choices.fusion != AUTO) and not suffixes:
        raise UserInputError("--register and --fusion are for further channels; name them with --channel-suffix.")
    chosen = {"participants": choices.participant_label, "sessions": choices.session_label}
    rows = find_cases(choices.bids_dir, choices.prompts, channels=suffixes, **chosen)
    every = find_cases(choices.bids_dir, choices.prompts, channels=suffixes)
    names = {row.case for row in rows}
    settings = CohortSettings(
        model=choices.model, window=choices.window, device=choices.device, remote=choices.remote,
        token_file=None if choices.token_file is None else choices.token_file.resolve(),
        register=choices.register, fusion=choices.fusion,
    )  # fmt: skip
    result = run_cohort(
        choices.bids_dir,
        every,
        choices.output_dir / COHORT_FOLDER,
        settings,
        only=names,
        workers=Workers(count=choices.n_procs, alone=choices.n_procs == 1),
        say=lambda sentence: errors.print(f"note: {sentence}"),
    )
    for case, sentence in result.failures.items():
        errors.print(f"FAILED {case}: {sentence}")
    for path in file_derivatives(choices.bids_dir, rows, choices.output_dir):
        sys.stdout.write(f"wrote {path}\n")
    return EXIT_SOME_FAILED if result.failures else 0


def _group(choices: argparse.Namespace) -> int:
    from napari_sam2.cohort.derivatives import COHORT_FOLDER
    from napari_sam2.cohort.report import write_report

    for path in write_report(choices.output_dir / COHORT_FOLDER):
        sys.stdout.write(f"wrote {path}\n")
    return 0
