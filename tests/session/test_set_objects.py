"""Several objects set at once, and who is told of it."""

from __future__ import annotations

import numpy as np

from napari_sam2.core.prompts import Box, ObjectPrompts
from napari_sam2.core.volume import Volume
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.session import Session


def test_each_answered_object_is_told_of_when_it_is_there():
    voxels = np.random.default_rng(0).integers(0, 200, (40, 40, 4)).astype(np.int16)
    voxels[5:15, 5:30] += 900
    voxels[22:32, 5:30] += 900
    session = Session(Volume(voxels, np.eye(4)), ClassicalModel(), axis=2)
    told = []
    session.set_objects(
        [ObjectPrompts(n, (Box(((row, 4, 2), (row + 11, 30, 2))),)) for n, row in ((1, 4), (2, 21))],
        lambda done, total: told.append((done, total, len(session.objects))),
    )
    assert told == [(1, 2, 1), (2, 2, 2)]
    assert all(2 in obj.results for obj in session.objects.values())
