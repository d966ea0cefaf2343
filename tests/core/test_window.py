from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError


def volume(voxels, **source):
    return Volume(np.asarray(voxels), np.eye(4), source=Source(name="scan.nii", **source))


def ct():
    rng = np.random.default_rng(0)
    voxels = rng.normal(40, 20, (20, 20, 5)).round().astype(np.int16)
    voxels[:5] = -1000
    return voxels


def test_hounsfield_units_get_the_soft_tissue_window():
    window = choose_window(volume(ct()))
    assert (window.name, window.low, window.high) == ("CT-soft", -160, 240)
    assert (window.level, window.width) == (40, 400)


def test_the_modality_tag_decides_before_the_values_do():
    assert choose_window(volume(ct(), modality="MR")).name == "percentile"
    assert choose_window(volume(np.arange(8).reshape(2, 2, 2), modality="CT")).name == "CT-soft"


def test_other_modalities_get_the_percentiles_of_finite_nonzero_voxels():
    rng = np.random.default_rng(1)
    voxels = rng.gamma(3, 100, (30, 30, 10))
    voxels[:10] = 0
    voxels[20, 20, 5], voxels[21, 21, 5] = np.nan, np.inf
    window = choose_window(volume(voxels))
    usable = voxels[np.isfinite(voxels) & (voxels != 0)]
    assert (window.low, window.high) == pytest.approx(tuple(np.percentile(usable, [0.5, 99.5])))


def test_the_mapping_is_linear_clips_and_survives_odd_values():
    window = choose_window(volume(ct()), "40/400")
    odd = np.array([-1e30, -160, 40, 240, 1e30, np.nan, np.inf, -np.inf], dtype=np.float32)
    assert np.allclose(window.apply(odd), [0, 0, 0.5, 1, 1, 0, 1, 0])
    assert window.apply(np.array([-32768, 32767], dtype=np.int16)).tolist() == [0, 1]


@pytest.mark.parametrize("spec", ["CT-lung", "ct-lung", "lung"])
def test_presets_are_found_by_any_spelling(spec):
    assert choose_window(volume(ct()), spec).low == -1350


@pytest.mark.parametrize(("spec", "message"), [("40", "not known"), ("40/0", "greater than 0"), ("40/-5", "greater")])
def test_a_window_that_means_nothing_is_refused(spec, message):
    with pytest.raises(UserInputError, match=message):
        choose_window(volume(ct()), spec)


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_volume_without_contrast_is_refused(value):
    with pytest.raises(UserInputError, match="nothing to segment"):
        choose_window(volume(np.full((4, 4, 4), value, dtype=float)))


def test_a_few_bright_voxels_still_make_a_window():
    voxels = np.full((40, 40, 40), 5.0)
    voxels[0, 0, 0] = 9
    window = choose_window(volume(voxels))
    assert (window.low, window.high) == (5, 9)


def test_colours_are_used_as_they_are():
    rgb = Volume(np.full((2, 2, 1, 3), 255, dtype=np.uint8), np.eye(4), oriented=False)
    assert choose_window(rgb).apply(rgb.voxels).max() == 1
    with pytest.raises(UserInputError, match="used as they are"):
        choose_window(rgb, "40/400")
