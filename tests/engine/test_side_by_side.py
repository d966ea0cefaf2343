"""Objects answered on several threads: same answers, same order, same faults as one after the other."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import Box, ObjectPrompts, Point
from napari_sam2.core.volume import Volume
from napari_sam2.engine.side_by_side import AHEAD, on_its_threads, side_by_side
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from tests.slides.conftest import stained


@pytest.fixture
def threads():
    """Sets the number of PyTorch's threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundled():
    return load_bundled()


def scan() -> tuple[Volume, list[ObjectPrompts]]:
    """Four noisy discs on each of two slices; boxes around all but one, which is clicked."""
    rng = np.random.default_rng(4)
    voxels = rng.normal(0, 20, (64, 64, 2))
    rows, columns = np.ogrid[:64, :64]
    objects = []
    for index in range(2):
        for row, column in ((16, 16), (16, 46), (46, 16), (46, 46)):
            radius = rng.integers(7, 11)
            voxels[..., index][(rows - row) ** 2 + (columns - column) ** 2 < radius**2] += 150
            box = Box(((row - radius, column - radius, index), (row + radius, column + radius, index)))
            objects.append(ObjectPrompts(len(objects) + 1, (box,)))
    objects[3] = ObjectPrompts(4, (Point((46.0, 46.0, 0.0)),))
    return Volume(voxels.astype(np.int16), np.diag([1.0, 1.0, 3.0, 1.0])), objects


def bits(session: Session) -> list[bytes]:
    """All logits of all answers, in the order of the objects."""
    records = session.state.store.objects.values()
    return [anchor.decoded.logits.numpy().tobytes() for record in records for anchor in record.anchors.values()]


def test_answers_are_the_same_to_the_bit_with_any_number_of_threads(threads, bundled):
    volume, objects = scan()
    seen = []
    for count in (1, 2, 3):
        threads(count)
        session = Session(volume, bundled, axis=2)
        told = []
        session.set_objects(objects, lambda done, total, told=told: told.append((done, total)))
        assert torch.get_num_threads() == count
        assert told == [(n, 8) for n in range(1, 9)]
        assert list(session.objects) == list(range(1, 9))
        seen.append(bits(session))
    assert len(seen[0]) == 8
    assert seen[0] == seen[1] == seen[2]


def test_a_replay_one_by_one_gives_what_was_answered_side_by_side(threads, bundled, tmp_path):
    volume, objects = scan()
    threads(3)
    session = Session(volume, bundled, axis=2)
    journal = Journal(session, tmp_path / "many.sam2session")
    session.set_objects(objects)
    session.add_prompt(2, Point((16.0, 40.0, 0.0), positive=False))
    journal.close()
    threads(1)
    again = replay(volume, bundled, tmp_path / "many.sam2session")
    assert again.identical
    assert np.array_equal(again.labels, session.label_map())


def test_an_object_that_is_there_already_is_corrected_and_not_begun_anew(threads, bundled):
    volume, objects = scan()
    click = Point((16.0, 22.0, 0.0), positive=False)
    told = []
    for count in (1, 3):
        threads(count)
        session = Session(volume, bundled, axis=2)
        session.set_objects(objects[:2])
        session.set_objects([ObjectPrompts(1, (*objects[0].prompts, click)), objects[4]])
        told.append(bits(session))
    fresh = Session(volume, bundled, axis=2)
    fresh.set_objects([ObjectPrompts(1, (*objects[0].prompts, click))])
    assert told[0] == told[1]
    assert told[0][0] != bits(fresh)[0]


def test_objects_of_a_slide_are_the_same_with_any_number_of_threads(threads, bundled):
    slide = Slide(ArraySource(stained((500, 500), (120, 120, 40), (120, 360, 40), (360, 240, 90))), "discs")
    asked = [[SlideBox(80, 80, 160, 160)], [SlideBox(80, 320, 160, 400)], [SlidePoint(360.0, 240.0)]] * 2
    seen = []
    for count in (1, 3):
        threads(count)
        engine = CropEngine(slide, bundled)
        answers = list(side_by_side(bundled, engine.answer, asked))
        seen.append([(a.crop, a.mask.tobytes(), a.scores.predicted_iou) for a in answers])
    assert seen[0] == seen[1]


def test_what_comes_out_keeps_its_order_and_few_are_begun_ahead(threads, bundled):
    threads(2)
    taken, gate = [], threading.Event()

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    def work(number):
        if number == 0:
            gate.wait(10)
        return number, threading.current_thread().name, torch.get_num_threads()

    run = side_by_side(bundled, work, items())
    threading.Timer(0.2, gate.set).start()
    first = next(run)
    assert first[0] == 0
    assert len(taken) == 2 * AHEAD + 1
    rest = [first, *run]
    assert [number for number, _, _ in rest] == list(range(40))
    assert {count for _, _, count in rest} == {1}
    assert all(name.startswith("napari-sam2 objects") for _, name, _ in rest)


def test_a_fault_comes_at_its_place_and_nothing_goes_on_behind_it(threads, bundled):
    threads(2)
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise ValueError("the fourth")
        return number

    run = side_by_side(bundled, work, range(1000))
    assert [next(run) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(run)
    assert len(begun) <= 3 + 2 * AHEAD + 2
    assert torch.get_num_threads() == 2


def test_other_models_are_asked_one_after_the_other_on_all_threads(threads):
    threads(2)
    here = threading.current_thread()
    seen = list(side_by_side(ClassicalModel(), lambda n: (n, threading.current_thread() is here), range(5)))
    assert seen == [(n, True) for n in range(5)]
    with on_its_threads(ClassicalModel()):
        assert torch.get_num_threads() == 2
