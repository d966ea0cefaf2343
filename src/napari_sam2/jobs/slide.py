"""Segment a slide from files to files, as ``napari-sam2 slide`` does."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from napari_sam2.core.history import Step
from napari_sam2.engine.side_by_side import side_by_side
from napari_sam2.engine.verbs import ModelElsewhere
from napari_sam2.errors import UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.guard import files_named_in, refuse_inputs_as_outputs
from napari_sam2.io.resolution import parse_size
from napari_sam2.io.zarr_volume import files_of_zarr
from napari_sam2.models import DEFAULT_MODEL, load_model
from napari_sam2.models.base import SegmentationModel
from napari_sam2.slides.actions import TakeObjects
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.automatic.run import AutomaticRequest, joined_objects, plan_of, run_tiles, size_like
from napari_sam2.slides.formats.sidecar import slide_sidecar_path, slide_sidecar_text
from napari_sam2.slides.formats.take import take_objects
from napari_sam2.slides.formats.write import check_slide_output, write_objects
from napari_sam2.slides.objects import SCORE, ObjectClass, Regions, SlideObject, measured
from napari_sam2.slides.prompt_file import read_slide_prompts
from napari_sam2.slides.reader import open_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.slides.answers.crop_engine import CropAnswer
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import ObjectRequest

    PromptSource: TypeAlias = Callable[[Slide], list[ObjectRequest]]

__all__ = [
    "DEFAULT_OBJECT_SIZE",
    "NUCLEUS_SIZE",
    "SlideRun",
    "files_of_objects",
    "parse_region",
    "segment_slide",
]

_NUMBER: Final = r"-?[0-9]{1,9}(?:\.[0-9]{0,9})?"

DEFAULT_OBJECT_SIZE: Final = "60um"
"""Expected diameter in an automatic run: between a small gland and a vessel."""

NUCLEUS_SIZE: Final = "8um"
"""Expected diameter of nuclei: that of most in tissue of 5 µm thickness."""

_NUCLEI: Final = "nuclei"


@dataclass(frozen=True, slots=True)
class SlideRun:
    """What a run did.

    Attributes
    ----------
    output : Path
        The file that was written, or would have been.
    n_objects : int
        Objects in it.
    finished : bool
        False when an automatic run was stopped; started again with the same arguments it goes on.
    notes : tuple of str
        Sentences for the person: doubts about the slide, objects that are cut.
    """

    output: Path
    n_objects: int
    finished: bool
    notes: tuple[str, ...] = ()


def segment_slide(
    slide_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    prompts: str | os.PathLike[str] | PromptSource | None = None,
    auto: str | None = None,
    objects: str | os.PathLike[str] | None = None,
    object_size: str | None = None,
    like: str | os.PathLike[str] | None = None,
    refine_steps: int = 0,
    overlap: str = "keep",
    mpp: float | str | None = None,
    channel: str | int | Sequence[str | int] | None = None,
    polarity: str = "auto",
    image: str | int | None = None,
    plane: str | int | None = None,
    model: str | Path | AnyModel | Callable[[], AnyModel] = DEFAULT_MODEL,
    device: str = "auto",
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SlideRun:
    """Segment objects on a slide and write them.

    Parameters
    ----------
    slide_path : path-like
        See `open_slide`.
    output : path-like
        ``.geojson`` (QuPath), ``.csv``, ``.coco.json`` or ``.ome.tif``.
    prompts : path-like or callable, optional
        A prompt file, see `read_slide_prompts`; or what gives prompts for a slide, such as
        `napari_sam2.finding.on_slides.boxes_on_slide`.
    auto : str, optional
        Instead of prompts: ``"tissue"``, ``"row0,column0,row1,column1"`` in level-0 pixels, or a GeoJSON file.
        ``"nuclei"`` looks for nuclei in all tissue, ``"nuclei:"`` with one of the others in that region.
    objects : path-like, optional
        Instead of both: objects that another program made, see `napari_sam2.slides.formats.take.take_objects`. They
        are measured and written as they are, and no model is asked.
    object_size : str, optional
        For `auto`: expected diameter, such as ``"60um"`` or ``"240px"`` (level-0 pixels); by default
        `DEFAULT_OBJECT_SIZE`, and `NUCLEUS_SIZE` for nuclei.
    like : path-like, optional
        For `auto`: a GeoJSON file of outlines that are as large as what is looked for, in place of a size.
    refine_steps : int
        For `prompts`: how often to look again at an object's outline at twice the resolution.
    overlap : str
        For `prompts`: see `napari_sam2.slides.objects.OVERLAP_RULES`.
    mpp, channel, polarity, image, plane
        See `open_slide`.
    model, device
        See `load_model`; or a model, or what gives one, asked once everything else is in order.
    overwrite : bool
        Whether an existing output may be replaced.
    on_progress : callable
        Told how many steps are done, and of how many.
    should_stop : callable
        Asked between steps.

    Raises
    ------
    UserInputError, EnvironmentLacksError, ModelError
        With one sentence each; nothing is written then.
    """
    target = Path(output)
    check_slide_output(target, overwrite=overwrite)
    named = [Path(given) for given in (prompts, like, objects) if isinstance(given, str | os.PathLike)]
    inputs = [Path(slide_path), *named, *files_named_in(auto or "")]
    refuse_inputs_as_outputs(inputs, files_of_objects(target))
    if [prompts, auto, objects].count(None) != 2:
        raise UserInputError(
            "Say what to segment: one of --prompts with a file, --auto with a region, and --objects with a file."
        )
    opened = open_slide(slide_path, mpp=mpp, channel=channel, polarity=polarity, image=image, plane=plane)
    with opened as slide:
        if objects is not None:
            return _taken(slide, Path(objects), target, overwrite)
        requests = _requests(prompts, slide)
        # The region is read before the model is loaded, so that its faults are told at once.
        automatic = None
        region_notes: tuple[str, ...] = ()
        if auto is not None:
            automatic, region_notes = _automatic_request(slide, auto, object_size, like)
        loaded = _ready(model, device)
        engine = CropEngine(slide, loaded)
        if automatic is not None:
            run = _automatic(engine, automatic, target, overwrite, on_progress, should_stop)
            return replace(run, notes=(*region_notes, *run.notes))
        found, notes = _prompted(engine, requests, refine_steps, overlap, on_progress, should_stop)
        if found is None:
            return SlideRun(target, 0, finished=False, notes=slide.notes)
        asked_for = {request.name or f"object {request.object_id}": request.prompts for request in requests}
        choices = {"overlap": overlap, "refine": refine_steps}
        facts = slide_sidecar_text(target, slide, loaded, asked_for, choices)
        count = write_objects(found, target, slide, facts, overwrite=overwrite)
        return SlideRun(target, count, finished=True, notes=(*slide.notes, *notes))


def _taken(slide: Slide, source: Path, target: Path, overwrite: bool) -> SlideRun:
    """Write what another program found."""
    taken = take_objects(source, slide.shape)
    sha256 = sha256_of(*([source] if source.is_file() else files_of_zarr(source)))
    facts = slide_sidecar_text(target, slide, None, {}, {"taken": {"sha256": sha256, "objects": len(taken.objects)}})
    count = write_objects((measured(o, slide.mpp) for o in taken.objects), target, slide, facts, overwrite=overwrite)
    return SlideRun(target, count, finished=True, notes=(*slide.notes, *taken.notes))


def _requests(prompts: str | os.PathLike[str] | PromptSource | None, slide: Slide) -> list[ObjectRequest]:
    if prompts is None:
        return []
    return prompts(slide) if callable(prompts) else read_slide_prompts(prompts, slide.shape, slide.name)


def _ready(model: str | Path | AnyModel | Callable[[], AnyModel], device: str) -> AnyModel:
    if isinstance(model, str | Path):
        return load_model(model, device)
    return model if isinstance(model, SegmentationModel | ModelElsewhere) else model()


def files_of_objects(output: Path) -> list[Path]:
    """Everything that is written.

    Objects, how they were made, and what an automatic run has done so far.
    """
    return [output, slide_sidecar_path(output), _journal_of(output)]


def _journal_of(output: Path) -> Path:
    return output.with_name(output.name + ".tiles.jsonl")


def parse_region(text: str, slide: Slide) -> tuple[Any, bool, tuple[str, ...]]:
    """The region of an automatic run.

    It says too whether only tissue counts in it.

    Parameters
    ----------
    text : str
        ``"tissue"``, four numbers ``row0,column0,row1,column1``, or the name of a GeoJSON file.
    slide : Slide
        The slide it lies on.

    Returns
    -------
    geometry : shapely geometry
        In level-0 pixel corners.
    tissue_only : bool
        True for ``"tissue"``: what a person has drawn is taken as it is.
    notes : tuple of str
        What a file holds that was skipped or mended.

    Raises
    ------
    UserInputError
        If it is none of these.
    """
    import shapely

    rows, cols = slide.shape
    if text == "tissue":
        return shapely.box(0, 0, cols, rows), True, ()
    if re.fullmatch(rf"\s*{_NUMBER}(\s*,\s*{_NUMBER}){{3}}\s*", text):
        row0, col0, row1, col1 = (float(part) for part in text.split(","))
        return shapely.box(min(col0, col1), min(row0, row1), max(col0, col1), max(row0, row1)), False, ()
    if not text or not Path(text).exists():
        raise UserInputError(
            f"There is no region {text!r}; give tissue, row0,column0,row1,column1 in pixels of the full slide, or a "
            "GeoJSON file."
        )
    from napari_sam2.slides.formats.geojson import read_objects

    read = read_objects(text)
    areas = [o.geometry for o in read.objects if o.geometry.area > 0]
    if not areas:
        raise UserInputError(f"{Path(text).name} holds no area to segment in; draw a region and export it again.")
    return shapely.union_all([shapely.make_valid(area) for area in areas]), False, read.notes


def _automatic_request(
    slide: Slide, auto: str, object_size: str | None, like: str | os.PathLike[str] | None
) -> tuple[AutomaticRequest, tuple[str, ...]]:
    """What is asked for without prompts, and notes about its region."""
    what, _, where = auto.partition(":")
    nuclei = what == _NUCLEI
    if like is not None and object_size is not None:
        raise UserInputError("Give either --object-size or --like, which both say how large objects are.")
    if like is not None:
        from napari_sam2.slides.formats.geojson import read_geojson

        size = size_like(obj.geometry for obj in read_geojson(like))
    else:
        size = parse_size(object_size or (NUCLEUS_SIZE if nuclei else DEFAULT_OBJECT_SIZE), slide.mpp, slide.name)
    region, tissue_only, notes = parse_region((where or "tissue") if nuclei else auto, slide)
    return AutomaticRequest(region, tissue_only, size, nuclei), notes


def _prompted(
    engine: CropEngine,
    requests: list[ObjectRequest],
    refine_steps: int,
    overlap: str,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> tuple[list[SlideObject] | None, list[str]]:
    regions, step = Regions(overlap=overlap), Step(TakeObjects(()))
    notes: list[str] = []

    def answered(request: ObjectRequest) -> CropAnswer:
        answer = engine.answer(request.prompts)
        for _ in range(refine_steps):
            answer = refine(engine, answer)
        return answer

    answers = side_by_side(engine.model, answered, requests)
    on_progress(0, len(requests))
    for done, (request, answer) in enumerate(zip(requests, answers, strict=True), start=1):
        on_progress(done, len(requests))
        if should_stop():
            answers.close()
            return None, notes
        name = request.name or f"object {request.object_id}"
        if answer.bounds is None:
            notes.append(f"{name}: nothing was found at its prompts.")
            continue
        if answer.is_cut:
            notes.append(f"{name}: it goes on beyond what was looked at; add a box around it.")
        regions.place(
            step,
            SlideObject(
                answer.polygon(),
                name=name,
                object_class=ObjectClass(request.class_name) if request.class_name else None,
                measurements={SCORE: answer.scores.predicted_iou},
                metadata={"model": engine.model.card.name},
            ).on_plane(engine.slide.z_and_t),
        )
    return [measured(obj, engine.slide.mpp) for obj in regions], notes


def _automatic(
    engine: CropEngine,
    request: AutomaticRequest,
    target: Path,
    overwrite: bool,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> SlideRun:
    slide = engine.slide
    plan = plan_of(engine, request)
    journal = _journal_of(target)
    if not run_tiles(engine, plan, journal, on_progress=on_progress, should_stop=should_stop):
        note = f"Stopped; {journal.name} holds what was done, and the same command goes on from there."
        return SlideRun(target, 0, finished=False, notes=(*slide.notes, note))
    objects = (measured(obj, slide.mpp) for obj in joined_objects(engine, plan, journal))
    facts = slide_sidecar_text(target, slide, engine.model, {}, {"automatic": request.as_json()})
    count = write_objects(objects, target, slide, facts, overwrite=overwrite)
    journal.unlink()
    return SlideRun(target, count, finished=True, notes=slide.notes)
