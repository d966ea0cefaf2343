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
"""Frames that wait to be sent; then others' runs go on."""

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
        self._put = self._taken = 0
        """Each is counted by one thread alone."""

    def put(self, piece: bytes | None) -> None:
        """Leave a frame; from the model's thread."""
        self._put += 1
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, piece)

    def has_room(self) -> bool:
        """Whether the client keeps up."""
        return self._put - self._taken < FRAMES_AHEAD

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames, and signs of life where there are none."""
        while True:
            try:
                piece = await asyncio.wait_for(self._waiting.get(), ALIVE_SECONDS)
            except TimeoutError:
                yield _ALIVE
                continue
            if piece is None:
                return
            yield piece
            self._taken += 1
            if self._put - self._taken == FRAMES_AHEAD // 2:
                self._turns.wake()
