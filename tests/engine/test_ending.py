"""Where a run has left its object for a neighbour."""

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.engine.ending import FALL, Dip


def passed(values):
    """After how many slices the dip was seen, and how many of them belong to the object; None without one."""
    dip = Dip()
    for number, value in enumerate(values, start=1):
        behind = dip.is_over(value)
        if behind is not None:
            return number, number - behind
    return None


def test_an_object_that_ends_at_a_dip_ends_at_its_bottom():
    values = [0.8, 0.8, 0.78, 0.7, 0.6, 0.5, 0.45, 0.5, 0.6, 0.7, 0.75, 0.8, 0.8]
    seen, kept = passed(values)
    assert kept == 7  # the bottom is the seventh slice
    assert seen <= 12


def test_one_poor_slice_is_not_an_end():
    assert passed([0.8] * 5 + [0.6] + [0.8] * 5) is None


def test_a_run_that_only_gets_better_or_only_gets_worse_goes_on():
    assert passed([0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8]) is None
    assert passed([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]) is None


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1))
def test_small_changes_never_end_an_object(changes, level):
    assert passed([level + 0.9 * FALL * c for c in changes]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_bottom_lies_among_the_slices_that_were_passed(values):
    found = passed(values)
    assert found is None or 1 <= found[1] < found[0] <= len(values)
