"""Colours of hints in empty fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["contrast", "hint_style"]

LEAST_CONTRAST: Final = 4.6
"""Of a hint to its field; WCAG 2.2 asks 4.5 of text (criterion 1.4.3)."""


def hint_style(theme: str) -> str:
    """A style sheet that makes hints legible.

    They stay paler than what is typed. Qt draws them half transparent, which is 3.3 to 1 in napari's dark theme.

    Parameters
    ----------
    theme : str
        Name of a theme of napari.
    """
    chosen = get_theme(theme)
    text, field = (colour.as_rgb_tuple(alpha=False) for colour in (chosen.text, chosen.primary))
    shares = (0.5 + 0.05 * step for step in range(11))
    blended = [tuple(round(s * t + (1 - s) * f) for t, f in zip(text, field, strict=True)) for s in shares]
    hint = next((colour for colour in blended if contrast(colour, field) >= LEAST_CONTRAST), text)
    return f"QLineEdit {{ placeholder-text-color: rgb{hint}; }}"


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two colours are told apart, from 1 to 21.

    As in WCAG 2.2, of red, green and blue from 0 to 255.
    """
    values = np.array([one, other], dtype=float) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ (0.2126, 0.7152, 0.0722))
    return float((high + 0.05) / (low + 0.05))
