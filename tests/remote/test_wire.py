"""Messages, masks and prompts come back as they went, and nothing damaged gets through."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.remote import pieces, wire

SHAPE = (9, 7)
MASKS = arrays.arrays(bool, SHAPE)
SCORES = st.floats(allow_nan=True, allow_infinity=True)


@given(st.dictionaries(st.text(max_size=5), st.integers()), st.lists(st.binary(max_size=20), max_size=4))
def test_a_message_comes_back(header, blobs):
    header.pop("blobs", None)
    message = wire.unpacked(wire.packed(header, blobs))
    assert (message.header, message.blobs) == (header, blobs)


@given(MASKS, st.lists(SCORES, min_size=4, max_size=4), st.booleans(), st.booleans())
def test_a_result_comes_back_to_the_bit(mask, scores, prompted, final):
    result = SliceResult(3, 1, 4, SliceMask.of(mask), SliceScores(*scores), prompted=prompted, final=final)
    message = wire.unpacked(wire.result_to_wire(result), finite=False)
    back = wire.result_from_wire(message, 1, 5, SHAPE)
    assert back.mask.same_as(result.mask)
    assert repr(back.scores) == repr(result.scores)
    assert (back.object_id, back.axis, back.index, back.prompted, back.final) == (3, 1, 4, prompted, final)


@given(
    arrays.arrays(float, st.tuples(st.integers(1, 4), st.just(2)), elements=st.floats(-0.5, 6.5)),
    MASKS.filter(np.any),
    st.booleans(),
)
def test_prompts_come_back_to_the_bit(points, mask, with_mask):
    box = np.array([0.5, -0.5, 3.5, 2.5])
    prompts = SlicePrompts(points, np.arange(len(points)) % 2 == 0, box, mask if with_mask else None)
    blobs: list[bytes] = []
    written = json.loads(json.dumps(wire.prompts_to_wire(prompts, blobs)))
    back = wire.prompts_from_wire(written, blobs, SHAPE)
    assert np.array_equal(back.points, points)
    assert np.array_equal(back.positive, prompts.positive)
    assert np.array_equal(back.box, box)
    assert back.mask is None if not with_mask else np.array_equal(back.mask, mask)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(body):
    with pytest.raises(ValueError, match=r"\w"):
        wire.unpacked(body)


def message(header, *blobs):
    return wire.packed(header, blobs)


BITS = wire.packed({}, [])


@pytest.mark.parametrize(
    "body",
    [
        struct.pack(">I", 2**31) + b"{}",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 15) + b'{"blobs": [99]}',
        struct.pack(">I", 15) + b'{"blobs": [-1]}',
        struct.pack(">I", 22) + b'{"blobs": [], "a": NaN}',
        message({"a": 1}, b"x") + b"y",
        struct.pack(">I", 40000) + b"[" * 40000,
    ],
)
def test_a_damaged_message_is_refused(body):
    with pytest.raises(ValueError, match=r"\w"):
        wire.unpacked(body)


@pytest.mark.parametrize(
    "changed",
    [
        {"row": 5},
        {"row": -1},
        {"col": 2.5},
        {"size": [5, 10**9]},
        {"size": [4, 4]},
        {"blob": 1},
        {"blob": True},
        {"size": "no"},
    ],
)
def test_a_mask_beyond_its_slice_or_its_bits_is_refused(changed):
    blobs: list[bytes] = []
    written = wire.mask_to_wire(SliceMask(1, 1, np.ones((5, 5), bool)), blobs)
    assert wire.mask_from_wire(written, blobs, SHAPE).n_voxels == 25
    with pytest.raises(ValueError, match=r"\w"):
        wire.mask_from_wire({**written, **changed}, blobs, SHAPE)


@pytest.mark.parametrize(
    "written",
    [
        {"points": [[math.inf, 1]], "positive": [True]},
        {"points": [[9, 1]], "positive": [True]},
        {"points": [[1, 1]], "positive": []},
        {"points": [[1, 1]], "positive": [False]},
        {"points": [], "positive": []},
        {"points": [], "positive": [], "box": [0.5, 0.5, 0.5, 3.5]},
        {"points": [], "positive": [], "box": [-3, 0, 3, 3]},
        {"points": [["1", 1]], "positive": [True]},
        {"points": {"a": 1}, "positive": [True]},
        [],
    ],
)
def test_prompts_outside_the_slice_or_without_a_positive_one_are_refused(written):
    with pytest.raises(ValueError, match=r"\w"):
        wire.prompts_from_wire(written, [], SHAPE)


@given(
    arrays.arrays(
        st.sampled_from([np.dtype(kind) for kind in pieces.KINDS]),
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=6),
    )
)
def test_voxels_of_every_kind_come_back_to_the_byte(voxels):
    sent = pieces.voxels_for_wire(voxels)
    layout = pieces.VoxelLayout.from_json(json.loads(json.dumps(pieces.layout_of(sent).as_json())))
    flat = sent.reshape(-1).view(np.uint8).data
    back = b"".join(
        pieces.inflated(
            pieces.deflated(flat[layout.piece(n)], layout.item_bytes),
            layout.piece(n).stop - layout.piece(n).start,
            layout.item_bytes,
        )
        for n in range(layout.n_pieces)
    )
    assert back == sent.tobytes()


def test_a_piece_that_inflates_to_more_than_its_size_is_refused_before_it_fills_the_memory():
    bomb = pieces.deflated(memoryview(bytes(50 << 20)), 1)
    with pytest.raises(ValueError, match="must have 16 bytes"):
        pieces.inflated(bomb, 16, 1)
    with pytest.raises(ValueError, match=r"\w"):
        pieces.inflated(pieces.deflated(memoryview(bytes(16)), 2)[:-3], 16, 2)


def test_only_who_has_the_token_can_name_a_volume():
    layout = pieces.VoxelLayout((2, 2, 2), "|u1")
    keys = {pieces.key_of(token, layout, memoryview(bytes(8))) for token in ("a" * 32, "b" * 32)}
    assert len(keys) == 2
