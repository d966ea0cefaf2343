"""The prompt layers of a slide.

Prompts of the current object, the box being drawn, and the hover preview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.plugin.canvas.placement import placement
from napari_sam2.plugin.scan.prompt_layers import BOX_COLOUR, COLOURS, EXCLUDE, INCLUDE, SYMBOLS
from napari_sam2.slides.prompts import SlideBox, SlidePoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points, Shapes
    from numpy.typing import NDArray

    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["SlidePromptLayers"]

CLICK_SIZE: Final = 13
"""Screen pixels, at any zoom."""

PREVIEW_COLOUR: Final = "#00e5ff"
"""Cyan: a colour that no stain has."""

WIDTH: Final = 2.0


class SlidePromptLayers:
    """Clicks (Points) and boxes (Shapes) of one object; shown, not edited.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are added.
    image : Image
        What is segmented.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._prompts: tuple[SlidePrompt, ...] = ()
        self._rubber_band: SlideBox | None = None
        self._preview: tuple[NDArray[np.float64], ...] = ()
        self._pixel = 1.0
        self.boxes: Shapes = viewer.add_shapes(ndim=2, name=f"{image.name} boxes", opacity=1.0, **placement(image, 2))
        self.clicks: Points = viewer.add_points(
            ndim=2,
            name=f"{image.name} clicks",
            border_color="white",
            border_width=0.12,
            **placement(image, 2),
        )
        for layer in self.layers:
            layer.editable = False

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Both layers."""
        return self.boxes, self.clicks

    def show_prompts(self, prompts: tuple[SlidePrompt, ...], pixel: float) -> None:
        """Show an object's prompts.

        `pixel` is the size of a screen pixel in level-0 pixels.
        """
        if prompts == self._prompts and np.isclose(pixel, self._pixel):
            return
        self._pixel = pixel
        if prompts != self._prompts:
            self._prompts = prompts
            self._draw_clicks([p for p in prompts if isinstance(p, SlidePoint)])
        if len(self.clicks.data):
            self.clicks.size = CLICK_SIZE * pixel
        self._draw_boxes()

    def show_rubber_band(self, box: SlideBox | None, pixel: float) -> None:
        """Show the box that is being drawn; None takes it away."""
        if box != self._rubber_band:
            self._rubber_band, self._pixel = box, pixel
            self._draw_boxes()

    def show_preview(self, outlines: Iterable[NDArray[np.float64]], pixel: float) -> None:
        """Show what a click would give.

        As (N, 2) rows and columns; None takes it away.
        """
        outlines = tuple(outlines)
        if outlines or self._preview:
            self._preview, self._pixel = outlines, pixel
            self._draw_boxes()

    def _draw_clicks(self, points: list[SlidePoint]) -> None:
        names = [INCLUDE if p.positive else EXCLUDE for p in points]
        self.clicks.data = np.array([(p.row, p.col) for p in points]).reshape(-1, 2)
        if points:
            self.clicks.face_color = [COLOURS[name] for name in names]
            self.clicks.symbol = [SYMBOLS[name] for name in names]

    def _draw_boxes(self) -> None:
        boxes = [p for p in self._prompts if isinstance(p, SlideBox)]
        if self._rubber_band is not None:
            boxes.append(self._rubber_band)
        shapes = [*(_corners(box) for box in boxes), *self._preview]
        self.boxes.selected_data = set(range(len(self.boxes.data)))
        self.boxes.remove_selected()
        if not shapes:
            return
        colours: list[Any] = [BOX_COLOUR] * len(boxes) + [PREVIEW_COLOUR] * len(self._preview)
        self.boxes.add_polygons(
            shapes, edge_width=WIDTH * self._pixel, edge_color=colours, face_color=[[0, 0, 0, 0]] * len(shapes)
        )
        self.boxes.selected_data = set()


def _corners(box: SlideBox) -> NDArray[np.float64]:
    """The outer edges of a box in the layer's (row, column), whose integers are pixel centres."""
    row0, col0, row1, col1 = (edge - 0.5 for edge in box.bounds)
    return np.array([[row0, col0], [row0, col1], [row1, col1], [row1, col0]])
