from __future__ import annotations

import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.models import load_model
from napari_sam2.session.session import Session
from tests.channels.scans import stack_of, two_channels, volume
from tests.phantoms import box_on, dice

CLICKS = [
    Point((36, 32, 8)),
    Point((44, 32, 8)),
    Point((28, 32, 8)),
    Point((36, 49, 8), positive=False),
    Point((57, 32, 8), positive=False),
]


def carried(fusion: str, prompts) -> float:
    first, second, inside = two_channels()
    reference = volume(first)
    stack = stack_of(reference, volume(second))
    session = Session(reference, load_model("classical"), channels=stack, fusion=fusion)
    session.set_prompts(1, prompts(inside))
    for _ in session.propagate():
        pass
    return dice(session.label_map() == 1, inside)


@pytest.mark.parametrize(
    "prompts", [lambda inside: [box_on(inside, 2, 8)], lambda inside: CLICKS], ids=["box", "clicks"]
)
def test_an_object_that_no_channel_shows_alone_is_found_in_both(prompts):
    alone = [carried(name, prompts) for name in ("a", "b")]
    assert max(alone) <= 0.6
    assert carried("auto", prompts) >= 0.85
