"""Review, acceptance, corrections that spread, brush, windows, preview and resume, without Qt."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from napari_sam2.plugin.control.autosave import sessions_folder
from napari_sam2.plugin.scan import hover_preview
from napari_sam2.plugin.scan.hover_preview import PATIENCE
from napari_sam2.plugin.scan.table_rows import strip_content
from napari_sam2.plugin.scan.window_change import AUTO, follow_view, show_window, window_names
from napari_sam2.session.glancing import glance_at
from napari_sam2.session.review import review_queue
from napari_sam2.terms.terminology import Term
from tests.plugin.conftest import BALL_CENTRE, Bench

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def carried(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    return ball_bench


def object_of(bench, number=1):
    return bench.controller.work.object(number)


def test_the_queue_goes_to_the_worst_slice_first_and_never_to_a_prompted_one(carried):
    queue = review_queue([object_of(carried)])
    slices = object_of(carried).slices
    filled = [entry.doubt for entry in queue if slices[entry.index].mask.n_voxels]
    assert filled == sorted(filled, reverse=True)
    # Beyond its ends the object is not: such slices come last, however doubtful.
    assert [entry.doubt for entry in queue[: len(filled)]] == filled
    assert 0 < len(queue) - len(filled) <= 2
    assert CENTRE[2] not in {entry.index for entry in queue}
    seen = []
    for _ in queue:
        carried.controller.do("next_doubt")
        seen.append(carried.controller.work.view.slice()[1])
    assert seen == [entry.index for entry in queue]
    carried.controller.do("next_doubt")
    assert carried.controller.work.view.slice()[1] == queue[0].index


def test_accepting_keeps_the_slice_goes_on_and_empties_the_queue(carried):
    n = len(review_queue([object_of(carried)]))
    carried.controller.do("next_doubt")
    first = carried.controller.work.view.slice()[1]
    for _ in range(n):
        carried.controller.do("accept_slice")
        carried.settle()
    assert first in object_of(carried).accepted
    assert not review_queue([object_of(carried)])
    carried.controller.do("next_doubt")
    assert "Nothing is left" in carried.controller.workspace.status


def test_accepting_twice_reopens_a_slice(carried):
    carried.controller.work.view.go_to(2, int(CENTRE[2]) + 2)
    carried.controller.do("accept_slice")
    carried.settle()
    assert object_of(carried).accepted == {CENTRE[2] + 2}
    carried.controller.do("accept_slice")
    carried.settle()
    assert not object_of(carried).accepted


def test_a_corrective_click_spreads_by_itself_and_leaves_accepted_slices_alone(carried):
    k = int(CENTRE[2])
    carried.controller.work.view.go_to(2, k + 3)
    carried.controller.do("accept_slice")
    carried.settle()
    kept = object_of(carried).slices[k + 3]
    before = carried.labels().copy()
    carried.click(CENTRE + (0, 0, 1))
    assert object_of(carried).slices[k + 1].prompted
    assert object_of(carried).slices[k + 3] is kept
    carried.controller.do("undo")
    carried.settle()
    assert np.array_equal(carried.labels(), before)


def test_the_strip_shows_doubt_prompts_acceptance_and_the_slice_on_view(carried):
    carried.controller.work.view.go_to(2, int(CENTRE[2]) + 1)
    carried.controller.do("accept_slice")
    carried.settle()
    content = strip_content(carried.controller.work)
    assert content.n_slices == 24
    assert content.prompted == {CENTRE[2]}
    assert content.accepted == {CENTRE[2] + 1}
    assert content.current == CENTRE[2] + 1
    assert content.doubts[int(CENTRE[2])] == 0
    assert max(content.doubts.values()) > 0


def test_the_brush_edits_an_object_and_the_edit_survives_propagation_and_undo(carried):
    layer = carried.controller.work.result.layer
    k = int(CENTRE[2]) + 2
    before = carried.labels().copy()
    layer.selected_label = 1
    layer.brush_size = 5
    layer.paint((k, 4, 4), 1)
    carried.settle()
    painted = carried.labels()[:, :, k] == 1
    assert painted[4, 4]
    assert object_of(carried).slices[k].prompted
    carried.controller.do("propagate_both")
    carried.settle()
    assert np.array_equal(carried.labels()[:, :, k] == 1, painted)
    for _ in range(2):
        carried.controller.do("undo")
        carried.settle()
    assert np.array_equal(carried.labels(), before)


def test_the_brush_begins_a_new_object_and_the_eraser_takes_away(ball_bench):
    layer = ball_bench.controller.work.result.layer
    ball_bench.world(CENTRE)
    layer.brush_size = 7
    layer.paint((12, 10, 10), 4)
    ball_bench.settle()
    assert object_of(ball_bench, 4).n_voxels > 20
    layer.paint((12, 10, 10), 0)
    ball_bench.settle()
    assert object_of(ball_bench, 4).n_voxels == 0


def test_a_stroke_on_an_accepted_slice_is_put_back_and_explained(carried):
    k = int(CENTRE[2]) + 2
    carried.controller.work.view.go_to(2, k)
    carried.controller.do("accept_slice")
    carried.settle()
    before = carried.labels().copy()
    carried.controller.work.result.layer.paint((k, 4, 4), 1)
    carried.settle()
    assert np.array_equal(carried.labels(), before)
    assert "accepted" in carried.warnings[-1]


def test_the_model_sees_what_the_canvas_shows(ball_bench):
    annotation = ball_bench.controller.work
    window = annotation.snapshot.window
    assert np.allclose(annotation.image.contrast_limits, (window.low, window.high))
    annotation.image.contrast_limits = (90, 300)
    follow_view(annotation)
    ball_bench.settle()
    assert (annotation.snapshot.window.low, annotation.snapshot.window.high) == (90, 300)
    show_window(annotation, AUTO)
    ball_bench.settle()
    assert annotation.snapshot.window == window
    assert window_names(annotation) == [AUTO]


def test_presets_are_offered_for_ct_only(bench, tmp_path):
    from napari_sam2.sample_data import sample

    bench.open(sample("ct_abdomen")[0])
    annotation = bench.controller.work
    assert "CT-lung" in window_names(annotation)
    show_window(annotation, "CT-lung")
    bench.settle()
    assert annotation.snapshot.window.name == "CT-lung"
    assert tuple(annotation.image.contrast_limits) == (-1350, 150)


def test_the_preview_shows_what_a_click_gives_and_stale_answers_are_dropped(ball_bench):
    controller = ball_bench.controller
    at = ball_bench.world(CENTRE)
    controller.do("toggle_preview")
    for shift in range(5):
        controller.pointer.hover_at((at[0], at[1] + shift, at[2]))
    ball_bench.settle()
    layer = ball_bench.viewer.layers["preview"]
    shown = int((layer.data == 1).sum())
    assert np.allclose(layer.data_to_world((0, 0, 0))[0], at[0])
    controller.pointer.hover_at(at)
    ball_bench.controller.work.view.go_to(2, 2)
    ball_bench.settle()
    assert int((layer.data == 1).sum()) == shown
    ball_bench.world(CENTRE)
    controller.pointer.hover_at(at)
    ball_bench.settle()
    proposed = int((ball_bench.viewer.layers["preview"].data == 1).sum())
    controller.do("toggle_preview")
    assert "preview" not in ball_bench.viewer.layers
    assert not controller.work.snapshot.objects
    ball_bench.click(CENTRE)
    assert int((ball_bench.labels() == 1).sum()) == proposed


def test_a_click_drops_a_preview_that_waits_and_leaves_an_empty_layer(ball_bench, monkeypatch):
    controller, hold, asked = ball_bench.controller, threading.Event(), []
    monkeypatch.setattr(hover_preview, "glance_at", lambda *place: asked.append(place) or glance_at(*place))
    at = ball_bench.world(CENTRE)
    controller.do("toggle_preview")
    controller.pointer.hover_at(at)
    ball_bench.settle()
    assert len(asked) == 1
    layer = ball_bench.viewer.layers["preview"]
    assert layer.data.any()
    controller.thread.request(hold.wait, lambda _: None, pytest.fail)
    controller.pointer.hover_at((at[0], at[1] + 2, at[2]))
    controller.pointer.click_at(at, positive=True)
    assert not layer.data.any()
    hold.set()
    ball_bench.settle()
    assert len(asked) == 1, "what the click made stale is not worked out"
    assert ball_bench.controller.work.object(1).prompts
    assert layer in ball_bench.viewer.layers


def test_why_a_preview_is_not_seen_is_said(ball_bench):
    controller = ball_bench.controller
    ball_bench.box(LOW, HIGH)
    at = ball_bench.world(CENTRE)
    controller.do("toggle_preview")
    said = []
    controller.workspace.status_changed.connect(said.append)
    controller.pointer.hover_at(at)
    assert "looks at this slice for the first time" in said[-1]
    ball_bench.settle()
    controller.do("propagate_both")
    controller.pointer.hover_at(at)
    assert said[-1] == "There is no preview while a run goes on."
    ball_bench.settle()


def test_an_interrupted_session_is_offered_and_comes_back_whole(carried, ball_file):
    annotation = carried.controller.work
    annotation.describe(1, Term("ball"))
    carried.settle()
    carried.controller.do("next_doubt")
    carried.controller.do("accept_slice")
    carried.settle()
    before, obj = carried.labels().copy(), object_of(carried)
    # As when this process has gone.
    annotation.autosave.close()
    other = Bench()
    try:
        other.open(ball_file)
        note = other.controller.work.earlier
        assert note.n_objects == 1
        other.controller.work.resume()
        other.settle()
        again = object_of(other)
        assert np.array_equal(other.labels(), before)
        assert (again.name, again.accepted, again.prompts) == (obj.name, obj.accepted, obj.prompts)
        assert len(other.controller.work.prompts.boxes.data) == 1
        assert "Resumed with 1 object." in other.controller.workspace.status
        assert other.controller.work.view.slice() == (2, CENTRE[2])
        other.controller.do("undo")
        other.settle()
        assert other.controller.workspace.status == "Taken back: accepted slice."
        assert not object_of(other).accepted
        other.click(CENTRE + (0, 0, 2))
        assert object_of(other).slices[CENTRE[2] + 2].prompted
    finally:
        other.controller.close()
        other.thread.shutdown()


def test_working_on_without_an_answer_keeps_the_earlier_journal_as_it_is(carried, ball_file):
    carried.controller.work.autosave.close()
    earlier = {path: path.read_bytes() for path in sessions_folder().glob("*/events.jsonl")}
    other = Bench()
    try:
        other.open(ball_file)
        assert other.controller.work.earlier is not None
        other.box(LOW, HIGH)
        # The offer stays until it is taken or declined.
        assert other.controller.work.earlier is not None
        assert len(earlier) == 1
        assert len(list(sessions_folder().glob("*/events.jsonl"))) == 2
        assert all(path.read_bytes() == content for path, content in earlier.items())
        (note,) = other.controller.work.autosave.sessions()
        assert note.folder / "events.jsonl" in earlier
        n_slices = len(object_of(carried).slices)
        other.controller.do("resume_session")
        other.settle()
        assert len(object_of(other).slices) == n_slices > 1
        assert other.controller.work.earlier is None
        assert len(list(sessions_folder().glob("*/events.jsonl"))) == 2
        other.controller.do("resume_session")
        assert "no earlier work" in other.controller.workspace.status
    finally:
        other.controller.close()
        other.thread.shutdown()


def test_the_journal_lies_beside_the_saved_labels(carried, tmp_path):
    carried.controller.work.save(tmp_path / "out.nii.gz")
    carried.settle()
    assert (tmp_path / "out.sam2session" / "events.jsonl").read_text().count("\n") == 2
    assert (tmp_path / "out.json").is_file()
    assert (tmp_path / "out.tsv").is_file()


def test_any_earlier_session_can_be_opened_also_after_it_was_declined(carried, ball_file):
    carried.controller.work.autosave.close()
    second = Bench()
    third = Bench()
    try:
        second.open(ball_file)
        for _ in range(2):
            second.box(LOW, HIGH)
            second.controller.do("next_object")
        second.controller.work.autosave.close()
        third.open(ball_file)
        work = third.controller.work
        assert [note.n_objects for note in work.sessions] == [2, 1]
        assert work.earlier is work.sessions[0]
        work.start_afresh()
        assert work.earlier is None
        third.controller.do("resume_session")
        assert work.earlier is work.sessions[0]
        assert "Choose" in third.controller.workspace.status
        work.choose_earlier(work.sessions[1])
        third.controller.do("resume_session")
        third.settle()
        assert list(work.snapshot.objects) == [1]
        assert len(object_of(third).slices) == len(object_of(carried).slices)
        assert [note.n_objects for note in work.sessions] == [2]
    finally:
        for bench in (second, third):
            bench.controller.close()
            bench.thread.shutdown()


def test_a_preview_that_takes_long_says_so_and_then_that_it_is_seen(ball_bench):
    controller, hold = ball_bench.controller, threading.Event()
    at, preview = ball_bench.world(CENTRE), controller.work.pointer.preview
    controller.do("toggle_preview")
    controller.pointer.hover_at(at)
    ball_bench.settle()
    controller.thread.request(hold.wait, lambda _: None, pytest.fail)
    controller.pointer.hover_at((at[0], at[1] + 2, at[2]))
    preview.say_if_waiting()
    assert "still looking" not in controller.workspace.status
    time.sleep(PATIENCE + 0.05)
    preview.say_if_waiting()
    assert "still looking" in controller.workspace.status
    hold.set()
    ball_bench.settle()
    assert controller.workspace.status == "Preview: a click gives about what is shown."
    before = controller.workspace.status
    preview.say_if_waiting()
    assert controller.workspace.status == before
