"""Measure the model on the test rows; for comparison a dummy, and the model fitted on the train rows alone."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.base.errors import InputError
from assay.base.files import write_json, write_text
from assay.base.progress import say, track
from assay.base.rounding import significant
from assay.contract.spec import Contract, load_contract
from assay.data.columns import Columns, columns, take, target
from assay.data.engine import cluster_at
from assay.data.sample import sample
from assay.data.split import SIDES, identity_columns, row_keys, stored
from assay.evaluation.curves import HEADERS, Table, curves, learning_curve, learning_sizes
from assay.evaluation.metrics import ScoredRows, by_class, estimate, measure, metrics_for
from assay.modelling.fitting import build, build_dummy, decide, fit, scores, set_threshold
from assay.modelling.scoring import scores_of_rows
from assay.modelling.store import load_trained
from assay.project.layout import METRICS, PLOTS, read_choice
from assay.project.params import Params, load_params
from assay.project.room import Room, load_room
from assay.statistics.losses import row_losses

COMPARED_ROWS = 50_000
FEWEST_OF_A_CLASS = 5


def main() -> None:
    """Write metrics.json and the plots."""
    params, contract, room = load_params(), load_contract(), load_room()
    cluster = cluster_at(params.engine.address)
    tables: dict[str, Any] = {side: stored(side, cluster=cluster) for side in SIDES}
    trained = load_trained(room)
    rows = {side: table.num_rows for side, table in tables.items()}
    rows["fitted"] = seen = sum(rows[side] for side in trained.sides)
    if trained.drawn:
        rows |= {"fitted": trained.drawn.rows, "drawn_from": seen}
    # Train and validation are only for comparison, and a sample is enough for that.
    tables |= {side: sample(tables[side], COMPARED_ROWS, params.seed) for side in ("train", "validation")}
    data = {side: columns(tables[side], contract) for side in ("train", "validation")}
    wanted = {side: target(table, contract) for side, table in tables.items()}

    def judge(model: Any, side: str, cut: float | None) -> ScoredRows:
        given = scores_of_rows(model, tables[side], contract, room)
        if gaps := int((~np.isfinite(given)).reshape(len(given), -1).any(axis=1).sum()):
            raise InputError(f"build/model: the model gives no finite score for {gaps} of {len(given)} {side} rows")
        return ScoredRows(wanted[side], given, decide(given, contract, cut), contract.costs)

    kinds = metrics_for(contract)
    test = judge(trained.pipeline, "test", trained.threshold)
    how = params.evaluate
    # Rows of a group are not independent, so whole groups are resampled.
    units = row_keys(tables["test"], identity_columns(contract), "units") if contract.split.by == "group" else None
    estimates = estimate(test, kinds, confidence=how.confidence, resamples=how.resamples, seed=params.seed, units=units)
    # On the rows that the model was fitted on, since their target may be another than that of the train rows alone.
    known = sample(stored(*trained.sides, cluster=cluster), COMPARED_ROWS, params.seed)
    dummy = fit(build_dummy(contract), columns(known, contract), target(known, contract), contract, room)
    dummy_cut = set_threshold(scores(dummy, data["validation"], contract, room), wanted["validation"], contract)
    metrics: dict[str, Any] = {
        "test": {
            name: {"value": significant(e.value), "low": significant(e.low), "high": significant(e.high)}
            for name, e in estimates.items()
        },
        **{
            side: {
                name: significant(value)
                for name, value in measure(judge(trained.train_only, side, trained.threshold), kinds).items()
            }
            for side in ("validation", "train")
        },
        "dummy": {name: significant(value) for name, value in measure(judge(dummy, "test", dummy_cut), kinds).items()},
        "rows": rows,
    }
    if contract.classes:
        metrics["classes"] = by_class(test, contract.classes)
    # Only for the rows that it was fitted on.
    whole = trained.train_only if len(wanted["train"]) == rows["train"] and not trained.drawn else None
    plots = {**curves(test, contract), "learning": _learning(data, wanted, whole, contract, params, room)}
    for name, header in HEADERS.items():
        _write_csv(PLOTS / f"{name}.csv", plots.get(name, []), header)
    write_json(METRICS, metrics)
    first = kinds[0].name
    best = estimates[first]
    say(f"  test {first} {best.value:.4f} [{best.low:.4f}, {best.high:.4f}], dummy {metrics['dummy'][first]:.4f}")


def _learning(
    data: Mapping[str, Columns],
    wanted: Mapping[str, np.ndarray],
    whole: Any,
    contract: Contract,
    params: Params,
    room: Room,
) -> Table:
    """Fit the chosen model on growing parts of the training rows, and measure its loss.

    `whole` is that model if it is already fitted on all of these rows, or None.
    """
    choice = read_choice()
    most = params.evaluate.learning_curve_max_rows
    # Neighbours in a file may be alike: a fixed shuffle makes every part a random sample.
    order = np.random.default_rng(params.seed).permutation(len(wanted["train"]))
    unseen = np.arange(min(len(wanted["validation"]), most))
    rows_unseen, target_unseen = take(data["validation"], unseen), wanted["validation"][unseen]

    def loss_of(size: int) -> tuple[float, float]:
        seen, target_seen = take(data["train"], order[:size]), wanted["train"][order[:size]]
        if size == len(order) and whole is not None:
            model = whole
        else:
            made = build(choice, contract, params.seed, calibrate=params.train.calibrate, room=room)
            model = fit(made, seen, target_seen, contract, room)
        return _loss(model, seen, target_seen), _loss(model, rows_unseen, target_unseen)

    def _loss(model: Any, rows: Columns, truth: np.ndarray) -> float:
        return float(row_losses(truth, scores(model, rows, contract, room)).mean())

    sizes = learning_sizes(len(order), params.evaluate.learning_curve_points, most)
    if contract.task != "regression":
        # The smallest parts may lack a class, or rows of it to calibrate on: such a model is not comparable.
        known = [np.bincount(wanted["train"][order[:size]], minlength=len(contract.classes)).min() for size in sizes]
        sizes = [size for size, rarest in zip(sizes, known, strict=True) if rarest >= FEWEST_OF_A_CLASS]
    return learning_curve(track(sizes, len(sizes), "learning curve"), loss_of)


def _write_csv(path: Path, table: Table, header: Iterable[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(header), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
