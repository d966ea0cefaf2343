"""What is asked where, by whom, and how much is read."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from napari_sam2._version import __version__
from napari_sam2.models.base import FittableModel, viewing_of
from napari_sam2.models.seen import seen_to_json
from napari_sam2.remote.pieces import PIECE_BYTES, VoxelLayout
from napari_sam2.remote.wire import PROTOCOL, frame, header_from_json, packed, unpacked
from napari_sam2.server import reading
from napari_sam2.server.intake import Intake
from napari_sam2.server.refusals import Refusal, refusal_for
from napari_sam2.server.streaming import EndingStream, Outbox
from napari_sam2.server.turns import Run
from napari_sam2.server.work import fit_frames, predict, run_frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from starlette.requests import Request

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.server.held import HeldEngine, Lease
    from napari_sam2.server.holdings import Holdings
    from napari_sam2.server.turns import Turns

__all__ = ["make_app"]

logger = logging.getLogger("napari_sam2.server")

SMALL_BODY: Final = 1 << 16
MESSAGE_BODY: Final = 8 << 20
PIECE_BODY: Final = PIECE_BYTES + (1 << 16)
"""Deflate adds a few bytes to what it cannot press."""

MOST_RUNS: Final = 4
"""Of one client at once."""


def make_app(holdings: Holdings, turns: Turns, tokens: Sequence[str]) -> Starlette:
    """The server as an ASGI application.

    Parameters
    ----------
    holdings : Holdings
        What is held.
    turns : Turns
        The model's thread.
    tokens : sequence of str
        Who may ask.
    """
    server = _Server(holdings, turns, tokens)
    routes = [
        Route("/v1/status", server.guarded(server.status), methods=["GET"]),
        Route("/v1/volumes", server.guarded(server.declare), methods=["POST"]),
        Route("/v1/volumes/{key}/{number}", server.guarded(server.take_piece), methods=["PUT"]),
        Route("/v1/engines", server.guarded(server.open_engine), methods=["POST"]),
        Route("/v1/engines/{engine}/predict", server.guarded(server.predict), methods=["POST"]),
        Route("/v1/engines/{engine}/propagate", server.guarded(server.propagate), methods=["POST"]),
        Route("/v1/engines/{engine}/fit", server.guarded(server.fit), methods=["POST"]),
        Route("/v1/leases/{lease}", server.guarded(server.beat), methods=["POST"]),
        Route("/v1/leases/{lease}", server.guarded(server.end), methods=["DELETE"]),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={
            404: _unknown_place,
            405: _unknown_place,
        },
    )


async def _unknown_place(request: Request, error: Exception) -> Response:
    return _refused(Refusal(404, "place", "There is nothing at this address; client and server may differ in version."))


class _Server:
    """The endpoints."""

    def __init__(self, holdings: Holdings, turns: Turns, tokens: Sequence[str]) -> None:
        self._holdings, self._turns, self._tokens = holdings, turns, [token.encode() for token in tokens]
        self._intake = Intake()

    def guarded(self, endpoint: Callable[[Request, str], Awaitable[Response]]) -> Callable[[Request], Any]:
        """An endpoint that only holders of a token reach, and whose errors become answers."""

        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            try:
                response = await endpoint(request, self._checked(request))
            except Refusal as refusal:
                response = _refused(refusal)
            except Exception as error:  # nothing that is asked ends the process
                response = _refused(refusal_for(error))
            finally:
                await self._intake.done(request)
            milliseconds = (time.perf_counter() - started) * 1000
            logger.info("%s %d in %.0f ms", endpoint.__name__, response.status_code, milliseconds)
            return response

        return answer

    def _checked(self, request: Request) -> str:
        """The token, if it is a known one and client and server understand each other."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # All are compared, so that the time tells nothing of which one is near.
        matches = [hmac.compare_digest(given.encode("latin-1", "replace"), token) for token in self._tokens]
        if scheme.lower() != "bearer" or not any(matches):
            raise Refusal(401, "token", "The server does not know this token; compare --token-file on both sides.")
        protocol, _, version = request.headers.get("napari-sam2", "").partition(" ")
        if protocol != str(PROTOCOL):
            raise Refusal(
                400,
                "version",
                f"The server speaks protocol {PROTOCOL} (napari-sam2 {__version__}), the client {protocol[:20]!r} "
                f"({version[:40]}); install the same version on both.",
            )
        return self._tokens[matches.index(True)].decode()

    async def status(self, request: Request, token: str) -> Response:
        """Version, models, limits and load."""
        clicks, runs = self._turns.waiting
        return _json(
            {
                "program": "napari-sam2",
                "version": __version__,
                "protocol": PROTOCOL,
                "models": [_described(name, model) for name, model in self._holdings.models.items()],
                "largest_volume": self._holdings.limits.volume,
                "load": {**self._holdings.load(), "clicks": clicks, "runs": runs},
            }
        )

    async def declare(self, request: Request, token: str) -> Response:
        """Room for a volume, and the pieces that are missing."""
        header = header_from_json(await self._intake.body(request, SMALL_BODY))
        lease = self._holdings.lease(reading.lease_id_of(header.get("lease")), token, uses=True)
        key, layout = reading.volume_key_of(header.get("key")), VoxelLayout.from_json(header)
        missing = await run_in_threadpool(self._holdings.declare, lease, key, layout)
        self._turns.click(lease.id, self._holdings.shrink)
        return _json({"missing": missing})

    async def take_piece(self, request: Request, token: str) -> Response:
        """A piece of a volume."""
        key, number = reading.volume_key_of(request.path_params["key"]), request.path_params["number"]
        if not (number.isascii() and number.isdigit() and len(number) < 8):
            raise Refusal(422, "input", "The number of a piece is a whole number.")
        body = await self._intake.body(request, PIECE_BODY)
        return _json({"left": await run_in_threadpool(self._holdings.take_piece, token, key, int(number), body)})

    async def open_engine(self, request: Request, token: str) -> Response:
        """An engine on a volume."""
        header = header_from_json(await self._intake.body(request, SMALL_BODY))
        wanted = reading.engine_request(header, self._holdings.models)
        lease = self._holdings.lease(wanted.lease, token, uses=True)

        def opened() -> str:
            return self._holdings.open_engine(
                lease, wanted.volume, wanted.affine, wanted.oriented, wanted.axis, wanted.window, wanted.model
            )

        return _json({"engine": await asyncio.wrap_future(self._turns.click(lease.id, opened))})

    async def predict(self, request: Request, token: str) -> Response:
        """The answer to a click."""
        lease, held = self._holdings.engine(token, request.path_params["engine"])
        message = unpacked(await self._intake.body(request, MESSAGE_BODY))
        wanted = reading.predict_request(message, held.engine.plane)

        arrived = time.perf_counter()

        def answered() -> bytes:
            waited = time.perf_counter() - arrived
            self._holdings.shrink()
            return predict(lease, held, wanted, waited, self._turns.last_step)

        self._holdings.begin_work(lease, held)
        try:
            body = await asyncio.wrap_future(self._turns.click(lease.id, answered))
        finally:
            self._holdings.end_work(lease, held)
        return Response(body, media_type="application/octet-stream")

    async def propagate(self, request: Request, token: str) -> Response:
        """The frames of a run."""
        lease, held = self._holdings.engine(token, request.path_params["engine"])
        wanted = reading.run_request(unpacked(await self._intake.body(request, MESSAGE_BODY)))
        stopping = threading.Event()
        return self._streamed(lease, held, run_frames(lease, held, wanted, stopping.is_set), stopping)

    async def fit(self, request: Request, token: str) -> Response:
        """A fit that was lost, made again."""
        lease, held = self._holdings.engine(token, request.path_params["engine"])
        wanted = reading.fit_request(unpacked(await self._intake.body(request, MESSAGE_BODY)), held.engine.plane)
        if not held.engine.can_fit:
            raise Refusal(422, "input", "The model cannot be fitted to an object.")
        return self._streamed(lease, held, fit_frames(held, wanted), threading.Event())

    async def beat(self, request: Request, token: str) -> Response:
        """Somebody is still there."""
        header = header_from_json(await self._intake.body(request, SMALL_BODY))
        anchors, volumes = reading.keys_to_forget(header), reading.volumes_to_forget(header)
        lease = self._holdings.lease(reading.lease_id_of(request.path_params["lease"]), token, uses=False)
        self._holdings.forget(lease, anchors, volumes)
        limits = self._holdings.limits
        return _json({"silent_seconds": limits.silent, "idle_seconds": limits.idle, "load": self._holdings.load()})

    async def end(self, request: Request, token: str) -> Response:
        """A client goes."""
        lease = self._holdings.known_lease(reading.lease_id_of(request.path_params["lease"]), token)
        if lease is not None:
            self._holdings.end_lease(lease)
        return _json({})

    def _streamed(
        self, lease: Lease, held: HeldEngine, frames: Iterator[bytes], stopping: threading.Event
    ) -> StreamingResponse:
        if self._turns.running(lease.id) >= MOST_RUNS:
            raise Refusal(429, "limit", f"A client has at most {MOST_RUNS} runs at once; stop one of them.")
        outbox = Outbox(asyncio.get_running_loop(), self._turns)
        run = Run(self._shrinking(frames), outbox.put, _failed, outbox.has_room, stopping)
        self._holdings.begin_work(lease, held)

        def over() -> None:
            stopping.set()
            self._turns.wake()
            self._holdings.end_work(lease, held)

        self._turns.run(lease.id, run)
        return EndingStream(outbox.frames(), over)

    def _shrinking(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        for piece in frames:
            self._holdings.shrink()
            yield piece


def _failed(error: Exception) -> bytes:
    return frame(packed({"kind": "error", **refusal_for(error).as_json()}))


def _described(name: str, model: SegmentationModel) -> dict[str, Any]:
    viewing = viewing_of(model)
    return {
        "name": name,
        "card": {**asdict(model.card), "seen": None if model.card.seen is None else seen_to_json(model.card.seen)},
        "zoom": model.view_policy.zoom,
        "quality": model.view_policy.quality,
        "input_size": model.input_size,
        "precision": viewing["precision"],
        "device": str(model.device),
        "can_fit": isinstance(model, FittableModel),
    }


def _refused(refusal: Refusal) -> Response:
    return Response(refusal.body(), refusal.status, media_type="application/json")


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), media_type="application/json")
