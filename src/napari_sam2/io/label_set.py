"""A label map with its sidecars, written together.

All three files, or none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import as_utf8, check_free
from napari_sam2.io.file_set import file_set, finish_sets
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.io.labels import check_output, checked_labels
from napari_sam2.io.nifti_labels import fill_nifti_labels
from napari_sam2.io.sidecar import sidecar_paths, sidecar_texts

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.io.sidecar import Provenance

__all__ = ["check_label_set", "write_label_set"]


def write_label_set(
    labels: NDArray[Any],
    volume: Volume,
    path: str | os.PathLike[str],
    provenance: Provenance,
    *,
    overwrite: bool = False,
) -> tuple[Path, Path, Path]:
    """Write a label map, its ``.json`` and its ``.tsv`` as one set.

    Parameters
    ----------
    labels : (I, J, K) array of integers or bool
        Ids in the volume's stored order.
    volume : Volume
        Whose grid it lies on.
    path : path-like
        As in `napari_sam2.io.write_labels`.
    provenance : Provenance
        How it was made.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    labels_path, json_path, tsv_path : Path

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `napari_sam2.io.write_labels`; then all three files are as they were before.
    """
    target = check_label_set(path, volume, overwrite=overwrite)
    array = checked_labels(labels, volume)
    json_path, tsv_path = sidecar_paths(target)
    with file_set((target, json_path, tsv_path), overwrite=overwrite) as (label_map, json_file, tsv_file):
        fill_nifti_labels(array, volume, label_map)
        json_text, tsv_text = sidecar_texts(target.name, sha256_of(label_map), array, volume, provenance)
        json_file.write_bytes(as_utf8(json_text))
        tsv_file.write_bytes(as_utf8(tsv_text))
    return target, json_path, tsv_path


def check_label_set(path: str | os.PathLike[str], volume: Volume, *, overwrite: bool = False) -> Path:
    """Refuse a label map that cannot be written with its sidecars.

    Raises
    ------
    UserInputError
        As `napari_sam2.io.check_output`, and if a sidecar exists or is the image itself.
    """
    finish_sets(Path(path).parent)
    target = check_output(path, volume, overwrite=overwrite)
    sidecars = sidecar_paths(target)
    refuse_inputs_as_outputs(volume.source.files, sidecars)
    for sidecar in sidecars:
        check_free(sidecar, overwrite=overwrite)
    return target
