"""``napari-sam2 evaluate``: scores on scans with known labels.

Prompts are simulated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.channels.mix import AUTO
from napari_sam2.channels.opening import channel_files, read_stack
from napari_sam2.channels.refusing import check_registration
from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    Channels,
    Device,
    Fusion,
    Model,
    Overwrite,
    Register,
    Remote,
    TokenFile,
    VolumeIndex,
    WindowSpec,
    chosen_model,
    is_whole_number,
)
from napari_sam2.cli.printing import errors, note, out
from napari_sam2.cli.segfm import print_comparison, score_cases
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.evaluation.cases import Case

__all__ = ["evaluate"]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Further channels of a scan, and how the model sees them."""

    channels: tuple[str, ...]
    register: str
    fusion: str

    @property
    def is_chosen(self) -> bool:
        return bool(self.register) or self.fusion != AUTO


@app.command()
def evaluate(
    image: Annotated[
        Path | None,
        typer.Argument(help="A scan, or a folder of labelled scans (BIDS, nnU-Net, challenge npz), or a table (.csv)."),
    ] = None,
    labels: Annotated[Path | None, typer.Argument(help="Known labels on the image's grid.")] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", help="segfm, or some of box, clicks, box-propagate and mask-propagate."),
    ] = None,
    ids: Annotated[str | None, typer.Option("--labels", help="Only these ids.", metavar="1,5")] = None,
    model: Model = DEFAULT_MODEL,
    window: WindowSpec = "auto",
    blank: Annotated[bool, typer.Option(help="Also with the image hidden: does the model look at it at all?")] = True,
    baselines: Annotated[bool, typer.Option(help="Also classical methods with the same prompts.")] = True,
    clicks: Annotated[int, typer.Option("--clicks", help="Clicks after the box, for segfm.", min=0, max=20)] = 5,
    clicks_after: Annotated[
        str, typer.Option("--clicks-after", help="box or range: whether clicks follow the box that was told its range.")
    ] = "box",
    predictor: Annotated[
        str | None,
        typer.Option("--predictor", help="Score this command instead, with the challenge's npz files, for segfm."),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option("--compare", help="Compare two files of segfm scores.", metavar="A B")
    ] = None,
    root: Annotated[Path | None, typer.Option("--root", help="Folder that the paths of a table start from.")] = None,
    volume: VolumeIndex = None,
    channel: Channels = None,
    register: Register = "",
    fusion: Fusion = "auto",
    device: Device = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all scores to this file.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Score a model, or any program, against known labels.

    With simulated boxes and clicks.

    Without a protocol: a tight box and clicks on the slice where the object is largest, each click deepest in the
    largest error; Dice of the largest component of each object. Protocol segfm: a tight box on the middle slice, with
    and without the object's slices told, then clicks anywhere in the volume by the rule of the CVPR 2025 challenge,
    each carried through the volume; Dice and surface Dice (2 mm) after each. Examples:

    napari-sam2 evaluate ct.nii.gz ct_labels.nii.gz --labels 1,5 --protocol box

    napari-sam2 evaluate imagesAndLabels/ --protocol segfm --json mine.json

    napari-sam2 evaluate cases.csv --protocol segfm --predictor "sh /opt/other/predict.sh" --json theirs.json

    napari-sam2 evaluate --compare theirs.json mine.json

    napari-sam2 evaluate flair.nii.gz lesions.nii.gz --channel t2.nii.gz --protocol box
    """
    from napari_sam2.io.atomic import check_folder, check_free

    if compare is not None:
        print_comparison(*compare)
        return
    if image is None:
        raise UserInputError("Give a scan with its labels, or a folder or table of labelled scans.")
    if as_json is not None:
        if as_json.suffix.lower() != ".json":
            raise UserInputError(f"--json {as_json.name}: give a name that ends in .json.")
        check_folder(as_json)
        check_free(as_json, overwrite=overwrite)
    protocols = _protocols(protocol or [])
    if predictor is not None and remote is not None:
        raise UserInputError("Score either --predictor, a command, or --remote, a model on a server.")
    if predictor is not None and protocols != ("segfm",):
        raise UserInputError("--predictor: a command is scored with --protocol segfm alone.")

    def ready() -> AnyModel:
        return chosen_model(model, device, "auto", remote, token_file)

    if predictor is not None and channel:
        raise UserInputError("--predictor: a command is shown one image; leave out --channel.")
    check_registration(register)
    seen = _Seen(tuple(channel or ()), register, fusion)
    cases = _cases(image, labels, ids, window, volume, root, seen, whole=protocols == ("segfm",))
    if protocols == ("segfm",):
        from napari_sam2.evaluation.command import CommandPredictor
        from napari_sam2.evaluation.predictors import SessionPredictor

        judged = SessionPredictor(ready()) if predictor is None else CommandPredictor(predictor)
        about = {"predictor": judged.name, "window": window, "clicks": clicks, **_versions()}
        score_cases(cases, judged, clicks=clicks, clicks_after=clicks_after, as_json=as_json, about=about)
        return
    _score_on_slices(cases, ready(), protocols, blank, baselines, as_json)


def _protocols(named: list[str]) -> tuple[str, ...]:
    from napari_sam2.evaluation.protocols import PROTOCOLS

    unknown = sorted(set(named) - set(PROTOCOLS) - {"segfm"})
    if unknown:
        raise UserInputError(f"--protocol {unknown[0]}: choose among {', '.join(PROTOCOLS)} and segfm.")
    if "segfm" in named and set(named) != {"segfm"}:
        raise UserInputError("--protocol segfm has scores of its own; run it without the others.")
    return tuple(dict.fromkeys(named)) or PROTOCOLS


def _versions() -> dict[str, str]:
    from napari_sam2._version import __version__
    from napari_sam2.io.sidecar import software_versions

    return {"napari-sam2": __version__} | software_versions()


def _cases(
    image: Path,
    labels: Path | None,
    ids: str | None,
    window: str,
    volume: int | None,
    root: Path | None,
    seen: _Seen,
    *,
    whole: bool,
) -> Iterator[tuple[Case, str]]:
    """Cases, each with its person; the largest part of each label, or the `whole` of it."""
    if labels is None:
        from napari_sam2.evaluation.datasets import cases_of, find_scans

        if ids is not None or volume is not None:
            raise UserInputError("--labels and --volume are for one scan; a table names ids in its column 'ids'.")
        if seen.channels:
            raise UserInputError(
                "--channel is for one scan; a table names channels in the columns channel_1 and so on."
            )
        scans = find_scans(image, root)
        if seen.is_chosen and not any(scan.channels for scan in scans):
            raise UserInputError("--register and --fusion are for further channels, and no scan has any.")
        return (
            (case, scan.subject)
            for scan in scans
            for case in cases_of(scan, window, register=seen.register, fusion=seen.fusion, say=note)
        )
    if seen.is_chosen and not seen.channels:
        raise UserInputError("--register and --fusion are for further channels; give them with --channel.")
    return _cases_of_one(image, labels, ids, window, volume, seen, whole=whole)


def _cases_of_one(
    image: Path, labels: Path, ids: str | None, window: str, volume: int | None, seen: _Seen, *, whole: bool
) -> Iterator[tuple[Case, str]]:
    import numpy as np

    from napari_sam2.core.window import choose_window
    from napari_sam2.evaluation.cases import make_case
    from napari_sam2.io import read_labels, read_volume

    scan = read_volume(image, volume_index=volume)
    truth = read_labels(labels, scan)
    chosen = choose_window(scan, window)
    files = channel_files(seen.channels)
    stack = read_stack(scan, files, register=seen.register, reference_index=volume, say=note) if files else None
    for label_id in _ids(ids, {int(i) for i in np.unique(truth)} - {0}):
        mask = truth == label_id
        case = make_case(scan.source.name, f"object {label_id}", scan, mask, chosen)
        case = replace(case, channels=stack, fusion=seen.fusion)
        yield (replace(case, truth=mask) if whole else case), scan.source.name


def _score_on_slices(
    cases: Iterable[tuple[Case, str]],
    model: AnyModel,
    protocols: tuple[str, ...],
    blank: bool,
    baselines: bool,
    as_json: Path | None,
) -> None:
    from napari_sam2.evaluation.evaluate import evaluate_case
    from napari_sam2.evaluation.gate import table
    from napari_sam2.io.atomic import write_text
    from napari_sam2.io.sidecar import as_json_text, finite

    scores, windows = [], set()
    for case, _ in cases:
        errors.print(f"scoring {case.name}, {case.label}")
        windows.add(f"{case.window.name} ({case.window.low:g} to {case.window.high:g})")
        scores.append(evaluate_case(case, model, protocols=protocols, blank=blank, baselines=baselines))
    out.print(table(scores))
    out.print(f"model {model.card.name}, window {', '.join(sorted(windows))}")
    if as_json is not None:
        write_text(as_json, as_json_text(finite([asdict(s) for s in scores])), overwrite=True)


def _ids(text: str | None, present: set[int]) -> list[int]:
    if text is None:
        return sorted(present)
    parts = [part.strip() for part in text.split(",")]
    missing = [part for part in parts if not is_whole_number(part) or int(part) not in present]
    if missing:
        raise UserInputError(f"--labels {text}: there is no label {', '.join(missing)} in the file.")
    return [int(part) for part in parts]
