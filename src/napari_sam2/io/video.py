"""Videos in: their frames through PyAV (FFmpeg).

AVI, MP4, MOV, Matroska and WebM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import EnvironmentLacksError, ImageFileError, NapariSam2Error
from napari_sam2.io.payload import check_total_memory

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["UNEVEN", "container_of", "read_video"]

UNEVEN: Final = "{name} shows its frames for different times; areas over time are by frame, not by seconds."

EVEN: Final = 1.5
"""The longest distance between frames, over the shortest: times are rounded to milliseconds in some files."""

_QUICKTIME: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""First atoms of MP4 and QuickTime files."""

LENGTH_SLACK: Final = 2
"""Frames: rounding of times, and a first frame that begins late."""


def container_of(first: bytes) -> str | None:
    """FFmpeg's name for a file that begins with these bytes.

    None when it is no video.

    Only these are ever given to FFmpeg: other kinds, such as playlists, name further files to be read.
    """
    if first[:4] == b"RIFF" and first[8:12] == b"AVI ":
        return "avi"
    if first[4:8] in _QUICKTIME:
        return "mov"
    return "matroska" if first[:4] == b"\x1a\x45\xdf\xa3" else None


def read_video(file: Path, container: str) -> tuple[NDArray[np.uint8], float | None, tuple[str, ...]]:
    """Decode every frame of the first picture stream.

    Parameters
    ----------
    file : Path
        The video.
    container : str
        As `container_of`.

    Returns
    -------
    frames : (T, rows, columns) or (T, rows, columns, 3) uint8 array
        Grey where all colours are.
    seconds : float or None
        From one frame to the next.
    notes : tuple of str

    Raises
    ------
    ImageFileError
        If it is damaged, cut short, or holds no pictures. A frame that the decoder had to patch counts as damage.
    EnvironmentLacksError
        If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise EnvironmentLacksError(
            f'{file.name} is a video, and what reads those is not installed; run: pip install "napari-sam2[film]".'
        ) from error
    av.logging.set_level(None)
    try:
        with file.open("rb") as content, av.open(content, format=container) as video:
            if not video.streams.video:
                raise ImageFileError(f"{file.name} holds no pictures; choose a video with some.")
            stream = video.streams.video[0]
            rate = stream.average_rate
            announced = stream.frames
            if not announced and _matroska_end(file) is None:
                announced = _frames_by_length(video, rate)
            frames, times, notes = _decoded(video, stream, file.name)
    except NapariSam2Error:
        raise
    except Exception as error:  # FFmpeg and PyAV raise many kinds on damaged files
        raise _damaged(file.name) from error
    lacking = (_matroska_end(file) or 0) - file.stat().st_size
    if lacking > 0:
        raise ImageFileError(f"{file.name} is truncated or damaged: {lacking} bytes are missing; copy it again.")
    if not frames or len(frames) < announced:
        raise ImageFileError(
            f"{file.name} is truncated or damaged: it announces {announced} frames, and {len(frames)} can be read; "
            "copy or export it again."
        )
    stack = np.stack(frames)
    if (stack == stack[..., :1]).all():
        stack = np.ascontiguousarray(stack[..., 0])
    gaps = np.diff(times)
    if len(gaps) and gaps.max() > EVEN * gaps.min():
        return stack, None, (*notes, UNEVEN.format(name=file.name))
    return stack, float(1 / rate) if rate else None, tuple(notes)


def _matroska_end(file: Path) -> int | None:
    """Where the segment of a Matroska file ends by its own account; None where it does not say (RFC 8794, RFC 9559)."""
    with file.open("rb") as stream:
        first = stream.read(64)
        at = 0
        for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
            if first[at : at + 4] != wanted or len(first) < at + 12:
                return None
            width = 9 - first[at + 4].bit_length()
            size = int.from_bytes(first[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
            if width > 8 or size == (1 << 7 * width) - 1:
                return None
            at += 4 + width
            end = at + size
            if wanted == b"\x1a\x45\xdf\xa3":
                at = end
    return end


def _frames_by_length(video: Any, rate: Any) -> int:
    """How many frames a file must hold by its stated length; Matroska counts none. 0 where sound may be longer."""
    if video.duration is None or not rate or len(video.streams) > 1:
        return 0
    return max(0, int(video.duration / 1_000_000 * float(rate)) - LENGTH_SLACK)


def _decoded(video: Any, stream: Any, name: str) -> tuple[list[NDArray[np.uint8]], list[float], list[str]]:
    stream.codec_context.options = {"err_detect": "explode"}
    stream.thread_type = "NONE"
    frames: list[NDArray[np.uint8]] = []
    notes: list[str] = []
    times: list[float] = []
    for frame in video.decode(stream):
        if frame.is_corrupt:
            raise _damaged(name)
        if frames and (frame.height, frame.width) != frames[0].shape[:2]:
            raise ImageFileError(f"{name} changes the size of its pictures on the way; export it in one size.")
        check_total_memory(name, (len(frames) + 1) * frame.height * frame.width * 6)  # a copy is stacked at the end
        if frame.rotation and not notes:
            notes.append(f"{name} is meant to be shown turned by {frame.rotation} degrees; it is read as stored.")
        frames.append(frame.to_ndarray(format="rgb24"))
        if frame.time is not None:
            times.append(float(frame.time))
    return frames, times, notes


def _damaged(name: str) -> ImageFileError:
    return ImageFileError(f"{name} is damaged, or compressed in a way that is not supported; copy or export it again.")
