from __future__ import annotations

import os

# One thread: the networks in the suite are small, and threads that wait for each other cost more than they give.
# Set before torch is imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
