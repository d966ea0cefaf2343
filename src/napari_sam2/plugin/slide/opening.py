"""Opening a slide: from an image layer to a session.

Its pixels are read piece by piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import EnvironmentLacksError, NapariSam2Error, UserInputError
from napari_sam2.io.photometric import colour_range, to_8_bits
from napari_sam2.plugin.control.autosave import Autosave
from napari_sam2.plugin.scan.volumes import METADATA_KEY, file_behind
from napari_sam2.slides.image.channels import ChannelMix
from napari_sam2.slides.image.kind import classify, survey_of, surveyed
from napari_sam2.slides.image.pyramid import Slide

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.settings import Preferences
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.session import SlideSession

__all__ = ["LayerSource", "OpenedSlide", "is_slide", "open_slide_image", "shown_mix", "slide_of"]

SLIDE_KEY: Final = "napari_sam2_slide"
"""Where our reader keeps the open `Slide` in a layer's metadata."""


def is_slide(image: Image | None) -> bool:
    """Whether a layer is segmented as a slide.

    A 2-D picture that carries no scan's geometry.

    A radiograph read from NIfTI or DICOM stays a volume of one slice, so that its labels keep its geometry.
    """
    if image is None or find_spec("shapely") is None:
        return image is not None and SLIDE_KEY in image.metadata
    return SLIDE_KEY in image.metadata or (image.ndim == 2 and METADATA_KEY not in image.metadata)


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSlide:
    """A slide that can be segmented.

    Attributes
    ----------
    image : Image
        The layer.
    session : SlideSession
        New; to be touched on the inference thread only.
    autosave : Autosave
        Its journal.
    """

    image: Image
    session: SlideSession
    autosave: Autosave[SlideSession]

    def begin(self, workspace: Workspace) -> SlideWork:
        """Begin the work."""
        from napari_sam2.plugin.slide.work import SlideWork

        return SlideWork(workspace, self.image, self.session, self.autosave)


def open_slide_image(image: Image, model: AnyModel, preferences: Preferences) -> OpenedSlide:
    """Begin a session on the slide that a layer shows.

    Raises
    ------
    EnvironmentLacksError
        If a library that slides need is not installed.
    UserInputError
        If the layer holds complex numbers.
    """
    try:
        from napari_sam2.plugin.slide.work import SLIDES
        from napari_sam2.slides.session import SlideSession
    except ImportError as error:
        raise EnvironmentLacksError(
            'Slides need a library that is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
    session = SlideSession(slide_of(image), model)
    return OpenedSlide(image, session, Autosave(session, SLIDES, preferences.autosave))


def slide_of(image: Image) -> Slide:
    """The slide that a layer shows.

    Of its pixels only a survey is read, to tell bright from dark backgrounds.

    Raises
    ------
    UserInputError
        If it holds complex numbers.
    """
    own = image.metadata.get(SLIDE_KEY)
    if own is not None:
        return own  # type: ignore[no-any-return]
    source = LayerSource(image)
    kind = classify(survey_of(source), is_rgb=bool(image.rgb), name=image.name)
    mpp = _mpp_of(image, source.level_shapes[0])
    return Slide(source, image.name, mpp=mpp, mix=shown_mix(image), is_dark=kind.is_dark)


def shown_mix(image: Image) -> ChannelMix | None:
    """How grey values become what is seen.

    By the layer's contrast limits; None for colours.
    """
    if image.rgb:
        return None
    low, high = (float(limit) for limit in image.contrast_limits)
    return ChannelMix(("grey",), (0,), ((255, 255, 255),), ((low, high if high > low else low + 1.0),))


class LayerSource:
    """The pixels of a 2-D image layer as levels of a slide.

    Plain or lazy.

    Parameters
    ----------
    image : Image
        RGB(A) or grey, of one or several scales.

    Raises
    ------
    UserInputError
        If it holds complex numbers.
    """

    def __init__(self, image: Image) -> None:
        self._levels = list(image.data) if image.multiscale else [image.data]
        first = self._levels[0]
        if np.issubdtype(first.dtype, np.complexfloating):
            raise UserInputError(f"{image.name} holds complex numbers; show their magnitude as an image first.")
        self._is_rgb = bool(image.rgb)
        self.level_shapes = tuple((int(level.shape[0]), int(level.shape[1])) for level in self._levels)
        self.n_channels = 3 if self._is_rgb else 1
        self.dtype = np.dtype(np.uint8) if self._is_rgb else np.dtype(first.dtype)
        self._full_colour: float | None = None

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `napari_sam2.slides.image.pyramid.PixelSource`."""
        piece = np.asarray(self._levels[level][row : row + rows, col : col + cols])
        if not self._is_rgb:
            return piece.view(np.uint8)[..., np.newaxis] if piece.dtype == bool else piece[..., np.newaxis]
        colours = piece[..., :3]
        if colours.dtype == np.uint8:
            return colours
        if self._full_colour is None:  # one for the whole picture, or its pieces would differ
            top, left, height, width = surveyed(self.level_shapes[-1])
            survey = self._levels[-1][top : top + height, left : left + width]
            self._full_colour = colour_range(np.asarray(survey)[..., :3])
        return to_8_bits(colours, self._full_colour)

    def close(self) -> None:
        """The layer owns its pixels."""


def _mpp_of(image: Image, shape: tuple[int, int]) -> Mpp | None:
    """The size of a pixel, where the layer's units or the file behind it state one."""
    if all(unit.is_compatible_with("um") for unit in image.units):
        row, col = (float((abs(s) * u).to("um").magnitude) for s, u in zip(image.scale, image.units, strict=True))
        return Mpp(row, col, "layer scale")
    path = file_behind(image)
    if path is None or path.suffix.lower() not in (".tif", ".tiff"):
        return None
    from napari_sam2.slides.reader import open_slide

    try:
        with open_slide(path) as slide:
            return slide.mpp if slide.shape == shape else None
    except NapariSam2Error:
        # The pixels come from the layer; a file that only napari can read states nothing here.
        return None
