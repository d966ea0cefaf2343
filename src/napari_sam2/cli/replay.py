"""``napari-sam2 replay``: rebuild a result from its session.

And say whether it is the same.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    Channels,
    Device,
    Methods,
    Overwrite,
    Remote,
    TokenFile,
    VolumeIndex,
    chosen_model,
    print_methods,
)
from napari_sam2.cli.printing import errors, out
from napari_sam2.errors import NapariSam2Error, UserInputError
from napari_sam2.io.formats import label_suffixes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.volume import Volume
    from napari_sam2.engine.verbs import AnyModel

__all__ = ["replay"]

EXIT_DIFFERS = 4
"""The replay ran, and its result is not the recorded one."""


@app.command()
def replay(
    session: Annotated[Path, typer.Argument(help="The folder of a session, NAME.sam2session.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=f"The label map, {' or '.join(label_suffixes())}; of a slide, .geojson."),
    ],
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
    channel: Channels = None,
    device: Device = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    methods: Methods = False,
    overwrite: Overwrite = False,
) -> int:
    """Do every action of a session again, headless.

    Exit code 4 when the result is not identical.

    napari-sam2 replay liver.sam2session -o again.nii.gz
    """
    from napari_sam2.io import read_volume
    from napari_sam2.io.label_set import check_label_set
    from napari_sam2.record.journal_files import read_head
    from napari_sam2.record.replay import replay as run
    from napari_sam2.record.save import save_session

    head = read_head(session)

    def load(described: Mapping[str, Any]) -> AnyModel:
        """The model that a change of model went to; the chosen one when --model says so."""
        recorded = "auto" if remote is not None else described.get("quality") or "auto"
        name = model or described.get("name", "")
        return chosen_model(name, device, quality or recorded, remote, token_file)

    if head.get("kind") == "slide":
        return _replay_slide(session, output, image, load, head["model"], overwrite)
    scan = read_volume(image or _find_image(session, head["source"].get("sha256", "")), volume_index=volume)
    check_label_set(output, scan, overwrite=overwrite)
    channels = _recorded_channels(session, scan, channel or [], output)

    result = run(scan, load(head["model"]), session, load, channels)
    written = save_session(result.session, output, overwrite=overwrite, settings={"replayed": True})
    out.print(f"wrote {written}")
    for reason in result.reasons:
        errors.print(f"note: {reason}")
    if methods:
        print_methods(written)
    if result.identical:
        out.print(f"identical: every voxel is as it was recorded, in {len(result.session.objects)} objects")
        return 0
    total = sum(result.differing.values())
    slices = ", ".join(f"{index} ({count})" for index, count in result.differing.items())
    out.print(f"NOT identical: {total} voxels on {len(result.differing)} slices differ: {slices}")
    return EXIT_DIFFERS


def _replay_slide(
    session: Path,
    output: Path,
    image: Path | None,
    load: Callable[[Mapping[str, Any]], AnyModel],
    recorded: Mapping[str, Any],
    overwrite: bool,
) -> int:
    from napari_sam2.record.journal_files import read_head
    from napari_sam2.record.replay import replay_slide
    from napari_sam2.slides.formats.write import check_slide_output
    from napari_sam2.slides.reader import open_slide

    check_slide_output(output, overwrite=overwrite)
    path = image or _find_slide(session, read_head(session)["source"].get("key", ""))
    with open_slide(path) as slide:
        result = replay_slide(slide, load(recorded), session, load)
        count = result.session.export(output, overwrite=overwrite)
    out.print(f"wrote {output}")
    for reason in result.reasons:
        errors.print(f"note: {reason}")
    if result.identical:
        out.print(f"identical: every outline is as it was recorded, in {count} objects")
        return 0
    total = sum(result.differing.values())
    out.print(f"NOT identical: {len(result.differing)} objects differ, by {total:.0f} pixels of area")
    return EXIT_DIFFERS


def _recorded_channels(session: Path, scan: Volume, given: list[str], output: Path) -> ChannelStack:
    """The further channels of a session, laid where they were then."""
    from napari_sam2.channels.opening import ChannelFile, channel_files
    from napari_sam2.channels.recorded import read_recorded
    from napari_sam2.io.guard import refuse_inputs_as_outputs
    from napari_sam2.jobs.segment import files_of_label_map
    from napari_sam2.record.replay import needed_channels

    needed = needed_channels(session)
    files = channel_files(given)
    for number, described in enumerate(needed[len(files) :], start=len(files)):
        path = _find_image(session, described.get("sha256", ""), f"The channel {described.get('name', number + 1)}")
        files.append(ChannelFile(path))
    refuse_inputs_as_outputs([file.path for file in files], files_of_label_map(output))
    return read_recorded(scan, files, needed)


def _find_slide(session: Path, key: str) -> Path:
    """The picture beside the session that has the recorded key."""
    from napari_sam2.slides.reader import open_slide

    for file in sorted(session.resolve().parent.iterdir()):
        if file == session or file.name.endswith(".sam2session"):
            continue
        try:
            with open_slide(file) as slide:
                if slide.key == key:
                    return file
        except (NapariSam2Error, OSError):
            continue
    raise UserInputError(f"No picture beside {session.name} is the recorded one; name it with --image.")


def _find_image(session: Path, sha256: str, what: str = "") -> Path:
    """The file beside the session whose bytes have the recorded hash."""
    from napari_sam2.hashing import sha256_of

    if sha256:
        for file in sorted(session.resolve().parent.iterdir()):
            with contextlib.suppress(OSError):  # one that may not be read is not it
                if file.is_file() and sha256_of(file) == sha256:
                    return file
    if what:
        raise UserInputError(f"{what} of {session.name} is not beside it; name its file with --channel.")
    raise UserInputError(f"No file beside {session.name} has the recorded hash; name the image with --image.")
