"""Hand tools and the strip with real events: strokes, parts, ranges; and what is said of the place under the mouse."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_sam2.plugin.reader import read
from tests.plugin.ball_window import CENTRE
from tests.plugin.conftest import BALL_AFFINE, ball_truth
from tests.plugin.driving import NO_KEY, RIGHT, QTest, canvas, canvas_position, click, drag, press, pump, wait_for


def test_brush_eraser_and_part_shape_the_object_and_the_drag_is_given_back(window):
    hand = window.controller.work.hand
    press(window.viewer, Qt.Key.Key_B)
    hand.limits = (180.0, np.inf)
    drag(window.viewer, window.world(-12, 0, 0), window.world(12, 0, 0))
    wait_for(lambda: window.object().slices)
    painted = window.labels() == 1
    voxels = window.controller.work.shown.volume.voxels
    assert painted[tuple(CENTRE)]
    assert voxels[painted].min() >= 180
    assert not window.object().slices.keys() - {CENTRE[2]}
    press(window.viewer, Qt.Key.Key_E)
    drag(window.viewer, window.world(2, -8, 0), window.world(2, 8, 0))
    wait_for(lambda: not window.labels()[tuple(CENTRE + (2, 0, 0))])
    left, right = CENTRE - (5, 0, 0), CENTRE + (7, 0, 0)
    assert window.labels()[tuple(left)] == window.labels()[tuple(right)] == 1
    press(window.viewer, Qt.Key.Key_P)
    click(window.viewer, window.world(-4, 0, 0))
    wait_for(lambda: not window.labels()[tuple(right)])
    assert window.labels()[tuple(left)] == 1
    press(window.viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_for(lambda: window.labels()[tuple(right)] == 1)
    press(window.viewer, Qt.Key.Key_P)
    before = tuple(window.viewer.scene.camera.center)
    drag(window.viewer, window.world(0, 0, 0), window.world(6, 0, 0))
    assert tuple(window.viewer.scene.camera.center) != before


def test_a_lasso_takes_what_it_holds_and_leaves_no_shape_behind(window):
    press(window.viewer, Qt.Key.Key_L)
    drag(window.viewer, window.world(0, 0, 0), window.world(8, 6, 0))
    assert len(window.controller.work.prompts.boxes.data) == 0
    assert window.object().prompts == ()


def test_a_drag_on_the_strip_limits_runs(window):
    window.draw_box()
    strip = window.panel.scans.strip
    at = [QPoint(int((n + 0.5) / 24 * strip.width()), 5) for n in (4, 15)]
    QTest.mousePress(strip, RIGHT, NO_KEY, at[0])
    QTest.mouseRelease(strip, RIGHT, NO_KEY, at[1])
    assert window.controller.work.range.ends(2) == (4, 15)
    press(window.viewer, Qt.Key.Key_G)
    wait_for(lambda: "Propagated" in window.panel.status.text())
    assert set(window.object().slices) <= set(range(4, 16))


def test_the_place_under_the_mouse_and_the_sides_of_the_patient_are_named(window):
    i, j, k = CENTRE
    QTest.mouseMove(canvas(window.viewer), canvas_position(window.viewer, window.world(0, 0, 0)))
    wait_for(lambda: window.panel.where.text().startswith(f"voxel {i}, {j}, {k}:"))
    value = window.controller.work.shown.volume.voxels[i, j, k]
    told, place = window.panel.where.text().splitlines()
    assert told.startswith(f"voxel {i}, {j}, {k}: {value}")
    # x = 20 - i, y = j - 10, z = 5 + 2 k, by the file's affine.
    sides = {part[0]: float(part.split()[1]) for part in place.removesuffix(" mm").split("  ")}
    for letter, value_mm in zip("RAS", (20 - i, j - 10, 5 + 2 * k), strict=True):
        assert sides[letter] == pytest.approx(value_mm, abs=1.0)
    assert ball_truth()[i, j, k]

    def letters():
        overlays = window.viewer.canvas.overlays
        return {name.split()[-1]: o.text for name, o in overlays.items() if name.startswith("napari-sam2")}

    expected = {"top_center": "A", "bottom_center": "P", "middle_left": "R", "middle_right": "L"}
    assert letters() == expected
    window.controller.do("show_coronal")
    assert letters() == {**expected, "top_center": "S", "bottom_center": "I"}
    window.controller.do("show_sagittal")
    assert letters() == {"top_center": "S", "bottom_center": "I", "middle_left": "A", "middle_right": "P"}
    window.viewer.dims.ndisplay = 3
    assert not any(letters().values())


def test_no_side_is_named_while_two_scans_are_seen_that_lie_differently(window, tmp_path):
    path = tmp_path / "turned.nii.gz"
    turned = np.transpose(window.controller.work.shown.volume.voxels, (2, 1, 0))
    nib.save(nib.Nifti1Image(np.ascontiguousarray(turned), BALL_AFFINE[:, [2, 1, 0, 3]]), path)
    array, arguments, _ = read(str(path))[0]
    window.viewer.add_image(array, **arguments)
    wait_for(lambda: len(window.controller.workspace.works) == 2)
    pump(0.2)

    def letters():
        overlays = window.viewer.canvas.overlays
        return [o.text for name, o in overlays.items() if name.startswith("napari-sam2")]

    # The scan that was opened last is seen alone.
    assert sorted(letters()) == ["A", "L", "P", "R"]
    window.image.visible = True
    pump(0.2)
    assert not any(letters())
    window.image.visible = False
    window.controller.do("show_coronal")
    assert sorted(letters()) == ["I", "L", "R", "S"]
