"""Streams of frames from the model's thread to a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from napari_sam2.remote.wire import ALIVE_SECONDS, frame, packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from napari_sam2.server.turns import Turns

__all__ = ["EndingStream", "Outbox"]

FRAMES_AHEAD: Final = 64
BYTES_AHEAD: Final = 16 << 20
"""Frames that wait to be sent, and their bytes; then others' runs go on."""

_ALIVE: Final = frame(packed({"kind": "alive"}))


class EndingStream(StreamingResponse):
    """A stream that says when it is over.

    Also when the client has closed it, which is how a run is stopped.
    """

    def __init__(self, frames: AsyncIterator[bytes], over: Callable[[], None]) -> None:
        # The header asks nginx to pass frames on as they come.
        super().__init__(frames, media_type="application/octet-stream", headers={"X-Accel-Buffering": "no"})
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, as Starlette does."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


class Outbox:
    """Frames on their way from the model's thread to a client."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._loop, self._turns = loop, turns
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._put = self._taken = self._put_bytes = self._taken_bytes = 0
        """Each is counted by one thread alone."""

    def put(self, piece: bytes | None) -> None:
        """Leave a frame; from the model's thread."""
        self._put += 1
        self._put_bytes += len(piece or b"")
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, piece)

    def has_room(self) -> bool:
        """Whether the client keeps up."""
        return self._put - self._taken < FRAMES_AHEAD and self._put_bytes - self._taken_bytes < BYTES_AHEAD

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames, and signs of life where there are none."""
        while True:
            try:
                async with asyncio.timeout(ALIVE_SECONDS):
                    piece = await self._waiting.get()
            except TimeoutError:
                yield _ALIVE
                continue
            if piece is None:
                return
            yield piece
            self._taken += 1
            self._taken_bytes += len(piece)
            if self.has_room():
                self._turns.wake()
