"""A real napari window with the ball opened, as its user has it before the first click."""

from __future__ import annotations

from napari_sam2.plugin.reader import read
from tests.plugin.conftest import BALL_CENTRE
from tests.plugin.driving import SHIFT, drag, pump, wait_for

PLUGIN, PANEL = "napari-sam2", "Segment with SAM 2"
CENTRE = BALL_CENTRE.astype(int)


class Window:
    """A napari window with the ball opened and the panel docked."""

    def __init__(self, viewer, path):
        self.viewer = viewer
        viewer.window.resize(1200, 800)
        array, arguments, _ = read(str(path))[0]
        self.image = viewer.add_image(array, **arguments)
        self.dock, self.panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        self.controller = self.panel.controller
        wait_for(lambda: self.controller.work is not None)
        self.controller.work.view.go_to(2, int(CENTRE[2]))
        pump(0.2)

    def world(self, *offset):
        return self.image.data_to_world((CENTRE + offset)[::-1])

    def object(self, number=1):
        return self.controller.work.object(number)

    def labels(self):
        return self.controller.work.result.layer.data.transpose(2, 1, 0)

    def draw_box(self):
        drag(self.viewer, self.world(-9, -9, 0), self.world(9, 9, 0), keys=SHIFT)
        wait_for(lambda: self.object().slices)
