"""Known vulnerabilities of what is installed, and what could not be asked about.

    python benchmarks/audit.py [--report FILE]

Runs pip-audit (which asks the network) and fails when it finds something, and as well when a package was skipped or
pip-audit itself failed: what was not checked is not known to be safe. `--report` reads an earlier answer instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

OWN = "napari-sam2"
"""Installed from here, and in no data base."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    text = given.report.read_text(encoding="utf-8") if given.report else ask()
    lines, code = judged(text)
    print("\n".join(lines))
    return code


def ask() -> str:
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    return done.stdout


def judged(text: str) -> tuple[list[str], int]:
    """What an answer of pip-audit means: lines to print, and 0 only when everything was asked about and is clean."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return ["pip-audit gave no answer: nothing was checked."], 1
    others = [p for p in packages if p["name"].lower().replace("_", "-") != OWN]
    skipped = [p for p in others if "skip_reason" in p]
    lines = [
        f"VULNERABLE {p['name']} {p['version']}: {v['id']} {' '.join(v['fix_versions'])}"
        for p in others
        for v in p.get("vulns", [])
    ]
    lines += [f"NOT CHECKED {p['name']}: {p['skip_reason']}" for p in skipped]
    found = sum(line.startswith("VULNERABLE") for line in lines)
    lines.append(
        f"{len(others) - len(skipped)} packages checked, {found} known vulnerabilities, {len(skipped)} not checked"
    )
    return lines, int(bool(found or skipped or not others))


if __name__ == "__main__":
    sys.exit(main())
