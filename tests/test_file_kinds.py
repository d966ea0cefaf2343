"""Every kind of file of docs/file-kinds.md is read or refused as the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam2.errors import UserInputError
from tests.file_kinds import KINDS, opened, table

DOCS = Path(__file__).parents[1] / "docs" / "file-kinds.md"


def test_the_docs_hold_the_table_of_at_least_sixty_kinds():
    assert len(KINDS) >= 60
    assert table() in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.by} {kind.what}")
def test_each_kind_is_read_or_refused_as_the_table_says(kind, tmp_path):
    path = tmp_path / kind.name
    kind.make(path)
    if not kind.refused:
        assert opened(kind, path) == kind.becomes
        return
    with pytest.raises(UserInputError) as caught:
        opened(kind, path)
    sentence = str(caught.value)
    assert kind.becomes in sentence
    assert path.name in sentence
    assert str(tmp_path) not in sentence
