from __future__ import annotations

from napari_sam2.terms.structures import structures_for
from napari_sam2.terms.terminology import Code, Term


def test_ids_get_names_and_distinct_colours():
    found = structures_for([0, 3, 1, 3], {3: "Left_Kidney"})
    assert [(s.label_id, s.name) for s in found] == [(1, "object 1"), (3, "Left_Kidney")]
    assert found[1].code.value == "64033007"
    assert len({s.colour for s in structures_for(range(1, 101))}) == 100


def test_a_chosen_term_counts_more_than_its_name_and_another_name_more_than_the_term():
    own = Term("liver", Code("L1", "Our liver", "organ", "99LOCAL"), (1, 2, 3))
    assert [(s.name, s.code, s.colour) for s in structures_for([1], terms={1: own})] == [
        ("liver", own.code, own.colour)
    ]
    renamed = structures_for([1], {1: "spleen"}, {1: own})[0]
    assert (renamed.name, renamed.code.value) == ("spleen", "78961009")
    assert renamed.colour != own.colour
