"""The inference thread of this process, connected to Qt's event loop."""

from __future__ import annotations

import atexit
from functools import cache

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam2.models.threads import wait_asleep
from napari_sam2.plugin.background.worker import InferenceThread, MainThreadQueue

__all__ = ["inference_thread"]


class _QtWakeup(QObject):
    """Rings on the main thread when the queue has something to collect."""

    _woken = Signal()

    def __init__(self, queue: MainThreadQueue) -> None:
        super().__init__()
        self._queue = queue
        self._woken.connect(self._collect, Qt.ConnectionType.QueuedConnection)

    def ring(self) -> None:
        """Ask the event loop to collect; from any thread."""
        self._woken.emit()

    def _collect(self) -> None:
        self._queue.collect()


@cache
def inference_thread() -> InferenceThread:
    """The one thread for all viewers.

    Started when it is first needed, on the main thread.
    """
    wait_asleep()
    queue = MainThreadQueue()
    queue.wake = _QtWakeup(queue).ring
    thread = InferenceThread(queue)
    atexit.register(thread.shutdown)
    return thread
