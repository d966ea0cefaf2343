"""Two models side by side on the same cases, per modality, and whether the second may replace the first.

    python benchmarks/compare_models.py OLD.json[,OLD2.json] NEW.json[,NEW2.json] CASES [CASES ...]

The JSON files are those of benchmarks/gate.py. A modality's figure is the mean over its volumes, a volume's the
mean over its objects; the last row is the mean over all volumes. The rule: in each of the judged figures (a box on
its slice, five clicks on a slice, one box through the volume) better on the mean, and no modality loses more than
0.01. The other protocols are shown beside them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

SHOWN = ("box", "click1", "click3", "click5", "box-propagate", "box-propagate, end told", "mask-propagate")
JUDGED = ("box", "click5", "box-propagate")
MOST_LOST = 0.01

Scores = dict[str, dict[str, dict[str, float]]]


def read_scores(names: str) -> Scores:
    """Volume to object to protocol to Dice."""
    scores: Scores = defaultdict(dict)
    for name in names.split(","):
        for row in json.loads(Path(name).read_text()):
            scores[row["name"]][row["label"]] = row["model"]
    return scores


def modality_of(volume: str, folders: list[Path]) -> str:
    for folder in folders:
        case = folder / volume / "case.json"
        if case.is_file():
            return str(json.loads(case.read_text())["modality"]).split()[0].strip(",")
    raise SystemExit(f"no case.json for {volume} in {', '.join(map(str, folders))}")


def by_modality(scores: Scores, folders: list[Path]) -> dict[str, dict[str, float]]:
    volumes = {
        volume: {p: float(np.mean([found[p] for found in objects.values()])) for p in SHOWN if p in _any(objects)}
        for volume, objects in scores.items()
    }
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for volume, means in volumes.items():
        groups[modality_of(volume, folders)].append(means)
    groups["mean over volumes"] = list(volumes.values())
    return {
        f"{name} ({len(found)})": {p: float(np.mean([v[p] for v in found])) for p in found[0]}
        for name, found in groups.items()
    }


def _any(objects: dict[str, dict[str, float]]) -> dict[str, float]:
    return next(iter(objects.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("cases", type=Path, nargs="+")
    options = parser.parse_args()
    old, new = read_scores(options.old), read_scores(options.new)
    if {v: set(o) for v, o in old.items()} != {v: set(o) for v, o in new.items()}:
        raise SystemExit("the two models were not scored on the same objects")
    before, after = by_modality(old, options.cases), by_modality(new, options.cases)
    protocols = list(next(iter(before.values())))
    print("| modality (volumes) | " + " | ".join([*protocols, "mean"]) + " |")
    print("|---" * (len(protocols) + 2) + "|")
    faults = []
    for name in before:
        pairs = {p: (before[name][p], after[name][p]) for p in protocols}
        pairs["mean"] = (float(np.mean(list(before[name].values()))), float(np.mean(list(after[name].values()))))
        print(f"| {name} | " + " | ".join(f"{a:.3f} → {b:.3f}" for a, b in pairs.values()) + " |")
        least = 0.0 if name.startswith("mean over") else -MOST_LOST
        faults += [f"{p} of {name} {b - a:+.3f}" for p, (a, b) in pairs.items() if p in JUDGED and b - a <= least]
    print(f"\n{'FAILED: ' + '; '.join(faults) if faults else 'passed'}")


if __name__ == "__main__":
    main()
