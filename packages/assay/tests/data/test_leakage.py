from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.data.leakage import class_shares, duplicates, leakage, overlap
from assay.project.params import Prepare, Validate
from examples import parts, small

LIMITS = Validate(duplicate_share=0.05, smallest_class_share=0.05, leakage_score=0.98, id_like_share=0.98)
NUMBER, INTEGER, TEXT = {"kind": "number"}, {"kind": "integer"}, {"kind": "text"}
N = 600
RNG = np.random.default_rng(1)
NOISE = RNG.normal(size=N)
LABEL = RNG.integers(0, 2, N)
GRADE = RNG.integers(0, 3, N)
DAYS = RNG.uniform(0, 100, N)
TARGETS: dict[str, list[Any]] = {
    "binary": ["yes" if one else "no" for one in LABEL],
    "multiclass": [("no", "a bit", "very")[one] for one in GRADE],
    "regression": DAYS.tolist(),
}
TRUTH: dict[str, np.ndarray] = {"binary": LABEL, "multiclass": GRADE, "regression": DAYS}
WORDS = [f"w{number}" for number in range(N)]


def look(task: str, values: Any, column: dict[str, Any] = NUMBER, *, target: list[Any] | None = None) -> Outcome:
    """Return what is said of a harmless column of noise beside one with these values."""
    made = small({"noise": NUMBER, "x": column}, task)
    sick = TARGETS[task] if target is None else target
    return leakage(pa.table({"noise": np.resize(NOISE, len(sick)), "x": values, "sick": sick}), made, LIMITS)


@pytest.mark.parametrize("task", TRUTH)
@pytest.mark.parametrize(
    "copy",
    [
        lambda truth: truth * 1.0,
        lambda truth: -truth * 1.0,
        lambda truth: 1000 - 3.5 * truth,
        lambda truth: np.where(NOISE > 2.5, np.nan, truth),
        lambda truth: truth + 0.01 * NOISE,
    ],
    ids=["copy", "negated", "stretched", "a few missing", "hardly noisy"],
)
def test_a_copy_of_the_target_is_rejected(task: str, copy: Any) -> None:
    outcome = look(task, pa.array(copy(TRUTH[task]), from_pandas=True))
    assert outcome.verdict == "REJECT"
    assert "nearly determines the target" in outcome.reason
    assert "x (" in outcome.reason
    assert "noise" not in outcome.reason


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_permuted_labels_are_a_copy_too(task: str) -> None:
    values = [{"no": "q", "yes": "r", "a bit": "s", "very": "t"}[label] for label in TARGETS[task]]
    outcome = look(task, values, {"kind": "category", "values": sorted(set(values))})
    assert (outcome.verdict, outcome.measured["scores"]["x"]) == ("REJECT", 1.0)


def test_a_flag_or_a_text_that_is_the_target_is_a_copy_too() -> None:
    assert look("binary", LABEL == 1, {"kind": "boolean"}).verdict == "REJECT"
    assert look("binary", TARGETS["binary"], TEXT).verdict == "REJECT"


@pytest.mark.parametrize("task", TRUTH)
@pytest.mark.parametrize(("wrong", "verdict"), [(0.002, "REJECT"), (0.2, "PROMOTE")])
def test_a_noisy_copy_is_rejected_only_above_the_limit(task: str, wrong: float, verdict: str) -> None:
    other = np.random.default_rng(2).permutation(TRUTH[task])
    spoilt = np.where(np.arange(N) < wrong * N, other, TRUTH[task]) * 1.0
    outcome = look(task, spoilt)
    assert outcome.verdict == verdict
    assert (outcome.measured["scores"]["x"] >= 0.98) == (verdict == "REJECT")


@pytest.mark.parametrize("task", TRUTH)
def test_harmless_columns_are_let_through_with_the_one_that_says_most(task: str) -> None:
    outcome = look(task, TRUTH[task] + TRUTH[task].std() * np.random.default_rng(3).normal(size=N))
    assert outcome.verdict == "PROMOTE"
    assert outcome.reason.startswith("the most predictive single feature is x, with 0.")
    assert outcome.measured["scores"]["noise"] < 0.05
    assert outcome.limit == {"score": 0.98, "id_like_share": 0.98}


def test_a_copy_is_found_in_a_file_that_alternates_cases_and_controls() -> None:
    label = np.arange(N) % 2
    outcome = look("binary", label * 1.0, target=["yes" if one else "no" for one in label])
    assert outcome.verdict == "REJECT"


def test_a_copy_is_found_in_a_long_file_that_alternates_cases_and_controls() -> None:
    label = np.arange(150_000) % 2
    outcome = look("binary", label * 1.0, target=np.where(label, "yes", "no").tolist())
    assert outcome.verdict == "REJECT"


def test_a_copy_is_found_in_a_sorted_file() -> None:
    label = np.sort(LABEL)
    assert look("binary", label * 1.0, target=["yes" if one else "no" for one in label]).verdict == "REJECT"


@pytest.mark.parametrize("others", [{}, {"noise": NUMBER}])
def test_the_time_that_rows_are_split_by_may_say_all_of_a_series_that_grows(others: dict[str, Any]) -> None:
    days = np.datetime64("2020-01-01", "us") + np.arange(N) * np.timedelta64(1, "D")
    table = pa.table({"day": days, "noise": NOISE, "sick": np.arange(N) + NOISE}).select(["day", *others, "sick"])
    columns = {"day": {"kind": "time"}, **others}
    by_time = small(columns, "regression", split={"by": "time", "column": "day"})
    assert leakage(table, by_time, LIMITS).verdict == "PROMOTE"
    assert leakage(table, small(columns, "regression"), LIMITS).verdict == "REJECT"


def test_whether_a_value_is_missing_may_give_the_target_away() -> None:
    values = pa.array([None if one else 1.0 + noise for one, noise in zip(LABEL, NOISE, strict=True)])
    assert look("binary", values).verdict == "REJECT"


def test_a_time_may_give_the_target_away() -> None:
    moments = pa.array([None if one else 10**15 + number for number, one in enumerate(LABEL)], pa.timestamp("us"))
    assert look("binary", moments, {"kind": "time", "missing": "allow"}).verdict == "REJECT"


@pytest.mark.parametrize(
    ("values", "column"),
    [(WORDS, TEXT), (list(range(N)), INTEGER), (WORDS, {"kind": "category", "values": WORDS})],
    ids=["text", "integer", "category"],
)
def test_a_column_that_only_tells_rows_apart_is_held(values: list[Any], column: dict[str, Any]) -> None:
    outcome = look("binary", values, column)
    assert outcome.verdict == "HOLD"
    assert outcome.reason == "has a different value in nearly every row, like an id: x"
    assert outcome.measured["id_like"] == ["x"]


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([f"{word} {'word ' * 10}" for word in WORDS], TEXT),
        ([word[:3] for word in WORDS], TEXT),
        (list(np.arange(N) // 2), INTEGER),
        (np.arange(N) * 1.0, NUMBER),
    ],
    ids=["prose", "shared words", "pairs", "measure"],
)
def test_a_column_that_differs_for_another_reason_is_no_id(values: Any, column: dict[str, Any]) -> None:
    assert look("binary", values, column).verdict == "PROMOTE"


def test_a_short_table_is_not_searched_for_ids() -> None:
    assert look("binary", list(range(40)), INTEGER, target=TARGETS["binary"][:40]).measured["id_like"] == []


def table(*rows: tuple[float, str]) -> pa.Table:
    return pa.table({"x": [x for x, _ in rows], "sick": [sick for _, sick in rows]})


MADE: Contract = small({"x": NUMBER})


def test_repeated_rows_are_counted_and_those_that_contradict() -> None:
    outcome = duplicates(table((1, "no"), (1, "no"), (1, "yes"), (2, "no")), MADE, LIMITS)
    assert outcome.verdict == "HOLD"
    assert outcome.measured == {"repeated": 2, "share": 0.5, "contradicting": 1}
    assert outcome.reason == (
        "2 of 4 rows have the same features as another (50.0%, limit 5.0%); 1 times with a different target"
    )


def test_a_few_repeated_rows_are_let_through() -> None:
    rows = [(number * 1.0, "no") for number in range(19)]
    assert duplicates(table(*rows, (0.0, "no")), MADE, LIMITS).verdict == "PROMOTE"
    assert duplicates(table(*rows[:18], (0.0, "no")), MADE, LIMITS).verdict == "HOLD"


def test_a_zero_of_either_sign_is_a_repetition_and_an_id_makes_none_different() -> None:
    made = small({"who": {"kind": "id"}, "x": NUMBER})
    rows = pa.table({"who": ["a", "b"], "x": [0.0, -0.0], "sick": ["no", "no"]})
    assert duplicates(rows, made, LIMITS).measured["repeated"] == 1


def test_a_class_that_is_too_rare_is_held() -> None:
    rows = [(0.0, "no")] * 96 + [(0.0, "yes")] * 4
    outcome = class_shares(table(*rows), MADE, LIMITS)
    assert outcome.verdict == "HOLD"
    assert outcome.reason == "the rarest class is 'yes' with 4.0% of the rows (limit 5.0%)"
    assert class_shares(table(*rows, (0.0, "yes"), (0.0, "yes")), MADE, LIMITS).verdict == "PROMOTE"


def test_a_class_that_is_absent_has_no_share() -> None:
    outcome = class_shares(table((0.0, "no")), MADE, LIMITS)
    assert outcome.measured["shares"] == {"no": 1.0, "yes": 0.0}
    assert outcome.verdict == "HOLD"


def test_a_number_has_no_classes() -> None:
    made = small({"x": NUMBER}, "regression")
    assert class_shares(pa.table({"x": [1.0], "sick": [1.0]}), made, LIMITS).verdict == "SKIP"


def overlapping(rows: pa.Table, made: Contract) -> Outcome:
    split = parts(rows, made, Prepare(test=0.3, validation=0.2, salt="assay"))
    return overlap(split["train"], split["test"], made, LIMITS)


def test_rows_that_differ_in_their_id_only_are_held_when_they_are_on_both_sides() -> None:
    made = small({"patient": {"kind": "id"}, "x": NUMBER})
    patients, sick = [f"p{number}" for number in range(N)], TARGETS["binary"]
    again = pa.table({"patient": patients, "x": np.resize(NOISE[:50], N), "sick": sick})
    apart = pa.table({"patient": patients, "x": NOISE, "sick": sick})
    held = overlapping(again, made)
    assert held.verdict == "HOLD"
    assert held.measured["share"] > 0.9
    assert overlapping(apart, made).verdict == "PROMOTE"


def test_repeated_rows_without_an_id_are_on_one_side_and_overlap_in_none() -> None:
    made = small({"x": NUMBER})
    again = pa.table({"x": np.resize(NOISE[:50], N), "sick": TARGETS["binary"]})
    assert overlapping(again, made).measured == {"rows": 0, "near": 0, "share": 0.0}
    assert duplicates(again, made, LIMITS).verdict == "HOLD"


def wide(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Return rows of eight numbers, a category and a time: no two of them are near each other."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {f"x{i}": rng.normal(size=rows) for i in range(8)}
    made["ward"] = rng.choice(["north", "south"], rows).astype(object)
    made["seen"] = np.datetime64("2024-01-01", "us") + rng.integers(0, 10**13, rows).astype("timedelta64[us]")
    return made


WIDE = small(
    {
        **{f"x{i}": {"kind": "number", "missing": "allow"} for i in range(8)},
        "ward": {"kind": "category", "values": ["north", "south"]},
        "seen": {"kind": "time"},
    }
)


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-3])
def test_test_rows_copied_into_the_training_rows_are_held_with_any_small_noise(noise: float) -> None:
    test = wide(200, 1)
    rng = np.random.default_rng(2)
    moved = {n: v + noise * rng.normal(size=200) if v.dtype == np.float64 else v for n, v in test.items()}
    train = {name: np.concatenate([values, moved[name]]) for name, values in wide(400, 3).items()}
    outcome = overlap(pa.table(train), pa.table(test), WIDE, LIMITS)
    assert outcome.verdict == "HOLD"
    assert outcome.measured["rows"] + outcome.measured["near"] == 200


def test_rows_that_were_all_copied_with_a_little_noise_are_held() -> None:
    rows, rng = wide(600, 1), np.random.default_rng(2)
    moved = {n: v + 1e-3 * rng.normal(size=600) if v.dtype == np.float64 else v for n, v in rows.items()}
    again = {name: np.concatenate([values, moved[name]]) for name, values in rows.items()}
    sides = rng.random(1200) < 0.7
    train, test = (pa.table({n: v[side] for n, v in again.items()}) for side in (sides, ~sides))
    outcome = overlap(train, test, WIDE, LIMITS)
    assert outcome.verdict == "HOLD"
    assert 0.6 < outcome.measured["share"] < 0.8


def test_rows_that_differ_in_one_feature_are_not_copies() -> None:
    test = wide(200, 1)
    for name, values in test.items():
        other = np.where(values == "north", "south", "north") if name == "ward" else np.roll(values, 1)
        train = {n: np.concatenate([v, other if n == name else test[n]]) for n, v in wide(400, 3).items()}
        assert overlap(pa.table(train), pa.table(test), WIDE, LIMITS).verdict == "PROMOTE", name


@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize("apart", [0.0, 0.01, 1.0], ids=["all the same", "nearly the same", "independent"])
@pytest.mark.parametrize("rows", [100, 1000, 10_000])
def test_among_few_features_neighbours_are_no_copies(features: int, apart: float, rows: int) -> None:
    rng = np.random.default_rng(rows)
    base = rng.normal(size=2 * rows)
    made = {f"x{i}": base + apart * rng.normal(size=2 * rows) for i in range(features)}
    train, test = (pa.table({name: values[part::2] for name, values in made.items()}) for part in (0, 1))
    outcome = overlap(train, test, small(dict.fromkeys(made, NUMBER)), LIMITS)
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["near"] <= 0.02 * rows


def test_among_whole_numbers_neighbours_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    sides = (pa.table({"x": rng.normal(size=1000), "y": rng.integers(0, 100, 1000)}) for _ in range(2))
    assert overlap(*sides, small({"x": NUMBER, "y": INTEGER}), LIMITS).measured["near"] == 0


def test_what_is_missing_lies_beside_what_is_missing_too() -> None:
    test = wide(100, 1)
    test["x0"][:] = np.nan
    there = {**test, "x0": np.zeros(100)}
    assert overlap(pa.table(test), pa.table(test), WIDE, LIMITS).measured["rows"] == 100
    assert overlap(pa.table(there), pa.table(test), WIDE, LIMITS).measured["share"] == 0
