"""What a server holds in memory: volumes, engines, anchors, fits.

All of it can be made again by the client, so it may be dropped: first features, those of the engine that was not asked
for longest, then volumes that nobody has used for a while.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.engine.engine import Engine
from napari_sam2.remote.pieces import inflated, key_of
from napari_sam2.server.held import HeldEngine, HeldVolume, Lease
from napari_sam2.server.refusals import Refusal, lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.window import Window
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.remote.pieces import VoxelLayout

__all__ = ["Holdings", "Limits"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server holds, and for how long.

    Attributes
    ----------
    memory : int
        Bytes of volumes, features, anchors and fits, all clients together.
    volume : int
        Bytes of one volume.
    silent : float
        Seconds without a heartbeat after which a lease lapses.
    idle : float
        Seconds without a click or a run after which a lease lapses although its heart beats.
    settled : float
        Seconds for which a volume must not have been used before it makes room for another.
    """

    memory: int
    volume: int = 8 << 30
    silent: float = 90.0
    idle: float = 1800.0
    settled: float = 30.0


MOST_LEASES: Final = 64
MOST_ENGINES: Final = 32
"""Of one lease, a crop of a slide each; the least recently used ones go."""

LAST_ANSWERS: Final = 64
"""Anchors of a client that stay when memory is short: what it corrects next, and what a run begins with."""


class Holdings:
    """All that is held; its methods may be called from any thread.

    Parameters
    ----------
    models : mapping of str to SegmentationModel
        By name.
    limits : Limits
        How much.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        models: Mapping[str, SegmentationModel],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.models = models
        self.limits = limits
        self._clock = clock
        self._lock = threading.RLock()
        self._volumes: dict[tuple[str, str], HeldVolume] = {}
        self._leases: dict[str, Lease] = {}

    def lease(self, lease_id: str, token: str, *, uses: bool) -> Lease:
        """The lease of an id, begun if need be.

        `uses` tells work from a mere heartbeat.
        """
        with self._lock:
            now = self._clock()
            self._drop_lapsed(now)
            lease = self._leases.get(lease_id)
            if lease is None or lease.token != token:
                if len(self._leases) >= MOST_LEASES or lease is not None:
                    raise Refusal(
                        507, "memory", f"The server has {len(self._leases)} clients already; try again later."
                    )
                lease = self._leases[lease_id] = Lease(lease_id, token, now, now)
            lease.heard = now
            if uses:
                lease.used = now
            return lease

    def known_lease(self, lease_id: str, token: str) -> Lease | None:
        """The lease of an id if there is one."""
        with self._lock:
            lease = self._leases.get(lease_id)
            return lease if lease is not None and lease.token == token else None

    def end_lease(self, lease: Lease) -> None:
        """Free what only this client used."""
        with self._lock:
            self._leases.pop(lease.id, None)
            self._drop_unused_volumes()

    def forget(self, lease: Lease, anchors: Sequence[int], volumes: Sequence[str]) -> None:
        """Let go of what a client needs no more."""
        with self._lock:
            lease.anchors.forget(anchors)
            lease.volumes.difference_update(volumes)
            self._drop_unused_volumes()

    def _drop_lapsed(self, now: float) -> None:
        for lease in list(self._leases.values()):
            silent, idle = now - lease.heard > self.limits.silent, now - lease.used > self.limits.idle
            if (silent or idle) and not lease.busy:
                logger.info("a lease has lapsed; %d engines freed", len(lease.engines))
                del self._leases[lease.id]
        self._drop_unused_volumes()

    def _drop_unused_volumes(self) -> None:
        wanted = {(lease.token, key) for lease in self._leases.values() for key in lease.volumes}
        for name in [name for name, held in self._volumes.items() if name not in wanted and not held.busy]:
            self._drop_volume(name)

    def _drop_volume(self, name: tuple[str, str]) -> None:
        """Let go of a volume with the engines on it."""
        dropped = self._volumes.pop(name)
        for lease in self._leases.values():
            for engine_id in [i for i, held in lease.engines.items() if held.volume is dropped]:
                del lease.engines[engine_id]

    def declare(self, lease: Lease, key: str, layout: VoxelLayout) -> list[int]:
        """Make room for a volume; the pieces that are missing."""
        if layout.n_bytes > self.limits.volume:
            raise Refusal(
                413, "limit", f"The volume has {_gb(layout.n_bytes)}; this server takes {_gb(self.limits.volume)}."
            )
        with self._lock:
            held = self._volumes.get((lease.token, key))
            if held is None or held.layout != layout:
                self._make_room(layout.n_bytes)
                voxels = np.zeros(layout.shape, layout.kind)
                held = HeldVolume(layout, voxels, set(range(layout.n_pieces)), self._clock())
                self._volumes[lease.token, key] = held
            lease.volumes.add(key)
            held.used = self._clock()
            return sorted(held.missing)

    def take_piece(self, token: str, key: str, number: int, body: bytes) -> int:
        """Put a piece in its place; how many are missing then."""
        held = self._volume(token, key)
        if not 0 <= number < held.layout.n_pieces:
            raise Refusal(422, "input", f"The volume has pieces 0 to {held.layout.n_pieces - 1}.")
        where = held.layout.piece(number)
        piece = inflated(body, where.stop - where.start, held.layout.item_bytes)
        flat = held.voxels.reshape(-1).view(np.uint8)
        with self._lock:
            if number not in held.missing:
                return len(held.missing)
            flat[where] = np.frombuffer(piece, np.uint8)
            held.missing.discard(number)
            held.used = self._clock()
            left = len(held.missing)
        if not left:
            self._check(token, key, held)
        return left

    def _check(self, token: str, key: str, held: HeldVolume) -> None:
        """Drop a volume that is not the one its name says."""
        flat = held.voxels.reshape(-1).view(np.uint8).data
        if not hmac.compare_digest(key_of(token, held.layout, flat), key):
            with self._lock:
                self._volumes.pop((token, key), None)
            raise Refusal(422, "volume", "The volume that came is not the one that was announced; send it again.")
        held.voxels.flags.writeable = False

    def _volume(self, token: str, key: str) -> HeldVolume:
        with self._lock:
            held = self._volumes.get((token, key))
            if held is None:
                raise lacking("volume")
            return held

    def open_engine(
        self,
        lease: Lease,
        key: str,
        affine: NDArray[np.float64],
        oriented: bool,
        axis: int,
        window: Window,
        model: SegmentationModel,
    ) -> str:
        """Begin an engine on a volume that has come; its id."""
        held = self._volume(lease.token, key)
        if not held.is_complete:
            raise lacking("volume")
        volume = Volume(held.voxels, affine, oriented, Source("volume"))
        engine = Engine(volume, model, window, axis)
        with self._lock:
            engine_id = secrets.token_hex(16)
            lease.engines[engine_id] = HeldEngine(engine, held, self._clock())
            while len(lease.engines) > MOST_ENGINES:
                lease.engines.popitem(last=False)
        return engine_id

    def engine(self, token: str, engine_id: str) -> tuple[Lease, HeldEngine]:
        """The engine of an id, and whose it is."""
        with self._lock:
            for lease in self._leases.values():
                if engine_id in lease.engines and lease.token == token:
                    now = self._clock()
                    held = lease.engines[engine_id]
                    lease.engines.move_to_end(engine_id)
                    lease.heard = lease.used = held.used = held.volume.used = now
                    return lease, held
        raise lacking("engine")

    def begin_work(self, lease: Lease, held: HeldEngine) -> None:
        """Keep lease and volume while something is under way; `end_work` must follow."""
        with self._lock:
            lease.busy += 1
            held.volume.busy += 1

    def end_work(self, lease: Lease, held: HeldEngine) -> None:
        """The work is done."""
        with self._lock:
            lease.busy -= 1
            held.volume.busy -= 1
            lease.heard = lease.used = held.volume.used = self._clock()

    @property
    def volume_bytes(self) -> int:
        """Bytes of volumes."""
        with self._lock:
            return sum(held.layout.n_bytes for held in self._volumes.values())

    @property
    def feature_bytes(self) -> int:
        """Bytes of features."""
        with self._lock:
            return sum(
                held.engine.features.nbytes for lease in self._leases.values() for held in lease.engines.values()
            )

    @property
    def answer_bytes(self) -> int:
        """Bytes of anchors and fits."""
        with self._lock:
            return sum(lease.answer_bytes for lease in self._leases.values())

    def load(self) -> dict[str, int]:
        """Counts for whoever asks how busy the server is."""
        with self._lock:
            self._drop_lapsed(self._clock())
            return {
                "clients": len(self._leases),
                "volumes": len(self._volumes),
                "volume_bytes": self.volume_bytes,
                "feature_bytes": self.feature_bytes,
                "answer_bytes": self.answer_bytes,
                "memory_bytes": self.limits.memory,
            }

    def shrink(self) -> None:
        """Drop what was unused longest until everything fits.

        Features go first, then fits and anchors.

        At the model's thread only. A run under way keeps what it began with until it ends.
        """
        with self._lock:
            for free in self._freeable():
                if self.volume_bytes + self.feature_bytes + self.answer_bytes <= self.limits.memory:
                    return
                free()

    def _make_room(self, n_bytes: int) -> None:
        """Room for more voxels: idle volumes go; features go at the model's next turn, see `shrink`."""
        now = self._clock()
        idle = sorted(
            (held.used, name)
            for name, held in self._volumes.items()
            if not held.busy and now - held.used > self.limits.settled
        )
        while self.volume_bytes + n_bytes > self.limits.memory and idle:
            _, name = idle.pop(0)
            self._drop_volume(name)
            logger.info("an idle volume has made room for another")
        if self.volume_bytes + n_bytes > self.limits.memory:
            raise Refusal(
                507,
                "memory",
                f"The server's memory ({_gb(self.limits.memory)}) is taken by scans in use; waiting for room. "
                "'napari-sam2 serve --memory' gives it more.",
            )

    def _freeable(self) -> Iterator[Callable[[], None]]:
        """What can be done to free memory, the least costly first."""
        leases = sorted(self._leases.values(), key=lambda lease: lease.used)
        engines = sorted((held for lease in leases for held in lease.engines.values()), key=lambda held: held.used)
        for held in engines:
            yield held.engine.features.clear
        for held in engines:
            yield held.fits.clear
        for lease in leases:
            while len(lease.anchors) > LAST_ANSWERS:
                yield lease.anchors.drop_oldest


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
