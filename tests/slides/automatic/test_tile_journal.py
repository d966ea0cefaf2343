"""A journal of tiles goes on, begins anew, or says whose it is."""

import json

import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.slides.automatic.tile_journal import open_journal

SIGNATURE = {"journal": 2, "slide": ["ü", 400, 400]}
HEAD = (json.dumps(SIGNATURE) + "\n").encode()


@pytest.mark.parametrize("kept", [b"", HEAD[:1], HEAD[:20], HEAD[:-1]])
def test_a_first_line_that_a_full_disk_cut_short_begins_anew(tmp_path, kept):
    """The next run was told that it belongs to another slide, and could not begin."""
    journal = tmp_path / "o.tiles.jsonl"
    journal.write_bytes(kept)
    assert open_journal(journal, SIGNATURE) == 0
    assert journal.read_bytes() == HEAD


def test_whole_tiles_are_counted_and_a_torn_one_is_dropped(tmp_path):
    journal = tmp_path / "o.tiles.jsonl"
    assert open_journal(journal, SIGNATURE) == 0
    journal.write_bytes(HEAD + b'{"pieces": []}\n{"pieces": []}\n{"pie')
    assert open_journal(journal, SIGNATURE) == 2
    assert journal.read_bytes() == HEAD + b'{"pieces": []}\n{"pieces": []}\n'


@pytest.mark.parametrize(
    "content", [b"notes of mine", b'{"journal": 2, "slide": ["other"', b"\n", HEAD.replace(b"2", b"3")]
)
def test_another_file_is_left_alone(tmp_path, content):
    journal = tmp_path / "o.tiles.jsonl"
    journal.write_bytes(content)
    with pytest.raises(UserInputError, match="belongs to a run on another slide"):
        open_journal(journal, SIGNATURE)
    assert journal.read_bytes() == content
