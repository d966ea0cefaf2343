from __future__ import annotations

import numpy as np

from napari_sam2.core.labels import consecutive_ids


def test_ids_are_numbered_without_gaps_and_the_mapping_is_kept():
    labels = np.array([[[0, 5, 70000], [5, 9, 0]]], np.int32)
    numbered, mapping = consecutive_ids(labels)
    assert mapping == {5: 1, 9: 2, 70000: 3}
    assert numbered.dtype == np.uint8
    np.testing.assert_array_equal(numbered, [[[0, 1, 3], [1, 2, 0]]])
    assert consecutive_ids(np.zeros((2, 2, 2), np.int32))[1] == {}
