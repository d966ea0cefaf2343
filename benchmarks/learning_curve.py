"""Draw the curves of training runs.

    python benchmarks/learning_curve.py OUT.svg anatomy/box,anatomy/box-propagate RUN/curve.jsonl ...

One line for each run and protocol, mean Dice over thousands of decoded views.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 50, 190, 12, 34
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LOWEST, HIGHEST, STEP = 0.65, 0.85, 0.05


def main() -> None:
    out, protocols = Path(sys.argv[1]), sys.argv[2].split(",")
    runs = {Path(p).parent.name: [json.loads(line) for line in Path(p).read_text().splitlines()] for p in sys.argv[3:]}
    most = max(row["samples"] for rows in runs.values() for row in rows)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(samples: float, dice: float) -> tuple[float, float]:
        return LEFT + wide * samples / most, TOP + tall * (HIGHEST - dice) / (HIGHEST - LOWEST)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for k in range(round((HIGHEST - LOWEST) / STEP) + 1):
        dice = LOWEST + k * STEP
        x, y = place(0, dice)
        parts.append(f'<path d="M{x} {y:.1f}h{wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{dice:.2f}</text>')
    for thousands in range(0, most // 1000 + 1, 20):
        x, y = place(thousands * 1000, LOWEST)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" font-size="11" text-anchor="middle">{thousands}</text>')
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 4}" font-size="11" text-anchor="middle">thousand views</text>'
    )
    number = 0
    for protocol in protocols:
        for name, rows in runs.items():
            points = [place(row["samples"], row[protocol]) for row in rows if protocol in row]
            if not points:
                continue
            colour = COLOURS[number % len(COLOURS)]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
            label = f"{name}: {protocol.split('/')[-1]}"
            x, y = LEFT + wide + 8, TOP + 14 + 16 * number
            parts.append(f'<text x="{x}" y="{y}" font-size="11" fill="{colour}">{label}</text>')
            number += 1
    out.write_text("\n".join([*parts, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
