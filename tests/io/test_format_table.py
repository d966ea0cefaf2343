"""The table of formats, and what follows from it. ``python -m tests.io.test_format_table`` prints the docs' tables."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import napari_sam2
from napari_sam2.errors import ImageFileError
from napari_sam2.io.formats import FILM_SUFFIXES, FORMATS, all_suffixes, function, opened_suffixes
from napari_sam2.io.names import stem_of, without_suffix
from napari_sam2.io.payload import check_inflated, inflated

DOCS = Path(__file__).parents[2] / "docs" / "files.md"
MANIFEST = Path(napari_sam2.__file__).parent / "napari.yaml"


def opening_table() -> str:
    rows = [f"| {row.title} | {_names(row.suffixes)} | {row.note} |" for row in FORMATS if row.read]
    return "\n".join(["| format | names | notes |", "|---|---|---|", *rows])


def export_table() -> str:
    rows = [f"| {_names(row.suffixes)} | {row.title} | {row.note} |" for row in FORMATS if row.write]
    return "\n".join(["| ending | what | notes |", "|---|---|---|", *rows])


def _names(suffixes: tuple[str, ...]) -> str:
    return ", ".join(f"`{suffix}`" for suffix in suffixes)


def test_every_function_of_the_table_exists_and_kinds_are_unique():
    kinds = [row.kind for row in FORMATS]
    assert len(set(kinds)) == len(kinds)
    for row in FORMATS:
        for reference in (row.read, row.is_labels, row.read_labels, row.write):
            assert not reference or callable(function(reference)), row.kind
        assert row.read or row.write, row.kind


def test_the_docs_hold_the_tables():
    text = DOCS.read_text(encoding="utf-8")
    assert opening_table() in text
    assert export_table() in text


def test_the_manifest_claims_what_the_table_offers():
    readers = yaml.safe_load(MANIFEST.read_text())["contributions"]["readers"]
    patterns = next(r["filename_patterns"] for r in readers if r["command"] == "napari-sam2.read")
    assert sorted(patterns) == sorted("*" + suffix for suffix in (*opened_suffixes(), *FILM_SUFFIXES))


def test_a_new_format_is_one_module_and_one_row(tmp_path):
    """The row alone lets it be opened, exported to, named, offered by napari's dialogs and told by --help."""
    (tmp_path / "toy.py").write_text(
        textwrap.dedent("""
        import json, numpy as np
        from pathlib import Path
        from napari_sam2.core.volume import Source, Volume

        def read_toy(path, *, volume_index=None):
            voxels = np.array(json.loads(Path(path).read_bytes()[3:]), dtype=np.int16)
            return Volume(voxels, np.eye(4), True, Source(Path(path).name, Path(path), "", "toy", files=(Path(path),)))

        def write_toy(*, labels, path, overwrite):
            Path(path).write_bytes(b"TOY" + json.dumps(labels.tolist()).encode())
    """)
    )
    script = textwrap.dedent('''
        import importlib.util, sys
        from pathlib import Path
        import napari_sam2

        def load(name, file):
            spec = importlib.util.spec_from_file_location(name, file)
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])

        # What a developer adds: the module and the row, in copies of the files that they stand in.
        folder = Path(sys.argv[1])
        ROW = """    Format(
            kind="toy", title="Toy", suffixes=(".toy.json",), magic=lambda first: first.startswith(b"TOY"),
            read="toy:read_toy", write="toy:write_toy", needs=("labels",),
        ),
        """
        source = (Path(napari_sam2.__file__).parent / "io" / "formats.py").read_text()
        end_of_table = source.index(')\\n"""Images first')
        (folder / "formats.py").write_text(source[:end_of_table] + ROW + source[end_of_table:])
        load("napari_sam2.io.formats", folder / "formats.py")
        load("napari_sam2.io.toy", folder / "toy.py")
        from napari_sam2.io import formats

        import numpy as np
        from napari_sam2.io import read_volume, write_labels
        from napari_sam2.io.export import export_labels
        from napari_sam2.io.names import stem_of
        (folder / "scan.toy.json").write_bytes(b"TOY[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]")
        scan = read_volume(folder / "scan.toy.json")
        assert scan.voxels.ravel().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
        write_labels((scan.voxels > 4).astype("u1"), scan, folder / "labels.nii.gz")
        export_labels(folder / "labels.nii.gz", folder / "scan.toy.json", folder / "out.toy.json")
        assert read_volume(folder / "out.toy.json").voxels.sum() == 4
        assert stem_of("x/scan.TOY.json") == "scan"

        from typer.testing import CliRunner
        from napari_sam2.cli.app import _register, app
        _register()
        told = " ".join(CliRunner().invoke(app, ["export", "--help"]).output.split())
        assert ".toy.json" in told
        assert "Toy" in CliRunner().invoke(app, ["measure", "--help"]).output
        assert ".toy.json" in formats.dialog_filter("Images", formats.opened_suffixes())
    ''')
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("a/liver.nii.gz", "liver"),
        ("liver.NII.GZ", "liver"),
        ("liver.seg.nrrd", "liver"),
        ("slide.ome.tif", "slide"),
        ("slide.svs", "slide"),
        ("patient.001", "patient.001"),
        ("v1.2.nii", "v1.2"),
        (".nii.gz", ".nii.gz"),
        ("x.nii.nii.gz", "x.nii"),
        ("", ""),
    ],
)
def test_a_stem_is_the_name_without_folder_and_ending(path, stem):
    assert stem_of(path) == stem


@given(st.text(min_size=1), st.sampled_from(all_suffixes()))
def test_any_name_comes_back_from_name_and_suffix(name, suffix):
    name += "#"  # so that no ending of the table is made where both meet
    assert without_suffix(name + suffix) == name
    assert without_suffix(name) == name


@given(st.binary(max_size=5000), st.integers(0, 40), st.sampled_from([zlib.MAX_WBITS, zlib.MAX_WBITS | 16]))
def test_a_stream_inside_a_file_is_read_exactly(tmp_path_factory, content, start, wbits):
    path = tmp_path_factory.mktemp("z") / "x.bin"
    packer = zlib.compressobj(wbits=wbits)
    path.write_bytes(b"h" * start + packer.compress(content) + packer.flush() + b"after")
    assert b"".join(inflated(path, start, len(content))) == content
    with pytest.raises(ImageFileError, match="truncated"):
        check_inflated(path, start, len(content) + 1)
    if content:
        with pytest.raises(ImageFileError, match="more data"):
            check_inflated(path, start, len(content) - 1)


def test_a_stream_that_expands_without_end_is_given_up_at_once(tmp_path):
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    path = tmp_path / "x.bin"
    path.write_bytes(bomb)
    pieces = inflated(path, 0, 3 << 20)
    assert [len(next(pieces)) for _ in range(3)] == [1 << 20] * 3
    with pytest.raises(ImageFileError, match="more data"):
        next(pieces)
    path.write_bytes(bomb[:-1])
    with pytest.raises(ImageFileError, match="truncated"):
        check_inflated(path, 0, 200 << 20)


if __name__ == "__main__":
    sys.stdout.write(opening_table() + "\n\n" + export_table() + "\n")
