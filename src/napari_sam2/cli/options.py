"""Arguments that several commands share, and their meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from napari_sam2.cli.printing import echo, note
from napari_sam2.core.prompts import Box, ObjectPrompts, Point
from napari_sam2.errors import UserInputError
from napari_sam2.io.formats import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.remote.model import RemoteModel

Number = TypeVar("Number", int, float)

__all__ = [
    "AnswerChoice",
    "ChannelSuffix",
    "Channels",
    "DetectorChoice",
    "Device",
    "Fusion",
    "Image",
    "MemoryChoice",
    "Methods",
    "Model",
    "Overwrite",
    "ProgramChoice",
    "Quality",
    "Register",
    "Remote",
    "Series",
    "TokenFile",
    "VolumeIndex",
    "WindowSpec",
    "check_remote",
    "check_starts_nothing",
    "chosen_model",
    "is_whole_number",
    "number_or_text",
    "print_methods",
    "prompts_from_flags",
    "ready_model",
    "series_choice",
    "slice_range",
]

Image = Annotated[Path, typer.Argument(help=f"The scan: {readable()}.")]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="'bundled', 'classical', a name of 'napari-sam2 models', or a folder.", metavar="NAME|PATH"
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Quality = Annotated[
    str,
    typer.Option("--quality", help="For SAM 2: fast, balanced or best; auto is best on a GPU, else balanced."),
]
Remote = Annotated[
    str | None,
    typer.Option(
        "--remote", help="Let a server answer: http://127.0.0.1:8765, https://host, ssh://me@host.", metavar="URL"
    ),
]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="The file with the server's token.")]
WindowSpec = Annotated[
    str, typer.Option("--window", help="auto, a CT preset such as CT-lung, or level/width such as 40/400.")
]
VolumeIndex = Annotated[
    int | None, typer.Option("--volume", help="Which volume of a file that holds several, counted from 0.")
]
Series = Annotated[
    str | None, typer.Option("--series", help="Which DICOM series of a folder, by its place in the list or its UID.")
]
_MEMORY = typer.Option(
    "--memory",
    help="Finished scans: a manifest with labels or sessions, or a folder of label maps beside their scans.",
    metavar="PROJECT",
)
MemoryChoice = Annotated[Path | None, _MEMORY]
ProgramChoice = Annotated[
    str,
    typer.Option("--program", help="Another program says where names lie: a command with {image}, {output}, {names}."),
]
DetectorChoice = Annotated[
    str,
    typer.Option(
        "--detector",
        help="Experimental: a general detector looks for names: its folder (Grounding DINO, SAM 3), or its id.",
        metavar="FOLDER",
    ),
]
AnswerChoice = Annotated[
    str | None,
    typer.Option(
        "--answer",
        help="proposed (the default): take the mask that is proposed; model: ask the model about its box.",
    ),
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        help="Another sequence or modality of the scan; FILE:N is one volume of a file, FILE:all each.",
        metavar="[NAME=]FILE",
    ),
]
ChannelSuffix = Annotated[
    list[str] | None,
    typer.Option("--channel-suffix", help="For a BIDS dataset: another image beside each, a channel of it, as T2w."),
]
Register = Annotated[
    str, typer.Option("--register", help="rigid: lay the channels on the scan by what they show.", metavar="rigid")
]
Fusion = Annotated[
    str,
    typer.Option(
        "--fusion", help="What the model sees: auto, prompt, rgb, rgb:A,B,C, a channel's name, or A=0.7,B=-0.3."
    ),
]
Methods = Annotated[bool, typer.Option("--methods", help="Print a methods paragraph for a paper after the result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]


def prompts_from_flags(boxes: Sequence[str], points: Sequence[str], negatives: Sequence[str]) -> list[ObjectPrompts]:
    """Object 1 from ``--box``, ``--point`` and ``--negative``.

    An empty list when there are none.

    Raises
    ------
    UserInputError
        Naming every value that is not made of the right number of numbers.
    """
    faults: list[str] = []
    prompts: list[Prompt] = []
    for text in boxes:
        c = _numbers("--box", text, 6, int, faults)
        if c:
            prompts.append(Box(((c[0], c[1], c[2]), (c[3], c[4], c[5]))))
    for option, texts, positive in (("--point", points, True), ("--negative", negatives, False)):
        for text in texts:
            p = _numbers(option, text, 3, float, faults)
            if p:
                prompts.append(Point((p[0], p[1], p[2]), positive))
    if faults:
        raise UserInputError("\n".join(faults))
    return [ObjectPrompts(1, tuple(prompts))] if prompts else []


def ready_model(name: str, device: str, quality: str = "auto") -> SegmentationModel:
    """Load a model, with the threads this process may use.

    See `napari_sam2.models.load_model`.
    """
    from napari_sam2.models import load_model
    from napari_sam2.models.threads import use_all_cpus

    use_all_cpus()
    return load_model(name, device, quality=quality)


def check_remote(device: str, quality: str, remote: str | None, token_file: Path | None) -> None:
    """Refuse options of a server beside those of this machine.

    Raises
    ------
    UserInputError
        Saying which.
    """
    if remote is None and token_file is not None:
        raise UserInputError("--token-file is for a server; give its address with --remote.")
    if remote is not None and (device, quality) != ("auto", "auto"):
        raise UserInputError("--device and --quality are the server's choice; leave them out with --remote.")


def check_starts_nothing(remote: str | None) -> None:
    """Refuse to start a server where several processes ask.

    With ``ssh://host?start`` each would start one of its own.

    Raises
    ------
    UserInputError
        Saying what to do instead.
    """
    from napari_sam2.remote.tunnel import SshTarget

    if remote is not None and remote.startswith("ssh:") and SshTarget.of(remote).starts:
        raise UserInputError(
            "--remote ssh://...?start: every worker would start a server; start one with 'napari-sam2 serve', and "
            "leave out '?start'."
        )


def chosen_model(
    name: str, device: str, quality: str, remote: str | None, token_file: Path | None
) -> SegmentationModel | RemoteModel:
    """A model on this machine, or on the server that ``--remote`` names.

    Raises
    ------
    UserInputError
        If options do not go together.
    """
    check_remote(device, quality, remote, token_file)
    if remote is None:
        return ready_model(name, device, quality)
    from napari_sam2.remote.model import connect

    return connect(remote, token_file, name, say=note)


def print_methods(labels_path: Path) -> None:
    """The paragraph for a paper, from a label map's sidecar."""
    from napari_sam2.io.methods import methods_paragraph

    echo(methods_paragraph(labels_path))


def series_choice(text: str | None) -> str | int | None:
    """A DICOM series by its place or its UID.

    Its place in the list is a number.
    """
    return None if text is None else number_or_text(text)


def number_or_text(text: str) -> int | str:
    """A whole number of at most nine digits, else the text."""
    return int(text) if is_whole_number(text) else text


def is_whole_number(text: str) -> bool:
    """Whether text is a number of at most nine digits.

    Digits are 0 to 9; others, such as ², are digits to Python too.
    """
    return re.fullmatch("[0-9]{1,9}", text) is not None


def slice_range(text: str | None) -> range | None:
    """Slices ``A:B`` as Python counts them.

    A, A + 1, ... B - 1; either side may be left out.

    Raises
    ------
    UserInputError
        If it is anything else, or empty.
    """
    if text is None:
        return None
    match = re.fullmatch("([0-9]{0,9}):([0-9]{0,9})", text)
    if match is None:
        raise UserInputError(f"--slices {text[:60]}: give A:B, for example 20:40 for the slices 20 to 39.")
    start, stop = int(match[1] or 0), int(match[2]) if match[2] else None
    chosen = range(start, 2**31 if stop is None else stop)
    if not chosen:
        raise UserInputError(f"--slices {text}: holds no slice; the first number must be smaller than the second.")
    return chosen


def _numbers(option: str, text: str, count: int, kind: Callable[[str], Number], faults: list[str]) -> list[Number]:
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        example = "i0,j0,k0,i1,j1,k1" if count == 6 else "i,j,k"
        what = "whole numbers" if kind is int else "numbers"
        faults.append(f"{option} {text[:60]}: give {count} {what} as {example}.")
        return []
    return numbers
