from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from napari_sam2.plugin.background import worker
from napari_sam2.plugin.background.worker import InferenceThread, MainThreadQueue


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
        thread.queue.collect()
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


def test_the_queue_calls_in_the_order_of_arrival_and_leaves_what_comes_meanwhile_for_the_next_turn():
    woken, called = [], []
    queue = MainThreadQueue(lambda: woken.append(True))
    queue.put(lambda: called.append(1))
    queue.put(lambda: (called.append(2), queue.put(lambda: called.append(4))))
    queue.put(lambda: called.append(3))
    queue.collect()
    assert called == [1, 2, 3]
    assert queue.waiting
    queue.collect()
    assert called == [1, 2, 3, 4]
    assert not queue.waiting
    assert len(woken) == 4


def test_pieces_and_end_of_a_stream_arrive_in_order_with_answers_between(thread):
    order, gate = [], threading.Event()

    def run(_stopping):
        yield "first"
        gate.wait(10)
        yield "second"

    thread.stream(run, order.extend, lambda: order.append("end"), pytest.fail)
    thread.request(lambda: gate.set() or "answer", order.append, pytest.fail)
    gate.set()
    settle(thread)
    assert [entry for entry in order if entry != "answer"] == ["first", "second", "end"]
    assert order.count("answer") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_memory_of_answers_is_given_back_when_there_is_nothing_to_do(monkeypatch):
    monkeypatch.setattr(worker, "REST_SECONDS", 0.2)
    thread, pins = InferenceThread(MainThreadQueue()), []

    def answer():
        """90 MiB in pieces that the allocator takes from its heap, with something above them that stays."""
        pieces = [bytearray(b"x") * 60_000 for _ in range(1500)]
        pins.append([bytearray(2000) for _ in range(50)])
        return len(pieces)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    before = resident()
    thread.request(answer, lambda _: None, pytest.fail)
    settle(thread)
    end = time.monotonic() + 20
    while resident() - before > 30 and time.monotonic() < end:
        time.sleep(0.02)
    assert resident() - before <= 30
    thread.shutdown()
