"""``napari-sam2 demo``: the main job on a bundled real scan.

Its known labels are compared with.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Device, Model, Overwrite, Remote, TokenFile, chosen_model
from napari_sam2.cli.printing import errors, out
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Box

__all__ = ["box_around", "demo", "largest_slice"]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the label map and the picture.")] = Path(
        "demo-output"
    ),
    sample: Annotated[str, typer.Option("--sample", help="ct_abdomen or mr_spine.")] = "ct_abdomen",
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Segment every structure of a bundled real scan.

    From one box each; the result is compared with the scan's labels.
    """
    from napari_sam2.cli.progress import with_progress_bar
    from napari_sam2.io import read_labels, read_volume, write_labels
    from napari_sam2.io.atomic import check_free
    from napari_sam2.measures.metrics import dice
    from napari_sam2.measures.montage import montage
    from napari_sam2.sample_data import sample as find_sample
    from napari_sam2.session.session import Session

    image_path, labels_path, names = find_sample(sample)
    label_file, picture_file = output / f"{sample}_labels.nii.gz", output / f"{sample}_montage.png"
    for file in (label_file, picture_file):
        check_free(file, overwrite=overwrite)
    volume = read_volume(image_path)
    truth = read_labels(labels_path, volume)
    session = Session(volume, chosen_model(model, device, "auto", remote, token_file))
    axis = session.axis
    table = Table("structure", "Dice, whole volume", "Dice, prompted slice", "slices", "seconds")
    scores = []
    for object_id, name in names.items():
        truth_mask = truth == object_id
        index = largest_slice(truth_mask, axis)
        started = time.perf_counter()
        first = session.add_prompt(object_id, box_around(truth_mask, axis, index))
        session.objects[object_id].name = name
        visited = 1 + sum(
            1 for _ in with_progress_bar(session.propagate([object_id]), session.count_slices([object_id]))
        )
        seconds = time.perf_counter() - started
        plane = volume.plane(axis)
        mask = np.zeros(volume.shape, dtype=bool)
        for result in session.objects[object_id].results.values():
            plane.take(mask, result.index)[:] = result.mask.full(plane.shape)
        whole = dice(mask, truth_mask)
        on_slice = dice(first.mask.full(plane.shape), plane.take(truth_mask, index))
        scores.append((whole, on_slice))
        table.add_row(name, f"{whole:.3f}", f"{on_slice:.3f}", str(visited), f"{seconds:.2f}")
        if not errors.is_terminal:
            # No bar moves there, and the table comes at the end.
            errors.print(f"{len(scores)} of {len(names)}: {name}, {seconds:.1f} s")
    means = np.mean(scores, axis=0)
    table.add_row("mean", f"{means[0]:.3f}", f"{means[1]:.3f}", "", "")

    output.mkdir(parents=True, exist_ok=True)
    labels = session.label_map()
    write_labels(labels, volume, label_file, overwrite=overwrite)
    shown_slices = np.linspace(*_extent(truth > 0, axis), 8).round().astype(int).tolist()
    montage(volume, session.window, labels, axis=axis, slices=shown_slices, reference=truth).save(picture_file)

    card, window = session.model.card, session.window
    out.print(table)
    out.print(f"One box per structure, drawn around it on the {volume.plane_name(axis)} slice where it is largest.")
    out.print(f"model {card.name}, window {window.name} ({window.low:g} to {window.high:g})")
    out.print(f"label map  {label_file}")
    out.print(f"picture    {picture_file} (colour: result, white: known labels)")


def largest_slice(mask: NDArray[np.bool_], axis: int) -> int:
    """The slice on which a mask has most voxels.

    The mask is (I, J, K), slices lie across `axis`.
    """
    return int(mask.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())


def box_around(mask: NDArray[np.bool_], axis: int, index: int) -> Box:
    """The tight box around a mask (I, J, K) on one slice."""
    from napari_sam2.core.prompts import Box

    corners = []
    on_slice = np.argwhere(np.take(mask, index, axis))
    for corner in (on_slice.min(axis=0), on_slice.max(axis=0)):
        i, j, k = (int(c) for c in np.insert(corner, axis, index))
        corners.append((i, j, k))
    return Box((corners[0], corners[1]))


def _extent(mask: NDArray[np.bool_], axis: int) -> tuple[int, int]:
    filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(filled[0]), int(filled[-1])
