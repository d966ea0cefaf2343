from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import choose_window, is_ct
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


def mr(seed=0):
    g = np.indices((40, 40, 20))
    inside = ((g - np.array([20, 20, 10])[:, None, None, None]) ** 2).sum(axis=0) < 81
    noise = np.random.default_rng(seed).normal(0, 20, inside.shape)
    return np.rint(np.where(inside, 900, 500) + noise)


@pytest.mark.parametrize("padding", [-2000, -1024, -1000, -321, -32768, 3.4028234663852886e38])
def test_an_mr_with_padding_is_no_ct_and_its_padding_does_not_count(padding):
    voxels = mr().astype(np.float32 if padding > 0 else np.int16)
    plain = choose_window(volume(voxels[8:]))
    voxels[:8] = padding
    window = choose_window(volume(voxels))
    assert not is_ct(volume(voxels))
    assert (window.name, window.low, window.high) == ("percentile", plain.low, plain.high)


def test_both_a_padding_below_and_a_sentinel_above_are_left_out():
    voxels = mr().astype(np.float32)
    voxels[:4], voxels[4:8] = -9999, np.finfo(np.float32).max
    window = choose_window(volume(voxels))
    assert 400 < window.low < 500
    assert 900 < window.high < 1000


def images_below_zero():
    rng = np.random.default_rng(0)
    return {
        "phase of 13 bits": rng.integers(-4096, 4096, (30, 30, 10)),
        "phase in thousandths": rng.integers(-1000, 1001, (30, 30, 10)),
        "difference": rng.normal(0, 150, (30, 30, 10)).round(),
        "wide difference": rng.normal(0, 600, (30, 30, 10)).round(),
        "a small MR, padded": np.where(
            np.arange(9000).reshape(30, 30, 10) < 2000, -1000, rng.integers(0, 256, (30, 30, 10))
        ),
    }


@pytest.mark.parametrize("kind", images_below_zero())
def test_other_images_below_zero_are_no_ct(kind):
    assert not is_ct(volume(images_below_zero()[kind].astype(np.int16)))


def chest():
    """Air, lung, fat, tissue and bone with noise and a soft edge, as scanners have them."""
    g = np.indices((60, 60, 12))
    r = np.hypot(g[0] - 30, g[1] - 30)
    hu = np.select([r < 12, r < 16, r < 22, r < 24], [-850, 50, -100, 700], -1000).astype(float)
    return gaussian_filter(hu, 0.7) + np.random.default_rng(0).normal(0, 15, hu.shape)


@pytest.mark.parametrize("padding", [None, -2000, -3024, -1024])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_ct_is_one_with_and_without_the_padding_of_its_round_field(padding, dtype):
    voxels = np.rint(np.maximum(chest(), -1024)).astype(dtype)
    if padding is not None:
        g = np.indices(voxels.shape)
        voxels[np.hypot(g[0] - 30, g[1] - 30) > 29] = padding
    assert choose_window(volume(voxels)).name == "CT-soft"


def test_a_ct_whose_sentinels_are_huge_is_still_a_ct():
    voxels = np.rint(np.maximum(chest(), -1024)).astype(np.float32)
    voxels[:3] = np.finfo(np.float32).max
    assert choose_window(volume(voxels)).name == "CT-soft"
