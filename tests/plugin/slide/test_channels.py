"""Channels of a slide by hand: eye, model, file of the session and the picture agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.plugin.control.controller import Controller
from napari_sam2.plugin.slide.reader import read_slide_layers
from napari_sam2.plugin.widgets.slide_channels_box import SlideChannelsBox
from tests.plugin.slide.test_work import Desk
from tests.zarr_maker import write_image

PLACES = ((80, 90, 30), (150, 200, 40))


@pytest.fixture
def path(tmp_path):
    """A slide of two channels of 16 bits: each has a disc of its own; the file states colours and ranges."""
    rows, cols = np.ogrid[:240, :300]
    channels = np.full((2, 240, 300), 100, dtype=np.uint16)
    for channel, (row, col, radius) in zip(channels, PLACES, strict=True):
        channel[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 900
    shown = [
        {"label": name, "color": colour, "active": True, "window": {"start": 100, "end": 900, "min": 0, "max": 65535}}
        for name, colour in (("DAPI", "0000FF"), ("GFP", "00FF00"))
    ]
    return write_image(tmp_path / "s.ome.zarr", channels, "cyx", (1, 0.5, 0.5), levels=2, omero={"channels": shown})


def opened(bench, path):
    ((levels, fields, _),) = read_slide_layers(path)
    desk = Desk(bench, bench.viewer.add_image(levels, **fields))
    desk.bench.settle()
    return desk


@pytest.fixture
def desk(bench, path):
    made = opened(bench, path)
    yield made
    made.layer.metadata["napari_sam2_slide"].close()


def pixel(desk, place):
    return tuple(int(v) for v in np.asarray(desk.layer.data[0][place[0], place[1]]))


def test_the_panel_knows_what_the_file_says(desk):
    first, second = desk.work.channels.rows
    assert (first.name, first.colour, first.window, first.shown) == ("DAPI", (0, 0, 255), (100, 900), True)
    assert (second.name, second.colour, second.window) == ("GFP", (0, 255, 0), (100, 900))
    assert first.limits == (100, 900)
    assert pixel(desk, PLACES[0]) == (0, 0, 255)


def test_a_colour_and_a_range_by_hand_are_seen_by_eye_and_model(desk):
    channels = desk.work.channels
    drawn_anew = []
    desk.layer.events.data.connect(drawn_anew.append)
    channels.change(0, replace(channels.rows[0], colour=(255, 128, 0), window=(100, 1700)))
    desk.bench.settle()
    assert drawn_anew  # napari and dask keep what they have read
    assert pixel(desk, PLACES[0]) == (128, 64, 0)
    assert pixel(desk, PLACES[1]) == (0, 255, 0)
    slide = desk.layer.metadata["napari_sam2_slide"]
    assert slide.mix.colours == ((255, 128, 0), (0, 255, 0))
    np.testing.assert_array_equal(np.asarray(desk.layer.data[1]), slide.read(1, 0, 0, 120, 150))


def test_a_channel_that_is_switched_off_holds_no_object_for_the_model(desk):
    channels = desk.work.channels
    channels.change(1, replace(channels.rows[1], shown=False))
    desk.bench.settle()
    assert pixel(desk, PLACES[1]) == (0, 0, 0)
    assert [row.shown for row in channels.rows] == [True, False]
    channels.change(0, replace(channels.rows[0], shown=False))
    desk.bench.settle()
    assert "has to stay on view" in desk.controller.workspace.status
    assert channels.rows[0].shown


def test_auto_range_measures_every_channel(desk):
    channels = desk.work.channels
    channels.change(0, replace(channels.rows[0], window=(850, 880)))
    desk.bench.settle()
    channels.measure()
    desk.bench.settle()
    assert channels.rows[0].window == channels.rows[0].measured == (100, 900)


def test_a_resumed_session_shows_the_channels_as_they_were(desk, bench, path):
    channels = desk.work.channels
    channels.change(1, replace(channels.rows[1], colour=(255, 0, 255)))
    row, col, _ = PLACES[0]
    desk.controller.pointer.click_at(tuple(desk.layer.data_to_world((row, col))), positive=True)
    desk.bench.settle()
    assert len(desk.work.snapshot.objects) == 1
    desk.controller.close()
    bench.settle()
    ((levels, fields, _),) = read_slide_layers(path)
    other = Controller(bench.viewer, bench.thread, desk.controller.workspace.preferences)
    other.use_image(bench.viewer.add_image(levels, **fields))
    bench.settle()
    again = other.work
    assert again.channels.rows[1].colour == (0, 255, 0)
    again.resume()
    bench.settle()
    assert again.channels.rows[1].colour == (255, 0, 255)
    row, col, _ = PLACES[1]
    assert np.asarray(again.image.data[0][row, col]).tolist() == [255, 0, 255]
    other.close()
    fields["metadata"]["napari_sam2_slide"].close()


def test_lines_tell_what_was_changed(qtbot, desk):
    box = SlideChannelsBox()
    qtbot.addWidget(box)
    box.show_rows(desk.work.channels.rows)
    assert [line.seen.text() for line in box.lines] == ["DAPI", "GFP"]
    with qtbot.waitSignal(box.changed) as told:
        box.lines[1].seen.click()
    number, wanted = told.args
    assert (number, wanted.shown) == (1, False)
    assert desk.work.channels.rows[0].window != (200, 500)
    with qtbot.waitSignal(box.changed) as told:
        box.lines[0].window_slider.setValue((200, 500))
    assert (told.args[0], told.args[1].window) == (0, (200, 500))
    box.show_rows(())
    assert not box.isVisibleTo(box.parentWidget())
