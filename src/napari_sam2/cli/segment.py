"""``napari-sam2 segment``: prompts on a scan to a label map."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    Device,
    Image,
    Methods,
    Model,
    Overwrite,
    Quality,
    Series,
    VolumeIndex,
    WindowSpec,
    print_methods,
    prompts_from_flags,
    ready_model,
    series_choice,
    slice_range,
)
from napari_sam2.cli.progress import errors, shown
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_sam2.core.prompts import ObjectPrompts
    from napari_sam2.core.volume import Volume
    from napari_sam2.session.session import Session

__all__ = ["object_rows", "run_session", "segment"]

WORST_SLICES = 5
"""Slices of least agreement that are named."""

LEAK_SHARE = 0.4
"""Hardly any structure fills more of a whole slice; a mask that does has most likely run out of its object."""


@app.command()
def segment(
    image: Image,
    output: Annotated[Path, typer.Option("--output", "-o", help="The label map, .nii.gz or .nii.")],
    prompts: Annotated[Path | None, typer.Option("--prompts", help="A prompt file, for several objects.")] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", help="Two opposite corners on one slice, both inside.", metavar="i0,j0,k0,i1,j1,k1"),
    ] = None,
    point: Annotated[list[str] | None, typer.Option("--point", help="Include this voxel.", metavar="i,j,k")] = None,
    negative: Annotated[
        list[str] | None, typer.Option("--negative", help="Exclude this voxel.", metavar="i,j,k")
    ] = None,
    model: Model = DEFAULT_MODEL,
    plane: Annotated[
        str | None, typer.Option("--plane", help="axial, coronal or sagittal slices, when there are only points.")
    ] = None,
    slices: Annotated[
        str | None, typer.Option("--slices", help="Only these slices, A to B - 1.", metavar="A:B")
    ] = None,
    direction: Annotated[str, typer.Option("--direction", help="both, forward, backward or none.")] = "both",
    window: WindowSpec = "auto",
    volume: VolumeIndex = None,
    series: Series = None,
    device: Device = "auto",
    quality: Quality = "auto",
    overwrite: Overwrite = False,
    keep_session: Annotated[
        bool, typer.Option("--session", help="Keep a session beside the output, for 'napari-sam2 replay'.")
    ] = False,
    methods: Methods = False,
    check_planes: Annotated[
        bool, typer.Option("--check-planes", help="Carry every object along all three axes, and say where they differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment objects of a scan from a box or a few clicks.

    All --box, --point and --negative flags describe object 1, in voxel indices (i, j, k) in the stored
    order of the file. Example:

    napari-sam2 segment ct.nii.gz -o liver.nii.gz --box 40,30,60,90,80,60
    """
    from napari_sam2.io import check_output, read_volume
    from napari_sam2.io.labels import source_has_changed
    from napari_sam2.record.journal import Journal
    from napari_sam2.record.save import check_sidecars, save_session
    from napari_sam2.session.session import Session

    wanted = slice_range(slices)
    _check_direction(direction)
    flagged = prompts_from_flags(box or [], point or [], negative or [])
    scan = read_volume(image, volume_index=volume, series=series_choice(series))
    for note in scan.source.notes:
        errors.print(f"note: {note}", markup=False)
    check_output(output, scan, overwrite=overwrite)
    if not overwrite:
        check_sidecars(output)
    objects = _objects(flagged, prompts, scan)
    session = Session(
        scan,
        ready_model(model, device, quality),
        window=window,
        axis=None if plane is None else scan.axis_of_plane(plane),
    )
    journal = Journal(session, _session_folder(output)) if keep_session else None
    seconds = run_session(session, objects, wanted, direction)
    if journal is not None:
        journal.close()
    settings = {"direction": direction, "slices": [wanted.start, wanted.stop] if wanted else None}
    if source_has_changed(scan):
        errors.print(f"note: {scan.source.name} has changed on disk since it was opened; check that the labels fit.")
    written = save_session(session, output, overwrite=overwrite, settings=settings)
    _report(session, written, seconds, as_json, agreement_rows(session) if check_planes else {})
    if methods:
        print_methods(written)


def run_session(session: Session, objects: list[ObjectPrompts], slices: range | None, direction: str) -> float:
    """Answer prompts and propagate them, with a progress bar; returns the seconds it took."""
    started = time.perf_counter()
    session.set_objects(objects)
    if direction != "none":
        total = session.count_slices(slices=slices, direction=direction)
        for _ in shown(session.propagate(slices=slices, direction=direction), total):
            pass
    return time.perf_counter() - started


def object_rows(session: Session) -> list[dict[str, Any]]:
    """What is known of every object: id, name, voxels, volume, slices."""
    labels = session.label_map()
    rows = []
    for obj in session.objects.values():
        voxels = int((labels == obj.object_id).sum())
        filled = sorted(index for index, result in obj.results.items() if result.mask.n_voxels)
        rows.append(
            {
                "id": obj.object_id,
                "name": obj.name,
                "voxels": voxels,
                "volume_ml": round(voxels * session.volume.voxel_volume_ml, 3),
                "axis": "ijk"[obj.axis],
                "slices": [filled[0], filled[-1]] if filled else None,
            }
        )
    return rows


def agreement_rows(session: Session) -> dict[int, dict[str, Any]]:
    """What the tri-planar check says of every object: Dice between planes, and where they agree least."""
    from napari_sam2.session.triplanar import check_object

    found = {}
    for object_id, obj in session.objects.items():
        if not any(result.mask.n_voxels for result in obj.results.values()):
            continue
        check = check_object(session, object_id)
        name = session.volume.plane_name
        worst = sorted(check.agreement().items(), key=lambda entry: entry[1])[:WORST_SLICES]
        found[object_id] = {
            "dice": {f"{name(a)}-{name(b)}": round(value, 3) for (a, b), value in check.dice.items()},
            "least_agreement": {index: round(value, 3) for index, value in worst},
        }
    return found


def _session_folder(output: Path) -> Path:
    """``x.sam2session`` beside ``x.nii.gz``."""
    return output.with_name(output.name.removesuffix(".gz").removesuffix(".nii") + ".sam2session")


def _leaks(session: Session) -> list[str]:
    """A sentence for every object that fills so much of a slice that it has probably leaked."""
    notes = []
    for obj in session.objects.values():
        plane = session.volume.plane(obj.axis)
        shares = {i: r.mask.n_voxels / (plane.shape[0] * plane.shape[1]) for i, r in obj.results.items()}
        worst = max(shares, key=shares.__getitem__, default=None)
        if worst is not None and shares[worst] > LEAK_SHARE:
            notes.append(
                f"object {obj.object_id} fills {shares[worst]:.0%} of slice {'ijk'[obj.axis]} {worst}; "
                "look whether it has leaked."
            )
    return notes


def _check_direction(direction: str) -> None:
    known = ("both", "forward", "backward", "none")
    if direction not in known:
        raise UserInputError(f"--direction {direction}: choose one of {', '.join(known)}.")


def _objects(flagged: list[ObjectPrompts], file: Path | None, scan: Volume) -> list[ObjectPrompts]:
    if file is None:
        return flagged
    if flagged:
        raise UserInputError("Give either --prompts or --box, --point and --negative, not both.")
    from napari_sam2.io.prompt_file import read_prompt_file

    return read_prompt_file(file, scan)


def _report(session: Session, written: Path, seconds: float, as_json: bool, planes: dict[int, dict[str, Any]]) -> None:
    rows = object_rows(session)
    for row in rows:
        if row["id"] in planes:
            row["planes"] = planes[row["id"]]
    empty = [str(row["id"]) for row in rows if not row["voxels"]]
    if empty:
        errors.print(f"note: nothing was found for object {', '.join(empty)}; try another window, box or model.")
    for note in _leaks(session):
        errors.print(f"note: {note}")
    card, window = session.model.card, session.window
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "output": str(written),
                    "model": {"name": card.name, "revision": card.revision, "sha256": card.sha256},
                    "window": {"name": window.name, "low": window.low, "high": window.high},
                    "seconds": round(seconds, 3),
                    "objects": rows,
                }
            )
        )
        return
    table = Table("id", "name", "volume (mL)", "voxels", "slices")
    for row in rows:
        span = f"{row['axis']} {row['slices'][0]} to {row['slices'][1]}" if row["slices"] else "none"
        table.add_row(str(row["id"]), row["name"], f"{row['volume_ml']:.2f}", str(row["voxels"]), span)
    out = Console(highlight=False, soft_wrap=True)
    out.print(table)
    for object_id, found in planes.items():
        pairs = ", ".join(f"{pair} {value:.2f}" for pair, value in found["dice"].items())
        slices = ", ".join(str(index) for index in found["least_agreement"])
        out.print(f"object {object_id}: Dice between planes {pairs}; least agreement on slices {slices}", markup=False)
    out.print(
        f"model {card.name}, window {window.name} ({window.low:g} to {window.high:g}), {seconds:.1f} s", markup=False
    )
    out.print(f"wrote {written}", markup=False)
