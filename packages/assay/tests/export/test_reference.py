"""What the monitor compares production with: complete, small, and the same for the same data."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.contract.spec import Contract
from assay.export.reference import (
    DOUBT,
    LOSS_STEPS,
    PAIRS,
    REFERENCE,
    STEPS,
    Check,
    Feature,
    Reference,
    Scored,
    counts,
    days_of,
    independent_rows,
    levels,
    load_reference,
    losses,
    make_reference,
    plain_columns,
)
from patients import contract, patients

COSTS = {"false_positive": 1, "false_negative": 4, "unit": "visit"}


def table(rows: int, seed: int = 0) -> pa.Table:
    data, _ = patients(rows, seed=seed)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})


def scored(rows: int, seed: int = 0, task: str = "binary") -> tuple[Scored, np.ndarray]:
    """Return scores that are right about their uncertainty, and targets."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        return Scored(rng.normal(size=rows), np.zeros(rows, int)), rng.normal(size=rows)
    scores = rng.dirichlet([1.0, 1.0] if task == "binary" else [1.0, 1.0, 1.0], rows)
    target = (rng.random((rows, 1)) > scores.cumsum(axis=1)).sum(axis=1)
    return Scored(scores, scores.argmax(axis=1)), target


def reference(rows: int = 400, task: str = "binary", made: Contract | None = None, **changes: object) -> Reference:
    one, target = scored(rows, task=task)
    counted = {"features": rows, "scores": rows, "losses": rows}
    return make_reference(made or contract(task, **changes), table(rows), one, (one, target), counted)


def named(found: Reference, check: str) -> set[tuple[str, str, object]]:
    return {(one.kind, one.column, one.index if one.other is None else one.other) for one in found.checks[check]}  # type: ignore[index]


def test_it_watches_each_column_alone_and_in_pairs_but_not_what_grows_over_time():
    found = reference()
    features = named(found, "features")
    assert {("rank", "age", None), ("spread", "heart-rate", None), ("pair", "age", "noise")} <= features
    assert {("share", "ward", 2), ("share", "smoker", 1)} <= features
    assert not any("admitted" in (column, other) for _, column, other in features)
    assert len([one for one in features if one[1] == "street"]) == 20
    assert {("missing", "admitted", None), ("unseen", "ward", None), ("unseen", "age", None)} <= named(found, "values")
    assert named(found, "scores") == {
        ("rank", "score sick", None),
        ("spread", "score sick", None),
        ("share", "decision", 0),
        ("share", "decision", 1),
    }


@pytest.mark.parametrize(
    ("task", "changes", "names"),
    [
        ("binary", {"costs": COSTS}, ["loss", "surprise", "cost"]),
        ("binary", {}, ["loss", "surprise", "error"]),
        ("multiclass", {}, ["loss", "surprise", "error"]),
        ("regression", {}, ["loss"]),
    ],
)
def test_it_promises_the_losses_of_the_task(task: str, changes: dict[str, object], names: list[str]):
    found = reference(task=task, **changes)
    assert [one.name for one in found.losses] == names
    assert all(0 < one.mean < 1 and 0 < one.allowance < 1 for one in found.losses)
    assert bool(found.checks["estimate"]) == (task != "regression")


def test_losses_are_those_of_the_metrics_as_shares_of_the_largest():
    made = contract("binary", costs=COSTS)
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = losses(Scored(scores, np.array([0, 1, 0])), np.array([0, 0, 1]), made, 1.0)
    assert found["loss"].tolist() == pytest.approx([0.01, 0.64, 0.36])
    assert found["cost"].tolist() == [0, 0.25, 1.0]
    # Of what had the probability IMPROBABLE the surprise is a half.
    assert found["surprise"].tolist() == pytest.approx([0.03 / 0.93, 0.03 / 0.23, 0.03 / 0.43])
    far = losses(Scored(np.array([0.0, 0.0]), np.zeros(2, int)), np.array([1.0, 9.0]), contract("regression"), 4.0)
    assert far["loss"].tolist() == [0.25, 1.0]


def test_the_means_are_those_of_its_own_rows():
    found, columns = reference(), plain_columns(table(400), contract())
    steps = levels("features", found.checks["features"], columns, found)
    means = counts(steps, STEPS) @ np.arange(STEPS + 1) / STEPS / 400
    assert means == pytest.approx([one.mean for one in found.checks["features"]], rel=1e-4)
    by_name = dict(zip([(one.kind, one.column) for one in found.checks["features"]], means, strict=True))
    assert by_name["rank", "age"] == pytest.approx(0.5, abs=0.01)


def test_a_row_unlike_the_reference_is_unseen_and_a_missing_one_missing():
    found = reference()
    columns = plain_columns(table(3), contract())
    columns |= {"age": np.array([1e6, np.nan, 40]), "ward": np.array([-1.0, np.nan, 0])}
    steps = levels("values", found.checks["values"], columns, found)
    marked = {
        (one.kind, one.column): (steps[:, index] > 0).tolist() for index, one in enumerate(found.checks["values"])
    }
    for name in ("age", "ward"):
        assert marked["unseen", name] == [True, False, False]
        assert marked["missing", name] == [False, True, False]


def test_it_is_the_same_after_writing_and_reading(tmp_path: Path):
    found = reference()
    write_json(tmp_path / REFERENCE, found.model_dump(exclude_none=True))
    assert load_reference(tmp_path) == found
    assert reference() == found


def test_a_missing_or_newer_file_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"reference\.json: there is no such file"):
        load_reference(tmp_path)
    (tmp_path / REFERENCE).write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="newer"):
        load_reference(tmp_path)


def test_its_size_is_bounded_however_many_columns_there_are():
    columns = {f"x{number}": {"kind": "number"} for number in range(300)}
    made = contract(columns=columns)
    rng = np.random.default_rng(0)
    wide = pa.table({name: rng.normal(size=60) for name in columns})
    one, target = scored(60)
    found = make_reference(made, wide, one, (one, target), {"features": 60, "scores": 60, "losses": 60})
    assert sum(one.kind == "pair" for one in found.checks["features"]) == PAIRS
    assert len(found.model_dump_json()) < 1_000_000


def test_rows_of_a_group_count_once():
    made = contract(split={"by": "group", "column": "street"})
    assert independent_rows(table(500), made) == 30
    assert independent_rows(table(50), contract()) == 50


def test_a_column_without_any_value_is_no_error():
    empty = table(50).set_column(1, "heart-rate", pa.nulls(50, pa.float64()))
    one, target = scored(50)
    found = make_reference(contract(), empty, one, (one, target), {"features": 50, "scores": 50, "losses": 50})
    assert "heart-rate" not in found.ends


def test_steps_of_losses_are_fine_enough_for_costs():
    assert counts(np.array([[0], [LOSS_STEPS]]), LOSS_STEPS).sum() == 2


DAILY = {"split": {"by": "time", "column": "admitted"}}


def by_day(
    days: np.ndarray, change: Callable[[dict[str, np.ndarray], np.ndarray], None] = lambda _, __: None
) -> Reference:
    """Return the reference of rows of some days, changed by day."""
    data, _ = patients(len(days), seed=0)
    change(data, days)
    data["admitted"] = np.datetime64("2024-01-01", "us") + days.astype("timedelta64[D]")
    one, target = scored(len(days))
    made, rows = (
        contract(**DAILY),
        pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()}),
    )
    counted = dict.fromkeys(("features", "scores", "losses"), len(days))
    return make_reference(made, rows, one, (one, target), counted, (days_of(rows, made), None, None))


def feature(found: Reference, kind: str, column: str) -> Feature:
    return next(one for one in found.checks["features"] if (one.kind, one.column) == (kind, column))


@pytest.mark.parametrize(("days", "is_known"), [(800, True), (300, False)])
def test_weekdays_have_means_of_their_own_if_the_split_is_by_time_over_a_year(days: int, is_known: bool):
    def older_on_mondays(data: dict[str, np.ndarray], days: np.ndarray) -> None:
        data["age"] = np.where(days % 7 == 0, 90.0, 40.0)

    # The first of January 2024 was a Monday.
    age = feature(by_day(np.arange(8000) % days, older_on_mondays), "rank", "age")
    assert ((np.argmax(age.means), len(age.means)) == (0, 7)) if is_known else age.means == ()
    # What the weekday explains is not called another difference between days.
    assert (age.varies == 0) == is_known
    rows = pa.table({"admitted": np.array(["2024-01-01"], "datetime64[us]")})
    assert days_of(rows, contract(**DAILY)) == [19723]
    assert days_of(rows, contract()) is None


def test_what_differs_from_day_to_day_has_a_larger_allowance_and_the_rest_the_same():
    def warmer_in_summer(data: dict[str, np.ndarray], days: np.ndarray) -> None:
        data["age"] = 50 + 30 * np.sin(2 * np.pi * days / 365) + np.random.default_rng(0).normal(size=len(days))

    days = np.sort(np.arange(9000) % 300)
    found, other = by_day(days, warmer_in_summer), by_day(days)
    age, noise = (feature(found, "rank", column) for column in ("age", "noise"))
    assert age.mean + age.allowance > 0.95
    assert age.mean - age.allowance < 0.05
    assert noise == feature(other, "rank", "noise")
    assert noise.varies == 0 < noise.allowance < 0.1


def test_the_promise_about_losses_does_not_suffer_from_the_number_of_columns():
    one, target = scored(400)
    rows = {"features": 60, "scores": 400, "losses": 400}
    rng = np.random.default_rng(0)
    found = []
    for number in (2, 40):
        columns = {f"x{index}": {"kind": "number"} for index in range(number)}
        table = pa.table({name: rng.normal(size=60) for name in columns})
        found.append(make_reference(contract(columns=columns), table, one, (one, target), rows))
    assert found[0].losses == found[1].losses
    assert found[0].checks["features"][0].allowance < found[1].checks["features"][0].allowance


def test_the_doubt_about_features_is_divided_like_the_bets_so_many_pairs_cost_a_column_little():
    one, target = scored(400)
    rows = 20_000
    rng = np.random.default_rng(0)
    columns = {f"x{index}": {"kind": "number"} for index in range(20)}
    table = pa.table({name: rng.normal(size=rows) for name in columns})
    checks = make_reference(
        contract(columns=columns), table, one, (one, target), dict.fromkeys(("features", "scores", "losses"), rows)
    ).checks
    # The standard deviations of ranks, of how far they are from the middle, and of the products of two.
    spread = {"rank": 12**-0.5, "spread": 12**-0.5, "pair": 1 / 6}

    def doubt(check: Check, kind: str) -> float:
        return sum(
            2 * float(norm.sf(one.allowance * rows**0.5 / spread[kind])) for one in checks[check] if one.kind == kind
        )

    # A quarter of the doubt for all features that are compared, and a twelfth for the scores.
    assert sum(one.kind == "pair" for one in checks["features"]) == 190
    assert doubt("features", "rank") == pytest.approx(DOUBT / 4 * 2 / 4, rel=0.3)
    assert doubt("features", "spread") == pytest.approx(DOUBT / 4 / 4, rel=0.3)
    assert doubt("features", "pair") == pytest.approx(DOUBT / 4 / 4, rel=0.3)
    assert doubt("scores", "rank") == pytest.approx(DOUBT / 12 * 2 / 5, rel=0.3)


def test_there_is_more_doubt_about_seven_weekdays_than_about_one_mean():
    days = np.sort(np.arange(9000) % 400)
    each, all_days = (feature(one, "rank", "noise") for one in (by_day(days), by_day(days % 300)))
    assert each.means
    assert not all_days.means
    assert all(one * 7**-0.5 > 1.05 * all_days.allowance for one in each.allowances)


@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_the_promise_says_how_much_days_differ(effect: float):
    rng, days = np.random.default_rng(0), np.repeat(np.arange(60), 200)
    loss = 0.3 + 0.2 * rng.random(len(days)) + effect * rng.normal(size=60).clip(-2, 2)[days]
    # An error of one is a loss of a part of the largest one.
    of_rows = Scored(loss, loss), np.zeros(len(days))
    counted = dict.fromkeys(("features", "scores", "losses"), len(days))
    made = [
        make_reference(contract("regression"), table(len(days)), of_rows[0], of_rows, counted, (None, None, known))
        for known in (None, days)
    ]
    unknown, known = (one.losses[0] for one in made)
    assert unknown.varies == 0
    assert known.varies == pytest.approx(effect**2 / (effect**2 + 0.2**2 / 12), abs=0.5 * effect)
    # Rows that are alike say less.
    assert (known.allowance > 10 * unknown.allowance) if effect else (known.allowance == unknown.allowance)


@pytest.mark.parametrize("a_day", [1, 20])
def test_a_loss_that_is_always_the_same_does_not_differ_between_days(a_day: int):
    days = np.arange(400) // a_day
    # A third of the largest loss is between two steps.
    of_rows = Scored(np.ones(400), np.ones(400)), np.zeros(400)
    counted = dict.fromkeys(("features", "scores", "losses"), 400)
    made = make_reference(contract("regression"), table(400), of_rows[0], of_rows, counted, (None, None, days))
    assert made.losses[0].varies == 0
    assert 0 < made.losses[0].allowance < 0.1


def test_rows_are_counted_in_parts_if_there_are_many(monkeypatch: pytest.MonkeyPatch):
    whole = reference()
    monkeypatch.setattr("assay.export.reference.CELLS", 500)
    assert reference() == whole
