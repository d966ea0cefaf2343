from __future__ import annotations

import numpy as np

from napari_sam2.core.volume import Volume
from napari_sam2.session.session import Session
from tests.channels.scans import stack_of, two_channels, volume
from tests.phantoms import box_on
from tests.tiny_sam2 import tiny_model


def test_sam2_is_shown_three_channels_as_red_green_and_blue():
    first, second, inside = two_channels()
    channels = [first, second, np.flip(first, 0).copy()]
    reference = volume(channels[0])
    stack = stack_of(reference, *(volume(one) for one in channels[1:]))
    model = tiny_model(64)
    several = Session(reference, model, channels=stack)
    # The same picture made by hand, as a scan that is stored in colours.
    seen = [w.apply(one) for w, one in zip(stack.windows(several.window), channels, strict=True)]
    colours = np.rint(np.stack(seen, -1) * 255).astype(np.uint8)
    by_hand = Session(Volume(colours, reference.affine, source=reference.source), model)
    box = box_on(inside, 2, 8)
    answers = [session.add_prompt(1, box).mask for session in (several, by_hand)]
    assert several.objects[1].mix.kind == "rgb"
    assert answers[0].n_voxels > 0
    assert np.array_equal(*(answer.full(several.volume.plane(2).shape) for answer in answers))
    alone = Session(reference, model).add_prompt(1, box).mask
    assert not np.array_equal(*(answer.full(several.volume.plane(2).shape) for answer in (answers[0], alone)))
