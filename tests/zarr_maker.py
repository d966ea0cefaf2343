"""OME-Zarr written by hand: plain JSON and bytes without a zarr library, so that the standard is what is tested.

Chunks are raw or gzip, one file each, as https://zarr-specs.readthedocs.io lays them out for versions 2 and 3.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path

import numpy as np

UNITS = {"x": "micrometer", "y": "micrometer", "z": "micrometer", "t": "second"}
TYPES = {"t": "time", "c": "channel"}


def axes_of(letters, units=UNITS):
    return [{"name": a, "type": TYPES.get(a, "space"), **({"unit": units[a]} if a in units else {})} for a in letters]


def write_array(folder: Path, values, chunks, version, packed=False, leave_out=()):
    """One array; `leave_out` names chunks (by their indices) that get no file."""
    folder.mkdir(parents=True)
    dtype = values.dtype.newbyteorder("<")
    if version == "0.4":
        said = {
            "zarr_format": 2, "shape": list(values.shape), "chunks": list(chunks), "dtype": dtype.str, "order": "C",
            "compressor": {"id": "gzip", "level": 1} if packed else None, "fill_value": 0, "filters": None,
            "dimension_separator": "/",
        }  # fmt: skip
        (folder / ".zarray").write_text(json.dumps(said))
    else:
        codecs = (
            [{"name": "bytes", "configuration": {"endian": "little"}}] if dtype.itemsize > 1 else [{"name": "bytes"}]
        )
        if packed:
            codecs.append({"name": "gzip", "configuration": {"level": 1}})
        said = {
            "zarr_format": 3, "node_type": "array", "shape": list(values.shape), "data_type": str(values.dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0, "codecs": codecs,
        }  # fmt: skip
        (folder / "zarr.json").write_text(json.dumps(said))
    counts = [math.ceil(n / c) for n, c in zip(values.shape, chunks, strict=True)]
    for place in itertools.product(*map(range, counts)):
        if place in leave_out:
            continue
        part = values[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunks, strict=True))]
        whole = np.zeros(chunks, dtype)
        whole[tuple(map(slice, part.shape))] = part
        file = folder.joinpath(*(["c"] if version == "0.5" else []), *map(str, place))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(whole.tobytes()) if packed else whole.tobytes())


def write_group(folder: Path, said, version):
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(said))
    else:
        attributes = {"ome": {"version": version, **said}}
        (folder / "zarr.json").write_text(
            json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
        )


def write_image(
    folder, values, letters, scale, *, version="0.4", translation=None, levels=1, chunk=64, packed=False,
    units=UNITS, leave_out=(), **said,
):  # fmt: skip
    """An image with levels that are each second pixel of the one before; further keywords go into its metadata."""
    folder = Path(folder)
    datasets, scale = [], list(scale)
    for number in range(levels):
        step = 2**number
        thinned = values[tuple(slice(None, None, step if a in "xy" else 1) for a in letters)]
        chunks = [min(chunk, n) if a in "xy" else 1 for a, n in zip(letters, thinned.shape, strict=True)]
        write_array(folder / str(number), thinned, chunks, version, packed, leave_out if not number else ())
        steps = [
            {"type": "scale", "scale": [s * (step if a in "xy" else 1) for a, s in zip(letters, scale, strict=True)]}
        ]
        if translation is not None:
            steps.append({"type": "translation", "translation": list(translation)})
        datasets.append({"path": str(number), "coordinateTransformations": steps})
    multiscale = {"axes": axes_of(letters, units), "datasets": datasets, "name": "image"}
    if version == "0.4":
        multiscale["version"] = "0.4"
    write_group(folder, {"multiscales": [multiscale], **said}, version)
    return folder
