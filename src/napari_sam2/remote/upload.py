"""Sending a volume: once, in pieces, going on where it was cut."""

from __future__ import annotations

import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import list_of, whole_of
from napari_sam2.errors import UserInputError
from napari_sam2.remote.pieces import deflated, key_of, layout_of, voxels_for_wire
from napari_sam2.remote.wire import header_from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.volume import Volume
    from napari_sam2.remote.lease import Lease

__all__ = ["SentVolume"]

AHEAD: Final = 2
"""Pieces compressed while another one is on its way."""

TOLD_FROM: Final = 5
"""Pieces; less is sent before anybody wonders."""


class SentVolume:
    """A volume as a server knows it.

    Parameters
    ----------
    volume : Volume
        The scan; its voxels go, and nothing else of it.
    lease : Lease
        Where to.
    """

    def __init__(self, volume: Volume, lease: Lease) -> None:
        try:
            self._voxels = voxels_for_wire(volume.voxels)
        except ValueError as error:
            raise UserInputError(f"{volume.source.name}: {error}; use a model on this machine.") from error
        self._lease = lease
        self._layout = layout_of(self._voxels)
        self._bytes = self._voxels.reshape(-1).view(np.uint8).data
        self.key = key_of(lease.token, self._layout, self._bytes)
        self.sent_bytes = 0
        """What has gone over the wire, all attempts together."""
        self._sending = threading.Lock()
        lease.holds(self.key)
        weakref.finalize(self, lease.releases, self.key).atexit = False

    def send(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Send the pieces that the server lacks.

        Raises
        ------
        Refused, EnvironmentLacksError
            See `Lease.patiently`.
        """
        with self._sending:
            declared = json.dumps({"key": self.key, "lease": self._lease.id, **self._layout.as_json()}).encode()
            answer = self._lease.patiently(
                lambda: self._lease.connection.ask("POST", "/v1/volumes", declared), should_stop
            )
            missing = self._missing(header_from_json(answer))
            with ThreadPoolExecutor(AHEAD, "napari-sam2 deflate") as pool:
                ready: list[tuple[int, Any]] = []
                for place, number in enumerate(missing):
                    while len(ready) < min(AHEAD + 1, len(missing) - place):
                        ahead = missing[place + len(ready)]
                        piece = self._bytes[self._layout.piece(ahead)]
                        ready.append((ahead, pool.submit(deflated, piece, self._layout.item_bytes)))
                    self._put(number, ready.pop(0)[1].result(), should_stop)
                    if len(missing) >= TOLD_FROM:
                        self._lease.say(f"Sending the scan: {place + 1} of {len(missing)} pieces of 4 MB.")

    def _put(self, number: int, body: bytes, should_stop: Callable[[], bool]) -> None:
        path = f"/v1/volumes/{self.key}/{number}"
        self._lease.patiently(lambda: self._lease.connection.ask("PUT", path, body), should_stop)
        self.sent_bytes += len(body)

    def _missing(self, header: dict[str, Any]) -> list[int]:
        last = self._layout.n_pieces - 1
        return [whole_of(number, 0, last, "a piece") for number in list_of(header.get("missing"))]
