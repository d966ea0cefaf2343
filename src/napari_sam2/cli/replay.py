"""``napari-sam2 replay``: rebuild a result from its session, and say whether it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Device, Methods, Overwrite, VolumeIndex, print_methods, ready_model
from napari_sam2.cli.progress import errors
from napari_sam2.errors import UserInputError

__all__ = ["replay"]

EXIT_DIFFERS = 4
"""The replay ran, and its result is not the recorded one."""


@app.command()
def replay(
    session: Annotated[Path, typer.Argument(help="The folder of a session, NAME.sam2session.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The label map, .nii.gz or .nii.")],
    image: Annotated[
        Path | None, typer.Option("--image", help="The image; looked for beside the session by its hash otherwise.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another model than the recorded one.", metavar="NAME|PATH")
    ] = None,
    quality: Annotated[
        str | None, typer.Option("--quality", help="For SAM 2: fast, balanced or best; what was recorded by default.")
    ] = None,
    volume: VolumeIndex = None,
    device: Device = "auto",
    methods: Methods = False,
    overwrite: Overwrite = False,
) -> int:
    """Do every action of a session again, headless; exit code 4 when the result is not identical.

    napari-sam2 replay liver.sam2session -o again.nii.gz
    """
    from napari_sam2.io import check_output, read_volume
    from napari_sam2.record.replay import read_head
    from napari_sam2.record.replay import replay as run
    from napari_sam2.record.save import check_sidecars, save_session

    head = read_head(session)
    scan = read_volume(image or _find_image(session, head["source"]["sha256"]), volume_index=volume)
    check_output(output, scan, overwrite=overwrite)
    if not overwrite:
        check_sidecars(output)
    chosen = quality or head["model"].get("quality") or "auto"
    result = run(scan, ready_model(model or head["model"]["name"], device, chosen), session)
    written = save_session(result.session, output, overwrite=overwrite, settings={"replayed": True})
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"wrote {written}", markup=False)
    for reason in result.reasons:
        errors.print(f"note: {reason}", markup=False)
    if methods:
        print_methods(written)
    if result.identical:
        out.print(f"identical: every voxel is as it was recorded, in {len(result.session.objects)} objects")
        return 0
    total = sum(result.differing.values())
    slices = ", ".join(f"{index} ({count})" for index, count in result.differing.items())
    out.print(f"NOT identical: {total} voxels on {len(result.differing)} slices differ: {slices}")
    return EXIT_DIFFERS


def _find_image(session: Path, sha256: str) -> Path:
    """The file beside the session whose bytes have the recorded hash."""
    from napari_sam2.hashing import sha256_of

    if sha256:
        for file in sorted(session.resolve().parent.iterdir()):
            if file.is_file() and sha256_of(file) == sha256:
                return file
    raise UserInputError(f"No file beside {session.name} has the recorded hash; name the image with --image.")
