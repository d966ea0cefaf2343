"""A tuning in a process of its own.

A window starts it, listens to it and stops it. The first line that it reads is the request; it stops, with a
checkpoint, as soon as nothing more can be read, so that it does not outlive the window. What it writes is one JSON
object a line.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from napari_sam2.channels.mix import AUTO
from napari_sam2.errors import NapariSam2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.tuning.tune import Progress

__all__ = ["Request", "main"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a window asks for; see `napari_sam2.tuning.tune.tune`."""

    sources: tuple[str, ...]
    folder: str
    start: str
    minutes: float
    resume: bool
    register: str = ""
    fusion: str = AUTO

    @staticmethod
    def command() -> Sequence[str]:
        """How the process is started."""
        return (sys.executable, "-m", "napari_sam2.tuning.worker")

    def to_line(self) -> str:
        """As the first line that the process reads."""
        return json.dumps(asdict(self)) + "\n"


def main(asked: TextIO, answers: TextIO) -> None:
    """Do what is asked.

    ``progress`` and ``note`` lines, then one with ``better``, ``stopped`` or ``error``.
    """
    request = Request(**json.loads(asked.readline()))
    stopped = threading.Event()

    def listen() -> None:
        asked.read()
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()

    def tell(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    def progress(now: Progress) -> None:
        tell(progress=now.what, done=now.done, total=now.total, curve=[asdict(point) for point in now.curve])

    try:
        from napari_sam2.models.threads import use_all_cpus
        from napari_sam2.tuning.tune import TuneSettings, tune

        use_all_cpus()
        result = tune(
            [Path(source) for source in request.sources],
            Path(request.folder),
            TuneSettings(request.start, request.minutes, register=request.register, fusion=request.fusion),
            resume=request.resume,
            on_progress=progress,
            should_stop=stopped.is_set,
            say=lambda note: tell(note=note),
        )
    except NapariSam2Error as error:
        tell(error=str(error))
        return
    if result.verdict is None:
        tell(stopped=True)
    else:
        tell(better=result.verdict.better, reasons=list(result.verdict.reasons))


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
