from __future__ import annotations

import pytest

from napari_sam2.errors import PromptError
from napari_sam2.slides.prompt_file import read_slide_prompts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"version": 1, "version": 1, "objects": []}', "the key 'version' is given twice"),
        ('{"version": 1, "objects": [{"id": 1, "prompts": [{"point": [1, 2], "point": [3, 4]}]}]}', "'point' is given"),
        ("{", "not valid JSON"),
    ],
)
def test_doubled_keys_and_broken_json_are_refused(tmp_path, content, reason):
    file = tmp_path / "p.json"
    file.write_text(content)
    with pytest.raises(PromptError, match=reason):
        read_slide_prompts(file, (100, 100), "s.png")
