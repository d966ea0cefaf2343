"""What a person asks of a channel on the command line."""

from __future__ import annotations

import pytest

from napari_sam2.core.channel_display import ChannelWish, parse_channel
from napari_sam2.errors import UserInputError


def test_a_range_is_read_with_its_channel():
    assert parse_channel("GFP:10:2e3", ("GFP",)) == ChannelWish("GFP", None, (10.0, 2000.0))


@pytest.mark.parametrize("text", ["0:-1e400:5", "0:0:1e300", "0:1e39:2e39"])
def test_a_range_that_single_precision_cannot_hold_is_refused(text):
    with pytest.raises(UserInputError, match="larger than any intensity"):
        parse_channel(text, ("DAPI",))
