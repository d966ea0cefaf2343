"""Buttons and shortcuts made from the table of actions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QMenu, QPushButton, QShortcut, QToolButton, QWidget

from napari_sam2.plugin.control.action_table import action, keyed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["action_button", "bind_shortcuts", "menu_button"]


def action_button(name: str, do: Callable[[str], None], parent: QWidget | None = None) -> QPushButton:
    """A button of an action, with its key.

    `do` gets the action's name.
    """
    entry = action(name)
    button = QPushButton(entry.label, parent)
    button.setToolTip(entry.tooltip)
    button.setObjectName(name)
    # Keys go on working for the image after a click on a button.
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(lambda: do(name))
    return button


def menu_button(text: str, tooltip: str, parent: QWidget | None = None) -> tuple[QToolButton, QMenu]:
    """A button that opens a menu, and the empty menu.

    The arrow is part of the text, since Qt draws its own over the last letter.
    """
    button = QToolButton(parent)
    button.setText(f"{text} \N{BLACK DOWN-POINTING SMALL TRIANGLE}")
    button.setToolTip(tooltip)
    button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    menu = QMenu(button)
    button.setMenu(menu)
    return button, menu


def bind_shortcuts(panel: QWidget, do: Callable[[str], None], kind: Callable[[], str]) -> list[QShortcut]:
    """Bind the key of every action, in the panel's whole window.

    A window shortcut comes before napari's layer keys, yields to text fields, and goes with the panel.

    Parameters
    ----------
    panel : QWidget
        Whose window listens.
    do : callable
        Does the action of a name.
    kind : callable
        The kind of work at this moment: some keys mean one thing on a scan and another on a slide.
    """

    def press(key: str) -> None:
        do(keyed(kind())[key].name)

    shortcuts = []
    for key in keyed(""):
        shortcut = QShortcut(QKeySequence(key), panel)
        shortcut.activated.connect(partial(press, key))
        # With two panels in one window Qt finds each key twice, and tells one of them.
        shortcut.activatedAmbiguously.connect(partial(press, key))
        shortcuts.append(shortcut)
    return shortcuts
