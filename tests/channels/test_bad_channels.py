from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.channels.opening import open_channel, twin_note
from napari_sam2.channels.stack import ChannelStack
from napari_sam2.core.volume import Volume
from napari_sam2.errors import GeometryError, NapariSam2Error
from tests.channels.scans import SPACING, two_channels, volume

FIRST, SECOND, _ = two_channels()
REFERENCE = volume(FIRST, "a.nii.gz")
AFFINE = np.diag([*SPACING, 1.0])


def with_holes(part, value):
    voxels = SECOND.copy()
    voxels[part] = value
    return volume(voxels)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (volume(np.full_like(SECOND, 5)), "b shows nothing"),
        (volume(np.full_like(SECOND, np.nan)), "b shows nothing"),
        (Volume(np.zeros((*SECOND.shape, 3), np.uint8), AFFINE), "b holds colours"),
        (Volume(SECOND, np.diag([0.001, 0.001, 0.002, 1.0])), "b: its voxels are 1e[+]03 times smaller"),
        (Volume(SECOND[::2].copy(), AFFINE, oriented=False), "b does not say where it lies"),
    ],
)
@pytest.mark.parametrize("register", [False, True])
def test_what_cannot_be_a_channel_is_refused_in_a_sentence(other, words, register):
    if register and "does not say" in words:
        return
    with pytest.raises(NapariSam2Error, match=words):
        open_channel(REFERENCE, other, "b", register=register)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (with_holes(slice(None, 30), np.nan), "it has values in 58% of the scan"),
        (with_holes(slice(None, None, 6), np.inf), "it has values in 67% of the scan"),
        (Volume(SECOND[:, :, :1].copy(), AFFINE), "it has values in 12% of the scan"),
    ],
)
def test_a_channel_that_is_black_in_much_of_the_scan_is_told(other, said):
    assert said in open_channel(REFERENCE, other, "b").notes[-1]


def test_a_channel_that_is_there_already_is_told():
    stack = ChannelStack(REFERENCE, (), "a").with_channel(open_channel(REFERENCE, volume(SECOND), "b"))
    assert "the same voxels as a," in twin_note(stack, volume(FIRST.copy()))[0]
    assert "the same voxels as b," in twin_note(stack, volume(SECOND.copy()))[0]
    assert twin_note(stack, volume(SECOND + 1)) == ()


def test_a_reference_in_colours_takes_no_channel():
    colours = Volume(np.zeros((*SECOND.shape, 3), np.uint8), AFFINE)
    with pytest.raises(GeometryError, match="holds colours"):
        open_channel(colours, volume(SECOND), "b")
