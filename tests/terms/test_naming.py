from __future__ import annotations

import pytest

from napari_sam2.terms.naming import is_lesion, meaning_of
from napari_sam2.terms.terminology import ORGAN, Code, bundled_terms


@pytest.mark.parametrize(
    "text", ["left kidney", "kidney_left", "Ren sinister", "KIDNEY-L", "l kidney", "Kidney Lt", "left kidneys"]
)
def test_every_spelling_of_a_sided_name_means_the_same(text):
    found = meaning_of(text)
    assert (found.name, found.concept, found.side) == ("left kidney", "64033007", "left")


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("liver", "liver"),
        ("Hepar", "liver"),
        ("10200004", "liver"),
        ("SCT:10200004", "liver"),
        ("oesophagus", "esophagus"),
        ("lung_upper_lobe_left", "left upper lobe of lung"),
        ("vertebrae_L1", "vertebra L1"),
        ("Parotid Rt", "right parotid gland"),
        ("brain-stem", "brain stem"),
        ("Brainstem", "brain stem"),
        ("left atrium", "left atrium"),
        ("hippocampus", "hippocampus"),
    ],
)
def test_names_and_codes_find_the_usual_name(text, usual):
    assert meaning_of(text).name == usual


def test_a_name_without_side_is_answered_by_both_sides_and_a_sided_one_by_its_own():
    kidney, left, right = (meaning_of(t) for t in ("kidney", "left kidney", "kidney_right"))
    assert kidney.covers(left)
    assert kidney.covers(right)
    assert left.covers(left)
    assert not left.covers(right)
    assert not right.covers(left)
    assert not left.covers(kidney)


def test_left_and_right_atrium_are_different_things():
    assert not meaning_of("left atrium").covers(meaning_of("right atrium"))


def test_an_unknown_name_equals_its_own_spellings_alone():
    mine = meaning_of("Muscle 7 (deep)_left")
    assert mine.side == "left"
    assert mine.covers(meaning_of("left deep muscle 7"))
    assert not mine.covers(meaning_of("left deep muscle 8"))


def test_the_code_of_a_file_counts_before_the_words():
    code = Code("64033007", "Kidney", ORGAN)
    assert meaning_of("right kidney").covers(meaning_of("R Niere", code))


@pytest.mark.parametrize("text", ["tumor", "Liver tumours", "metastasis 2", "left lesion", "GTV", "pleural effusion"])
def test_lesions_are_told_from_structures(text):
    assert is_lesion(text)


@pytest.mark.parametrize("text", ["liver", "left atrium", "pleura", "hippocampus", "pancreas", "vertebra L1"])
def test_structures_are_no_lesions(text):
    assert not is_lesion(text)


def test_every_bundled_name_means_its_own_code():
    for term in bundled_terms():
        assert term.code is not None
        assert meaning_of(term.name).concept == term.code.value, term.name
