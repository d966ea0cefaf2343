"""Kinds of files, made here, and what becomes of each: the table of docs/file-kinds.md.

``python -m tests.file_kinds`` writes the table into the docs. `tests/test_file_kinds.py` opens each of them.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagecodecs
import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

from tests.zarr_maker import write_group, write_image

__all__ = ["KINDS", "Kind", "table"]

RNG = np.random.default_rng(0)
HE = np.clip(np.full((64, 80, 3), 220) - RNG.integers(0, 120, (64, 80, 3)), 0, 255).astype(np.uint8)
GREY = HE[..., 0]
DEEP = (GREY.astype(np.uint16) * 200).astype(np.uint16)
VOLUME = RNG.integers(0, 4000, (6, 64, 80), dtype=np.uint16)
CHANNELS = np.stack([DEEP, DEEP // 2, DEEP // 3])
MICRONS = {f"PhysicalSize{a}": 0.5 for a in "XYZ"}


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    what : str
        As people call it.
    name : str
        Of the file that `make` makes.
    make : callable
        Gets the path.
    by : str
        ``slide``, ``segment``, ``film`` or ``objects``: the command that opens it.
    becomes : str
        What it is read as: shape and type; or, with `refused`, a part of the sentence.
    refused : bool
    """

    what: str
    name: str
    make: Callable[[Path], object]
    by: str
    becomes: str
    refused: bool = False


def _pil(pixels, path, **options):
    Image.fromarray(pixels).save(path, **options)


def _tif(pixels, path, **options):
    tifffile.imwrite(path, pixels, **options)


def _pyramid(path, *, ome=False, pixels=HE):
    options = {"photometric": "rgb" if pixels.ndim == 3 else "minisblack", "tile": (32, 32)}
    with tifffile.TiffWriter(path, ome=ome) as file:
        if ome:
            file.write(pixels, subifds=1, metadata={"axes": "YXS", **MICRONS}, **options)
            file.write(pixels[::2, ::2], subfiletype=1, **options)
        else:
            file.write(pixels, metadata=None, **options)
            file.write(pixels[::2, ::2], subfiletype=1, metadata=None, **options)


def _zarr(values, letters, path, *, version="0.4", **said):
    scale = [0.5] * len(letters)
    packed = path.with_name("made.ome.zarr") if path.suffix in (".zip", ".ozx") else path
    write_image(packed, values, letters, scale, version=version, **said)
    if packed != path:
        shutil.make_archive(str(path.with_suffix("")), "zip", packed)
        path.with_suffix("").with_name(path.with_suffix("").name + ".zip").rename(path)


def _label_group(path):
    write_image(path, DEEP, "yx", (1, 1))
    write_image(path / "labels" / "cells", (DEEP > 9000).astype(np.uint8), "yx", (1, 1), **{"image-label": {}})
    write_group(path / "labels", {"labels": ["cells"]}, "0.4")


def _old_zarr(path, version):
    write_image(path, DEEP, "yx", (1, 1))
    said = json.loads((path / ".zattrs").read_text())
    said["multiscales"][0]["version"] = version
    (path / ".zattrs").write_text(json.dumps(said))


def _plate(path):
    write_group(path, {"plate": {"wells": []}}, "0.4")


def _nifti(path):
    nib.save(nib.Nifti1Image(VOLUME.T.astype(np.int16), np.eye(4)), path)


def _wrong_checksum(path):
    _nifti(path)
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))


def _simpleitk(path):
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOLUME), str(path))


def _dicom_slide(pixels, path, *, compressed=False, paths=1):
    from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

    from tests.slides.image.test_dicom_slide import write_slide

    write_slide(path, pixels, syntax=JPEGLSLossless if compressed else ExplicitVRLittleEndian, paths=paths)


def _svs(path, *, compression="jpeg", mpp="|MPP = 0.4990"):
    """The layout of an Aperio file: the scan, a thumbnail, a smaller level, label and overview."""
    said = f"Aperio Image Library v11.2.1 \r\n80x64 [0,0 80x64] (32x32) JPEG/RGB Q=70|AppMag = 20{mpp}"
    tiles = {"tile": (32, 32), "photometric": "rgb", "compression": compression, "metadata": None, "software": ""}
    strips = {"photometric": "rgb", "compression": "lzw", "rowsperstrip": 16, "metadata": None, "software": ""}
    with tifffile.TiffWriter(path) as file:
        file.write(HE, description=said, **tiles)
        file.write(HE[::4, ::4], description="Aperio Image Library v11.2.1 \r\n80x64 -> 20x16 - ", **strips)
        file.write(HE[::2, ::2], description=said.replace("[0,0", "-> 40x32 [0,0"), **tiles)
        file.write(HE[:20, :20], description="Aperio \r\nlabel 20x20", subfiletype=1, **strips)
        file.write(HE[:20, :40], description="Aperio \r\nmacro 40x20", subfiletype=9, **strips)


def _cut(make, path):
    make(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _rois(path):
    import roifile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.roi", roifile.ImagejRoi.frompoints([[5, 5], [30, 5], [30, 40]]).tobytes())


def _geojson(path):
    ring = [[5, 5], [30, 5], [30, 40], [5, 5]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


def _gif(path):
    frames = [Image.fromarray(HE), Image.fromarray(255 - HE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


RGB = "colours, 80 x 64"
ONE = "1 channel, 80 x 64"
KINDS = (
    Kind("PNG, colours", "a.png", partial(_pil, HE), "slide", RGB),
    Kind("PNG, grey", "a.png", partial(_pil, GREY), "slide", ONE),
    Kind("PNG, grey, 16 bits", "a.png", partial(_pil, DEEP), "slide", ONE),
    Kind("PNG, colours, 16 bits", "a.png", lambda p: p.write_bytes(imagecodecs.png_encode(HE.astype(np.uint16) * 257)),
         "slide", RGB),
    Kind("PNG, transparent places", "a.png", partial(_pil, np.dstack([HE, GREY])), "slide", RGB),
    Kind("PNG, palette", "a.png", lambda p: Image.fromarray(HE).quantize(16).save(p), "slide", RGB),
    Kind("PNG, one bit", "a.png", lambda p: Image.fromarray(GREY > 128).save(p), "slide", ONE),
    Kind("JPEG, colours", "a.jpg", partial(_pil, HE), "slide", RGB),
    Kind("JPEG, CMYK", "a.jpg", lambda p: Image.fromarray(HE).convert("CMYK").save(p), "slide", RGB),
    Kind("BMP", "a.bmp", partial(_pil, HE), "slide", RGB),
    Kind("WebP", "a.webp", partial(_pil, HE), "slide", RGB),
    Kind("JPEG 2000", "a.jp2", partial(_pil, HE), "slide", RGB),
    Kind("JPEG 2000, grey, 16 bits", "a.jp2",
         lambda p: p.write_bytes(imagecodecs.jpeg2k_encode(DEEP, codecformat="jp2", level=0)), "slide", ONE),
    Kind("TIFF, colours", "a.tif", partial(_tif, HE, photometric="rgb"), "slide", RGB),
    Kind("TIFF, grey, 16 bits", "a.tif", partial(_tif, DEEP), "slide", ONE),
    Kind("TIFF, fractions", "a.tif", partial(_tif, DEEP.astype(np.float32)), "slide", ONE),
    Kind("TIFF, LZW", "a.tif", partial(_tif, HE, photometric="rgb", compression="lzw"), "slide", RGB),
    Kind("TIFF, white is 0", "a.tif", partial(_tif, GREY, photometric="miniswhite"), "slide", ONE),
    Kind("TIFF, tiled pyramid", "a.tif", _pyramid, "slide", RGB),
    Kind("BigTIFF", "a.btf", partial(_tif, HE, photometric="rgb", bigtiff=True), "slide", RGB),
    Kind("OME-TIFF, pyramid, colours", "a.ome.tif", partial(_pyramid, ome=True), "slide", RGB),
    Kind("OME-TIFF, three channels", "a.ome.tif",
         partial(_tif, CHANNELS, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "RFP"]}}), "slide",
         "3 channels, 80 x 64"),
    Kind("OME-TIFF, stack along z", "a.ome.tif", partial(_tif, VOLUME, metadata={"axes": "ZYX"}), "slide",
         "1 channel, 80 x 64, 6 planes"),
    Kind("ImageJ, composite", "a.tif",
         partial(_tif, CHANNELS, imagej=True, metadata={"axes": "CYX", "mode": "composite", "unit": "um"}), "slide",
         "3 channels, 80 x 64"),
    Kind("OME-Zarr 0.4", "a.ome.zarr", partial(_zarr, DEEP, "yx"), "slide", ONE),
    Kind("OME-Zarr 0.5", "a.ome.zarr", partial(_zarr, DEEP, "yx", version="0.5"), "slide", ONE),
    Kind("OME-Zarr 0.4, channels and planes", "a.zarr", partial(_zarr, np.stack([VOLUME, VOLUME]), "czyx"), "slide",
         "2 channels, 80 x 64, 6 planes"),
    Kind("OME-Zarr in a zip file", "a.ome.zarr.zip", partial(_zarr, DEEP, "yx"), "slide", ONE),
    Kind("OME-Zarr in a zip file of RFC-9", "a.ozx", partial(_zarr, DEEP, "yx", version="0.5"), "slide", ONE),
    Kind("OME-Zarr 0.3", "a.zarr", partial(_old_zarr, version="0.3"), "slide", "0.4 and 0.5 are read", True),
    Kind("OME-Zarr 0.6", "a.zarr", partial(_old_zarr, version="0.6"), "slide", "0.4 and 0.5 are read", True),
    Kind("OME-Zarr plate", "a.zarr", _plate, "slide", "is a plate of wells", True),
    Kind("zarr without OME metadata", "a.zarr", lambda p: write_group(p, {}, "0.4"), "slide", "holds no image", True),
    Kind("DICOM slide, grey, 16 bits", "a.dcm", partial(_dicom_slide, DEEP), "slide", ONE),
    Kind("DICOM slide, JPEG-LS, colours", "a.dcm", partial(_dicom_slide, HE, compressed=True), "slide", RGB),
    Kind("DICOM slide, JPEG-LS, grey, 16 bits", "a.dcm", partial(_dicom_slide, DEEP, compressed=True), "slide", ONE),
    Kind("DICOM slide, several optical paths in one file", "a.dcm", partial(_dicom_slide, GREY, paths=2), "slide",
         "several optical paths in one file; export them one by one", True),
    Kind("SVS, JPEG", "a.svs", _svs, "slide", RGB),
    Kind("SVS, JPEG 2000", "a.svs", partial(_svs, compression="aperio_jp2000_rgb"), "slide", RGB),
    Kind("SVS without microns per pixel", "a.svs", partial(_svs, mpp=""), "slide", RGB),
    Kind("Olympus VSI", "a.vsi", partial(_tif, HE, photometric="rgb"), "slide", "is an Olympus VSI", True),
    Kind("TIFF, Lab colours", "a.tif", partial(_tif, HE, photometric="cielab"), "slide", "stores its colours as", True),
    Kind("Truevision TGA", "a.tga", partial(_pil, HE), "slide", "is not a slide that can be read", True),
    Kind("PPM", "a.ppm", partial(_pil, HE), "slide", "is not a slide that can be read", True),
    Kind("AVIF", "a.avif", lambda p: p.write_bytes(b"\0\0\0\x20ftypavif" + bytes(200)), "slide",
         "is not a slide that can be read", True),
    Kind("PDF", "a.pdf", lambda p: p.write_bytes(b"%PDF-1.7\n" + bytes(200)), "slide",
         "is not a slide that can be read", True),
    Kind("CZI of ZEISS", "a.czi", lambda p: p.write_bytes(b"ZISRAWFILE" + bytes(600)), "slide",
         "is not a slide that can be read", True),
    Kind("LIF of Leica", "a.lif", lambda p: p.write_bytes(b"\x70\0\0\0" + bytes(600)), "slide",
         "is not a slide that can be read", True),
    Kind("an empty file", "a.svs", lambda p: p.write_bytes(b""), "slide", "is empty", True),
    Kind("a truncated PNG", "a.png", partial(_cut, partial(_pil, HE)), "slide", "damaged or truncated", True),
    Kind("a truncated JPEG 2000", "a.jp2", partial(_cut, partial(_pil, HE)), "slide", "damaged or truncated", True),
    Kind("a truncated OME-TIFF", "a.ome.tif", partial(_cut, partial(_pyramid, ome=True)), "slide", "is damaged", True),
    Kind("NIfTI", "a.nii", _nifti, "segment", "volume 80 x 64 x 6"),
    Kind("NIfTI, gzip", "a.nii.gz", _nifti, "segment", "volume 80 x 64 x 6"),
    Kind("NRRD", "a.nrrd", _simpleitk, "segment", "volume 80 x 64 x 6"),
    Kind("MetaImage", "a.mha", _simpleitk, "segment", "volume 80 x 64 x 6"),
    Kind("MGH of FreeSurfer", "a.mgz",
         lambda p: nib.save(nib.MGHImage(VOLUME.T.astype(np.int32), np.eye(4)), p), "segment", "volume 80 x 64 x 6"),
    Kind("OME-TIFF, stack along z", "a.ome.tif", partial(_tif, VOLUME, metadata={"axes": "ZYX", **MICRONS}), "segment",
         "volume 80 x 64 x 6"),
    Kind("ImageJ, stack along z", "a.tif",
         partial(_tif, VOLUME, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "unit": "um", "spacing": 1.0}),
         "segment", "volume 80 x 64 x 6"),
    Kind("TIFF, pages without a meaning", "a.tif", partial(_tif, VOLUME), "segment", "holds 6 pictures; choose one",
         True),
    Kind("OME-Zarr 0.4, stack", "a.ome.zarr", partial(_zarr, VOLUME, "zyx"), "segment", "volume 80 x 64 x 6"),
    Kind("OME-Zarr 0.5, stack", "a.ome.zarr", partial(_zarr, VOLUME, "zyx", version="0.5"), "segment",
         "volume 80 x 64 x 6"),
    Kind("OME-Zarr, several channels", "a.ome.zarr", partial(_zarr, np.stack([VOLUME, VOLUME]), "czyx"), "segment",
         "holds 2 volumes", True),
    Kind("OME-Zarr, a unit for one axis only", "a.zarr", partial(_zarr, VOLUME, "zyx", units={"x": "micrometer"}),
         "segment", "no usable unit of length", True),
    Kind("PNG", "a.png", partial(_pil, GREY), "segment", "volume 64 x 80 x 1"),
    Kind("a NIfTI with a wrong checksum", "a.nii.gz",
         _wrong_checksum, "segment", "is damaged", True),
    Kind("a table", "a.csv", lambda p: p.write_text("a,b\n1,2\n" * 99), "segment", "of a kind that cannot be read",
         True),
    Kind("GIF", "a.gif", _gif, "film", "film of 2 frames, 80 x 64"),
    Kind("ImageJ, over time", "a.tif", partial(_tif, VOLUME, imagej=True, metadata={"axes": "TYX"}), "film",
         "film of 6 frames, 80 x 64"),
    Kind("OME-TIFF, over time", "a.ome.tif", partial(_tif, VOLUME, metadata={"axes": "TYX"}), "film",
         "film of 6 frames, 80 x 64"),
    Kind("OME-Zarr 0.4, over time", "a.ome.zarr", partial(_zarr, VOLUME, "tyx"), "film", "film of 6 frames, 80 x 64"),
    Kind("OME-Zarr 0.5, over time", "a.ome.zarr", partial(_zarr, VOLUME, "tyx", version="0.5"), "film",
         "film of 6 frames, 80 x 64"),
    Kind("OME-Zarr, stack along z", "a.ome.zarr", partial(_zarr, VOLUME, "zyx"), "film", "is no film", True),
    Kind("one picture", "a.png", partial(_pil, HE), "film", "is no film", True),
    Kind("GeoJSON", "a.geojson", _geojson, "objects", "1 objects"),
    Kind("ImageJ regions", "a.zip", _rois, "objects", "1 objects"),
    Kind("label picture, TIFF", "a.tif", partial(_tif, (GREY // 200).astype(np.uint16)), "objects", "1 objects"),
    Kind("label picture, NumPy", "a.npy", lambda p: np.save(p, (GREY // 200).astype(np.int32)), "objects", "1 objects"),
    Kind("OME-Zarr label group", "a.zarr", _label_group, "objects", "1 objects"),
    Kind("Cellpose _seg.npy", "a_seg.npy", lambda p: np.save(p, np.array({"masks": 1}, dtype=object)), "objects",
         "holds Python objects", True),
    Kind("a picture that is no label picture", "a.png", partial(_pil, HE), "objects", "is a colour picture", True),
)  # fmt: skip
"""What is made, opened and told; the order is that of the table."""


def opened(kind: Kind, path: Path) -> str:
    """What a kind of file is read as, by the function behind its command."""
    if kind.by == "slide":
        from napari_sam2.slides.reader import open_slide

        with open_slide(path) as slide:
            slide.read(0, 0, 0, *slide.shape)
            count = 0 if slide.mix is None else len(slide.mix.names)
            what = "colours" if count == 0 else "1 channel" if count == 1 else f"{count} channels"
            planes = "".join(f", {n} planes" for n in slide.planes.values())
            return f"{what}, {slide.shape[1]} x {slide.shape[0]}{planes}"
    if kind.by == "segment":
        from napari_sam2.io.read import read_volume

        return f"volume {' x '.join(map(str, read_volume(path).shape))}"
    if kind.by == "film":
        from napari_sam2.io.film_read import read_film_volume

        voxels = read_film_volume(path)[1].voxels
        return f"film of {voxels.shape[2]} frames, {voxels.shape[0]} x {voxels.shape[1]}"
    from napari_sam2.slides.formats.take import take_objects

    return f"{len(take_objects(path, GREY.shape).objects)} objects"


def table() -> str:
    """The kinds as a table for the docs."""
    rows = ["| command | file | name | |", "|---|---|---|---|"]
    for kind in KINDS:
        said = f"refused: *... {kind.becomes} ...*" if kind.refused else f"read: {kind.becomes}"
        command = "`slide --objects`" if kind.by == "objects" else f"`{kind.by}`"
        rows.append(f"| {command} | {kind.what} | `{kind.name}` | {said} |")
    return "\n".join(rows)


BEGIN, END = "<!-- begin kinds -->\n", "\n<!-- end kinds -->"

if __name__ == "__main__":
    docs = Path(__file__).parents[1] / "docs" / "file-kinds.md"
    text = docs.read_text(encoding="utf-8")
    docs.write_text(
        text[: text.index(BEGIN) + len(BEGIN)] + table() + text[text.index(END) :], encoding="utf-8", newline=os.linesep
    )
