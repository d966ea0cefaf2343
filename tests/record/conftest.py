from __future__ import annotations

import resource
import signal

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Make room again before pytest reports: its own output may be a file as well."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def full_disk():
    """A function that lets no file grow beyond some bytes, as a full disk does; None makes room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(n_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if n_bytes is None else n_bytes, hard))

    yield fill
    signal.signal(signal.SIGXFSZ, before)
