"""The split: by subject and hash, the same for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import UserInputError
from napari_sam2.tuning.cases import FinishedScan
from napari_sam2.tuning.split import make_split, read_split, split_to_json


def scans_of(subjects):
    return [
        FinishedScan("line", name, Path(f"{name}-{n}"), sha256=hashlib.sha256(f"{name}/{n}".encode()).hexdigest())
        for name in subjects
        for n in range(2)
    ]


@given(st.sets(st.text(min_size=1), min_size=2, max_size=40))
def test_somebody_learns_somebody_judges_and_the_rule_decides(subjects):
    split = make_split(scans_of(sorted(subjects)))
    held_out = {subject for subject, out in split.items() if out}
    assert split.keys() == subjects
    assert (1 if len(subjects) < 4 else 2) <= len(held_out) <= max(1, len(subjects) // 2)
    by_rule = {s for s in subjects if int(hashlib.sha256(s.encode()).hexdigest(), 16) % 5 == 0}
    if 2 <= len(by_rule) <= len(subjects) // 2:
        assert held_out == by_rule


@given(st.sets(st.text(min_size=1), min_size=3, max_size=20), st.data())
def test_further_subjects_move_nobody_of_an_earlier_split(tmp_path_factory, subjects, data):
    first = sorted(subjects)[: data.draw(st.integers(2, len(subjects)))]
    file = tmp_path_factory.mktemp("split") / "split.json"
    before = make_split(scans_of(first))
    file.write_text(split_to_json(scans_of(first), before))
    after = make_split(scans_of(sorted(subjects)), read_split(file))
    assert {subject: after[subject] for subject in first} == before


def test_one_subject_is_refused_with_what_to_do_instead():
    with pytest.raises(UserInputError, match=r"one subject.*add scans of other subjects"):
        make_split(scans_of(["ann"]))


def test_nobody_is_named_in_the_file():
    scans = scans_of(["Ann Example", "Ben Example", "Cem Example"])
    assert "Example" not in split_to_json(scans, make_split(scans))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "split.json").write_text('{"version": 1}')
    with pytest.raises(UserInputError, match=r"split\.json"):
        read_split(tmp_path / "split.json")
