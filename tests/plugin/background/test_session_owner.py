"""The session's owner, with a session that fails half way."""

from __future__ import annotations

import threading
import time

import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.background.session_owner import SessionOwner
from napari_sam2.plugin.background.worker import InferenceThread, MainThreadQueue


class Counter:
    """A session that is a number."""

    def __init__(self):
        self.count = 0

    def snapshot(self):
        return self.count

    def add(self, error=None):
        self.count += 1
        if error is not None:
            raise error
        return self.count


@pytest.fixture
def thread():
    made = InferenceThread(MainThreadQueue())
    yield made
    made.shutdown()


def settle(thread):
    end = time.monotonic() + 10
    while not thread.idle or thread.queue.waiting:
        assert time.monotonic() < end
        thread.queue.collect()


def test_the_screen_shows_what_the_session_holds_also_when_a_request_fails_half_way(thread):
    owner, failures, answers = SessionOwner(Counter(), thread), [], []
    owner.failed.connect(failures.append)
    owner.ask(lambda session: session.add(UserInputError("The disk is full.")), answers.append)
    settle(thread)
    assert owner.snapshot == 1
    assert failures == ["The disk is full."]
    assert answers == []
    owner.ask(lambda session: session.add(), answers.append)
    settle(thread)
    assert (owner.snapshot, answers) == (2, [2])


def test_a_path_in_an_unexpected_error_is_cut_to_its_name(thread):
    owner, failures = SessionOwner(Counter(), thread), []
    owner.failed.connect(failures.append)
    owner.ask(lambda session: session.add(OSError(28, "No space left on device", "/home/doe/jane/events.jsonl")))
    settle(thread)
    assert failures == ["events.jsonl: No space left on device. Your work is kept."]


def test_what_arrives_is_told_before_the_new_state_is_shown(thread):
    order = []

    class Owner(SessionOwner):
        def show(self, snapshot):
            super().show(snapshot)
            order.append("shown")

    owner = Owner(Counter(), thread)
    owner.ask(lambda session: session.add(), lambda _: order.append("done"), arrived=lambda: order.append("arrived"))
    settle(thread)
    assert order == ["arrived", "shown", "done"]


def test_a_waiting_request_of_the_same_key_is_replaced(thread):
    owner, gate, answers = SessionOwner(Counter(), thread), threading.Event(), []
    owner.ask(lambda _: gate.wait(10))
    for number in range(3):
        owner.ask(lambda _, n=number: n, answers.append, key="window")
    gate.set()
    settle(thread)
    assert answers == [2]


def test_nothing_is_shown_after_closing(thread):
    owner, answers = SessionOwner(Counter(), thread), []
    owner.ask(lambda session: session.add(), answers.append)
    owner.closed = True
    settle(thread)
    assert (owner.snapshot, answers) == (0, [])
