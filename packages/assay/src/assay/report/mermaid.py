"""Charts that GitHub draws (Mermaid xychart), as text of harmless characters only."""

import math
import re
from collections.abc import Sequence

from assay.report.text import Safe, shorten

MOST_POINTS = 100
MOST_LABEL = 24
# Distinguishable with red-green colour blindness, on light and dark pages.
CANDIDATE, CHAMPION = "#2f81f7", "#d9822b"

Axis = tuple[str, float, float] | tuple[str, Sequence[str]]
# The kind of plot (line or bar), its colour and its values.
Series = tuple[str, str, Sequence[float]]


def xychart(
    x: Axis, y: str, series: Sequence[Series], *, ends: tuple[float, float] | None = None, horizontal: bool = False
) -> Safe:
    """Return a Markdown fence with a chart of values, at even steps along x or one per label.

    `ends` is the range of the y axis, by default that of the values and zero. Returns "" if the chart cannot be drawn.
    """
    values = [value for _, _, line in series for value in line]
    if not values or max(len(line) for _, _, line in series) > MOST_POINTS:
        return Safe()
    low, high = ends or (min(0.0, *values), max(0.0, *values))
    across = x[1:] if len(x) == 3 else (0.0, 1.0)
    # Mermaid does not read exponents, so very large or small scales would need many digits.
    if not all(1e-9 < max(map(abs, span)) < 1e12 and span[0] < span[1] for span in ((low, high), across)):
        return Safe()
    if len(x) == 3:
        axis = f'x-axis "{x[0]}" {_decimals(across, across, " --> ")}'
    else:
        labels = '", "'.join(_labels(x[1]))
        axis = f'x-axis ["{labels}"]' if not x[0] else f'x-axis "{x[0]}" ["{labels}"]'
    lines = [
        "```mermaid",
        "---",
        "config:",
        "  xyChart:",
        "    width: 700",
        "    height: 380",
        "    xAxis:",
        "      labelFontSize: 11",
        "  themeVariables:",
        "    xyChart:",
        '      backgroundColor: "transparent"',
        f'      plotColorPalette: "{", ".join(colour for _, colour, _ in series)}"',
        "---",
        "xychart-beta" + " horizontal" * horizontal,
        f"  {axis}",
        f'  y-axis "{y}" {_decimals((low, high), (low, high), " --> ")}',
        *(f"  {kind} [{_decimals(line, (low, high), ', ')}]" for kind, _, line in series),
        "```",
    ]
    return Safe("\n".join(lines))


def _decimals(values: Sequence[float], span: Sequence[float], between: str) -> str:
    digits = max(0, 4 - math.floor(math.log10(max(map(abs, span)))))
    return between.join(f"{value:.{digits}f}" for value in values)


def _labels(names: Sequence[str]) -> list[str]:
    labels = [shorten(re.sub(r"[^\w .+-]", " ", name).strip() or "?", MOST_LABEL) for name in names]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{place} {label}" for place, label in enumerate(labels, start=1)]
