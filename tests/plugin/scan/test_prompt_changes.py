"""Differences between lists of prompts."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.core.prompts import Box, MaskPrompt, Point
from napari_sam2.plugin.scan.prompt_changes import PromptChange, changes_between, prompt_key

coordinates = st.tuples(*[st.integers(0, 3)] * 3)
points = st.builds(lambda v, on: Point(tuple(map(float, v)), on), coordinates, st.booleans())
boxes = st.builds(lambda a: Box((a, (a[0] + 2, a[1] + 2, a[2]))), coordinates)
masks = st.builds(lambda on, k: MaskPrompt(np.eye(4, dtype=bool) if on else ~np.eye(4, dtype=bool), 2, k),
                  st.booleans(), st.integers(0, 2))  # fmt: skip
lists = st.dictionaries(st.integers(1, 3), st.lists(points | boxes | masks, max_size=6), max_size=3)


@given(lists, lists)
def test_the_changes_between_two_states_lead_from_one_to_the_other(before, after):
    for change in changes_between(before, after):
        before = {**before, change.object_id: change.applied(before.get(change.object_id, []))}
    counted = [{i: Counter(map(prompt_key, p)) for i, p in state.items() if p} for state in (before, after)]
    assert counted[0] == counted[1]


@given(lists)
def test_nothing_differs_from_itself(prompts):
    assert changes_between(prompts, {i: list(reversed(p)) for i, p in prompts.items()}) == []


def test_a_drawn_box_replaces_the_one_on_its_slice_and_no_other():
    here, there = Box(((0, 0, 5), (4, 4, 5))), Box(((0, 0, 6), (4, 4, 6)))
    click, new = Point((1.0, 1.0, 5.0)), Box(((1, 1, 5), (3, 3, 5)))
    assert PromptChange(1, added=(new,), replaces=True).applied([here, there, click]) == [there, click, new]
    assert PromptChange(1, added=(new,)).applied([here, there]) == [here, there, new]


def test_what_float_coordinates_lose_on_the_way_is_no_change():
    assert changes_between({1: [Point((1.23456, 2.0, 3.0))]}, {1: [Point((1.235, 2.0, 3.0))]}) == []
