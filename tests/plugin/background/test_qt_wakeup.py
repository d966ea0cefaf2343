"""The inference thread of the process, as the window makes it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("qtpy")

ASKED = """
import os, sys
from napari_sam2.plugin.control.controller import Controller
from napari_sam2.plugin.background.qt_wakeup import inference_thread
inference_thread()
print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""


@pytest.mark.parametrize(("chosen", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_torch_wait_asleep_beside_a_window_unless_it_is_said_otherwise(chosen, then):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"QT_QPA_PLATFORM": "offscreen"} | ({"OMP_WAIT_POLICY": chosen} if chosen else {})
    asked = subprocess.run(
        [sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    # Later than this it would be too late: OpenMP reads it when torch is loaded.
    assert asked.stdout.split() == [then, "False"]
