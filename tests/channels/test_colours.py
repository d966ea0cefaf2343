from __future__ import annotations

import numpy as np
import torch

from napari_sam2.channels.stack import ChannelStack, place_channel
from napari_sam2.core.mix import coloured
from napari_sam2.core.prompts import Box
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from tests.channels.scans import stack_of, two_channels, volume
from tests.phantoms import box_on
from tests.tiny_sam2 import tiny_model

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of SAM 2's input, from its configuration files (sam2/configs, utils/transforms.py)."""


def three_channels():
    first, second, inside = two_channels()
    return [first, second, np.flip(first, 0).copy()], inside


def test_sam2_is_shown_three_channels_as_red_green_and_blue():
    channels, inside = three_channels()
    reference = volume(channels[0])
    stack = stack_of(reference, *(volume(one) for one in channels[1:]))
    model = tiny_model(64)
    several = Session(reference, model, channels=stack, fusion="rgb")
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


def test_each_channel_reaches_its_own_colour_of_the_network_normalised_as_sam2_expects():
    """Channels of one grey each, so that every pixel of the network's input is known by hand."""
    greys = (0.2, 0.6, 0.9)
    window = Window(0.0, 1.0, "whole")
    scans = [volume(np.full((48, 48, 4), grey, np.float32)) for grey in greys]
    channels = (place_channel(scans[0], one, name, window=window) for one, name in zip(scans[1:], "bc", strict=True))
    stack = ChannelStack(scans[0], tuple(channels), "a")
    model, shown = tiny_model(64), []
    encode = model.encode
    model.encode = lambda images: (shown.append(images), encode(images))[1]
    Session(scans[0], model, window=window, channels=stack, fusion="rgb").add_prompt(1, Box(((10, 10, 2), (30, 30, 2))))
    (images,) = shown
    assert images.shape == (1, 3, 64, 64)
    for colour, grey in enumerate(greys):
        assert torch.allclose(images[:, colour], torch.tensor(grey), atol=0.5 / 255 + 1e-6)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
    with torch.no_grad():
        expected = model.network.vision_encoder((images - mean) / std).fpn_hidden_states
        (seen,), (exchanged,) = encode(images), encode(images.flip(1))
    assert torch.allclose(seen[2], expected[2].squeeze(0), atol=1e-4)
    assert not torch.allclose(exchanged[2], expected[2].squeeze(0), atol=1e-2)


def test_colours_are_not_taken_unless_they_are_asked_for():
    channels, inside = three_channels()
    reference = volume(channels[0])
    session = Session(reference, tiny_model(64), channels=stack_of(reference, *(volume(c) for c in channels[1:])))
    session.add_prompt(1, box_on(inside, 2, 8))
    assert session.objects[1].mix.kind != "rgb"


def test_a_session_in_colours_is_replayed_to_the_voxel(tmp_path):
    channels, inside = three_channels()
    stack = stack_of(*(volume(one) for one in channels))
    session = Session(stack.reference, tiny_model(64), channels=stack, fusion="rgb:c,a,b")
    journal = Journal(session, tmp_path / "s.sam2session")
    session.add_prompt(1, box_on(inside, 2, 8))
    list(session.propagate([1], slices=range(6, 11)))
    journal.close()
    assert session.objects[1].mix == coloured([2, 0, 1], 3)
    result = replay(stack.reference, tiny_model(64), tmp_path / "s.sam2session", channels=stack)
    assert result.identical
    assert not result.reasons
