"""Files in, files out.

One module per format; these functions choose among them.

`read_volume` and `read_labels` decide by content, since names are often wrong. `write_labels` decides
by the name it is given. Nothing here changes an existing file except by replacing it as a whole.
"""

from __future__ import annotations

from napari_sam2.io.labels import check_labels_fit, check_output, read_labels, write_labels
from napari_sam2.io.read import read_volume

__all__ = ["check_labels_fit", "check_output", "read_labels", "read_volume", "write_labels"]
