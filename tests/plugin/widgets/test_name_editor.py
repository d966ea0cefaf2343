"""Which names are offered for what was typed."""

from __future__ import annotations

import re

import napari.settings
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLineEdit, QTableWidget, QTableWidgetItem

from napari_sam2.plugin.widgets.name_editor import NameEditor, names_with, popup_style

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


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_list_of_names_is_legible_in_both_themes(theme):
    napari.settings.get_settings().appearance.theme = theme
    back, text, chosen = (QColor(colour) for colour in re.findall(r"#[0-9a-f]{6}", popup_style()))
    assert (_luminance(back) < 0.2) == (theme == "dark")
    assert _contrast(text, back) >= LEGIBLE
    assert _contrast(text, chosen) >= 3


LEGIBLE = 4.5
"""Least contrast of text by WCAG 2.2, 1.4.3; 3 for what is marked as well."""


def _luminance(colour):
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("typed", "down", "name"), [("kidney l", 0, "kidney l"), ("kidney l", 1, "left kidney")])
def test_one_return_takes_a_name_while_the_list_is_open(qtbot, typed, down, name):
    table = QTableWidget(1, 1)
    qtbot.addWidget(table)
    editor = NameEditor(table)
    editor.names = NAMES
    table.setItemDelegate(editor)
    table.setItem(0, 0, QTableWidgetItem("Object 1"))
    with qtbot.waitActive(table):
        table.show()
        table.activateWindow()
    table.editItem(table.item(0, 0))
    line = table.findChild(QLineEdit)
    line.clear()
    qtbot.keyClicks(line, typed)
    popup = line.completer().popup()
    assert popup.isVisible()
    for _ in range(down):
        qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert table.item(0, 0).text() == name
    assert not popup.isVisible()
    assert table.state() != QTableWidget.State.EditingState
