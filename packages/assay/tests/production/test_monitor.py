"""What the monitor finds, what it does not, and what it says about a log that is not as it should be."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import watched
from assay.export.reference import LOSS_STEPS, STEPS, Feature, feature_shares
from assay.production.monitor import _where, judge, overall
from assay.production.windows import Window
from watched import NOW, VERSION, Change, day, days, found, in_winter, missing, reference, said, seasons, without_log


def older(data: dict[str, np.ndarray]) -> None:
    data["age"] = np.minimum(data["age"] + 8, 120)


def unknown(data: dict[str, np.ndarray]) -> None:
    data["noise"] = np.where(np.arange(len(data["noise"])) % 20 == 0, 9.9, data["noise"])


def retired(data: dict[str, np.ndarray]) -> None:
    data["age"] = np.minimum(data["age"] + 20, 120)


def noisier(data: dict[str, np.ndarray]) -> None:
    data["noise"] = data["noise"] + 0.5


def flipped(data: dict[str, np.ndarray]) -> None:
    # The margins stay as they are.
    order = np.argsort(data["noise"])
    data["noise"][np.argsort(data["age"], kind="stable")] = data["noise"][order].copy()


def worse(data: dict[str, np.ndarray]) -> None:
    data["drift"] = np.full(len(data["age"]), -0.6)


def rather_worse(data: dict[str, np.ndarray]) -> None:
    data["drift"] = np.full(len(data["age"]), 0.15)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_quiet_month_is_well(task: str):
    result = said(days(20, task=task), task)
    assert result["verdict"] == "WELL", [one for one in result["outcomes"] if one["verdict"] != "WELL"]
    assert [one["check"] for one in result["outcomes"]] == {
        "binary": ["log", "loss", "surprise", "cost", "values", "scores", "features", "estimate"],
        "multiclass": ["log", "loss", "surprise", "error", "values", "scores", "features", "estimate"],
        "regression": ["log", "loss", "values", "scores", "features"],
    }[task]
    assert result["version"] == VERSION
    assert (result["since"], result["until"]) == ("2026-08-31T00:00:00+00:00", "2026-11-29T00:00:00+00:00")


@pytest.mark.parametrize(
    ("change", "check", "column", "words"),
    [
        (older, "features", "age", "age is higher, about"),
        (flipped, "features", "age", "the correlation of age and noise is about"),
        (missing, "values", "age", "age is missing in 5% of rows instead of 0%"),
        (unknown, "values", "noise", "noise is outside all values of the training data in 5.1% of rows"),
        (older, "scores", "score sick", "score sick is higher"),
    ],
)
def test_a_change_raises_an_alarm_that_says_what_changed_and_since_when(
    change: Change, check: str, column: str, words: str
):
    result = said(days(10, change))
    one = found(result, check)
    assert (result["verdict"], one["verdict"]) == ("ALARM", "ALARM")
    assert one["measured"]["since"] == "2026-11-26"
    assert one["measured"]["changes"][0]["column"] == column
    assert words in one["reason"]


@pytest.mark.parametrize(
    ("check", "watched"),
    [
        ("features", "6 columns and 3 pairs"),
        ("values", "the missing and unseen values of 7 columns"),
        ("scores", "the predictions"),
    ],
)
def test_what_has_not_changed_is_named_in_the_words_of_the_data(check: str, watched: str):
    assert found(said(days(2)), check)["reason"] == f"no change of {watched} in 600 rows"


def test_an_alarm_about_values_names_rows_to_look_at():
    changes = found(said(days(6, missing)), "values")["measured"]["changes"]
    assert changes[0]["examples"][0] == f"{1:012x}-0"


def test_a_worse_model_is_found_by_its_outcomes_alone():
    result = said(days(10, worse))
    for check in ("loss", "surprise", "cost"):
        one = found(result, check)
        assert one["verdict"] == "ALARM"
        assert one["measured"]["since"] == "2026-11-26"
        assert len(one["measured"]["examples"]) == 5
    assert "more than promised" in found(result, "cost")["reason"]
    assert {found(result, check)["verdict"] for check in ("values", "features", "estimate")} == {"WELL"}


def test_a_loss_above_the_promise_is_called_that_before_the_evidence_is_enough():
    for change, is_above in ((None, False), (rather_worse, True)):
        loss = found(said(days(3, change)), "loss")
        assert loss["verdict"] == "WELL"
        assert ("it is above that, but the evidence is too little" in loss["reason"]) == is_above
        assert (loss["measured"]["loss"] > loss["limit"]["loss"]) == is_above


def outcomes(*times: float, rows: int = 500, promise: float = 1.0, varies: float = 0.0) -> dict[str, Any]:
    """Return the finding about the loss. The log has a day for each of `times` and ends now.

    `times` and `promise` are multiples of one mean loss: that of each day, and the promised one. `varies` is the
    variance between days in the promise.
    """
    all_losses, rng, windows = watched.promised().losses, np.random.default_rng(0), []
    for number, many in enumerate(times):
        # Without noise but that of the rows: some are right, and some quite wrong.
        quite = rng.binomial(rows, many * all_losses[0].mean / 0.8)
        counts = np.zeros((1, LOSS_STEPS + 1), dtype=int)
        counts[0, [0, LOSS_STEPS * 8 // 10]] = rows - quite, quite
        start = NOW - timedelta(days=len(times) - number)
        found = {one.name: counts for one in all_losses}
        windows.append(Window(start, rows=rows, due=rows, known=rows, losses=found))
    promised = [one.model_copy(update={"mean": promise * one.mean, "varies": varies}) for one in all_losses]
    given = watched.promised().model_copy(update={"losses": tuple(promised)})
    return next(asdict(one) for one in judge(watched.watch(reference=given), windows, []) if one.check == "loss")


def test_losses_so_far_show_a_change_that_the_doubt_of_the_promise_would_hide():
    assert outcomes(*[1.1] * 8, rows=2000)["verdict"] == "WELL"
    alarm = outcomes(*[1.0] * 40, *[1.1] * 8, rows=2000)
    assert alarm["verdict"] == "ALARM"
    assert re.search(r"Brier score 0\.\d+ since 2026-11-2\d, .*; 0\.\d+ before; promised 0\.", alarm["reason"])


def test_what_is_as_promised_is_no_alarm_however_good_it_was_before():
    assert outcomes(*[0.5] * 30, *[1.0] * 10)["measured"]["alarms"] == []


@pytest.mark.parametrize("more", [1.1, 1.2])
def test_an_alarm_lasts_as_long_as_the_loss_is_above_what_it_was_before(more: float):
    alarm = outcomes(*[1.0] * 20, *[more] * 60, rows=4000)
    assert alarm["verdict"] == "ALARM"
    assert "2026-09-25" < alarm["measured"]["since"] <= "2026-09-30"
    words = re.search(r"; ([0-9.]+) before; promised ([0-9.]+) ±", alarm["reason"])
    assert words
    before, promise = map(float, words.groups())
    assert before == pytest.approx(promise, rel=0.02)


def test_what_is_worse_than_promised_from_the_first_day_is_found_though_nothing_was_better_before():
    # The first day has far more rows than the reference, so the mean so far is nearly that of this day.
    alarm = outcomes(*[1.3] * 30, rows=50_000)
    assert (alarm["verdict"], alarm["measured"]["since"]) == ("ALARM", "2026-10-30")
    assert " before" not in alarm["reason"]


def test_after_an_alarm_it_is_said_that_there_was_one():
    one = outcomes(*[1.0] * 20, *[2.0] * 2, *[1.0] * 20)
    assert one["verdict"] == "WELL"
    assert one["reason"].endswith(f"; the last alarm was on {one['measured']['alarms'][-1]}")
    assert "alarm" not in outcomes(*[1.0] * 20)["reason"]


def test_a_model_that_was_never_wrong_is_well_until_it_is():
    assert outcomes(*[0.0] * 60, promise=0.0)["verdict"] == "WELL"
    assert outcomes(*[0.0] * 57, *[1.0] * 3, promise=0.0)["verdict"] == "ALARM"


def gone(data: dict[str, np.ndarray]) -> None:
    data["age"] = np.full(len(data["age"]), np.nan)


def test_a_day_that_fails_does_not_hide_what_comes_weeks_later():
    late = dict.fromkeys(range(1, 6), missing)
    for outage in ({}, {25: gone}):
        values = found(said([day(ago, change=(late | outage).get(ago)) for ago in range(40, 0, -1)]), "values")
        assert (values["verdict"], values["measured"]["since"]) == ("ALARM", "2026-11-24")


def younger(data: dict[str, np.ndarray]) -> None:
    data["age"] = np.maximum(data["age"] - 8, 0)


def test_what_days_that_differ_could_hide_is_said():
    features = found(said([day(ago, change=older if ago % 2 else younger) for ago in range(60, 0, -1)]), "features")
    assert (features["verdict"], features["measured"]["varies"]) == ("WELL", ["age"])
    assert "; days differ by more than chance in age: there only a larger change is found" in features["reason"]
    # It would not even be seen if the loss had doubled.
    loss = outcomes(*[0.2, 1.8] * 20, rows=500)
    assert loss["verdict"] == "HOLD"
    assert "too few to tell whether it has doubled" in loss["reason"]


EARLY = "; there were too few days before to tell how much days differ"


def test_an_alarm_in_the_first_days_says_that_days_may_just_differ():
    for before, is_early in ((2, True), (30, False)):
        alarm = outcomes(*[1.0] * before, 2.0)
        assert alarm["verdict"] == "ALARM"
        assert alarm["reason"].endswith(EARLY) == is_early


def test_what_the_promise_says_of_days_counts_from_the_first_of_them():
    weekends = [1.0, 1.4, 1.4, 1.0, 1.0, 1.0]
    assert outcomes(*weekends, rows=3000)["verdict"] == "ALARM"
    quiet = outcomes(*weekends, rows=3000, varies=0.01)
    assert (quiet["verdict"], quiet["measured"]["varies"]) == ("WELL", ["loss"])
    assert EARLY not in outcomes(*[1.0] * 3, 3.0, rows=3000, varies=0.01)["reason"]


def test_days_that_differ_by_more_than_chance_are_no_alarm_again_and_again():
    rng = np.random.default_rng(3)
    varying = outcomes(*np.clip(rng.normal(1.0, 0.2, 60), 0.2, 1.8), rows=5000)
    alarms = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in varying["measured"]["alarms"]]
    assert [day for day in alarms if day > NOW - timedelta(days=53)] == []
    assert varying["measured"]["varies"] == ["loss"]
    # A change that is far larger than that is found as ever.
    worse = outcomes(*np.clip(rng.normal(1.0, 0.2, 57), 0.2, 1.8), 2.5, 2.5, 2.5, rows=5000)
    assert (worse["verdict"], worse["measured"]["since"]) == ("ALARM", "2026-11-26")
    assert "varies" not in outcomes(*[1.0] * 60)["measured"]


def test_outcomes_count_when_they_are_due():
    batches = days(10, worse)
    assert found(said(batches, delay=timedelta(days=3)), "cost")["verdict"] == "WELL"
    assert found(said(batches, delay=timedelta(days=3)), "cost")["measured"]["due"] == 7 * 300


def test_outcomes_that_come_late_raise_an_alarm_too():
    batches = [day(ago, change=worse if ago <= 25 else None) for ago in range(40, 0, -1)]
    for delay in (8, 20):
        one = found(said(batches, delay=timedelta(days=delay)), "cost")
        assert (one["verdict"], one["measured"]["since"]) == ("ALARM", "2026-11-04")
    # Nobody said that they come late.
    batches = [day(ago, change=worse, outcomes=float(ago > 20)) for ago in range(40, 0, -1)]
    assert found(said(batches), "cost")["verdict"] == "ALARM"


def test_an_alarm_about_outcomes_ends_after_a_week_of_good_ones():
    batches = [day(ago, change=worse if 12 <= ago < 20 else None) for ago in range(30, 0, -1)]
    assert found(said(batches, delay=timedelta(days=10)), "cost")["verdict"] == "ALARM"
    after = found(said(batches), "cost")
    assert after["verdict"] == "WELL"
    assert after["measured"]["alarms"]


def test_before_an_outcome_is_due_nobody_misses_it():
    one = found(said(days(5), delay=timedelta(days=7)), "loss")
    assert (one["verdict"], one["reason"]) == (
        "HOLD",
        "no outcome is due: there is no prediction that is 7 days old",
    )


def test_too_few_or_no_outcomes_are_not_enough_to_tell():
    nothing = said(days(5, outcomes=0.0))
    assert nothing["verdict"] == "HOLD"
    assert "no outcome is known" in found(nothing, "loss")["reason"]
    assert "too few to tell" in found(said(days(2, outcomes=0.02)), "loss")["reason"]
    selected = found(said(days(20, outcomes=0.3)), "loss")
    assert (selected["verdict"], "of the due rows have none" in selected["reason"]) == ("HOLD", True)


def test_the_estimate_says_what_it_assumes():
    reason = found(said(days(5)), "estimate")["reason"]
    assert reason.startswith("estimated before outcomes, assuming that probabilities still hold (no concept drift):")
    assert "visit" in reason


def test_an_alarm_ends_a_week_after_the_last_evidence():
    batches = [day(ago, change=older if 12 <= ago < 15 else None) for ago in range(18, 0, -1)]
    during = [batch for ago, batch in zip(range(18, 0, -1), batches, strict=True) if ago >= 9]
    end = NOW - timedelta(days=8)
    assert found(said(during, until=end, now=end), "features")["verdict"] == "ALARM"
    after = found(said(batches), "features")
    assert after["verdict"] == "WELL"
    assert after["measured"]["alarms"]


def test_a_reference_that_allows_everything_is_not_enough_to_tell():
    result = said(days(5), reference=reference(5))
    for check in ("scores", "features", "estimate"):
        one = found(result, check)
        assert (one["verdict"], one["reason"]) == ("HOLD", "the model has too few rows of reference to tell")
    assert found(result, "loss")["reason"].startswith("the model has too few rows")


def test_no_data_is_never_well():
    result = said([])
    assert result["verdict"] == "HOLD"
    assert found(result, "log")["reason"] == (
        f"the log has no prediction of version {VERSION} between 2026-08-31 and 2026-11-29"
    )
    assert {one["verdict"] for one in result["outcomes"]} == {"HOLD"}
    assert overall([]) == "HOLD"


def test_a_service_that_went_silent_is_no_success():
    result = said([day(ago) for ago in range(20, 5, -1)])
    assert (result["verdict"], found(result, "log")["reason"]) == ("HOLD", "no prediction since 2026-11-23")


def test_days_without_rows_do_not_matter():
    assert said([day(ago) for ago in range(40, 0, -2)])["verdict"] == "WELL"


def test_an_empty_batch_and_the_order_of_batches_do_not_matter():
    batches = days(6)
    assert said([*batches[::-1], batches[0].slice(0, 0)]) == said(batches)


def test_small_batches_are_read_as_large_ones():
    batches = days(3)
    small = [batch.slice(start, 7) for batch in batches for start in range(0, len(batch), 7)]
    assert said(small) == said(batches)


def test_other_versions_are_counted_and_not_judged():
    result = said([*days(10), *(day(ago, change=older, version="another") for ago in (3, 2, 1))])
    assert result["verdict"] == "WELL"
    assert "900 rows of 1 other version, not judged" in found(result, "log")["reason"]


def without(batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
    inputs = batch["inputs"]
    names = [field.name for field in inputs.type if field.name != column]
    left = pa.StructArray.from_arrays([inputs.field(name) for name in names], names=names)
    return batch.set_column(batch.schema.get_field_index("inputs"), "inputs", left)


def test_a_column_that_is_gone_is_missing_and_named():
    result = said([*days(10)[:-2], *(without(day(ago), "heart-rate") for ago in (2, 1))])
    assert found(result, "values")["verdict"] == "ALARM"
    assert "heart-rate is missing in 100% of rows" in found(result, "values")["reason"]
    assert "the log lacks columns of the model: heart-rate in 600 rows" in found(result, "log")["reason"]


@pytest.mark.parametrize(
    ("how", "gaps", "verdict"), [("omit", False, "WELL"), ("hash", False, "WELL"), ("hash", True, "ALARM")]
)
def test_what_the_contract_keeps_out_of_the_log_is_not_missing(how: str, gaps: bool, verdict: str):
    contract = without_log("age", how)
    batches = [
        without(batch, "age") if how == "omit" else hashed(batch, "age")
        for batch in days(10, missing if gaps else None)
    ]
    result = said(batches, contract=contract, reference=reference(contract=contract))
    assert found(result, "values")["verdict"] == verdict
    assert found(result, "features")["verdict"] == "WELL"
    assert "lacks" not in found(result, "log")["reason"]


def hashed(batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
    inputs = batch["inputs"]
    names = [field.name for field in inputs.type]
    # A hash may look like a number.
    hashes = pa.array([None if value is None else "12" for value in inputs.field(column).to_pylist()], pa.string())
    arrays = [hashes if name == column else inputs.field(name) for name in names]
    changed = pa.StructArray.from_arrays(arrays, names=names)
    return batch.set_column(batch.schema.get_field_index("inputs"), "inputs", changed)


def test_a_column_of_another_kind_is_gone_too():
    batch = day(1)
    inputs = batch["inputs"]
    names = [field.name for field in inputs.type]
    other = pa.array(["old"] * len(batch))
    changed = pa.StructArray.from_arrays(
        [other if name == "age" else inputs.field(name) for name in names], names=names
    )
    other_contract = pa.array(["another"] * len(batch))
    batch = batch.set_column(batch.schema.get_field_index("inputs"), "inputs", changed)
    batch = batch.set_column(batch.schema.get_field_index("contract"), "contract", other_contract)
    reason = found(said([*days(10)[:-1], batch]), "log")["reason"]
    assert "rows of 2 contracts; the log lacks columns of the model: age in 300 rows" in reason


@pytest.mark.parametrize(
    ("logged", "task", "lacking"),
    [
        ("regression", "binary", "the log lacks columns of the model: score in 300 rows"),
        ("binary", "regression", "the log lacks columns of the model: score in 300 rows"),
        ("multiclass", "binary", ""),
    ],
)
def test_entries_of_a_model_for_another_task_are_no_error(logged: str, task: str, lacking: str):
    result = said([*days(10, task=task)[:-1], day(1, task=logged)], task)
    assert found(result, "log")["verdict"] == "WELL"
    assert lacking in found(result, "log")["reason"]


def shifted(batch: pa.RecordBatch, by: timedelta) -> pa.RecordBatch:
    times = pa.array([moment + by for moment in batch["time"].to_pylist()], batch["time"].type)
    return batch.set_column(batch.schema.get_field_index("time"), "time", times)


@pytest.mark.parametrize(
    ("by", "verdict", "words"),
    [
        (timedelta(days=2000), "HOLD", "300 rows are dated after now: check the clock of the service"),
        (timedelta(hours=3), "WELL", ""),
        (timedelta(days=-4000), "WELL", ""),
    ],
)
def test_a_wrong_clock_is_named_and_never_an_error(by: timedelta, verdict: str, words: str):
    one = found(said([*days(10), shifted(day(5), by)]), "log")
    assert (one["verdict"], words in one["reason"]) == (verdict, True)


def test_outcomes_that_the_target_cannot_have_are_ignored():
    batch = day(1)
    outcome = pa.array(["nonsense", *batch["outcome"].to_pylist()[1:]])
    batch = batch.set_column(batch.schema.get_field_index("outcome"), "outcome", outcome)
    result = said([*days(10)[:-1], batch])
    assert "1 ignored outcomes that are not values of the target" in found(result, "log")["reason"]


def test_a_log_without_the_column_of_outcomes_can_be_watched():
    batches = [batch.drop_columns(["outcome"]) for batch in days(5)]
    assert found(said(batches), "features")["verdict"] == "WELL"
    assert found(said(batches), "loss")["verdict"] == "HOLD"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_all_checks_together_raise_one_false_alarm_a_year_and_those_of_outcomes_half_of_it(task: str):
    outcomes = said(days(2, task=task), task)["outcomes"][1:]
    shares = {one["check"]: one["limit"]["false_alarms_a_year"] for one in outcomes}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert sum(shares.get(name, 0) for name in ("loss", "surprise", "cost", "error")) == pytest.approx(0.5)
    assert shares["loss"] == pytest.approx(0.5 if task == "regression" else 0.0625)


def test_hundreds_of_pairs_leave_half_of_the_bets_to_the_columns():
    names = [f"x{number}" for number in range(20)]
    columns = [Feature(kind=kind, column=name) for name in names for kind in ("rank", "spread")]
    pairs = [Feature(kind="pair", column=one, other=other) for one, other in combinations(names, 2)]
    weights = feature_shares([*columns, *pairs])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[: len(columns) : 2].sum() == pytest.approx(0.5)
    assert weights[len(columns) :].sum() == pytest.approx(0.25)


def weekly(ago: int) -> Change | None:
    # At the weekend other people come.
    return retired if (NOW - timedelta(days=ago)).weekday() >= 5 else None


def test_with_a_year_of_times_each_weekday_is_compared_with_itself_and_those_beside_it():
    batches = [day(ago, rows=200, change=weekly(ago)) for ago in range(14, 0, -1)]
    overall, by_weekday = (seasons(rows=4000, by_day=by_day) for by_day in (False, True))
    # Until the log shows that days differ.
    alarmed = found(said(batches, reference=overall), "features")["measured"]
    assert alarmed["alarms"]
    assert "age" in alarmed["varies"]
    quiet = found(said(batches, reference=by_weekday), "features")
    assert (quiet["verdict"], quiet["measured"]["alarms"], quiet["measured"]["seasons"]) == (
        "WELL",
        [],
        "each weekday, in UTC, is compared with the same weekday of the reference and those beside it",
    )
    everyday = [day(ago, rows=200, change=weekly(ago) if ago > 5 else retired) for ago in range(14, 0, -1)]
    assert found(said(everyday, reference=by_weekday), "features")["verdict"] == "ALARM"


def test_a_season_that_the_reference_has_seen_raises_no_alarm_and_its_columns_are_named():
    winter = days(10, retired, last=10, rows=200)
    overall, by_day = (seasons(rows=4000, by_day=by_day, are_older=in_winter) for by_day in (False, True))
    assert found(said(winter, reference=overall), "features")["verdict"] == "ALARM"
    quiet = found(said(winter, reference=by_day), "features")
    assert (quiet["verdict"], quiet["measured"]["varies"]) == ("WELL", ["age"])
    # What does not differ from day to day is found as ever.
    assert found(said(days(10, noisier, rows=200), reference=by_day), "features")["verdict"] == "ALARM"


@pytest.mark.parametrize("hours", [-12, 14])
def test_the_time_zone_of_the_data_may_be_another_one_than_that_of_the_log(hours: int):
    batches = []
    for ago in range(28, 0, -1):
        batch = day(ago, rows=200, change=weekly(ago))
        later = pc.add(batch["time"], pa.scalar(timedelta(hours=hours)))
        batches.append(batch.set_column(batch.schema.get_field_index("time"), "time", later))
    result = said(batches, reference=seasons(rows=4000, by_day=True))
    assert [found(result, check)["measured"]["alarms"] for check in ("scores", "features")] == [[], []]
    # Each weekday has scores of its own.
    result = said(batches, reference=seasons(rows=4000, by_day=False))
    assert all(found(result, check)["measured"]["alarms"] for check in ("scores", "features"))


def test_what_changed_on_some_weekdays_names_those():
    batches = [day(ago, rows=200, change=weekly(ago + 3)) for ago in range(28, 0, -1)]
    alarm = found(said(batches, reference=seasons(rows=4000, by_day=True)), "features")
    assert re.match(
        r"since 2026-11-\d\d: on Tuesdays and Wednesdays age is higher, about 7\d\.\d+ instead of 5", alarm["reason"]
    )


SAME, WEEKEND = (0.5,) * 7, (0.2,) * 5 + (0.8,) * 2


def where(
    means: tuple[float, ...], changes: list[float], rows: tuple[int, ...] = (500,) * 7
) -> tuple[float, float, str]:
    """Return the mean that a feature had, the mean now, and the weekdays that are named, in windows from a Monday on.

    `changes` are added to the means; on a weekday without a change the log has what the reference has.
    """
    one = Feature(
        kind="rank", column="age", mean=float(np.mean(means)), allowance=0.02, means=means, allowances=(0.02,) * 7
    )
    windows = []
    for number, change in enumerate(changes):
        counts = np.zeros((1, STEPS + 1), dtype=np.int64)
        high = round(rows[number % 7] * (means[number % 7] + change))
        counts[0, [0, -1]] = rows[number % 7] - high, high
        start = datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=number)
        windows.append(Window(start, rows[number % 7], counts={"features": counts}))
    then, now, words = _where("features", one, 0, windows)
    return then.mean, now, words


def test_a_change_of_one_weekday_names_it_with_its_means():
    then, now, words = where(SAME, [0.3 * (number % 7 == 6) for number in range(14)])
    assert (then, pytest.approx(now), words) == (0.5, 0.8, "on Sundays ")


@pytest.mark.parametrize(
    ("means", "changes", "rows"),
    [
        pytest.param(SAME, [0.1] * 6 + [0.5] + [0.1] * 6 + [0.5], (500,) * 6 + (2,), id="few rows on Sundays"),
        pytest.param(SAME, [0.1] * 14, (500,) * 6 + (20_000,), id="most rows on Sundays"),
        pytest.param(SAME, [0.1] * 14, (0,) + (500,) * 6, id="no rows on Mondays"),
        pytest.param(WEEKEND, [0.1, 0.1, 0.1, 0.1, 0.4, -0.2, 0.1] * 2, (500,) * 7, id="another time zone"),
        pytest.param(SAME, [0.0] * 4 + [0.3] * 3, (500,) * 7, id="begun on a Friday"),
        pytest.param(SAME, [0.0] * 7 + [0.3], (500,) * 7, id="begun on the second Monday"),
    ],
)
def test_a_change_of_all_days_names_none(means: tuple[float, ...], changes: list[float], rows: tuple[int, ...]):
    then, now, words = where(means, changes, rows)
    assert now > then
    assert not words


def test_of_changes_that_cancel_each_other_the_weekday_of_the_largest_is_named():
    then, now, words = where(SAME, [0.1, -0.3, 0.1, 0.1, 0.1, -0.1, 0.0] * 2)
    assert (then, pytest.approx(now), words) == (0.5, 0.2, "on Tuesdays ")


def test_what_has_become_lower_at_the_weekend_is_not_called_higher_than_the_mean_of_the_week():
    then, now, _ = where(WEEKEND, [0.0] * 5 + [-0.3] * 2, (0,) * 5 + (500,) * 2)
    assert (then, now) == (pytest.approx(0.8), pytest.approx(0.5))


def test_why_weekdays_are_not_compared_is_said_of_scores_too():
    overall, by_weekday = (seasons(rows=4000, by_day=by_day) for by_day in (False, True))
    checks = {**by_weekday.checks, "scores": overall.checks["scores"]}
    for made, of_features, of_scores in (
        (overall, "the reference has no year of times", "the reference has no year of times"),
        (
            by_weekday.model_copy(update={"checks": checks}),
            "each weekday, in UTC",
            "the reference has no scores of each",
        ),
    ):
        result = said(days(2), reference=made)
        assert of_features in found(result, "features")["measured"]["seasons"]
        assert of_scores in found(result, "scores")["measured"]["seasons"]
