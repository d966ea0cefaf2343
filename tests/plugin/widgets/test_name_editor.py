"""Which names are offered for what was typed."""

from __future__ import annotations

import pytest

from napari_sam2.plugin.widgets.name_editor import names_with

NAMES = ["kidney", "left kidney", "right kidney", "left adrenal gland", "liver", "gallbladder"]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("kidney l", ["left kidney"]),
        ("l kid", ["left kidney"]),
        ("KIDN", ["kidney", "left kidney", "right kidney"]),
        ("bladder", ["gallbladder"]),
        ("l", ["left kidney", "left adrenal gland", "liver", "gallbladder"]),
        ("spleen", []),
        ("", NAMES),
    ],
)
def test_words_are_found_in_any_order_those_that_begin_first(text, offered):
    assert names_with(text, NAMES) == offered
