from __future__ import annotations

import os

from hypothesis import settings

# One thread: the networks in the suite are small, and threads that wait for each other cost more than they give.
# Set before torch is imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time: a run that passed passes again. Vary them with --hypothesis-seed.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
