"""Opening an engine: here, or wherever the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.engine.verbs import ModelElsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel, SliceEngine

__all__ = ["open_engine"]


def open_engine(
    volume: Volume,
    model: AnyModel,
    window: Window,
    axis: int | None = None,
    feature_budget: int | None = None,
    feature_folder: Path | None = None,
) -> SliceEngine[Any, Any]:
    """An engine for slices of a volume.

    Parameters
    ----------
    volume, model, window, axis, feature_folder
        See `napari_sam2.engine.engine.Engine`; features of a model elsewhere are kept there.
    feature_budget : int, optional
        As there; the engine's own choice by default.
    """
    if isinstance(model, ModelElsewhere):
        return model.engine(volume, window, volume.default_slice_axis if axis is None else axis)
    # Networks are imported where they run: there are none on a machine that lets another one answer.
    from napari_sam2.engine.engine import Engine
    from napari_sam2.engine.features import DEFAULT_BUDGET

    budget = DEFAULT_BUDGET if feature_budget is None else feature_budget
    return Engine(volume, model, window, axis, budget, feature_folder)
