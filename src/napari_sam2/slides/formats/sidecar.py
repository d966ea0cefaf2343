"""What lies beside the objects of a slide.

``NAME.json``: how they were made.

As for label maps (`napari_sam2.io.sidecar`) it holds no path and nothing of the patient: the slide is named by its
key, a hash of some pixels, and a channel by its name only where that is a stain's.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2._version import __version__
from napari_sam2.errors import UserInputError
from napari_sam2.io.sidecar import INTENDED_USE, as_json_text, software_versions
from napari_sam2.models.base import described_model
from napari_sam2.slides.formats.stains import plain_names

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from napari_sam2.models.base import DescribedModel
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["check_slide_sidecar", "slide_sidecar_path", "slide_sidecar_text"]


def slide_sidecar_path(output: str | os.PathLike[str]) -> Path:
    """``glands.geojson.json`` beside ``glands.geojson``: the whole name, since one slide has several outputs."""
    path = Path(output)
    return path.with_name(path.name + ".json")


def check_slide_sidecar(output: str | os.PathLike[str]) -> None:
    """Refuse an output whose sidecar would replace another file.

    Raises
    ------
    UserInputError
        If there is one of its name.
    """
    sidecar = slide_sidecar_path(output)
    if sidecar.exists():
        raise UserInputError(f"{sidecar.name} exists already; choose another name or pass --overwrite.")


def slide_sidecar_text(
    output: str | os.PathLike[str],
    slide: Slide,
    model: DescribedModel | None,
    prompts: Mapping[str, Iterable[SlidePrompt]],
    settings: Mapping[str, Any],
) -> str:
    """How objects were made, as JSON.

    Parameters
    ----------
    output : path-like
        The file of objects.
    slide : Slide
        What was segmented.
    model : DescribedModel, optional
        Who answered; None for objects that were taken as they are.
    prompts : mapping of str to iterable of SlidePrompt
        By the object's id or name.
    settings : mapping
        Further choices as plain values, such as ``{"overlap": "first"}``.
    """
    facts = {
        "Description": f"Objects on a slide, outlined with napari-sam2 {__version__}.",
        "IntendedUse": INTENDED_USE,
        "Output": Path(output).name,
        "Slide": {
            "key": slide.key,
            "shape": list(slide.shape),
            "mpp": None if slide.mpp is None else asdict(slide.mpp),
            "plane": dict(slide.plane) or None,
            "channels": None if slide.mix is None else {**asdict(slide.mix), "names": plain_names(slide.mix.names)},
        },
        "Model": None
        if model is None
        else {**described_model(model), "license": model.card.license, "device": str(model.device)},
        "Settings": dict(settings),
        "Prompts": {name: [asdict(prompt) for prompt in listed] for name, listed in prompts.items()},
        "Software": software_versions(),
    }
    return as_json_text(facts)
