from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.io.film import write_label_film

FRAMES = np.zeros((5, 20, 30), np.int32)
FRAMES[1:4, 5:9, 6:10] = 1
FRAMES[2, 15, 20] = 300


def test_labels_of_a_film_are_frames_over_time_with_a_table(tmp_path):
    path = tmp_path / "cells.ome.tif"
    write_label_film(FRAMES, path, {1: "cell", 300: "=debris"}, Mpp(0.5, 0.25, "given"))
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TYX"
        assert 'PhysicalSizeX="0.25"' in file.ome_metadata
        assert 'PhysicalSizeY="0.5"' in file.ome_metadata
        assert "PhysicalSizeZ" not in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), FRAMES)
    assert (tmp_path / "cells.tsv").read_text().splitlines() == [
        "index\tname\tframes\tpixels", "1\tcell\t3\t48", "300\t'=debris\t1\t1"
    ]  # fmt: skip


def test_an_existing_file_is_left_alone(tmp_path):
    path = tmp_path / "cells.ome.tif"
    path.write_text("mine")
    with pytest.raises(UserInputError, match="exists"):
        write_label_film(FRAMES, path, {})
    assert path.read_text() == "mine"
    write_label_film(FRAMES[:1], path, {1: ""}, overwrite=True)
    assert tifffile.imread(path).reshape(20, 30).sum() == 0
