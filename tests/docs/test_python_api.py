"""The page on the Python API runs as it stands."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"


def test_every_block_of_the_page_runs_in_order_and_gives_a_sensible_liver(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 9
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "liver.nii.gz").is_file()
    found, liver = names["found"], names["liver"]
    assert 2 * (found & liver).sum() / (found.sum() + liver.sum()) > 0.6
    assert len(names["check"].dice) == 3
    assert len(names["widths"]) == 11
    assert all(abs(width - names["widths"][0]) < 30 for width in names["widths"])
    assert len(names["sizes"]) > 5
    assert "predicted IoU" in capsys.readouterr().out
