"""Prompt layers of a scan.

Clicks (Points) and boxes (Shapes), shown and edited.

`show` puts in them what the session holds, `read` turns an edit of theirs into prompts. What becomes a mask
(a lasso) or clicks (a scribble) does not stay in them.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from psygnal import Signal

from napari_sam2.core.prompts import Box, MaskPrompt, Point, Prompt
from napari_sam2.plugin.canvas.drawn_shapes import box_of, outline_of
from napari_sam2.plugin.canvas.placement import placement
from napari_sam2.plugin.scan.prompt_changes import DECIMALS, prompt_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points, Shapes
    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["EXCLUDE", "INCLUDE", "ScanPromptLayers", "layer_placement"]

INCLUDE: Final = "include"
EXCLUDE: Final = "exclude"

SYMBOLS: Final = {INCLUDE: "disc", EXCLUDE: "cross"}
"""Polarity is seen by symbol as well as by colour."""

COLOURS: Final = {INCLUDE: "#2fbf71", EXCLUDE: "#e4572e"}
"""Green and vermilion, told apart in the common kinds of colour blindness by their lightness too."""

BOX_COLOUR: Final = "#f5c542"

_SETTLED: Final = ("added", "removed", "changed")
"""What a layer reports when an edit is finished; the -ing forms come while it lasts."""


class ScanPromptLayers:
    """The click and box layers of an image.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are added.
    image : Image
        What is segmented.
    shown : ShownVolume
        Its volume and grid.
    """

    edited = Signal()
    """The user (or a program) has changed the layers."""

    drawn = Signal(int, object)
    """A shape that becomes a mask or clicks was drawn: object id, list of prompts."""

    def __init__(self, viewer: ViewerModel, image: Image, shown: ShownVolume) -> None:
        self._shown = shown
        self._quiet = False
        self._in_hand = False
        self._has_rubber_band = False
        placement = layer_placement(image, shown)
        self.boxes: Shapes = viewer.add_shapes(
            ndim=shown.grid.n_spatial,
            name=f"{image.name} boxes",
            features=pd.DataFrame({"object_id": pd.Series([], dtype=int)}),
            feature_defaults={"object_id": 1},
            edge_color=BOX_COLOUR,
            face_color=[0, 0, 0, 0],
            edge_width=max(shown.volume.shape) / 256,
            **placement,
        )
        self.clicks: Points = viewer.add_points(
            ndim=shown.grid.n_spatial,
            name=f"{image.name} clicks",
            features=pd.DataFrame({"polarity": pd.Series([], dtype=str), "object_id": pd.Series([], dtype=int)}),
            feature_defaults={"polarity": INCLUDE, "object_id": 1},
            face_color="polarity",
            face_color_cycle=COLOURS,
            border_color="white",
            size=_point_size(shown),
            **placement,
        )
        self.clicks.events.data.connect(self._on_clicks)
        self.boxes.events.data.connect(self._on_boxes)
        for layer in self.layers:
            layer.events.mode.connect(self.let_go)

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """Both layers."""
        return self.boxes, self.clicks

    def close(self) -> None:
        """Stop listening; the layers stay where they are."""
        self.clicks.events.data.disconnect(self._on_clicks)
        self.boxes.events.data.disconnect(self._on_boxes)
        for layer in self.layers:
            layer.events.mode.disconnect(self.let_go)

    def let_go(self, _event: Any = None) -> None:
        """Forget that something was being drawn.

        Napari does not tell when it is given up.
        """
        self._in_hand = False

    def use_object(self, object_id: int) -> None:
        """Give what is drawn from now on to an object."""
        self.clicks.feature_defaults = {"polarity": INCLUDE, "object_id": object_id}
        self.boxes.feature_defaults = {"object_id": object_id}

    def show_rubber_band(self, start: NDArray[np.float64], end: NDArray[np.float64], axis: int) -> None:
        """Show the box that is being drawn.

        From one voxel coordinate to another, across `axis`.
        """
        corners = self._rectangle(np.minimum(start, end), np.maximum(start, end), axis)
        with self._silently():
            if self._has_rubber_band:
                self.boxes.data = [*self.boxes.data[:-1], corners]
            else:
                self.boxes.add_rectangles(corners)
                self._has_rubber_band = True

    def show_stroke(self, voxels: NDArray[np.float64]) -> None:
        """Show a stroke that is being drawn, along voxel coordinates (N, 3)."""
        self.hide_rubber_band()
        with self._silently():
            self.boxes.add_paths(self._shown.grid.to_data(voxels))
            self._has_rubber_band = True

    def hide_rubber_band(self) -> None:
        """Take the box or stroke that was being drawn away."""
        if self._has_rubber_band:
            self._has_rubber_band = False
            self._remove_boxes({len(self.boxes.data) - 1})

    def read(self) -> dict[int, list[Prompt]]:
        """All prompts in the layers by object.

        Boxes first, then clicks, each in order.
        """
        by_object: dict[int, list[Prompt]] = {}
        for owner, prompt in (*self._boxes(), *self._points()):
            if prompt is not None:
                by_object.setdefault(owner, []).append(prompt)
        return by_object

    def show(self, prompts: Mapping[int, Sequence[Prompt]]) -> None:
        """Show exactly these prompts.

        Only what differs is touched. Masks are not shown here.

        Nothing is done while a shape or point is in the user's hand.
        """
        if self._in_hand:
            return
        wanted = Counter((owner, prompt_key(p)) for owner, of_object in prompts.items() for p in of_object)
        self._drop_clicks(_surplus(self._points(), wanted))
        self._remove_boxes(_surplus(self._boxes(), wanted))
        missing = [(owner, p) for owner, of_object in prompts.items() for p in of_object if _take(wanted, owner, p)]
        self._append([row for row in missing if not isinstance(row[1], MaskPrompt)])

    def _boxes(self) -> list[tuple[int, Box | None]]:
        """The boxes of the layer with their objects; None for what is too small, or being drawn."""
        grid, owners = self._shown.grid, self.boxes.features["object_id"].to_numpy()
        rows: list[tuple[int, Box | None]] = [
            (int(owner), box_of(grid.to_voxel(vertices), grid.shape))
            for vertices, owner in zip(self.boxes.data, owners, strict=True)
        ]
        return [*rows[:-1], (0, None)] if self._has_rubber_band else rows

    def _points(self) -> list[tuple[int, Point]]:
        """The clicks of the layer with their objects."""
        if len(self.clicks.data) == 0:
            return []
        features, rows = self.clicks.features, []
        voxels = np.round(self._shown.grid.to_voxel(self.clicks.data), DECIMALS)
        for voxel, owner, polarity in zip(voxels, features["object_id"], features["polarity"], strict=True):
            i, j, k = (float(c) for c in voxel)
            rows.append((int(owner), Point((i, j, k), polarity != EXCLUDE)))
        return rows

    def _append(self, rows: Sequence[tuple[int, Prompt]]) -> None:
        """Append prompts with their objects, without reporting an edit."""
        if not rows:
            return
        click_defaults, box_defaults = self.clicks.feature_defaults.copy(), self.boxes.feature_defaults.copy()
        with self._silently():
            self.hide_rubber_band()
            for owner, prompt in rows:
                if isinstance(prompt, Point):
                    polarity = INCLUDE if prompt.positive else EXCLUDE
                    self.clicks.feature_defaults = {"polarity": polarity, "object_id": owner}
                    self.clicks.add(self._shown.grid.to_data(prompt.voxel))
                elif isinstance(prompt, Box):
                    self.boxes.feature_defaults = {"object_id": owner}
                    self.boxes.add_rectangles(self._corners(prompt))
            self.clicks.feature_defaults, self.boxes.feature_defaults = click_defaults, box_defaults
            self._set_symbols()

    def _on_clicks(self, event: Any) -> None:
        if self._is_settled(event):
            self._set_symbols()
            self.edited.emit()

    def _on_boxes(self, event: Any) -> None:
        if self._is_settled(event):
            self._take_out_drawings()
            self.edited.emit()

    def _is_settled(self, event: Any) -> bool:
        """Whether an event says that the user has finished an edit."""
        if self._quiet:
            return False
        settled = str(event.action) in _SETTLED
        self._in_hand = not settled
        return settled

    def _take_out_drawings(self) -> None:
        """Turn lassos and scribbles into prompts, and drop boxes too small to be meant."""
        grid = self._shown.grid
        rows: list[int] = []
        owners = self.boxes.features["object_id"].to_numpy()
        drawings: list[tuple[int, list[Prompt]]] = []
        for number, (vertices, kind, owner) in enumerate(
            zip(self.boxes.data, self.boxes.shape_type, owners, strict=True)
        ):
            voxels = grid.to_voxel(vertices)
            if kind in ("rectangle", "ellipse"):
                if box_of(voxels, grid.shape) is None:
                    rows.append(number)
                continue
            rows.append(number)
            prompts = outline_of(voxels, kind, self._shown.volume)
            if prompts:
                drawings.append((int(owner), prompts))
        self._remove_boxes(set(rows))
        for owner, prompts in drawings:
            self.drawn.emit(owner, prompts)

    def _drop_clicks(self, numbers: set[int]) -> None:
        if numbers:
            with self._silently():
                self.clicks.selected_data = numbers
                self.clicks.remove_selected()
                self._set_symbols()

    def _corners(self, box: Box) -> NDArray[np.float64]:
        """The four corners of a box as a rectangle of the layer, in data coordinates."""
        return self._rectangle(np.array(box.low, float), np.array(box.high, float), box.fixed_axes[0])

    def _rectangle(self, low: NDArray[np.float64], high: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        _a, b = (n for n in range(3) if n != axis)
        corners = np.array([low, low, high, high])
        corners[1, b], corners[2, b] = high[b], high[b]
        corners[3, b] = low[b]
        return self._shown.grid.to_data(corners)

    def _remove_boxes(self, numbers: set[int]) -> None:
        if numbers:
            with self._silently():
                self.boxes.selected_data = numbers
                self.boxes.remove_selected()

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """Change the layers without reporting an edit."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _set_symbols(self) -> None:
        if len(self.clicks.data):
            self.clicks.symbol = [SYMBOLS.get(p, "disc") for p in self.clicks.features["polarity"]]


def _surplus(rows: Sequence[tuple[int, Prompt | None]], expected: Counter[tuple[int, Hashable]]) -> set[int]:
    """Numbers of the rows that are not wanted; those that are get counted off."""
    return {n for n, (owner, p) in enumerate(rows) if p is not None and not _take(expected, owner, p)}


def _take(expected: Counter[tuple[int, Hashable]], owner: int, prompt: Prompt) -> bool:
    """Count one prompt off; False when it is not wanted."""
    key = owner, prompt_key(prompt)
    expected[key] -= 1
    return expected[key] >= 0


def _point_size(shown: ShownVolume) -> float:
    """In voxels; about as large on the screen whatever the volume's size."""
    return max(2.0, max(shown.volume.shape) / 50)


def layer_placement(image: Image, shown: ShownVolume) -> dict[str, Any]:
    """What puts a layer exactly on an image's volume."""
    return placement(image, shown.grid.n_spatial)
