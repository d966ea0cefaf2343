from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.sample_data import SAMPLES, sample


@pytest.mark.parametrize("name", SAMPLES)
def test_labels_of_a_sample_lie_on_its_image_and_are_all_named(name):
    image_path, labels_path, names = sample(name)
    labels = read_labels(labels_path, read_volume(image_path))
    assert set(np.unique(labels)) - {0} == set(names)
    assert image_path.with_name(f"{name}.LICENSE.txt").is_file()


def test_an_unknown_sample_is_refused_with_the_known_names():
    with pytest.raises(UserInputError, match="ct_abdomen, mr_spine"):
        sample("brain")
