"""How revisions of the small model answer boxes.

Without torch, for machines without networks.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BOXED", "BOX_READER", "READ"]

BOXED: Final = "+box"
"""What a revision ends with whose answers to boxes agree with the box, see `napari_sam2.models.small.boxed`."""

READ: Final = "+box-2"
"""What a revision ends with where a second network reads boxes, see `napari_sam2.models.small.box_view`."""

BOX_READER: Final = "boxed-1"
"""Name of the second network."""
