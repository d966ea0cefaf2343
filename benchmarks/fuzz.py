"""Damage files of every kind at random, read them, and compare what is read with an independent reader.

    python benchmarks/fuzz.py [--mutations 5000] [--seed 0] [--kinds a.nii,d.nrrd] [--seconds 60]

One process reads, a second one watches it: a traceback, a signal, a hang or wrong voxels are counted and the
mutation that led there is named, so that ``--kinds KIND --only N`` shows it again. Independent readers are nibabel
(NIfTI, MGH), pynrrd (NRRD), plain numpy (MetaImage, raw AVI), pydicom (DICOM), tifffile, Pillow, imagecodecs (pictures)
and shapely (GeoJSON); prompt files, journals, tables and checkpoint headers have none and are only read. Compressed
data are damaged before they are compressed, for otherwise nothing but the checksum would be met.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
import tifffile
from PIL import Image

from napari_sam2.errors import NapariSam2Error

SHAPE = (7, 6, 5)
EXTREMES = (0, -1, 1, 2**31, 2**63, 10**30, -(2**40), 1e308, 0.5, None, True, [], {}, "", "x", "\ud800", "9" * 5000)
LARGEST_PEAK_MIB = 2048


# --- valid files ------------------------------------------------------------------------------------------------


def make_sources(folder):
    """One small valid file of each kind; the scan ``a.nii`` belongs to the label maps and prompts."""
    from pydicom.data import get_testdata_file

    from napari_sam2.io import read_volume
    from napari_sam2.io.label_tables import write_itksnap_labels, write_slicer_colours
    from napari_sam2.io.seg_nrrd import write_seg_nrrd
    from napari_sam2.terms.structures import structures_for

    values = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)
    nifti = nibabel.Nifti1Image(values, np.diag([1.0, 1, 2, 1]))
    nifti.set_qform(nifti.affine, 1)
    nibabel.save(nifti, folder / "a.nii")
    nibabel.save(nibabel.Nifti2Image(values, nifti.affine), folder / "b.nii")
    nibabel.save(nibabel.MGHImage(values, nifti.affine), folder / "c.mgh")
    image = SimpleITK.GetImageFromArray(values)
    for name in ("d.nrrd", "e.mha"):
        SimpleITK.WriteImage(image, str(folder / name), False)
    SimpleITK.WriteImage(image, str(folder / "z.mha"), True)
    SimpleITK.WriteImage(image, str(folder / "z.nrrd"), True)
    flat = values[:, :, 0].astype(np.uint8)
    for name in ("f.png", "h.jpg"):
        Image.fromarray(flat).save(folder / name)
    tifffile.imwrite(folder / "g.tif", flat)
    rgb = np.random.default_rng(1).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    tifffile.imwrite(folder / "s.ome.tif", rgb, ome=True, photometric="rgb", tile=(16, 16), compression="zlib")
    tifffile.imwrite(folder / "s.tif", rgb, photometric="rgb", tile=(16, 16))
    volume = read_volume(folder / "a.nii")
    structures = structures_for([1], {1: "liver"})
    write_seg_nrrd((values > 200).astype(np.uint8), volume, folder / "i.seg.nrrd", structures)
    write_itksnap_labels(structures, folder / "t.txt")
    write_slicer_colours(structures, folder / "t.ctbl")
    (folder / "t.tsv").write_text("index\tname\tcolor\n1\tliver\t#ff0000\n2\tspleen\t#00ff00\n")
    shutil.copy(get_testdata_file("CT_small.dcm"), folder / "j.dcm")
    shutil.copy(get_testdata_file("MR_small.dcm"), folder / "k.dcm")
    _dicom_seg(folder)
    (folder / "p.prompts.json").write_text(json.dumps(_prompts()))
    slide_prompts = [{"id": 1, "class": "Tumor", "prompts": [{"box": [[1, 2], [9, 8]]}, {"point": [3, 4]}]}]
    (folder / "q.slideprompts.json").write_text(json.dumps({"version": 1, "objects": slide_prompts}))
    (folder / "r.geojson").write_text(json.dumps(_geojson()))
    _films(folder)
    _pictures_and_objects(folder)
    _journal(folder, volume)
    _checkpoint(folder)


def _pictures_and_objects(folder):
    """Further pictures, OME-Zarr by its parts, and what other programs say of objects."""
    import imagecodecs
    import roifile
    import zarr

    grey = np.random.default_rng(3).integers(0, 256, (20, 32)).astype(np.uint8)
    for name, options in (("o.bmp", {}), ("o.webp", {"lossless": True}), ("o.jp2", {"irreversible": False})):
        Image.fromarray(grey).save(folder / name, **options)
    deep = np.random.default_rng(4).integers(0, 65536, (20, 32, 3)).astype(np.uint16)
    (folder / "o16.jp2").write_bytes(imagecodecs.jpeg2k_encode(deep, codecformat="jp2", level=0))
    group = zarr.open_group(folder / "n.zarr", mode="w", zarr_format=2)
    group.create_array(
        "0", data=deep[..., 0][None], chunks=(1, 16, 16), chunk_key_encoding={"name": "v2", "separator": "/"}
    )
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    steps = [{"type": "scale", "scale": [2.0, 1.0, 1.0]}, {"type": "translation", "translation": [1.0, 2.0, 3.0]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": "a", "color": "00FF00", "window": {"start": 0, "end": 900}}]}
    for name, part in ZARR_PARTS.items():
        content = (folder / "n.zarr" / part).read_bytes()
        (folder / name).write_bytes(json.dumps(json.loads(content)).encode() if name.endswith(".json") else content)
    shutil.make_archive(str(folder / "n.zarr"), "zip", folder / "n.zarr")
    roi = roifile.ImagejRoi.frompoints(np.array([[2, 2], [20, 3], [18, 15], [3, 12]]), name="x")
    roi.tofile(folder / "v.roi")
    with zipfile.ZipFile(folder / "v.zip", "w") as archive:
        archive.write(folder / "v.roi", "a.roi")
    np.save(folder / "v.npy", grey.astype(np.int32) // 90)


ZARR_PARTS = {"n.attributes.json": ".zattrs", "n.array.json": "0/.zarray", "n.piece": "0/0/1/1"}
"""What of an OME-Zarr is damaged, alone; the rest is as it was."""


def _films(folder):
    """The same six frames, 20 x 32 pixels, in every kind of film."""
    import av
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    frames = np.random.default_rng(2).integers(0, 256, (6, 20, 32)).astype(np.uint8)
    tifffile.imwrite(folder / "m.tif", frames[:, None], imagej=True, metadata={"axes": "TCYX", "finterval": 0.04})
    pages = [Image.fromarray(f) for f in frames]
    pages[0].save(folder / "m.gif", save_all=True, append_images=pages[1:], duration=40)
    nibabel.save(nibabel.Nifti1Image(frames.transpose(2, 1, 0)[:, :, None], np.eye(4)), folder / "m.nii")
    for name, codec, pixels in (("m.avi", "rawvideo", "bgr24"), ("m.mp4", "mpeg4", "yuv420p")):
        with av.open(str(folder / name), "w") as video:
            stream = video.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 20, pixels
            for frame in frames:
                shown = av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, axis=-1), format="rgb24")
                video.mux(stream.encode(shown))
            video.mux(stream.encode())
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"  # ultrasound, multi-frame
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), generate_uid(), "US"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.FrameTime = 20, 32, 6, 40.0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = frames.tobytes()
    ds.save_as(folder / "m.dcm", enforce_file_format=True)


def _prompts():
    prompts = [{"box": [[1, 2, 3], [4, 5, 3]]}, {"point": [1, 2, 3], "positive": False}]
    prompts.append({"mask": "a.nii", "axis": 2, "slice": 1})
    return {"version": 1, "space": "voxel", "objects": [{"id": 1, "name": "x", "prompts": prompts}]}


def _geojson():
    ring = [[0, 0], [10, 0], [10, 10.5], [0, 10], [0, 0]]
    hole = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]
    more = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}, "isLocked": False}
    geometries = [
        {"type": "Polygon", "coordinates": [ring, hole]},
        {"type": "MultiPolygon", "coordinates": [[ring], [[[x + 20, y] for x, y in ring]]]},
        {"type": "Point", "coordinates": [3, 4]},
    ]
    features = [
        {"type": "Feature", "id": f"3f2f8a10-0000-4000-8000-{n:012d}", "geometry": g, "properties": {
            **more, "measurements": {"a": 1.5, "b": "NaN"}, "color": -3670016, "metadata": {"k": "v"}}}
        for n, g in enumerate(geometries)
    ]  # fmt: skip
    return {"type": "FeatureCollection", "features": features}


def _dicom_seg(folder):
    from napari_sam2.io import read_volume
    from napari_sam2.io.dicom_seg import write_dicom_seg
    from napari_sam2.terms.structures import structures_for

    volume = read_volume(folder / "j.dcm")
    labels = (volume.voxels > 100).astype(np.uint8)
    write_dicom_seg(labels, volume, folder / "l.seg.dcm", structures_for([1], {1: "liver"}), model={})


def _journal(folder, volume):
    from napari_sam2.core.prompts import Box
    from napari_sam2.models import load_model
    from napari_sam2.record.journal import Journal
    from napari_sam2.session.session import Session

    session = Session(volume, load_model("classical"), axis=2)
    journal = Journal(session, folder / "journal")
    session.add_prompt(1, Box(((1, 1, 2), (5, 4, 2))))
    for _ in session.propagate():
        pass
    session.undo()
    journal.close()
    shutil.copy(next((folder / "journal").glob("*.jsonl")), folder / "u.jsonl")


def _checkpoint(folder):
    import napari_sam2

    bundled = next(Path(napari_sam2.__file__).parent.rglob("*.safetensors"))
    shutil.copy(bundled, folder / "v.safetensors")


# --- damage -----------------------------------------------------------------------------------------------------


def damaged(content, rng):
    """Bytes changed, cut out, put in or cut off; mostly in the first 1,200."""
    array = bytearray(content)
    header = min(len(array), 1200 if rng.random() < 0.5 else 360)
    for _ in range(rng.integers(1, 5)):
        if not array:
            break
        where = int(rng.integers(0, min(header, len(array)) if rng.random() < 0.85 else len(array)))
        kind = rng.random()
        if kind < 0.7:
            array[where] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256))]))
        elif kind < 0.85:
            del array[where : where + int(rng.integers(1, 30))]
        else:
            array[where:where] = bytes(rng.integers(0, 256, int(rng.integers(1, 8))).astype(np.uint8))
    return bytes(array[: int(rng.integers(0, len(array) + 1))] if rng.random() < 0.1 else array)


def rewritten(content, rng):
    """JSON with values replaced, removed or doubled at random places."""
    lines = content.decode().splitlines() if content.count(b"\n") > 1 else [content.decode()]
    at = int(rng.integers(0, len(lines)))
    value = json.loads(lines[at])
    for _ in range(rng.integers(1, 4)):
        _change(value, rng)
    lines[at] = json.dumps(value)
    if rng.random() < 0.05:
        lines[at] = "[" * 20_000
    return "\n".join(lines).encode() + b"\n"


def _change(value, rng):
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = keys[int(rng.integers(0, len(keys)))]
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
            continue
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = EXTREMES[int(rng.integers(0, len(EXTREMES)))]
        return


def header_lines(content, rng):
    """A text header with lines made long, doubled, removed, or with other numbers."""
    head, mark, rest = (
        content.partition(b"\n\n") if content.startswith(b"NRRD") else (content[:600], b"", content[600:])
    )
    lines = head.split(b"\n")
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(lines)))
        kind = rng.random()
        if kind < 0.2:
            lines[at] += b" " + b"x" * int(rng.integers(100, 5000))
        elif kind < 0.4:
            lines.insert(at, lines[int(rng.integers(0, len(lines)))])
        elif kind < 0.5 and len(lines) > 1:
            del lines[at]
        else:
            number = str(rng.choice(["0", "-1", "1e9", "nan", "99999999999", "2"])).encode()
            words = lines[at].split(b" ")
            words[-1 if rng.random() < 0.5 else int(rng.integers(0, len(words)))] = number
            lines[at] = b" ".join(words)
    return b"\n".join(lines) + mark + rest


def tensor_header(content, rng):
    """A checkpoint whose header has other values, with its length as it then is."""
    size = int.from_bytes(content[:8], "little")
    header = rewritten(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def mutation(name, content, number, seed):
    """Damage number `number` of a kind: the same for a seed on every machine."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    if name.endswith((".json", ".geojson", ".jsonl")) and number % 2:
        return rewritten(content, rng)
    if name.endswith(".safetensors") and number % 2:
        return tensor_header(content, rng)
    if name.endswith((".nrrd", ".mha")) and number % 2:
        return header_lines(content, rng)
    bad = damaged(content, rng)
    if number % 5 == 0 and not name.endswith((".dcm", ".safetensors", ".tif", ".png", ".jpg", ".gif", ".avi", ".mp4")):
        return gzip.compress(bad, 1)
    return bad


# --- reading ----------------------------------------------------------------------------------------------------


def read_one(name, path, good):
    """Read a file as the program does; what the independent reader has to be compared with, or None."""
    from napari_sam2.io import read_labels, read_volume

    suffix = name.split(".", 1)[1]
    if suffix in ("seg.nrrd", "seg.dcm"):
        read_labels(path, read_volume(good / ("a.nii" if suffix == "seg.nrrd" else "j.dcm")))
        return None
    if suffix in ("txt", "ctbl", "tsv"):
        from napari_sam2.io.label_tables import read_terms

        read_terms(path)
        return None
    if suffix == "prompts.json":
        from napari_sam2.io.prompt_file import read_prompt_file

        shutil.copy(good / "a.nii", path.parent / "a.nii")
        read_prompt_file(path, read_volume(good / "a.nii"))
        return None
    if suffix == "slideprompts.json":
        from napari_sam2.slides.prompt_file import read_slide_prompts

        read_slide_prompts(path, (64, 48), "s.tif")
        return None
    if suffix == "geojson":
        from napari_sam2.slides.formats.geojson import read_objects, write_geojson

        found = read_objects(path)
        write_geojson(found.objects, path.with_name("out.geojson"), overwrite=True)
        return found.objects
    if suffix == "jsonl":
        return _restore(path, good)
    if suffix == "safetensors":
        return _settings(path)
    if name.startswith("s."):
        from napari_sam2.slides.image.tissue import find_tissue
        from napari_sam2.slides.reader import open_slide

        with open_slide(path) as slide:
            find_tissue(slide)
        return None
    if name in ZARR_PARTS or name == "n.zarr.zip":
        return _zarr(name, path, good)
    if name.startswith("v."):
        from napari_sam2.slides.formats.take import take_objects

        take_objects(path, (20, 32))
        return None
    if name.startswith("m."):
        from napari_sam2.io.film_read import read_film

        film = read_film(path)
        return None if film is None else film.frames
    return read_volume(path).voxels


def _zarr(name, path, good):
    from napari_sam2.io import read_volume
    from napari_sam2.slides.reader import open_slide

    if name in ZARR_PARTS:
        whole = path.parent / "n.zarr"
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(good / "n.zarr", whole)
        shutil.copy(path, whole / ZARR_PARTS[name])
        path = whole
    with open_slide(path) as slide:
        slide.read(0, 0, 0, *(min(side, 64) for side in slide.shape))
    read_volume(path)


def _restore(path, good):
    from napari_sam2.io import read_volume
    from napari_sam2.models import load_model
    from napari_sam2.record.journal import restore
    from napari_sam2.session.session import Session

    folder = path.parent / "journal"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good / "journal", folder)
    shutil.copy(path, next(folder.glob("*.jsonl")))
    restore(Session(read_volume(good / "a.nii"), load_model("classical"), axis=2), folder)


def _settings(path):
    from napari_sam2.models import load_model

    folder = path.parent / "model"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / "model.safetensors")
    load_model(path)


def wrong_read(name, path, found):
    """What differs from the independent reader; empty when nothing does or that one cannot read it."""
    expected = None
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference(name, path)
    if found is None or expected is None:
        return ""
    if isinstance(expected, float):
        area = sum(o.geometry.area for o in found)
        return "" if np.isclose(area, expected, rtol=1e-9) else f"area {area} instead of {expected}"
    if found.size != expected.size:
        return f"{found.shape} instead of {expected.shape}"
    same = np.allclose(found.reshape(expected.shape), expected, rtol=1e-5, equal_nan=True)
    return "" if same else "other values"


def reference(name, path):
    """An array (or the area of all outlines) by a reader that shares nothing with this program; None for none."""
    content = path.read_bytes()
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    if name in ("a.nii", "b.nii"):
        kind = nibabel.Nifti1Image if name == "a.nii" else nibabel.Nifti2Image
        return np.asarray(kind.from_bytes(plain).dataobj)
    if name == "c.mgh":
        return np.asarray(nibabel.MGHImage.from_bytes(plain).dataobj)
    if name.endswith(".nrrd") and content == plain and content.partition(b"\n\n")[0].isascii():
        import nrrd  # loses its place in the file after a letter that is no ASCII

        return nrrd.read(str(path))[0]
    if name.endswith(".mha") and content == plain:
        return _metaimage(plain)
    if name.startswith("m."):
        return _frames(name, path, plain)
    if name.endswith(".dcm"):
        return _dicom(path)
    if name == "g.tif":
        with tifffile.TiffFile(path) as tiff:
            stored = tiff.pages[0].asarray()
            stored = stored * np.uint8(255) if stored.dtype == bool else stored  # one bit is black or white
            return 255 - stored if tiff.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE else stored
    if name in ("o.bmp", "o.webp", "o.jp2"):
        return _decoded(name, content)
    if name in ("f.png", "h.jpg"):
        return np.asarray(Image.open(io.BytesIO(content)))
    return _area(plain) if name == "r.geojson" else None


def _decoded(name, content):
    import imagecodecs

    decode = {"o.bmp": imagecodecs.bmp_decode, "o.webp": imagecodecs.webp_decode, "o.jp2": imagecodecs.jpeg2k_decode}
    pixels = np.asarray(decode[name](content))
    return pixels[..., :3] if pixels.ndim == 3 else pixels


def _frames(name, path, plain):
    if name == "m.nii":
        return np.asarray(nibabel.Nifti1Image.from_bytes(plain).dataobj)[:, :, 0].transpose(2, 1, 0)
    if name == "m.dcm":
        return _dicom(path, ndim=3)
    if name == "m.tif":
        with tifffile.TiffFile(path) as tiff:
            if tiff.pages[0].photometric != 1 or len(tiff.pages) != 6:  # ImageJ counts in its description, not by pages
                return None
            return np.stack([page.asarray() for page in tiff.pages])
    if name == "m.gif":
        with Image.open(path) as image:
            return np.stack([_step(image, n) for n in range(image.n_frames)])
    return _avi(plain) if name == "m.avi" else None


def _step(image, number):
    image.seek(number)
    rgb = np.asarray(image.convert("RGB"))
    return rgb[..., 0] if (rgb == rgb[..., :1]).all() else rgb


def _avi(content):
    """Raw frames of an AVI: chunks ``00db`` of the list ``movi``, rows from below, blue first, padded to 4 bytes."""
    header = content.index(b"strf") + 8
    cols, rows = np.frombuffer(content, "<i4", 2, header + 4)
    row_bytes = (int(cols) * 3 + 3) // 4 * 4
    at, frames = content.index(b"movi") + 4, []
    while content[at : at + 4] in (b"00db", b"00dc"):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if size != row_bytes * rows:
            return None
        pixels = np.frombuffer(content, np.uint8, size, at + 8).reshape(rows, row_bytes)[::-1, : 3 * cols]
        frames.append(pixels.reshape(rows, cols, 3)[..., ::-1])
        at += 8 + size + size % 2
    stack = np.stack(frames)
    return stack[..., 0] if (stack == stack[..., :1]).all() else stack


def _metaimage(content):
    fields, rest = {}, content
    while "ElementDataFile" not in fields:
        line, _, rest = rest.partition(b"\n")
        key, _, value = line.decode().partition("=")
        fields[key.strip()] = value.strip()
    raw = zlib.decompress(rest) if fields.get("CompressedData", "F")[0] in "Tt1" else rest
    shape = [int(n) for n in fields["DimSize"].split()]
    kind = {"MET_SHORT": "i2", "MET_LONG": "i4", "MET_INT": "i4", "MET_UCHAR": "u1"}[fields["ElementType"]]
    order = ">" if fields.get("BinaryDataByteOrderMSB", "F")[0] in "Tt1" else "<"
    return np.frombuffer(raw, order + kind, int(np.prod(shape))).reshape(shape, order="F")


def _dicom(path, ndim=2):
    import pydicom

    ds = pydicom.dcmread(path, force=True)
    slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
    pixels = ds.pixel_array
    if pixels.ndim != ndim:
        return None
    return (pixels.T if ndim == 2 else pixels).astype(float) * slope + intercept


def _area(content):
    import shapely

    total = 0.0
    for feature in json.loads(content)["features"]:
        try:
            dict(feature.get("properties") or {})  # what is none is skipped by the program, and said
            total += shapely.make_valid(shapely.from_geojson(json.dumps(feature["geometry"]))).area
        except Exception as error:
            if "closed" in str(error):  # an open ring is closed by the program
                return None
    return total if np.isfinite(total) else None


# --- two processes ----------------------------------------------------------------------------------------------


def work(pipe, good, seed):
    """Read one mutation after another, and tell how each ended."""
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    sys.stderr = io.StringIO()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        while True:
            name, number = pipe.recv()
            path = Path(folder, name)
            content = mutation(name, (good / name).read_bytes(), number, seed)
            path.write_bytes(content)
            try:
                found = read_one(name, path, good)
                fault = wrong_read(name, path, found)
                ended = ("wrong", fault) if fault else ("read", "")
            except NapariSam2Error as error:
                ended = ("traceback", f"a path in {error}") if folder in str(error) else ("refused", str(error))
            except BaseException as error:  # whatever is raised is what is looked for
                last = traceback.extract_tb(error.__traceback__)[-1]
                ended = ("traceback", f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")
            pipe.send((*ended, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


class Reader:
    """The process that reads, begun anew after a signal or a hang."""

    def __init__(self, good, seed):
        self.good, self.seed = good, seed
        self.start()

    def start(self):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=work, args=(other, self.good, self.seed), daemon=True)
        self.process.start()
        other.close()

    def ask(self, name, number, seconds):
        self.pipe.send((name, number))
        try:
            if self.pipe.poll(seconds):
                return self.pipe.recv()
            ended = ("hang", f"longer than {seconds} s", 0)
        except EOFError:
            self.process.join(5)
            ended = ("signal", f"exit code {self.process.exitcode}", 0)
        self.process.kill()
        self.process.join()
        self.start()
        return ended


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutations", type=int, default=5000, help="over all kinds")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="", help="names of sources, such as a.nii,d.nrrd")
    parser.add_argument("--only", type=int, help="one mutation, with what came of it")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which reading counts as a hang")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder)
        make_sources(good)
        names = given.kinds.split(",") if given.kinds else sorted(p.name for p in good.iterdir() if p.is_file())
        reader = Reader(good, given.seed)
        if given.only is not None:
            print(reader.ask(names[0], given.only, given.seconds))
            return
        each = -(-given.mutations // len(names))
        faults, total, peak = [], Counter(), 0
        print(
            f"{'kind':22} {'read':>6} {'refused':>8} {'wrong':>6} {'traceback':>10} {'signal':>7} {'hang':>5} {'s':>6}"
        )
        for name in names:
            ends, begun = Counter(), time.perf_counter()
            for number in range(given.first, given.first + each):
                kind, text, used = reader.ask(name, number, given.seconds)
                ends[kind] += 1
                peak = max(peak, used)
                if kind not in ("read", "refused"):
                    faults.append(f"{name} --only {number}: {kind}: {text[:300]}")
            total += ends
            columns = [ends[k] for k in ("read", "refused", "wrong", "traceback", "signal", "hang")]
            widths = (6, 8, 6, 10, 7, 5)
            told = " ".join(f"{n:{w}}" for n, w in zip(columns, widths, strict=True))
            print(f"{name:22} {told} {time.perf_counter() - begun:6.1f}", flush=True)
    print(f"{sum(total.values())} mutations: {dict(total)}; peak {peak} MiB (at most {LARGEST_PEAK_MIB} are wanted)")
    print("\n".join(faults))
    sys.exit(bool(faults) or peak > LARGEST_PEAK_MIB)


if __name__ == "__main__":
    main()
