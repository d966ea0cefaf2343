"""Hints in empty fields are legible as they are drawn, in both themes."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QLineEdit

from napari_sam2.plugin.widgets.hints import contrast, hint_style


def drawn_contrast(widget):
    """Of the commonest colour of a widget and the one furthest from it."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = [image.pixelColor(x, y).getRgb()[:3] for y in range(image.height()) for x in range(image.width())]
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    back = colours[counts.argmax()]
    return max(contrast(colour, back) for colour in colours)


def test_black_on_white_is_21_and_nothing_on_itself_is_1():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)  # WCAG's own example
    assert contrast((9, 8, 7), (9, 8, 7)) == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_hint_of_the_panel_can_be_read(window, theme):
    window.viewer.theme = theme
    fields = [field for field in window.panel.findChildren(QLineEdit) if field.placeholderText()]
    assert len(fields) > 5
    for field in fields:
        field.clear()
        field.clearFocus()
        assert not field.isEnabled() or drawn_contrast(field) >= 4.5, field.placeholderText()
    assert "placeholder-text-color" in hint_style(theme)
