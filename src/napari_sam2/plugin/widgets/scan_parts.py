"""The parts of the panel that are shown for a scan.

Table, runs, scores, planes, settings and saving.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_sam2.plugin.control.action_table import action
from napari_sam2.plugin.scan.table_rows import object_rows, size_unit, strip_content
from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.settings import remember_names
from napari_sam2.plugin.widgets.activity_row import LOOK_MS
from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.channels_box import ChannelsBox
from napari_sam2.plugin.widgets.check_box import CheckBox
from napari_sam2.plugin.widgets.compare_box import CompareBox
from napari_sam2.plugin.widgets.find_box import FindBox
from napari_sam2.plugin.widgets.hand_box import HandBox
from napari_sam2.plugin.widgets.more_box import MoreBox
from napari_sam2.plugin.widgets.object_table import ObjectTable
from napari_sam2.plugin.widgets.run_box import RunBox
from napari_sam2.plugin.widgets.save_box import SCAN_KINDS, SaveBox
from napari_sam2.plugin.widgets.score_strip import ScoreStrip
from napari_sam2.plugin.widgets.window_choice import WindowChoice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["ScanParts"]


class ScanParts(QObject):
    """Composes the parts for a scan.

    It wires their signals to the work on the chosen scan.

    Parameters
    ----------
    controller : Controller
        Of the panel's viewer.
    parent : QWidget
        The panel, which places the parts.
    """

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(parent)
        self._controller = controller
        self.window_choice = WindowChoice(controller.workspace)
        self.channels = ChannelsBox(lambda: self.work)
        self.table = ObjectTable()
        self.run = RunBox(controller.do)
        self.strip = ScoreStrip()
        self.check_planes = action_button("check_planes", controller.do)
        self.check = CheckBox(controller.do)
        self.planes = QWidget()
        planes = QGridLayout(self.planes)
        planes.setContentsMargins(0, 0, 0, 0)
        planes.setSpacing(4)
        for column, name in enumerate(("show_axial", "show_coronal", "show_sagittal")):
            planes.addWidget(action_button(name, controller.do), 0, column)
        planes.addWidget(action_button("toggle_planes", controller.do), 1, 0, 1, 2)
        planes.addWidget(action_button("show_3d", controller.do), 1, 2)
        self.hand = HandBox(controller.do)
        self.more = MoreBox(controller.do)
        self.find = FindBox(controller.do, lambda: self.work)
        self.compare = CompareBox(controller.do, lambda: self.work)
        self.saving = SaveBox(kinds=SCAN_KINDS)
        self._waiting = QTimer(self)
        self._waiting.setInterval(LOOK_MS)
        self._waiting.timeout.connect(self._look_at_preview)
        self._wire()

    @property
    def work(self) -> ScanWork | None:
        """The work on the chosen scan."""
        work = self._controller.work
        return work if isinstance(work, ScanWork) else None

    def connect_viewer(self) -> None:
        """Follow the slice on view and runs.

        As long as the panel is shown.
        """
        workspace = self._controller.workspace
        workspace.viewer.dims.events.current_step.connect(self._on_slice)
        self._controller.names.changed.connect(self._show_names)
        workspace.preview.changed.connect(self._watch_preview)
        self._watch_preview(workspace.preview.on)
        self._show_names()

    def disconnect_viewer(self) -> None:
        """Stop following."""
        workspace = self._controller.workspace
        workspace.viewer.dims.events.current_step.disconnect(self._on_slice)
        self._controller.names.changed.disconnect(self._show_names)
        workspace.preview.changed.disconnect(self._watch_preview)
        self._watch_preview(False)
        self.window_choice.listen_to(None)
        self.channels.let_go()

    def set_visible(self, visible: bool) -> None:
        """Show what means something for the chosen kind of image, or nothing."""
        kind = self._controller.kind
        for widget in (self.table, self.more, self.saving, self.window_choice):
            widget.setVisible(visible)
        for widget in (self.run, self.run.directions, self.strip):
            widget.setVisible(visible and kind in action("propagate_both").on)
        for widget in (self.check_planes, self.planes, self.hand, self.find, self.compare, self.channels):
            widget.setVisible(visible and kind in action("check_planes").on)
        if not visible:
            self.check.setVisible(False)

    def show_current(self) -> None:
        """Show the work on the chosen scan as it is."""
        work = self.work
        self.strip.show_content(strip_content(work))
        self.window_choice.show_current()
        self.channels.show_current()
        self.check.show_figures("" if work is None else work.check.summary)
        self.find.show_work(work)
        self.compare.show_work(work)
        self.table.show_unit(size_unit(work))
        self.table.show_rows(object_rows(work), 1 if work is None else work.current)
        if work is None:
            self.run.show_range(None)
            return
        self.hand.show_mode(work.hand.mode)
        self.hand.show_brush(work.hand.radius, work.hand.limits)
        axis = work.axis_of(work.current)
        ends = work.range.ends(axis)
        self.run.show_range(ends)
        self.more.range.show_range(ends, work.shown.volume.shape[axis])
        self.more.show_overlap(work.snapshot.overlap)

    def _wire(self) -> None:
        controller = self._controller
        self.table.chosen.connect(self._with_work(lambda work, i: work.select(i)))
        self.table.renamed.connect(controller.name_object)
        self.table.visible_changed.connect(self._with_work(lambda work, i, on: work.show_object(i, on)))
        self.table.finished_changed.connect(self._with_work(lambda work, i, on: work.finish(i, on)))
        self.strip.slice_chosen.connect(
            self._with_work(lambda work, index: work.view.go_to(work.current_object.axis, index))
        )
        self.strip.range_chosen.connect(self._with_work(lambda work, first, last: work.set_range(first, last)))
        self.more.range.edited.connect(self._with_work(lambda work, first, last: work.set_range(first, last)))
        self.hand.brush_changed.connect(self._with_work(_set_brush))
        self.more.names_chosen.connect(self._on_names_chosen)
        self.more.names_dropped.connect(self._on_names_dropped)
        self.more.overlap_chosen.connect(self._with_work(lambda work, rule: work.use_overlap(rule)))
        self.saving.save_asked.connect(self._save)
        self.saving.reference_given.connect(lambda path: self._save(self.saving.target, reference=path))
        self.saving.no_geometry_asked.connect(lambda: self._save(self.saving.target, without_geometry=True))

    def _with_work(self, call: Callable[..., None]) -> Callable[..., None]:
        """A slot that calls something with the work on the chosen scan first, when there is one."""

        def slot(*values: Any) -> None:
            if self.work is not None:
                call(self.work, *values)

        return slot

    def _save(self, path: Path, **how: Any) -> None:
        self.saving.ask("")
        if self.work is None:
            self._controller.workspace.say("There is nothing to save yet.")
        else:
            self.work.save(path, kind=self.saving.kind, **how)

    def _on_slice(self, _event: Any = None) -> None:
        """Only the view has moved: the scores are as they were."""
        on_view = None if self.work is None else self.work.view.slice()
        if self.work is None or on_view is None:
            return
        same_axis = self.work.axis_of(self.work.current) == on_view[0]
        self.strip.show_content(replace(self.strip.content, current=on_view[1] if same_axis else None))

    def _watch_preview(self, on: bool) -> None:
        if on:
            self._waiting.start()
        else:
            self._waiting.stop()

    def _look_at_preview(self) -> None:
        if self.work is not None:
            self.work.pointer.preview.say_if_waiting()

    def _on_names_chosen(self, path: Path) -> None:
        if self._controller.load_names(path):
            remember_names(path)

    def _on_names_dropped(self) -> None:
        self._controller.names.forget_list()
        remember_names(None)

    def _show_names(self) -> None:
        self.table.names.names = self._controller.names.names
        self.more.show_names(self._controller.names.file_name)


def _set_brush(work: ScanWork, radius: float, low: float, high: float) -> None:
    work.hand.radius, work.hand.limits = radius, (low, high)
