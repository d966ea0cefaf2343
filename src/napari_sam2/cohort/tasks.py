"""What is done with one case: a scan, or a slide."""

from __future__ import annotations

import errno
import os
from dataclasses import asdict, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.channels.measuring import channel_columns
from napari_sam2.channels.mix import REFERENCE, said_mix
from napari_sam2.channels.opening import read_stack
from napari_sam2.channels.recorded import read_recorded
from napari_sam2.cohort.job import LABELS, MEASUREMENTS, OVERVIEW, SCORES, SESSION
from napari_sam2.cohort.nameless import nameless
from napari_sam2.cohort.overview import draw_overview
from napari_sam2.cohort.slides import do_slide
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text
from napari_sam2.io.export import export_labels, find_names
from napari_sam2.io.label_set import write_label_set
from napari_sam2.io.labels import read_named_labels, source_has_changed
from napari_sam2.io.measurements import write_rows
from napari_sam2.io.read import read_only_volume
from napari_sam2.io.sidecar import as_json_text, finite
from napari_sam2.measures.measure import measure, measurement_rows
from napari_sam2.session.review import review_queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.cohort.job import CaseJob
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.finding.asking import Asked
    from napari_sam2.finding.candidate import Proposer
    from napari_sam2.jobs.segment import Objects
    from napari_sam2.measures.measure import Measurement
    from napari_sam2.session.review import DoubtfulSlice
    from napari_sam2.session.session import Session

__all__ = ["do_task"]

DOUBTFUL_KEPT: Final = 20
"""Doubtful slices of an object that a status names; further ones are found by opening the case."""


def do_task(job: CaseJob, model: AnyModel | None) -> dict[str, Any]:
    """Do what a job says, and write its files.

    Returns
    -------
    dict
        Facts for the status; ``outputs`` names the files that were written, relative to the case's folder.

    Raises
    ------
    UserInputError, EnvironmentLacksError, ModelError
        With one sentence.
    """
    if model is not None and job.settings.task == "slide":
        return do_slide(job, model)
    volume = read_only_volume(job.image)
    if model is not None and job.settings.task in ("segment", "find"):
        return _segment(job, volume, model)
    if model is not None and job.settings.task == "replay":
        return _replay(job, volume, model)
    if job.labels is None:
        raise UserInputError(f"The case {job.case} has no labels.")
    labels, names = read_named_labels(job.labels, volume)
    names = names or find_names(job.labels)
    if model is not None:
        return _evaluate(job, volume, labels, names, model)
    notes: list[str] = []
    facts = _measured(job, volume, _window(job, volume), labels, names, stack=_stack(job, volume, notes))
    facts["notes"] += notes
    if job.settings.task == "export":
        written = export_labels(job.labels, job.image, job.folder / f"labels{job.settings.export}", overwrite=True)
        facts["outputs"].append(written.path.name)
    return facts


def _segment(job: CaseJob, volume: Volume, model: AnyModel) -> dict[str, Any]:
    from napari_sam2.finding.job import accepted_from
    from napari_sam2.io.prompt_file import read_prompt_file
    from napari_sam2.jobs.segment import answer_and_carry
    from napari_sam2.record.journal import Journal
    from napari_sam2.session.session import Session

    notes: list[str] = []
    stack = _stack(job, volume, notes)
    session = Session(volume, model, window=job.settings.window, channels=stack, fusion=job.settings.fusion)
    objects: Objects
    if job.settings.task == "find":
        names, answer = job.settings.text, job.settings.answer
        objects = accepted_from(_proposer(job), names, answer, notes.append)(volume, session.window)
    elif job.prompts is None:
        raise UserInputError(f"The case {job.case} has no prompts.")
    else:
        objects = read_prompt_file(job.prompts, volume)
    journal = Journal(session, job.folder / SESSION)
    _, settings = answer_and_carry(session, objects, None, job.settings.direction, lambda results, total: results)
    journal.close()
    if journal.trouble:
        raise OSError(errno.ENOSPC if journal.trouble == os.strerror(errno.ENOSPC) else errno.EIO, journal.trouble)
    facts = _saved(job, session, settings)
    if session.channels.several:
        names = session.channels.names
        notes += [f"Object {i} was seen as {said_mix(obj.mix, names)}." for i, obj in session.objects.items()]
    return facts | {"identical": None, "notes": [*facts["notes"], *notes]}


def _stack(job: CaseJob, volume: Volume, notes: list[str]) -> ChannelStack | None:
    """The scan with the channels of its line; nothing that is said of them names a file."""
    if not job.channels:
        return None
    stack = read_stack(volume, job.channels, register=job.settings.register, name=REFERENCE)
    notes += [f"{channel.name}: {nameless(job, note)}" for channel in stack.further for note in channel.notes]
    further = tuple(replace(c, notes=tuple(nameless(job, note) for note in c.notes)) for c in stack.further)
    return replace(stack, further=further)


def _proposer(job: CaseJob) -> Proposer:
    """Who says where names lie, as it was when the run was planned."""
    proposer = _proposer_of(job.settings.source)
    if proposer.sha256 != job.inputs.get("source"):
        raise UserInputError("The finished scans have changed since the run began; start the same command again.")
    return proposer


@lru_cache(maxsize=1)
def _proposer_of(source: Asked) -> Proposer:
    return source.proposer()


def _replay(job: CaseJob, volume: Volume, model: AnyModel) -> dict[str, Any]:
    from napari_sam2.record.replay import needed_channels, replay

    if job.session is None:
        raise UserInputError(f"The case {job.case} has no session.")
    needed = needed_channels(job.session)
    if len(needed) != len(job.channels):
        raise UserInputError(
            f"The session has {len(needed)} further channels, the line of the manifest {len(job.channels)}; name them "
            "all in the columns channel_1, channel_2 and so on."
        )
    stack = read_recorded(volume, job.channels, needed) if needed else None
    again = replay(volume, model, job.session, channels=stack)
    facts = _saved(job, again.session, {"replayed": True})
    reasons = [nameless(job, reason) for reason in again.reasons]
    return facts | {"identical": again.identical, "notes": [*facts["notes"], *reasons]}


def _saved(job: CaseJob, session: Session, settings: dict[str, Any]) -> dict[str, Any]:
    """Label map, sidecars, measurements and overview of a session."""
    from napari_sam2.record.save import provenance_of

    labels, volume = session.label_map(), session.volume
    provenance = replace(
        provenance_of(session, settings), hide_source_name=True, source_changed=source_has_changed(volume)
    )
    written = write_label_set(labels, volume, job.folder / LABELS, provenance, overwrite=True)
    queue = review_queue(session.snapshot().objects.values())
    names = {obj.object_id: obj.name for obj in session.objects.values() if obj.name}
    facts = _measured(job, volume, session.window, labels, names, queue, session.channels)
    voxels = {(o.object_id, i): r.mask.n_voxels for o in session.objects.values() for i, r in o.results.items()}
    by_id = {entry["id"]: entry for entry in facts["objects"]}
    for obj in session.objects.values():
        entry = by_id.get(obj.object_id)
        if entry is None:
            entry = {"id": obj.object_id, "name": obj.name or f"object {obj.object_id}", "voxels": 0, "volume_ml": 0.0}
            facts["objects"].append(entry)
        own = [slice_ for slice_ in queue if slice_.object_id == obj.object_id]
        entry["axis"] = obj.axis
        entry["doubt"] = round(sum(s.doubt for s in own) / len(own), 4) if own else 0.0
        entry["doubtful"] = [
            {"slice": s.index, "doubt": round(s.doubt, 4), "voxels": voxels.get((s.object_id, s.index), 0)}
            for s in own[:DOUBTFUL_KEPT]
        ]
    session_files = [f"{SESSION}/events.jsonl"] if (job.folder / SESSION).is_dir() else []
    facts["outputs"] = [*(path.name for path in written), *session_files, *facts["outputs"]]
    return facts


def _evaluate(
    job: CaseJob, volume: Volume, labels: NDArray[Any], names: dict[int, str], model: AnyModel
) -> dict[str, Any]:
    import numpy as np

    from napari_sam2.evaluation.cases import make_case
    from napari_sam2.evaluation.evaluate import evaluate_case

    window = _window(job, volume)
    notes: list[str] = []
    stack = _stack(job, volume, notes)
    scores = []
    for label_id in np.unique(labels[labels > 0]).tolist():
        name = names.get(label_id, f"object {label_id}")
        case = make_case(job.case, name, volume, labels == label_id, window)
        case = replace(case, channels=stack, fusion=job.settings.fusion)
        scores.append(asdict(evaluate_case(case, model, blank=False, baselines=False)))
    write_text(job.folder / SCORES, as_json_text(finite(scores)), overwrite=True)
    facts = _measured(job, volume, window, labels, names, stack=stack)
    facts["notes"] += notes
    by_label = {entry["label"]: entry["model"] for entry in scores}
    for entry in facts["objects"]:
        entry["dice"] = {protocol: round(value, 4) for protocol, value in by_label.get(entry["name"], {}).items()}
    facts["outputs"].append(SCORES)
    return facts


def _measured(
    job: CaseJob,
    volume: Volume,
    window: Window,
    labels: NDArray[Any],
    names: dict[int, str],
    queue: Sequence[DoubtfulSlice] = (),
    stack: ChannelStack | None = None,
) -> dict[str, Any]:
    """Measurements and overview of a label map, and facts about scan and objects."""
    measured = measure(labels, volume, names)
    rows = measurement_rows(measured, case=job.case)
    if stack is not None and stack.several:
        columns = channel_columns(stack, labels, [row["id"] for row in rows])
        rows = [row | columns[row["id"]] for row in rows]
    write_rows(rows, job.folder / MEASUREMENTS, overwrite=True)
    draw_overview(volume, window, labels, measured, queue, job.folder / OVERVIEW)
    return {
        "outputs": [MEASUREMENTS, OVERVIEW],
        "image": {
            "shape": list(volume.shape),
            "spacing_mm": [float(f"{s:.6g}") for s in volume.spacing],
            "window": [float(f"{window.low:.6g}"), float(f"{window.high:.6g}")],
            "window_name": window.name,
        },
        "notes": [nameless(job, note) for note in volume.source.notes],
        "objects": [_object_facts(m) for m in measured],
    }


def _object_facts(m: Measurement) -> dict[str, Any]:
    return {
        "id": m.label_id,
        "name": m.name,
        "voxels": m.voxels,
        "volume_ml": float(f"{m.volume_ml:.6g}"),
        "components": m.components,
        "touches_border": m.touches_border,
    }


def _window(job: CaseJob, volume: Volume) -> Window:
    from napari_sam2.core.window import choose_window

    return choose_window(volume, job.settings.window)
