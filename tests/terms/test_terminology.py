from __future__ import annotations

import pytest

from napari_sam2.terms.terminology import CATEGORIES, bundled_terms, find_code, find_term


def test_the_bundled_codes_are_those_of_dicoms_dictionary():
    concepts = pytest.importorskip("pydicom.sr._concepts_dict").concepts["SCT"]
    meanings: dict[str, set[str]] = {}
    for found in concepts.values():
        for value, (meaning, _) in found.items():
            meanings.setdefault(value, set()).add(meaning.lower())
    terms = bundled_terms()
    assert len(terms) > 200
    for term in terms:
        assert term.code.meaning.lower() in meanings[term.code.value], term
        assert term.code.category in CATEGORIES


def test_every_bundled_name_is_there_once_and_is_found_whatever_its_case():
    names = [term.name.lower() for term in bundled_terms()]
    assert len(names) == len(set(names))
    assert find_term("Left_Kidney", bundled_terms()).name == "left kidney"
    assert find_code("VERTEBRA  L3").value == "36470004"


def test_no_code_is_guessed_from_a_part_of_a_name():
    assert find_code("liver") is not None
    assert find_code("liver cyst") is None
