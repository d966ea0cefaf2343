"""Write what derives from the action table: commands and menus of napari.yaml, the key table of the tutorial.

    python docs/write_actions.py

Both places have marks around the derived part; `tests/plugin/test_manifest.py` compares.
"""

from __future__ import annotations

from pathlib import Path

from napari_sam2.plugin.control.action_table import ACTIONS, key_help

ROOT = Path(__file__).parents[1]


def commands() -> str:
    """The commands of the manifest, one per action."""
    return "".join(
        f'    - id: napari-sam2.{entry.name}\n      title: "{entry.command}"\n'
        f"      python_name: napari_sam2.plugin.commands:{entry.name}\n"
        for entry in ACTIONS
    )


def menu() -> str:
    """The entries of the submenu, in the groups and the order of the table."""
    groups: dict[str, int] = {}
    lines = []
    for entry in ACTIONS:
        groups[entry.menu] = groups.get(entry.menu, 0) + 1
        lines.append(f"      - command: napari-sam2.{entry.name}\n        group: {entry.menu}@{groups[entry.menu]}\n")
    return "".join(lines)


def key_table() -> str:
    """Gestures and keys as a Markdown table."""
    rows = "".join(f"| {key} | {text[0].upper()}{text[1:].rstrip('.')} |\n" for key, text in key_help())
    return f"| key | does |\n|---|---|\n{rows}"


def with_part(text: str, name: str, part: str, comment: tuple[str, str] = ("# ", "")) -> str:
    """A text with the part between its marks ``begin name`` and ``end name`` replaced."""
    begin, end = (f"{comment[0]}{word} {name}{comment[1]}" for word in ("begin", "end"))
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if not after:
        raise ValueError(f"The marks of {name} are missing.")
    indent = before[before.rfind("\n") + 1 :]
    return f"{before}{begin}\n{part}{indent}{end}{after}"


def manifest(text: str) -> str:
    """napari.yaml with commands and menu of the table."""
    return with_part(with_part(text, "actions", commands()), "menu of actions", menu())


def tutorial(text: str) -> str:
    """docs/tutorial.md with the key table."""
    return with_part(text, "keys", key_table(), ("<!-- ", " -->"))


def main() -> None:
    """Write the files in place."""
    for path, written in (
        (ROOT / "src" / "napari_sam2" / "napari.yaml", manifest),
        (ROOT / "docs" / "tutorial.md", tutorial),
    ):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
