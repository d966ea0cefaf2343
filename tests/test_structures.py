from __future__ import annotations

from napari_sam2.structures import find_code, structures_for


def test_ids_get_names_and_distinct_colours():
    found = structures_for([0, 3, 1, 3], {3: "Left_Kidney"})
    assert [(s.label_id, s.name) for s in found] == [(1, "object 1"), (3, "Left_Kidney")]
    assert found[1].code.value == "64033007"
    assert len({s.colour for s in structures_for(range(1, 101))}) == 100


def test_no_code_is_guessed_from_a_part_of_a_name():
    assert find_code("liver") is not None
    assert find_code("liver cyst") is None
