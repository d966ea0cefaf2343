"""Interactive 3-D segmentation of MRI, CT and histology with SAM 2."""

from __future__ import annotations

__version__ = "0.1.0"
