"""Corrections of a whole object: after a click all of it is cut anew, on a grid as coarse as the object is large.

A small network (`object_net`) weighs what every cell shows (`object_evidence`): image, mask, all clicks and the slices
that a person answered for. It knows no model; it was trained on simulated clicks on wrong masks of labelled scans.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.correction import Change
from napari_sam2.engine.correction_evidence import on_voxels
from napari_sam2.engine.object_evidence import look_at
from napari_sam2.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_sam2.engine.correction_evidence import Scene, Window
    from napari_sam2.engine.object_evidence import Click
    from napari_sam2.engine.object_net import ObjectNet

__all__ = ["cut_anew"]

WEIGHTS: Final = "correction-2-object.safetensors"
"""Beside this module; docs/models/correction-2.md says what they were trained on."""


def cut_anew(
    scene: Scene,
    bounds: Window,
    clicks: Sequence[Click],
    trusted: Collection[int] = (),
    fixed_slices: Collection[int] = (),
    net: ObjectNet | None = None,
) -> Change | None:
    """What an object should be, after all clicks so far.

    Parameters
    ----------
    scene : Scene
        Object and image.
    bounds : tuple of slice
        Of the object.
    clicks : sequence of Click
        In the order in which they were given; their voxels stay what they say.
    trusted : collection of int
        Slices that a person boxed, accepted or painted.
    fixed_slices : collection of int
        Slices that do not change.
    net : ObjectNet, optional
        Who weighs; the one that ships by default.

    Returns
    -------
    Change or None
        The voxels that change sides; None when there are none.
    """
    import torch

    evidence = look_at(scene, bounds, clicks, trusted)
    with torch.inference_mode():
        logits = (net or _shipped())(torch.from_numpy(evidence.channels)[None])[0].numpy().astype(np.float64)
    before = scene.mask(evidence.window)
    after = on_voxels(logits, evidence.window, evidence.strides) > 0
    first = [w.start for w in evidence.window]
    for click in clicks:
        at = tuple(v - f for v, f in zip(click.voxel, first, strict=True))
        if all(0 <= a < n for a, n in zip(at, after.shape, strict=True)):
            after[at] = click.include
    changed = after != before
    for index in fixed_slices:
        if 0 <= index - first[0] < len(changed):
            changed[index - first[0]] = False
    return Change(evidence.window, changed) if changed.any() else None


@lru_cache(maxsize=1)
def _shipped() -> ObjectNet:
    # Here, so that a session whose engine is elsewhere begins without a network.
    from safetensors.torch import load_file

    from napari_sam2.engine.object_net import ObjectNet

    net = ObjectNet()
    try:
        net.load_state_dict(load_file(Path(__file__).parent / WEIGHTS))
    except RuntimeError as error:
        raise ModelError(f"{WEIGHTS} belongs to another version of the program; install the package again.") from error
    return net.eval()
