"""How much is read of request bodies, each and all together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from napari_sam2.server.refusals import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Intake"]

READ_SECONDS: Final = 30.0
"""Between two pieces of a body; a client that is slower is gone."""

MOST_AT_ONCE: Final = 64 << 20
"""Bytes of all bodies that are being read or worked on; further ones wait for their turn."""


class Intake:
    """Room for the bodies of requests.

    Used on the event loop only.

    Parameters
    ----------
    most : int
        Bytes of all together.
    """

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most, self._taken = most, 0
        self._freed = asyncio.Condition()

    async def body(self, request: Request, largest: int) -> bytes:
        """The body of a request, up to the size it may have.

        `done` must follow.

        Raises
        ------
        Refusal
            If it is too large, does not come, or there is no room for it.
        """
        stated = request.headers.get("content-length")
        if stated is None or not (stated.isascii() and stated.isdigit()):
            raise Refusal(411, "limit", "A request must state its length.")
        if len(stated) > 12 or int(stated) > largest:
            raise Refusal(413, "limit", f"A request of this kind has at most {largest} bytes.")
        await self._take(request, int(stated))
        body = bytearray()
        stream = request.stream()
        while True:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    piece = await anext(stream, None)
            except ClientDisconnect:
                raise Refusal(400, "limit", "The client closed the connection.") from None
            except TimeoutError:
                raise Refusal(408, "limit", "The rest of the request did not come in time.") from None
            if piece is None:
                return bytes(body)
            body += piece
            if len(body) > largest:
                raise Refusal(413, "limit", f"A request of this kind has at most {largest} bytes.")

    async def _take(self, request: Request, size: int) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS), self._freed:
                await self._freed.wait_for(lambda: self._taken + size <= self._most)
                self._taken += size
        except TimeoutError:
            raise Refusal(503, "limit", "The server is busy with the requests of others; try again.") from None
        request.state.taken = getattr(request.state, "taken", 0) + size

    async def done(self, request: Request) -> None:
        """Give back the room of a request that has been worked on."""
        size = getattr(request.state, "taken", 0)
        if size:
            request.state.taken = 0
            async with self._freed:
                self._taken -= size
                self._freed.notify_all()
