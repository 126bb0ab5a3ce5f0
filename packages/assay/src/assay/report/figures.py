"""The curves of a model as tables and charts."""

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from assay.base.words import number, percent, signed
from assay.report.data import Classes, Confusion, Curve, Curves, Learning, Points, Shape
from assay.report.mermaid import CANDIDATE, CHAMPION, xychart

GRID = [step / 40 for step in range(41)]
MOST_CLASSES = 8
PAIRS = 10
BARS = 15
LEGEND = "Blue is the candidate, orange the champion."

Figure = dict[str, Any]


def figures(curves: Curves) -> list[Figure]:
    """Return each known curve: its name, title, a note on how to read it, a table and a Mermaid chart.

    The table is `head` and `rows` of text. The chart is "" if it cannot be drawn; `legend` explains its colours.
    """
    makers: list[tuple[Any, Callable[[Any], Figure]]] = [
        (curves.roc, _roc),
        (curves.precision_recall, _precision_recall),
        (curves.reliability, _reliability),
        (curves.classes, _classes),
        (curves.confusion, _confusion),
        (curves.residuals, _residuals),
        (curves.learning, _learning),
    ]
    shapes = [_shape(place, one) for place, one in enumerate(curves.shapes, 1)]
    return [made for curve, make in makers if curve is not None and (made := make(curve))["rows"]] + shapes


def _shape(place: int, shape: Shape) -> Figure:
    several = len(shape.scores) > 1
    return {
        "name": f"shape {place}",
        "title": f"What {shape.feature} does",
        "note": f"Each feature acts alone: the difference from its mean effect on the {shape.of} of "
        f"{', '.join(shape.scores)}, whatever the other features are.",
        "head": ["value", *(shape.scores if several else ["effect"])],
        "rows": [[point.value, *map(signed, point.effects)] for point in shape.points],
        "chart": ""
        if several
        else xychart(
            ("", [point.value for point in shape.points]),
            "effect",
            [("bar", CANDIDATE, [point.effects[0] for point in shape.points])],
        ),
        "legend": "",
    }


def _roc(curve: Curve) -> Figure:
    def found(points: Points, share: float) -> float:
        return max((y for x, y in points if x <= share), default=0.0)

    return _line(
        curve,
        found,
        [0.01, 0.05, 0.1, 0.2],
        name="roc",
        title="ROC curve",
        note="The share of positive rows found, by the share of negative rows wrongly predicted as positive.",
        axes=("false positive rate", "true positive rate"),
    )


def _precision_recall(curve: Curve) -> Figure:
    def precise(points: Points, share: float) -> float:
        return max((y for x, y in points if x >= share), default=0.0)

    return _line(
        curve,
        precise,
        [0.5, 0.8, 0.9, 0.95],
        name="precision_recall",
        title="Precision and recall",
        note="The share of positive predictions that are correct, by the share of positive rows found.",
        axes=("recall", "precision"),
    )


def _line(
    curve: Curve, at: Callable[[Points, float], float], shares: Sequence[float], *, axes: tuple[str, str], **about: str
) -> Figure:
    """Return the figure of a curve from 0 to 1; its table has the values at `shares`."""
    models = _models(curve)
    x, y = axes
    return about | {
        "head": [x, *(f"{y}, {model}" for model, _, _ in models)],
        "rows": [[percent(s), *(percent(at(points, s)) for _, _, points in models)] for s in shares if curve.candidate],
        "chart": xychart(
            (x, 0, 1),
            y,
            [("line", colour, [at(points, share) for share in GRID]) for _, colour, points in models],
            ends=(0, 1),
        ),
        "legend": LEGEND if curve.champion else "",
    }


def _reliability(curve: Curve) -> Figure:
    models = _models(curve)
    bins = zip_longest(*(points for _, _, points in models))
    said = [x for x, _ in curve.candidate]
    return {
        "name": "reliability",
        "title": "Reliability",
        "note": "Predicted probability and observed share in bins of rows; in a calibrated model they are equal.",
        "head": [head for model, _, _ in models for head in (f"predicted, {model}", f"observed, {model}")],
        "rows": [[percent(v) for point in row for v in (point or (None, None))] for row in bins],
        "chart": xychart(
            ("bin of rows, by predicted probability", [str(place) for place in range(1, len(said) + 1)]),
            "share",
            [("bar", CANDIDATE, [y for _, y in curve.candidate]), ("line", CHAMPION, said)],
            ends=(0, 1),
        ),
        "legend": "Blue bars are the candidate's observed shares; each should end at the orange line of predictions.",
    }


def _classes(classes: Classes) -> Figure:
    before = {one.name: one for one in classes.champion}

    def share(name: str, key: str, value: float) -> str:
        return f"{percent(value)} (was {percent(getattr(before[name], key))})" if name in before else percent(value)

    return {
        "name": "classes",
        "title": "Classes",
        "note": "Recall is the share of the rows of a class that the model finds; precision is the share of its "
        "predictions of the class that are correct; F1 is their harmonic mean."
        + (" The champion's are in brackets." if before else ""),
        "head": ["class", "rows", "recall", "precision", "F1"],
        "rows": [
            [
                one.name,
                number(one.rows),
                *(share(one.name, key, getattr(one, key)) for key in ("recall", "precision", "f1")),
            ]
            for one in classes.candidate
        ],
        "chart": "",
        "legend": "",
    }


def _confusion(confusion: Confusion) -> Figure:
    labels = confusion.labels

    def counted(i: int, j: int) -> str:
        now = _cell(confusion.candidate, i, j)
        return f"{number(now)} (was {number(_cell(confusion.champion, i, j))})" if confusion.champion else number(now)

    figure = {"name": "confusion", "title": "Confusion", "chart": "", "legend": ""}
    places = range(len(labels))
    if len(labels) <= MOST_CLASSES:
        rows = [[labels[i], *(counted(i, j) for j in places)] for i in places]
        note = "Numbers of rows by true class (down) and predicted class (across)"
        note += ", with the champion's in brackets." if confusion.champion else "."
        return figure | {"note": note, "head": ["class", *labels], "rows": rows}
    pairs = sorted(((i, j) for i in places for j in places if i != j), key=lambda p: -_cell(confusion.candidate, *p))
    rows = [[labels[i], labels[j], counted(i, j)] for i, j in pairs[:PAIRS] if _cell(confusion.candidate, i, j)]
    return figure | {"note": "The most frequent errors.", "head": ["class", "predicted", "rows"], "rows": rows}


def _cell(matrix: Sequence[Sequence[int]], i: int, j: int) -> int:
    return matrix[i][j] if i < len(matrix) and j < len(matrix[i]) else 0


def _residuals(curve: Curve) -> Figure:
    models = [(model, sorted(abs(y) for _, y in points)) for model, _, points in _models(curve)]
    errors = [y for _, y in curve.candidate]
    low, high = (min(errors), max(errors)) if errors else (0.0, 0.0)
    width = (high - low) / BARS
    counts = [0.0] * BARS
    for error in errors:
        counts[min(BARS - 1, math.floor((error - low) / width)) if width else 0] += 1
    return {
        "name": "residuals",
        "title": "Residuals",
        "note": "Absolute difference between true value and prediction.",
        "head": ["share of the rows", *(f"error up to, {model}" for model, _ in models)],
        "rows": [
            [percent(share), *(number(sizes[math.ceil(share * len(sizes)) - 1]) for _, sizes in models)]
            for share in (0.5, 0.8, 0.95, 1.0)
            if errors
        ],
        "chart": xychart(
            ("true value minus prediction", low + width / 2, high - width / 2),
            "rows",
            [("bar", CANDIDATE, counts)],
        ),
        "legend": "",
    }


def _learning(learning: Learning) -> Figure:
    unseen = dict(learning.validation)
    sizes = [size for size, _ in learning.train if size in unseen]
    seen = dict(learning.train)
    return {
        "name": "learning",
        "title": "Learning curve",
        "note": "Loss of models fitted on fewer rows. If the validation loss still falls, more rows may help.",
        "head": ["rows", "training loss", "validation loss"],
        "rows": [[number(round(size)), number(seen[size]), number(unseen[size])] for size in sizes],
        "chart": xychart(
            ("rows", [number(round(size)) for size in sizes]),
            "loss",
            [("line", CANDIDATE, [unseen[size] for size in sizes]), ("line", CHAMPION, [seen[size] for size in sizes])],
        ),
        "legend": "Blue is the validation loss, orange the training loss.",
    }


def _models(curve: Curve) -> list[tuple[str, str, Points]]:
    models = [("champion", CHAMPION, curve.champion), ("candidate", CANDIDATE, curve.candidate)]
    return [model for model in models if model[2] or model[0] == "candidate"]
