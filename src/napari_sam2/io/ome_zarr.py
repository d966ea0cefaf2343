"""OME-Zarr labels: a label map as a chunked array.

It grows with the image (OME-NGFF 0.5, Zarr 3).

OME-NGFF 0.5 places an array by a scale and a translation only. Axis directions and obliqueness do not fit
into that, so the full affine stands beside it, under ``napari_sam2``; `napari_sam2.io.zarr_labels` goes by the affine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2._version import __version__
from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import EnvironmentLacksError, GeometryError, UserInputError
from napari_sam2.io.atomic import check_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.terms.structures import Structure

__all__ = ["NAME", "NGFF_VERSION", "fresh_folder", "labels_group", "write_ome_zarr"]

ENDING: Final = ".ome.zarr"
NAME: Final = "segmentation"
NGFF_VERSION: Final = "0.5"
CHUNK: Final = 128
"""Voxels along each side of a chunk: 2 MiB in uint8, read whole for any voxel in it."""


def write_ome_zarr(
    labels: NDArray[Any],
    volume: Volume,
    path: str | os.PathLike[str],
    structures: Sequence[Structure],
    *,
    overwrite: bool = False,
) -> Path:
    """Write labels as OME-Zarr, ``<path>/labels/segmentation``.

    Axes (z, y, x) are (k, j, i) of the stored order.

    Parameters
    ----------
    labels : (I, J, K) array of integers
        On the grid of `volume`.
    volume : Volume
        Gives spacing, place and affine.
    path : path-like
        A name ending in ``.ome.zarr``; a folder is made.
    structures : sequence of Structure
        Names and colours, one per label id.
    overwrite : bool
        Whether an existing folder of that name may be replaced.

    Raises
    ------
    UserInputError
        If the name or the labels are unsuitable, or the folder exists.
    EnvironmentLacksError
        If zarr is not installed or the disk is full.
    """
    zarr = _require_zarr()
    target = Path(path)
    if labels.shape != volume.shape:
        raise GeometryError(f"Labels must have the volume's shape {volume.shape}; got {labels.shape}.")
    array = np.ascontiguousarray(labels.astype(label_dtype(int(labels.max()))).transpose(2, 1, 0))
    with fresh_folder(target, overwrite=overwrite) as fresh:
        group = labels_group(fresh, _attributes(volume, structures))
        chunks = tuple(min(CHUNK, n) for n in array.shape)
        group.create_array("0", data=array, chunks=chunks, dimension_names=("z", "y", "x"))
        if not np.array_equal(zarr.open_array(fresh / "labels" / NAME / "0", mode="r")[:], array):
            raise OSError("what was read back differs from what was written")
    return target


@contextlib.contextmanager
def fresh_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the block a folder to write.

    Afterwards it becomes `target`, in place of an earlier one.

    Raises
    ------
    UserInputError
        If the name does not end in ``.ome.zarr``, or the folder exists.
    EnvironmentLacksError
        If it cannot be written.
    """
    if not target.name.lower().endswith(ENDING):
        raise UserInputError(f"{target.name}: OME-Zarr is known by the ending {ENDING}; use such a name.")
    check_place(target)
    if os.path.lexists(target) and not (overwrite and target.is_dir()):
        raise UserInputError(f"{target.name} exists already; choose another name or pass --overwrite.")
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield scratch / "new"
        had_earlier = target.is_dir()
        if had_earlier:
            target.replace(scratch / "old")
        try:
            (scratch / "new").replace(target)
        except OSError:
            if had_earlier:
                (scratch / "old").replace(target)
            raise
    except OSError as error:
        raise EnvironmentLacksError(f"{target.name} could not be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def labels_group(folder: Path, attributes: dict[str, Any]) -> Any:
    """Make an OME-Zarr that holds labels only.

    Returns the zarr group into which their levels go.

    The root is an image whose levels are those of the labels: without one, readers that begin at the root find
    nothing, and NGFF 0.5 wants labels to belong to an image.
    """
    multiscale = attributes["ome"]["multiscales"][0]
    datasets = [{**level, "path": f"labels/{NAME}/{level['path']}"} for level in multiscale["datasets"]]
    image = {"version": NGFF_VERSION, "multiscales": [{**multiscale, "datasets": datasets}]}
    root = _require_zarr().open_group(folder, mode="w", zarr_format=3, attributes={"ome": image})
    root.create_group("labels", attributes={"ome": {"version": NGFF_VERSION, "labels": [NAME]}})
    return root.create_group(f"labels/{NAME}", attributes=attributes)


def _attributes(volume: Volume, structures: Sequence[Structure]) -> dict[str, Any]:
    scale = [float(s) for s in volume.spacing[::-1]]
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if np.array_equal(volume.affine[:3, :3], np.diag(volume.spacing)):
        transforms.append({"type": "translation", "translation": volume.affine[2::-1, 3].tolist()})
    return {
        "ome": {
            "version": NGFF_VERSION,
            "multiscales": [
                {"name": NAME, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
            ],
            "image-label": {
                "source": {"image": "../../"},
                "colors": [{"label-value": s.label_id, "rgba": [*s.colour, 255]} for s in structures],
                "properties": [{"label-value": s.label_id, "name": s.name} for s in structures],
            },
        },
        "napari_sam2": {"version": __version__, "affine": volume.affine.tolist(), "affine_of": "x, y, z = i, j, k"},
    }


def _require_zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise EnvironmentLacksError("OME-Zarr needs zarr; install 'napari-sam2[zarr]'.") from error
    return zarr
