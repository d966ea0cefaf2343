"""Points and Shapes layers of the user's own as prompts.

They are followed as they change.

The layer itself is never touched. A column of its features named ``object_id`` or ``label`` says which object
a prompt belongs to, one named ``polarity`` which points exclude; without them the current object is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Layer, Points, Shapes
from psygnal import Signal

from napari_sam2.core.prompts import Point, Prompt
from napari_sam2.errors import UserInputError
from napari_sam2.plugin.canvas.coordinates import layer_to_layer
from napari_sam2.plugin.canvas.drawn_shapes import box_of, outline_of
from napari_sam2.plugin.scan.prompt_changes import DECIMALS, changes_between

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["OwnLayers", "prompts_in"]

OBJECT_COLUMNS: Final = ("object_id", "label")
EXCLUDING: Final = ("exclude", "negative", "neg", "background", "0", "false", "-1")
"""What people write into a polarity column for "not this"."""

_SETTLED: Final = ("added", "removed", "changed")


class OwnLayers:
    """The layers that are followed.

    Parameters
    ----------
    image : Image
        What is segmented.
    shown : ShownVolume
        Its volume and grid.
    """

    changed = Signal(object)
    """Prompts were taken, moved or deleted: list of PromptChange."""

    def __init__(self, image: Image, shown: ShownVolume) -> None:
        self._image = image
        self._shown = shown
        self._taken: dict[Layer, dict[int, list[Prompt]]] = {}
        self._default: dict[Layer, int] = {}

    def use(self, layer: Layer, object_id: int) -> int:
        """Use a layer's points or shapes, and follow them.

        Now and whenever they change; returns how many there are.

        Raises
        ------
        UserInputError
            If the layer is of another kind, or has fewer axes than the image.
        """
        prompts = prompts_in(layer, self._image, self._shown, object_id)
        if layer not in self._taken:
            layer.events.data.connect(self._on_data)
        self._default[layer] = object_id
        self._replace(layer, prompts)
        return sum(len(of_object) for of_object in prompts.values())

    def close(self) -> None:
        """Stop following."""
        for layer in self._taken:
            layer.events.data.disconnect(self._on_data)
        self._taken.clear()

    def _on_data(self, event: Any) -> None:
        layer = event.source
        if str(event.action) in _SETTLED and layer in self._taken:
            self._replace(layer, prompts_in(layer, self._image, self._shown, self._default[layer]))

    def _replace(self, layer: Layer, prompts: dict[int, list[Prompt]]) -> None:
        before, self._taken[layer] = self._taken.get(layer, {}), prompts
        changes = changes_between(before, prompts)
        if changes:
            self.changed.emit(changes)


def prompts_in(layer: Layer, image: Image, shown: ShownVolume, object_id: int) -> dict[int, list[Prompt]]:
    """The prompts of a layer by the objects they belong to.

    Raises
    ------
    UserInputError
        If the layer is of another kind, or has fewer axes than the image.
    """
    if not isinstance(layer, Points | Shapes):
        raise UserInputError(f"{layer.name} is neither a Points nor a Shapes layer; select one of those.")
    if layer.ndim < image.ndim:
        raise UserInputError(
            f"{layer.name} has {layer.ndim} axes but {image.name} has {image.ndim}, so its "
            f"slices are not known; draw in a layer with {image.ndim} axes."
        )
    by_object: dict[int, list[Prompt]] = {}
    for number, (vertices, owner) in enumerate(zip(layer.data, _owners(layer, object_id), strict=True)):
        voxels = shown.grid.to_voxel(layer_to_layer(vertices, layer, image))
        by_object.setdefault(owner, []).extend(_prompts_of(layer, number, voxels, shown))
    return by_object


def _prompts_of(layer: Points | Shapes, number: int, voxels: NDArray[np.float64], shown: ShownVolume) -> list[Prompt]:
    """What one point or shape means."""
    if isinstance(layer, Points):
        i, j, k = (round(float(c), DECIMALS) for c in voxels[0])
        return [Point((i, j, k), _includes(layer, number))]
    if layer.shape_type[number] in ("rectangle", "ellipse"):
        box = box_of(voxels, shown.grid.shape)
        return [] if box is None else [box]
    return outline_of(voxels, layer.shape_type[number], shown.volume)


def _owners(layer: Layer, object_id: int) -> list[int]:
    column = next((name for name in OBJECT_COLUMNS if name in layer.features), None)
    if column is None:
        return [object_id] * len(layer.data)
    try:
        return [int(value) for value in layer.features[column]]
    except (TypeError, ValueError):
        return [object_id] * len(layer.data)


def _includes(layer: Layer, number: int) -> bool:
    if "polarity" not in layer.features:
        return True
    return str(layer.features["polarity"].iloc[number]).lower() not in EXCLUDING
