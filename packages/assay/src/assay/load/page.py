"""The load test as a self-contained HTML page: no network, no script, no other file."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from assay.base.outcomes import Outcome
from assay.base.words import number
from assay.gates.loadtest import LoadTest, Round

TEMPLATE = Path(__file__).with_name("loadtest.html.j2")
WIDTH, HEIGHT, LEFT, BOTTOM = 360, 200, 52, 24

Point = tuple[float, float]

# Title, label of the x axis, x of a round, y of a round.
CHARTS: list[tuple[str, str, Callable[[int, Round], float], Callable[[Round], float | None]]] = [
    ("responses per second", "round", lambda i, _: i, lambda one: (one.requests - one.errors) / one.seconds),
    (
        "CPU time per request, ms",
        "round",
        lambda i, _: i,
        lambda one: 1000 * one.cpu / one.requests if one.requests else None,
    ),
    ("median latency, ms", "round", lambda i, _: i, lambda one: one.p50),
    ("99th percentile latency, ms", "round", lambda i, _: i, lambda one: one.p99),
    ("memory, MB", "requests", lambda _, one: one.total, lambda one: one.memory / 1e6),
]


def page(found: LoadTest, outcome: Outcome) -> str:
    """Return a load test and the gate's outcome as an HTML page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    loaded = {name: side.rounds for name, side in found.sides.items() if side.rounds}
    charts = [
        {"title": title, "x": x, "svg": _chart({name: _points(rounds, at, take) for name, rounds in loaded.items()})}
        for title, x, at, take in CHARTS
        if loaded
    ]
    checks = [
        {"name": name, "verdict": check["verdict"], "reason": check["reason"]}
        for name, check in outcome.measured.items()
    ]
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        verdict=outcome.verdict, reason=outcome.reason, checks=checks, charts=charts, test=found, sides=found.sides
    )


def _points(
    rounds: tuple[Round, ...], at: Callable[[int, Round], float], take: Callable[[Round], float | None]
) -> list[Point]:
    return [(at(i, one), value) for i, one in enumerate(rounds, start=1) if (value := take(one)) is not None]


def _chart(series: dict[str, list[Point]]) -> Markup:
    """Return an SVG line chart of each side; the y axis starts at 0, so that noise does not look large."""
    points = [point for side in series.values() for point in side]
    if not points:
        return Markup()
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    top = max(y for _, y in points) * 1.05 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1)
        return LEFT + across * (WIDTH - LEFT - 8), (HEIGHT - BOTTOM) * (1 - y / top)

    parts = []
    for share in (0.0, 0.5, 1.0):
        _, y = place(first, share * top)
        label = Markup('<text x="{}" y="{:.1f}" class="y">{}</text>').format(LEFT - 6, y + 4, number(share * top, 3))
        parts += [Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - 8), label]
    for x, anchor in ((first, "start"), (last, "end")):
        across, _ = place(x, 0)
        text = Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>')
        parts.append(text.format(across, HEIGHT - 6, anchor, number(round(x))))
    for name, side in series.items():
        placed = [place(x, y) for x, y in side]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(name, line))
        parts += [Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(name, x, y) for x, y in placed]
    svg = Markup('<svg viewBox="0 -8 {} {}" width="{}" role="img">{}</svg>')
    return svg.format(WIDTH, HEIGHT + 8, WIDTH, Markup().join(parts))
