"""Plots for the HTML page: Vega-Lite rendered as SVG, without network, in the colours of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import vl_convert

from assay.report.data import Curve, Curves, Importance, Learning, Report
from assay.report.text import shorten
from assay.report.view import CHARTED

Spec = dict[str, Any]
Line = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 320, 240
MOST_MARKS = 1000
MOST_LABEL = 32
# From this value on, axis labels use k and M.
LARGE = 1e5
# The page's style sheet defines these colours for light and dark mode.
COLOURS = {
    "champion": "var(--champion)",
    "candidate": "var(--candidate)",
    "training rows": "var(--champion)",
    "validation rows": "var(--candidate)",
}
# Dashes, because not everyone can distinguish the colours.
DASHES = {"champion": [5, 3], "candidate": [1, 0], "training rows": [5, 3], "validation rows": [1, 0]}
CONFIG: Spec = {
    "background": None,
    "aria": False,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.15,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "labelLimit": 190,
    },
    "legend": {"labelColor": "currentColor", "labelFontSize": 12, "orient": "top", "title": None},
}
REFERENCE: Spec = {"color": "currentColor", "opacity": 0.6, "strokeDash": [2, 2], "strokeWidth": 1}


def plots(report: Report) -> dict[str, str]:
    """Return an SVG for each curve and for the `importance` of features, "" if it is not known."""
    line, dotted = {"type": "line"}, {"type": "line", "point": {"size": 30}}
    dots = {"type": "point", "filled": True, "opacity": 0.4, "size": 14}
    diagonal, level = [(0.0, 0.0), (1.0, 1.0)], [(0.0, 0.0)]
    curves = report.curves or Curves()
    learning = curves.learning or Learning(train=(), validation=())
    losses = {"training rows": learning.train, "validation rows": learning.validation}
    rates = ("false positive rate", "true positive rate")
    return {
        "roc": _plot(_both(curves.roc), line, rates, diagonal, share=True),
        "precision_recall": _plot(_both(curves.precision_recall), line, ("recall", "precision"), [], share=True),
        "reliability": _plot(_both(curves.reliability), dotted, ("predicted", "observed"), diagonal, share=True),
        "residuals": _plot(_both(curves.residuals), dots, ("prediction", "true value minus prediction"), level),
        "learning": _plot(losses, dotted, ("rows", "loss"), []),
        "classes": "",
        "confusion": "",
        **{f"shape {place}": "" for place in range(1, len(curves.shapes) + 1)},
        "importance": _importance(report.explanation),
    }


def _importance(explanation: Sequence[Importance]) -> str:
    if not explanation:
        return ""
    most = sorted(explanation, key=lambda one: -one.candidate)[:CHARTED]
    # Numbered, because Vega-Lite identifies bars by name and two long names may be cut to the same text.
    names = [f"{place}. {shorten(one.feature, MOST_LABEL)}" for place, one in enumerate(most, start=1)]
    models = ["champion", "candidate"] if any(one.champion is not None for one in most) else ["candidate"]
    values = [
        {"feature": name, "model": model, "loss": getattr(one, model) or 0.0}
        for name, one in zip(names, most, strict=True)
        for model in models
    ]
    return _svg(
        {
            "width": WIDTH,
            "height": {"step": 24 / len(models)},
            "data": {"values": values},
            "mark": "bar",
            "encoding": {
                "y": {"field": "feature", "type": "nominal", "sort": names, "title": None},
                "yOffset": {"field": "model", "sort": models},
                "x": {"field": "loss", "type": "quantitative", "title": "increase in loss when shuffled"},
                "color": _colours("model", models),
            },
        }
    )


def _both(curve: Curve | None) -> dict[str, Line]:
    return {"champion": curve.champion, "candidate": curve.candidate} if curve else {}


def _plot(
    series: Mapping[str, Line], mark: Spec, titles: tuple[str, str], reference: Line, *, share: bool = False
) -> str:
    """Return the SVG of named points and a dotted reference line (horizontal for a single point)."""
    known = {name: points[:: len(points) // MOST_MARKS + 1] for name, points in series.items() if points}
    if not known:
        return ""
    x, y = (
        _axis("xy"[i], titles[i], max(abs(p[i]) for points in known.values() for p in points), share) for i in (0, 1)
    )
    colours = _colours("series", list(known))
    dashes = {**colours, "scale": {"domain": list(known), "range": [DASHES[name] for name in known]}}
    layers: list[Spec] = [
        {
            "data": {"values": [{"x": a, "y": b} for a, b in reference]},
            "mark": {"type": "rule" if len(reference) == 1 else "line", **REFERENCE},
            "encoding": {"y": y} if len(reference) == 1 else {"x": x, "y": y},
        },
        {
            "data": {
                "values": [
                    {"x": a, "y": b, "series": name, "place": place}
                    for name, points in known.items()
                    for place, (a, b) in enumerate(points)
                ]
            },
            "mark": mark,
            "encoding": {
                "x": x,
                "y": y,
                "color": colours,
                # Connected along the curve, which may have several y at one x.
                **({"order": {"field": "place"}, "strokeDash": dashes} if mark["type"] == "line" else {}),
            },
        },
    ]
    return _svg({"width": WIDTH, "height": HEIGHT, "layer": layers if reference else layers[1:]})


def _axis(field: str, title: str, largest: float, share: bool) -> Spec:
    scale = {"domain": [0, 1]} if share else {"zero": False}
    axis = {"tickCount": 5, **({"format": "~s"} if largest >= LARGE else {})}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _colours(field: str, names: Sequence[str]) -> Spec:
    """Return the colour encoding of these names."""
    return {"field": field, "type": "nominal", "scale": {"domain": names, "range": [COLOURS[name] for name in names]}}


def _svg(spec: Spec) -> str:
    return str(vl_convert.vegalite_to_svg({**spec, "config": CONFIG}, allowed_base_urls=[]))
