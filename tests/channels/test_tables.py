from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.channels.opening import channel_files, read_stack
from napari_sam2.core.window import Window
from napari_sam2.io import read_volume
from napari_sam2.models import load_model
from napari_sam2.session.session import Session
from tests.zarr_maker import write_image


@pytest.fixture
def stained(tmp_path):
    values = np.random.default_rng(0).integers(0, 250, (3, 8, 20, 30), dtype=np.uint8)
    labels = {"channels": [{"label": name} for name in ("DAPI", "CD 8", "")]}
    return write_image(tmp_path / "cells.ome.zarr", values, "czyx", (1, 1, 1, 1), omero=labels), values


def test_channels_of_a_file_are_called_as_its_table_calls_them(stained):
    path, values = stained
    reference = read_volume(path, volume_index=0)
    stack = read_stack(reference, channel_files([f"{path}:all"]), reference_index=0)
    assert stack.names[1:] == ("CD-8", "cells-2")
    assert np.array_equal(stack.further[0].laid.voxels, values[1].transpose(2, 1, 0))
    (one,) = read_stack(reference, channel_files([f"{path}:1"])).further
    assert (one.name, one.volume_index) == ("CD-8", 1)


def test_channels_of_a_table_are_seen_through_its_windows(tmp_path):
    values = np.random.default_rng(0).integers(0, 4000, (2, 8, 20, 30), dtype=np.uint16)
    rows = [
        {"label": name, "window": {"start": low, "end": high}} for name, low, high in (("A", 10, 900), ("B", 5, 2500))
    ]
    path = write_image(tmp_path / "cells.ome.zarr", values, "czyx", (1, 1, 1, 1), omero={"channels": rows})
    reference = read_volume(path, volume_index=0)
    (channel,) = read_stack(reference, channel_files([f"{path}:all"]), reference_index=0).further
    assert channel.window == Window(5, 2500, "file")
    assert Session(reference, load_model("classical")).window == Window(10, 900, "file")
