"""The inference thread of this process, connected to Qt's event loop."""

from __future__ import annotations

import atexit
from functools import cache

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam2.plugin.background.worker import InferenceThread, Mailbox

__all__ = ["inference_thread"]


class _Doorbell(QObject):
    """Rings on the main thread when the mailbox has something to collect."""

    _rung = Signal()

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._rung.connect(self._collect, Qt.ConnectionType.QueuedConnection)

    def ring(self) -> None:
        """Ask the event loop to collect; from any thread."""
        self._rung.emit()

    def _collect(self) -> None:
        self._mailbox.collect()


@cache
def inference_thread() -> InferenceThread:
    """The one thread for all viewers; started when it is first needed, on the main thread."""
    mailbox = Mailbox()
    mailbox.wake = _Doorbell(mailbox).ring
    thread = InferenceThread(mailbox)
    atexit.register(thread.shutdown)
    return thread
