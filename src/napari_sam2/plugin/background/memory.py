"""Memory that the system's allocator keeps for later, given back."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Let the allocator give back what is free.

    A correction takes and frees arrays of some MiB. glibc keeps them where a smaller one lies above: after 200 clicks
    on one object the program held 70 MiB more than it used (`malloc_trim` of glibc; elsewhere nothing is done).
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library, as musl
        return
    trim(0)
