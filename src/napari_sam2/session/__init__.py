"""One volume's session: prompts in, masks out.

The names below are imported when they are first used: the session needs torch, its review and snapshots do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam2.session.objects import SegmentedObject
    from napari_sam2.session.session import Session

__all__ = ["SegmentedObject", "Session"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_sam2.session import session

    return getattr(session, name)
