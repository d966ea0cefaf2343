"""Segment a scan from files to files, as ``napari-sam2 segment`` does."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from napari_sam2.channels.facts import changed_channels
from napari_sam2.channels.mix import AUTO, named_mix, said_mix
from napari_sam2.channels.opening import channel_files, read_stack
from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_volume
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.io.label_set import check_label_set
from napari_sam2.io.names import stem_of
from napari_sam2.io.pet import suv_window
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.models import DEFAULT_MODEL, load_model
from napari_sam2.record.journal import Journal
from napari_sam2.record.save import save_with_counts
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_sam2.core.prompts import ObjectPrompts
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.finding.accepting import Accepted

    Prompts: TypeAlias = str | os.PathLike[str] | Sequence[ObjectPrompts]
    Objects: TypeAlias = Sequence[ObjectPrompts] | Accepted
    PromptSource: TypeAlias = Callable[[Volume, Window], Objects]

__all__ = [
    "DIRECTIONS",
    "ScanRun",
    "answer_and_carry",
    "doubts_of",
    "files_of_label_map",
    "objects_of",
    "segment_scan",
    "session_folder",
]

DIRECTIONS: Final = ("both", "forward", "backward", "none")

WORST_SLICES: Final = 5
"""Slices of least agreement that are named."""

LEAK_SHARE: Final = 0.4
"""Hardly any structure fills more of a whole slice; a mask that does has most likely run out of its object."""


@dataclass(frozen=True, slots=True)
class ScanRun:
    """What a run did.

    Attributes
    ----------
    output : Path
        The label map.
    session : Session
        With all objects, for whoever wants to go on.
    objects : list of dict
        Of every object: id, name, voxels, volume_ml, axis, and its first and last slice.
    planes : dict of int to dict
        By object id, how far the three planes agree; empty unless that was asked for.
    notes : tuple of str
        Sentences for the person: what was not found, what may have leaked.
    seconds : float
        How long prompts and propagation took.
    """

    output: Path
    session: Session
    objects: list[dict[str, Any]]
    planes: dict[int, dict[str, Any]]
    notes: tuple[str, ...]
    seconds: float


def segment_scan(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str],
    prompts: Prompts | PromptSource,
    *,
    model: str | Path | Callable[[], AnyModel] = DEFAULT_MODEL,
    device: str = "auto",
    quality: str = "auto",
    window: str = "auto",
    plane: str | None = None,
    slices: range | None = None,
    direction: str = "both",
    volume_index: int | None = None,
    series: str | int | None = None,
    keep_session: bool = False,
    check_planes: bool = False,
    feature_folder: Path | None = None,
    channels: Sequence[str | os.PathLike[str]] = (),
    register: str = "",
    fusion: str = AUTO,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda note: None,
    watch: Callable[[Iterable[SliceResult], int], Iterable[SliceResult]] = lambda results, total: results,
    on_answered: Callable[[int, int], None] = lambda done, total: None,
) -> ScanRun:
    """Segment objects of a scan from prompts.

    The label map is written with its sidecars.

    Parameters
    ----------
    image : path-like
        As in `napari_sam2.io.read_volume`.
    output : path-like
        The label map, ``.nii.gz`` or ``.nii``; ``.json`` and ``.tsv`` are written beside it.
    prompts : path-like, sequence of ObjectPrompts or callable
        A prompt file, or what it would hold; or what gives that for a scan and its window, such as
        `napari_sam2.finding.job.accepted_from`.
    model, device, quality
        As in `napari_sam2.models.load_model`; or what gives a model, asked once everything else is in order.
    window, plane
        As in `Session`; the plane counts where there are only points.
    slices, direction
        As in `Session.propagate`; ``"none"`` answers the prompted slices only.
    volume_index, series
        As in `napari_sam2.io.read_volume`.
    keep_session : bool
        Keep a session beside the output.
    check_planes : bool
        Carry every object along all three axes, and say where they differ.
    feature_folder : Path, optional
        As in `Session`; it is made when it is not there.
    channels : sequence of path-like or str
        Further channels of the scan, as in `napari_sam2.channels.opening.channel_files`.
    register : str
        ``"rigid"`` to lay them on the scan by their content; by their headers otherwise.
    fusion : str
        How they become the image for the model, see `napari_sam2.channels.mix.named_mix`.
    overwrite : bool
        Whether existing outputs may be replaced; an input never is.
    say : callable
        Told what a person should know before the result is there, a sentence at a time.
    watch : callable
        Given the results as they come and their number at most; passes them on.
    on_answered : callable
        Told after each prompted object how many are answered, and of how many.

    Raises
    ------
    UserInputError, EnvironmentLacksError, ModelError
        With one sentence each; no label map is written then.
    """
    if direction not in DIRECTIONS:
        raise UserInputError(f"--direction {direction}: choose one of {', '.join(DIRECTIONS)}.")
    target = Path(output)
    scan = read_volume(image, volume_index=volume_index, series=series)
    for note in scan.source.notes:
        say(note)
    files = channel_files(channels)
    asked = [Path(prompts)] if isinstance(prompts, str | os.PathLike) else []
    inputs = [Path(image), *asked, *(file.path for file in files)]
    refuse_inputs_as_outputs(inputs, files_of_label_map(target, keep_session=keep_session))
    check_label_set(target, scan, overwrite=overwrite)
    if (register or fusion != AUTO) and not files:
        raise UserInputError("--register and --fusion are for further channels; give them with --channel.")
    stack = read_stack(scan, files, register=register, reference_index=volume_index, say=say)
    named_mix(fusion, stack.names)
    if feature_folder is not None:
        _make_feature_folder(feature_folder)
    objects = (
        prompts(scan, choose_window(scan, window))
        if callable(prompts)
        else objects_of(prompts, scan, files_of_label_map(target))
    )
    loaded = load_model(model, device, quality=quality) if isinstance(model, str | Path) else model()
    if feature_folder is not None and not loaded.view_policy.encodes:
        say(f"{loaded.card.name} computes nothing ahead of a prompt: nothing is kept in {feature_folder.name}.")
    axis = None if plane is None else scan.axis_of_plane(plane)
    fixed = pet_window(scan, say) if window == "auto" else None
    session = Session(
        scan,
        loaded,
        window=fixed or window,
        axis=axis,
        feature_folder=feature_folder,
        channels=stack,
        fusion=fusion,
    )
    journal = Journal(session, session_folder(target), warn=say) if keep_session else None
    seconds, settings = answer_and_carry(session, objects, slices, direction, watch, on_answered)
    if journal is not None:
        journal.close()
    saved = save_with_counts(session, target, overwrite=overwrite, settings=settings)
    notes = doubts_of(session, saved.voxels)
    if saved.source_changed:
        notes.insert(0, f"{scan.source.name} has changed on disk since it was opened; check that the labels fit.")
    notes += changed_channels(stack)
    if stack.several:
        notes += [f"object {i} was seen as {said_mix(o.mix, stack.names)}." for i, o in session.objects.items()]
    planes = _agreement(session) if check_planes else {}
    return ScanRun(saved.path, session, _rows(session, saved.voxels), planes, tuple(notes), seconds)


def pet_window(scan: Volume, say: Callable[[str], None]) -> Window | None:
    """The fixed window of a PET scan, where SUV is known."""
    window, sentence = suv_window(scan)
    if sentence:
        say(sentence)
    return window


def files_of_label_map(output: Path, *, keep_session: bool = False) -> list[Path]:
    """Everything that a segmentation writes.

    Label map, sidecars, and the session where it is kept.
    """
    return [output, *sidecar_paths(output), *([session_folder(output)] if keep_session else [])]


def session_folder(output: Path) -> Path:
    """``x.sam2session`` beside ``x.nii.gz``."""
    return output.with_name(stem_of(output) + ".sam2session")


def _make_feature_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or "it cannot be made"
        raise UserInputError(f"--feature-folder {folder.name}: {reason}; choose another folder.") from error
    if not os.access(folder, os.W_OK):
        raise UserInputError(f"--feature-folder {folder.name} is closed to writing; choose another folder.")


def objects_of(prompts: Prompts, volume: Volume, outputs: Iterable[Path]) -> Sequence[ObjectPrompts]:
    """Prompts as given, or read from a prompt file.

    Raises
    ------
    UserInputError
        If the file cannot be read, or names a mask that is one of `outputs`.
    """
    if not isinstance(prompts, str | os.PathLike):
        return prompts
    from napari_sam2.io.prompt_file import masks_named, read_prompt_file

    refuse_inputs_as_outputs(masks_named(prompts), outputs)
    return read_prompt_file(prompts, volume)


def answer_and_carry(
    session: Session,
    objects: Objects,
    slices: range | None,
    direction: str,
    watch: Callable[[Iterable[SliceResult], int], Iterable[SliceResult]],
    on_answered: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[float, dict[str, Any]]:
    """Answer prompts and carry their objects; seconds, and settings for the sidecar.

    Parameters
    ----------
    session : Session
        Which takes the objects.
    objects : sequence of ObjectPrompts or Accepted
        What is answered; proposals with a mask of their own are taken as they are.
    slices, direction, watch, on_answered
        As in `segment_scan`.
    """
    started = time.perf_counter()
    settings: dict[str, Any] = {"direction": direction, "slices": [slices.start, slices.stop] if slices else None}
    if isinstance(objects, Sequence):
        session.set_objects([obj.on_slices(slices, session.axis) for obj in objects], on_answered)
        carried = [obj.object_id for obj in objects if obj.whole is None]
    else:
        carried = objects.begin(session, slices)
        settings |= objects.settings()
    if direction != "none" and carried:
        total = session.count_slices(carried, slices, direction)
        for _ in watch(session.propagate(carried, slices=slices, direction=direction), total):
            pass
    return time.perf_counter() - started, settings


def _rows(session: Session, voxels: dict[int, int]) -> list[dict[str, Any]]:
    rows = []
    for obj in session.objects.values():
        filled = sorted(index for index, result in obj.results.items() if result.mask.n_voxels)
        count = voxels.get(obj.object_id, 0)
        rows.append(
            {
                "id": obj.object_id,
                "name": obj.name,
                "voxels": count,
                "volume_ml": round(count * session.volume.voxel_volume_ml, 3),
                "axis": "ijk"[obj.axis],
                "slices": [filled[0], filled[-1]] if filled else None,
            }
        )
    return rows


def _agreement(session: Session) -> dict[int, dict[str, Any]]:
    """What the tri-planar check says of every object: Dice between planes, and where they agree least."""
    from napari_sam2.session.triplanar import check_object

    planes = {}
    for object_id, obj in session.objects.items():
        if not any(result.mask.n_voxels for result in obj.results.values()):
            continue
        check = check_object(session, object_id)
        name = session.volume.plane_name
        worst = sorted(check.agreement().items(), key=lambda entry: entry[1])[:WORST_SLICES]
        planes[object_id] = {
            "dice": {f"{name(a)}-{name(b)}": round(value, 3) for (a, b), value in check.dice.items()},
            "least_agreement": {index: round(value, 3) for index, value in worst},
        }
    return planes


def doubts_of(session: Session, voxels: Mapping[int, int], slice_name: str = "") -> list[str]:
    """Sentences on objects that are empty or have probably leaked.

    Parameters
    ----------
    session : Session
        With its results.
    voxels : mapping of int to int
        By object id, as they were saved.
    slice_name : str
        What a slice is called, such as ``"frame"``; by its axis, as in ``"slice k"``, otherwise.
    """
    notes = []
    empty = [str(object_id) for object_id in session.objects if not voxels.get(object_id)]
    if empty:
        notes.append(f"nothing was found for object {', '.join(empty)}; try another window, box or model.")
    for obj in session.objects.values():
        plane = session.volume.plane(obj.axis)
        shares = {i: r.mask.n_voxels / (plane.shape[0] * plane.shape[1]) for i, r in obj.results.items()}
        worst = max(shares, key=shares.__getitem__, default=None)
        if worst is not None and shares[worst] > LEAK_SHARE:
            name = slice_name or f"slice {'ijk'[obj.axis]}"
            notes.append(
                f"object {obj.object_id} fills {shares[worst]:.0%} of {name} {worst}; look whether it has leaked."
            )
    return notes
