"""A napari window that is worked in with real mouse and keys, its clock, and what the hand did."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.plugin.driving import (
    LEFT,
    NO_KEY,
    SHIFT,
    QTest,
    activate,
    click,
    drag,
    press,
    pump,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Day"]


class Day:
    """One window, from its opening to its end.

    Parameters
    ----------
    scan, labels : Path
        What is opened with it.
    out : Path
        Folder of the pictures.
    theme, size : str
        Of the window.
    """

    def __init__(self, scan: Path, out: Path, theme: str, size: str, labels: Path | None = None) -> None:
        import napari
        from napari.settings import get_settings

        from napari_sam2.plugin.control.registry import controller_for

        get_settings().appearance.theme = theme
        self.out, self.look = out, f"{theme}-{size}"
        self.clicks = self.keys = self.names = 0
        self.began = time.perf_counter()
        self.viewer = napari.Viewer()
        self.add(scan)
        _, self.panel = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
        self.viewer.window.resize(*(int(n) for n in size.split("x")))
        self.controller = controller_for(self.viewer)
        pump(0.05)
        self.first_picture = time.perf_counter() - self.began
        if labels is not None:
            self.controller.open_labels(labels)
        wait_for(lambda: self.controller.work is not None, 120)
        self.settle()
        self.opened = time.perf_counter() - self.began

    @property
    def work(self) -> Any:
        """The work on the chosen scan."""
        return self.controller.work

    @property
    def window(self) -> Any:
        """Qt's main window."""
        return self.viewer.window._qt_window

    @property
    def labels(self) -> NDArray[Any]:
        """What the label layer shows, as (i, j, k)."""
        return np.asarray(self.work.shown.grid.stored(self.work.result.layer.data))

    def add(self, scan: Path) -> None:
        """Open a scan, as napari does for a file that is dropped on it."""
        from napari.layers import Layer

        from napari_sam2.io import read_volume
        from napari_sam2.plugin.reader import image_layer

        self.viewer.add_layer(Layer.create(*image_layer(read_volume(scan))))

    def settle(self) -> None:
        """Wait until everything that was asked is shown."""

        def is_done() -> bool:
            return self.work is not None and self.controller.thread.idle and not self.work.run.running

        wait_for(is_done, 600)
        pump(0.2)
        while not is_done():
            # An answer has begun something of its own: a correction spreads.
            wait_for(is_done, 600)
            pump(0.2)

    def picture(self, name: str) -> None:
        """Keep how the window looks, and say how far one is."""
        pump(0.3)
        self.viewer.window.screenshot(str(self.out / f"{name}-{self.look}.png"), canvas_only=False, flash=False)
        spent, said = time.perf_counter() - self.began, self.controller.workspace.status
        print(f"{spent:6.1f} s  {self.clicks:2d} clicks {self.keys:2d} keys {self.names} names  {name:18s} {said}")

    def world(self, voxel: Sequence[float]) -> Any:
        """Where a voxel is on the canvas."""
        return self.work.image.data_to_world(self.work.shown.grid.to_data(voxel)[0])

    def press(self, key: Any, modifiers: Any = NO_KEY) -> None:
        """Press a key on the picture, and wait for what comes of it."""
        press(self.viewer, key, modifiers)
        self.keys += 1
        self.settle()

    def push(self, button: Any) -> None:
        """Click a button of the panel, and wait for what comes of it."""
        if not button.isEnabled() or not button.isVisible():
            raise AssertionError(f"{button.text()} cannot be pressed.")
        QTest.mouseClick(button, LEFT)
        self.clicks += 1
        self.settle()

    def unfold(self, part: Any) -> None:
        """Click the headline of a part of the panel."""
        QTest.mouseClick(part.toggleButton(), LEFT)
        self.clicks += 1
        pump(0.3)
        self.panel.scroll.ensureWidgetVisible(part)
        pump(0.1)

    def box(self, inside: NDArray[np.bool_]) -> None:
        """Draw a box around a structure on the slice that shows most of it."""
        axis = self.work.shown.volume.axis_of_plane("axial")
        rows, cols = (a for a in range(3) if a != axis)
        index = int(inside.sum((rows, cols)).argmax())
        self.work.view.go_to(axis, index)
        low, high = np.zeros(3), np.zeros(3)
        for along, held in zip((rows, cols), np.nonzero(np.take(inside, index, axis)), strict=True):
            low[along], high[along] = held.min() - 1, held.max() + 1
        low[axis] = high[axis] = index
        drag(self.viewer, self.world(low), self.world(high), keys=SHIFT)
        self.clicks += 1
        self.settle()

    def click(self, voxel: Sequence[int], button: Any = LEFT) -> None:
        """Click a voxel on its axial slice."""
        axis = self.work.shown.volume.axis_of_plane("axial")
        self.work.view.go_to(axis, int(voxel[axis]))
        click(self.viewer, self.world(voxel), button=button)
        self.clicks += 1
        self.settle()

    def name(self, object_id: int, text: str) -> None:
        """Type a name into the row of an object."""
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QLineEdit

        table = self.panel.scans.table
        wait_for(lambda: any(row.object_id == object_id for row in table._rows))
        row = next(n for n, r in enumerate(table._rows) if r.object_id == object_id)
        activate(self.viewer)
        item = table.item(row, 0)
        table.scrollToItem(item)
        at = table.visualItemRect(item).center()
        for press_it in (QTest.mouseClick, QTest.mouseDClick):
            press_it(table.viewport(), LEFT, NO_KEY, at)
        line = table.findChild(QLineEdit)
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)
        self.names += 1
        wait_for(lambda: self.work.object(object_id).name == text)
        self.settle()

    def save(self, path: Path, kind: str = "") -> None:
        """Choose a format and a path, and press Save."""
        saving = self.panel.scans.saving
        offered = [saving.kinds.itemData(n) for n in range(saving.kinds.count())]
        saving.kinds.setCurrentIndex(
            next(n for n, (ending, its) in enumerate(offered) if its == kind and path.name.endswith(ending))
        )
        saving.suggest(path)
        self.clicks += 1
        self.push(saving.save)

    def close(self) -> None:
        """End the day."""
        self.controller.close()
        self.viewer.close()
        pump(0.2)
