from __future__ import annotations

import threading
import time

import pytest

from napari_sam2.plugin.background.worker import InferenceThread, Mailbox


@pytest.fixture
def thread():
    made = InferenceThread(Mailbox())
    yield made
    made.shutdown()


def settle(thread):
    end = time.monotonic() + 10
    while not thread.idle or thread.mailbox.waiting:
        assert time.monotonic() < end
        thread.mailbox.collect()
        time.sleep(0.001)


def test_answers_arrive_on_the_thread_that_collects(thread):
    seen = []
    thread.request(threading.get_ident, lambda worker: seen.append((worker, threading.get_ident())), pytest.fail)
    settle(thread)
    assert seen[0][0] != threading.get_ident()
    assert seen[0][1] == threading.get_ident()


def test_a_newer_request_replaces_a_waiting_one_of_the_same_kind(thread):
    gate, seen = threading.Event(), []
    thread.request(gate.wait, lambda _: None, pytest.fail)
    for number in range(5):
        thread.request(lambda n=number: n, seen.append, pytest.fail, key="hover")
    thread.request(lambda: "other", seen.append, pytest.fail, key="click")
    gate.set()
    settle(thread)
    assert seen == [4, "other"]


def test_an_error_goes_to_the_one_who_asked_and_the_thread_goes_on(thread):
    errors, seen = [], []
    thread.request(lambda: 1 / 0, pytest.fail, errors.append)
    thread.request(lambda: "still here", seen.append, pytest.fail)
    settle(thread)
    assert isinstance(errors[0], ZeroDivisionError)
    assert seen == ["still here"]


def test_a_request_is_answered_in_the_middle_of_a_stream(thread):
    order, began = [], threading.Event()

    def run(stopping):
        for number in range(200):
            began.set()
            time.sleep(0.001)
            yield number

    thread.stream(run, order.extend, lambda: order.append("end"), pytest.fail)
    began.wait(5)
    thread.request(lambda: "click", order.append, pytest.fail)
    settle(thread)
    assert order[-1] == "end"
    assert 0 < order.index("click") < 200
    assert [n for n in order if isinstance(n, int)] == list(range(200))


def test_stop_ends_a_stream_after_the_step_it_is_in(thread):
    seen, ended = [], []

    def run(stopping):
        for number in range(10_000):
            if stopping.is_set():
                return
            time.sleep(0.001)
            yield number

    stream = thread.stream(run, seen.extend, lambda: ended.append(True), pytest.fail)
    while not seen:
        thread.mailbox.collect()
    stream.stop()
    settle(thread)
    assert ended == [True]
    assert len(seen) < 1000


def test_a_stream_that_fails_says_so_and_the_next_one_runs(thread):
    errors, ended = [], []

    def broken(stopping):
        yield 1
        raise ValueError("no")

    thread.stream(broken, lambda _: None, pytest.fail, errors.append)
    thread.stream(lambda stopping: iter([1]), lambda _: None, lambda: ended.append(True), pytest.fail)
    settle(thread)
    assert str(errors[0]) == "no"
    assert ended == [True]


def test_shutdown_does_not_wait_for_what_has_not_begun(thread):
    gate = threading.Event()
    thread.request(lambda: gate.wait(5), lambda _: None, lambda _: None)
    thread.request(lambda: time.sleep(60), pytest.fail, pytest.fail)
    gate.set()
    began = time.monotonic()
    thread.shutdown()
    assert time.monotonic() - began < 5
