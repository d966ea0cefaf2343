"""Slides as cases of a cohort.

Which files of a folder are slides, and what is done with one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.job import OVERVIEW
from napari_sam2.cohort.nameless import nameless
from napari_sam2.cohort.state import wanted_inputs
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import PREFIX, atomic_write
from napari_sam2.io.formats import SLIDE_SUFFIXES, suffix_of
from napari_sam2.io.manifest import ManifestRow
from napari_sam2.io.names import without_suffix
from napari_sam2.io.payload import existing_file
from napari_sam2.io.prompt_file import parse_json
from napari_sam2.io.zarr_store import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_sam2.cohort.job import CaseJob
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.objects import SlideObject

__all__ = ["OBJECTS", "check_slide_file", "check_slide_prompts", "do_slide", "slides_in"]

OBJECTS: Final = "objects.geojson"
TABLE: Final = "objects.csv"
TILES_OF: Final = "objects.tiles.of"
"""What the tiles of an unfinished run belong to: a digest of inputs and settings."""

PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".j2k")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


def slides_in(folder: Path) -> tuple[ManifestRow, ...]:
    """The slides and pictures of a folder as cases.

    They are called after their files; folders in it are not looked into.

    Raises
    ------
    UserInputError
        If there is none.
    """
    files = [p for p in sorted(folder.iterdir()) if not p.name.startswith((".", PREFIX)) and _may_be_slide(p)]
    if not files:
        raise UserInputError(f"{folder.name} holds no slides; give a folder with slides in it, or a manifest.")
    rows: list[ManifestRow] = []
    taken: set[str] = set()
    for number, file in enumerate(files, start=1):
        case = _NO_NAME.sub("_", without_suffix(file.name)).strip("._-")[:80] or f"slide_{number}"
        if case.casefold() in taken:
            case = f"{case}_{number}"
        taken.add(case.casefold())
        rows.append(ManifestRow(number, case, file))
    return tuple(rows)


def check_slide_file(path: Path) -> None:
    """Refuse what is missing, empty, or not to be opened.

    Raises
    ------
    ImageFileError
        Saying what is wrong. Whether it is damaged shows when it is used.
    """
    if not is_zarr(path):
        existing_file(path)


def check_slide_prompts(path: Path) -> None:
    """Refuse a prompt file that is wrong whatever its slide is.

    Raises
    ------
    ImageFileError, PromptError
        Saying what is wrong.
    """
    from napari_sam2.slides.prompt_file import parse_slide_prompts

    parse_slide_prompts(parse_json(existing_file(path)), path.name)


def do_slide(job: CaseJob, model: AnyModel) -> dict[str, Any]:
    """Segment one slide; write objects, table and picture.

    Tiles of a run that was killed are gone on with, if inputs and settings are the same.
    """
    from napari_sam2.jobs.slide import segment_slide
    from napari_sam2.slides.formats.geojson import read_objects
    from napari_sam2.slides.formats.object_table import write_object_table
    from napari_sam2.slides.formats.sidecar import slide_sidecar_path
    from napari_sam2.slides.reader import open_slide

    wish = job.settings.slide
    target = job.folder / OBJECTS
    _keep_tiles_of(job)
    run = segment_slide(
        job.image,
        target,
        prompts=job.prompts,
        auto=None if job.prompts is not None else wish.auto,
        object_size=wish.object_size,
        like=wish.like,
        mpp=wish.mpp,
        channel=wish.channel or None,
        polarity=wish.polarity,
        plane=wish.plane,
        model=model,
        overwrite=True,
    )
    objects = read_objects(target).objects
    opened = open_slide(job.image, mpp=wish.mpp, channel=wish.channel or None, polarity=wish.polarity, plane=wish.plane)
    with opened as slide:
        write_object_table(objects, job.folder / TABLE, slide.mpp, overwrite=True)
        draw_objects(slide, objects, job.folder / OVERVIEW)
        facts = {
            "slide": {"shape": list(slide.shape), "mpp": None if slide.mpp is None else round(slide.mpp.mean, 6)},
            "classes": _by_class(objects, slide),
        }
    (job.folder / TILES_OF).unlink(missing_ok=True)
    outputs = [OBJECTS, slide_sidecar_path(target).name, TABLE, OVERVIEW]
    return {"outputs": outputs, "objects": [], "notes": [nameless(job, note) for note in run.notes], **facts}


def draw_objects(slide: Slide, objects: Iterable[SlideObject], path: Path) -> None:
    """Draw outlines on the overview of a slide, as JPEG."""
    import shapely
    from PIL import Image, ImageDraw

    from napari_sam2.slides.class_colours import DEFAULT_COLOUR

    picture = Image.fromarray(slide.overview)
    pen = ImageDraw.Draw(picture)
    for obj in objects:
        for part in shapely.get_parts(obj.geometry):
            for ring in shapely.get_rings(part):
                corners = shapely.get_coordinates(ring) / slide.overview_scale
                pen.line(
                    [tuple(corner) for corner in corners.tolist()], fill=obj.shown_colour or DEFAULT_COLOUR, width=2
                )
    with atomic_write(path, overwrite=True) as temporary, temporary.open("wb") as file:
        picture.save(file, format="JPEG", quality=85)


def _by_class(objects: Iterable[SlideObject], slide: Slide) -> list[dict[str, Any]]:
    """Number and area of the objects of each class."""
    areas: dict[str, list[float]] = defaultdict(list)
    for obj in objects:
        areas[obj.class_name or "no class"].append(float(obj.geometry.area))
    return [
        {
            "name": name,
            "count": len(own),
            "area_px": round(sum(own), 1),
            "area_mm2": None if slide.mpp is None else float(f"{sum(own) * slide.mpp.area / 1e6:.6g}"),
        }
        for name, own in sorted(areas.items())
    ]


def _keep_tiles_of(job: CaseJob) -> None:
    """Drop the tiles of an unfinished run that had other inputs or settings."""
    wanted = hashlib.sha256(json.dumps(wanted_inputs(job), sort_keys=True).encode()).hexdigest()
    mark = job.folder / TILES_OF
    stated = ""
    with contextlib.suppress(OSError, ValueError):
        stated = mark.read_text(encoding="utf-8")
    if stated != wanted:
        (job.folder / f"{OBJECTS}.tiles.jsonl").unlink(missing_ok=True)
        mark.write_text(wanted, encoding="utf-8")


def _may_be_slide(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path)
    return suffix_of(path.name, (*SLIDE_SUFFIXES, *PICTURES, ".zarr.zip", ".ozx")) is not None
