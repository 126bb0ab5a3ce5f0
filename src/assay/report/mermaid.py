"""Charts that GitHub draws: Mermaid's xychart, as text that holds no more than letters, digits and numbers."""

import math
import re
from collections.abc import Sequence

from assay.report.text import shorten

MOST_POINTS = 100
MOST_LABEL = 24
# Told apart by who sees no red or green, on a light page and on a dark one.
CANDIDATE, CHAMPION = "#2f81f7", "#d9822b"

Axis = tuple[str, float, float] | tuple[str, Sequence[str]]
# The kind of plot (line or bar), its colour and its values.
Series = tuple[str, str, Sequence[float]]


def xychart(
    x: Axis, y: str, series: Sequence[Series], *, ends: tuple[float, float] | None = None, horizontal: bool = False
) -> str:
    """Return a chart of values at even steps along x, or one for each of its labels; "" where none can be drawn.

    `ends` are those of the y axis, by default what the values need, and zero.
    """
    values = [value for _, _, line in series for value in line]
    if not values or max(len(line) for _, _, line in series) > MOST_POINTS:
        return ""
    low, high = ends or (min(0.0, *values), max(0.0, *values))
    largest = max(abs(low), abs(high))
    # Mermaid reads no exponents, so that a scale far from one would be a long row of digits.
    if not 1e-9 < largest < 1e12:
        return ""
    digits = max(0, 4 - math.floor(math.log10(largest)))

    def written(line: Sequence[float]) -> str:
        return ", ".join(f"{value:.{digits}f}" for value in line)

    if len(x) == 3:
        axis = f'x-axis "{x[0]}" {x[1]:g} --> {x[2]:g}'
    else:
        labels = '", "'.join(_labels(x[1]))
        axis = f'x-axis ["{labels}"]' if not x[0] else f'x-axis "{x[0]}" ["{labels}"]'
    lines = [
        "---",
        "config:",
        "  xyChart:",
        "    width: 560",
        "    height: 340",
        "  themeVariables:",
        "    xyChart:",
        '      backgroundColor: "transparent"',
        f'      plotColorPalette: "{", ".join(colour for _, colour, _ in series)}"',
        "---",
        "xychart-beta" + " horizontal" * horizontal,
        f"  {axis}",
        f'  y-axis "{y}" {low:.{digits}f} --> {high:.{digits}f}',
        *(f"  {kind} [{written(line)}]" for kind, _, line in series),
    ]
    return "\n".join(lines)


def _labels(names: Sequence[str]) -> list[str]:
    labels = [shorten(re.sub(r"[^\w .+-]", " ", name).strip() or "?", MOST_LABEL) for name in names]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{place} {label}" for place, label in enumerate(labels, start=1)]
