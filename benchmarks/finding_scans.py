"""Scans for ``benchmarks/finding.py``: images invented from label maps, and one scan changed.

    python benchmarks/finding_scans.py invent OUT LABELS.nii.gz ... --names "left hippocampus,brain-stem"
    python benchmarks/finding_scans.py change OUT IMAGE.nii.gz LABELS.nii.gz [--names liver,spleen]

``invent`` gives every structure of a label map one grey value, the same for all maps but for a little of its own, blurs
it and adds noise and a bias: what a contrast would show, not what a scanner does. ``change`` writes one scan as it is,
moved (12 degrees, 20 mm), scaled (by 0.9, 1.1 and 1.05), bent (8 mm on average, 24 at most) and in another contrast
(grey values turned around and curved); the first is the finished scan. Both write label maps with tables
and ``project.csv``.
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

CONTROL_MM = 60.0
"""Distance of the places whose random shifts bend a scan."""


def main() -> None:
    """Write the scans that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("invent", "change"))
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--names", default="")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    names = [name for name in given.names.split(",") if name]
    cases = _invented(given.files) if given.what == "invent" else _changed(*given.files)
    lines = ["case,image,labels"]
    for case, voxels, labels, affine, known in cases:
        image, own = given.out / f"{case}.nii.gz", given.out / f"{case}_labels.nii.gz"
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), affine), image)
        kept = {i: name for i, name in known.items() if not names or name in names}
        nib.save(nib.Nifti1Image(np.where(np.isin(labels, list(kept)), labels, 0).astype(np.int16), affine), own)
        rows = "".join(f"{i}\t{name}\n" for i, name in kept.items())
        own.with_name(f"{case}_labels.tsv").write_text(f"index\tname\n{rows}")
        lines.append(f"{case},{image.name},{own.name}")
    (given.out / "project.csv").write_text("\n".join(lines) + "\n")


def _named(path: Path) -> dict[int, str]:
    """Names from ``labels.json`` or the table beside a label map."""
    if (path.parent / "labels.json").is_file():
        return {int(i): name for i, name in json.loads((path.parent / "labels.json").read_text()).items()}
    from napari_sam2.io.label_tables import find_terms

    return {i: term.name for i, term in find_terms(path).items()}


def _invented(files: list[Path]):  # type: ignore[no-untyped-def]
    for number, path in enumerate(files):
        stored = nib.load(path)
        labels, known = np.asarray(stored.dataobj).astype(int), _named(path)
        rng = np.random.default_rng(number)
        greys = np.zeros(labels.max() + 1)
        for i in np.unique(labels)[1:]:
            word = known.get(int(i), str(i)).lower().replace("left ", "").replace("right ", "")
            word = word.removesuffix(" lt").removesuffix(" rt")
            shared = np.random.default_rng(zlib.crc32(word.encode())).uniform(200, 1000)
            greys[i] = shared + rng.normal(0, 40)
        image = ndimage.gaussian_filter(greys[labels], 0.7)
        bias = ndimage.zoom(rng.normal(1, 0.1, (3, 3, 3)), np.array(labels.shape) / 3, order=1)
        image *= bias[tuple(slice(n) for n in labels.shape)]
        yield (
            f"{path.parent.name.split('_')[-1]}-{number}",
            image + rng.normal(0, 30, labels.shape),
            labels,
            stored.affine,
            known,
        )


def _changed(image: Path, labels: Path):  # type: ignore[no-untyped-def]
    scan, drawn = nib.load(image), nib.load(labels)
    voxels, ids, known = np.asarray(scan.dataobj).astype(np.float32), np.asarray(drawn.dataobj), _named(labels)
    spacing = np.linalg.norm(scan.affine[:3, :3], axis=0)
    grid = np.indices(voxels.shape).reshape(3, -1).T * spacing
    centre = (np.array(voxels.shape) - 1) / 2 * spacing
    turned = Rotation.from_euler("xyz", (6, -5, 9), degrees=True).as_matrix()
    rng = np.random.default_rng(0)
    size = np.maximum(np.ceil(np.array(voxels.shape) * spacing / CONTROL_MM).astype(int) + 1, 2)
    shifts = np.stack(
        [
            ndimage.zoom(rng.normal(0, 6, size), np.array(voxels.shape) / size, order=3, grid_mode=False).ravel()
            for _ in "xyz"
        ],
        1,
    )
    places = {
        "moved": (grid - centre) @ turned.T + centre + np.array((12, -10, 12)),
        "scaled": (grid - centre) / np.array((0.9, 1.1, 1.05)) + centre,
        "bent": grid + shifts,
    }
    yield "as-it-is", voxels, ids, scan.affine, known
    for case, there in places.items():
        yield case, _at(voxels, there / spacing, 1), _at(ids, there / spacing, 0), scan.affine, known
    low, high = np.percentile(voxels, (1, 99))
    share = np.clip((voxels - low) / (high - low), 0, 1)
    yield "other-contrast", 1000 * (1 - share) ** 1.5 * (share > 0.02), ids, scan.affine, known
    lengths = np.linalg.norm(shifts, axis=1)
    print(f"bent by {lengths.max():.0f} mm at most, {lengths.mean():.0f} on average")


def _at(array: NDArray, voxels: NDArray[np.float64], order: int) -> NDArray:
    taken = ndimage.map_coordinates(array, voxels.T, order=order, mode="constant", cval=float(array.min()))
    return taken.reshape(array.shape)


if __name__ == "__main__":
    main()
