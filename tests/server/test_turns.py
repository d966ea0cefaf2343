"""Clicks go before slices, everybody in rotation; nothing ends the thread."""

from __future__ import annotations

import threading

import pytest

from napari_sam2.server.turns import Run, Turns


@pytest.fixture
def turns():
    made = Turns()
    yield made
    made.close()


def blocked(turns):
    """Hold the thread until the returned event is set."""
    gate, inside = threading.Event(), threading.Event()

    def wait():
        inside.set()
        gate.wait(10)

    turns.click("gate", wait)
    inside.wait(10)
    return gate


def run_of(name, seen, n, done, has_room=lambda: True):
    def frames():
        for number in range(n):
            seen.append((name, number))
            yield b"x"

    def put(frame):
        if frame is None:
            done.release()

    return Run(frames(), put, lambda error: b"failed", has_room)


def test_a_click_is_answered_before_the_next_slice_of_any_run(turns):
    seen, done, asked = [], threading.Semaphore(0), []

    def frames():
        for number in range(5):
            seen.append(number)
            if number == 2:
                asked.append(turns.click("b", lambda: seen.append("click")))
            yield b"x"

    turns.run("a", Run(frames(), lambda f: done.release() if f is None else None, lambda e: b"", lambda: True))
    assert done.acquire(timeout=10)
    assert seen == [0, 1, 2, "click", 3, 4]


def test_clients_and_the_runs_of_a_client_take_turns(turns):
    gate, seen, done = blocked(turns), [], threading.Semaphore(0)
    for client, name in (("a", "a1"), ("a", "a2"), ("b", "b1")):
        turns.run(client, run_of(name, seen, 3, done))
    gate.set()
    for _ in range(3):
        assert done.acquire(timeout=10)
    names = [name for name, _ in seen]
    assert names[:8] == ["a1", "b1", "a2", "b1", "a1", "b1", "a2", "a1"]


def test_clicks_of_one_client_do_not_hold_up_those_of_another(turns):
    gate, seen = blocked(turns), []
    last = [turns.click("a", lambda n=n: seen.append(f"a{n}")) for n in range(3)]
    last.append(turns.click("b", lambda: seen.append("b")))
    gate.set()
    for future in last:
        future.result(10)
    assert seen == ["a0", "b", "a1", "a2"]


def test_a_run_whose_reader_does_not_keep_up_waits_and_others_go_on(turns):
    gate, seen, done, room = blocked(turns), [], threading.Semaphore(0), threading.Event()
    turns.run("slow", run_of("slow", seen, 2, done, room.is_set))
    turns.run("fast", run_of("fast", seen, 2, done))
    gate.set()
    assert done.acquire(timeout=10)
    assert [name for name, _ in seen] == ["fast", "fast"]
    room.set()
    turns.wake()
    assert done.acquire(timeout=10)


def test_a_stopped_run_is_closed_and_its_reader_told(turns):
    closed, done, begun = [], threading.Event(), threading.Event()

    def frames():
        try:
            while True:
                begun.set()
                yield b"x"
        finally:
            closed.append(True)

    run = Run(frames(), lambda f: done.set() if f is None else None, lambda e: b"", lambda: True)
    turns.run("a", run)
    assert begun.wait(10)
    run.stopping.set()
    turns.wake()
    assert done.wait(10)
    assert closed == [True]
    assert turns.waiting == (0, 0)


def test_a_run_or_a_click_that_fails_tells_its_own_client_and_nobody_else(turns):
    told, done = [], threading.Event()

    def frames():
        yield b"x"
        raise KeyError("what")

    def put(frame):
        told.append(frame)
        if frame is None:
            done.set()

    turns.run("a", Run(frames(), put, lambda error: type(error).__name__.encode(), lambda: True))
    assert done.wait(10)
    assert told == [b"x", b"KeyError", None]
    with pytest.raises(ZeroDivisionError):
        turns.click("a", lambda: 1 / 0).result(10)
    assert turns.click("b", lambda: 5).result(10) == 5
