"""Borrowing: Points and Shapes layers of a person's own, used as prompts and followed as they change.

The layer itself is never touched. A column of its features named ``object_id`` or ``label`` says which object
a prompt belongs to, one named ``polarity`` which points exclude; without them the current object is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Layer, Points, Shapes

from napari_sam2.core.prompts import MaskPrompt, Point, Prompt
from napari_sam2.errors import UserInputError
from napari_sam2.plugin.canvas.coordinates import layer_to_layer
from napari_sam2.plugin.canvas.drawn_shapes import box_of, outline_of

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.work import Annotation

__all__ = ["Borrowing", "prompts_in"]

OBJECT_COLUMNS: Final = ("object_id", "label")
EXCLUDING: Final = ("exclude", "negative", "neg", "background", "0", "false", "-1")
"""What people write into a polarity column for "not this"."""

_SETTLED: Final = ("added", "removed", "changed")


class Borrowing:
    """The borrowed layers of an annotation.

    Parameters
    ----------
    annotation : Annotation
        Whose prompts they become.
    """

    def __init__(self, annotation: Annotation) -> None:
        self._annotation = annotation
        self._taken: dict[Layer, list[tuple[int, Prompt]]] = {}
        self._default: dict[Layer, int] = {}

    def use(self, layer: Layer, object_id: int) -> int:
        """Use a layer's points or shapes, now and whenever they change; how many there are.

        Raises
        ------
        UserInputError
            If the layer is of another kind, or has fewer axes than the image.
        """
        found = prompts_in(layer, self._annotation, object_id)
        if layer not in self._taken:
            layer.events.data.connect(self._on_data)
        self._default[layer] = object_id
        self._replace(layer, found)
        return len(found)

    def close(self) -> None:
        """Stop following."""
        for layer in self._taken:
            layer.events.data.disconnect(self._on_data)
        self._taken.clear()

    def _on_data(self, event: Any) -> None:
        layer = event.source
        if str(event.action) in _SETTLED and layer in self._taken:
            self._replace(layer, prompts_in(layer, self._annotation, self._default[layer]))

    def _replace(self, layer: Layer, found: list[tuple[int, Prompt]]) -> None:
        before, self._taken[layer] = self._taken.get(layer, []), found
        shown = [row for row in found if not isinstance(row[1], MaskPrompt)]
        self._annotation.prompts.exchange([row for row in before if not isinstance(row[1], MaskPrompt)], shown)
        for owner, prompt in found:
            if isinstance(prompt, MaskPrompt):
                self._annotation.give_masks(owner, [prompt])


def prompts_in(layer: Layer, annotation: Annotation, object_id: int) -> list[tuple[int, Prompt]]:
    """The prompts of a layer with the objects they belong to."""
    if not isinstance(layer, Points | Shapes):
        raise UserInputError(f"{layer.name} is neither a Points nor a Shapes layer; select one of those.")
    if layer.ndim < annotation.image.ndim:
        raise UserInputError(
            f"{layer.name} has {layer.ndim} axes but {annotation.image.name} has {annotation.image.ndim}, so its "
            f"slices are not known; draw in a layer with {annotation.image.ndim} axes."
        )
    owners = _owners(layer, object_id)
    found: list[tuple[int, Prompt]] = []
    for number, vertices in enumerate(layer.data):
        voxels = annotation.shown.grid.to_voxel(layer_to_layer(vertices, layer, annotation.image))
        owner = owners[number]
        if isinstance(layer, Points):
            i, j, k = (round(float(c), 3) for c in voxels[0])
            found.append((owner, Point((i, j, k), _includes(layer, number))))
        elif layer.shape_type[number] in ("rectangle", "ellipse"):
            box = box_of(voxels, annotation.shown.grid.shape)
            found += [] if box is None else [(owner, box)]
        else:
            found += [(owner, p) for p in outline_of(voxels, layer.shape_type[number], annotation.shown.volume)]
    return found


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
