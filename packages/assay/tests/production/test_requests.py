"""What the monitor says about requests that were refused, failed or were slow."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.predictions.entry import Counted
from assay.predictions.requests import RequestLog
from assay.predictions.segments import REQUESTS
from assay.production.finding import Finding
from assay.production.monitor import monitor
from assay.production.page import view
from assay.production.requests import judge_requests, requests_by_day
from assay.production.windows import look
from assay.project.settings import UNLIMITED, Limits
from watched import NOW, VERSION, days, found, watch

LIMITS = Limits(errors=0.002, median_ms=250, p99_ms=1000)
LIMIT = 365.0 * 10
WELL = {"answered": 1000, "timed": 1000, "slow": {"250": 20, "1000": 1}, "refused": {"contract": 10}}


def counts(changes: dict[str, Any], last: int = 3, number: int = 20) -> list[Counted]:
    """Return the counts of some days, the last of which are changed."""
    return [
        Counted(NOW - timedelta(days=ago), VERSION, **(WELL | (changes if ago <= last else {})))
        for ago in range(number, 0, -1)
    ]


def judged(given: list[Counted], limits: Limits = LIMITS) -> dict[str, Finding]:
    found = judge_requests(watch(limits=limits), requests_by_day(given, VERSION), LIMIT)
    return {one.check: one for one in found}


def test_a_quiet_month_is_well_and_says_the_numbers() -> None:
    made = judged(counts({}))
    assert [(one.check, one.verdict) for one in made.values()] == [
        ("refused", "WELL"),
        ("failed", "WELL"),
        ("slow", "WELL"),
    ]
    assert made["refused"].reason == "0.99% of 20,200 requests were refused, at most 5% (reasons: contract 200)"
    assert made["slow"].reason == (
        "2% of 20,000 requests took more than 250 ms, at most 50%; "
        "0.1% of 20,000 requests took more than 1,000 ms, at most 1%"
    )


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"failed": 30}, "failed", "since 2026-11-26: 2.9% of 3,120 requests failed, at most 0.2%"),
        (
            {"refused": {"contract": 300}, "violations": {"age": 250, "": 60}},
            "refused",
            "since 2026-11-26: 23% of 3,900 requests were refused, at most 5% (reasons: contract 900) "
            "(columns: age 750, unknown ones 180)",
        ),
        ({"slow": {"250": 40, "1000": 40}}, "slow", "4% of 3,000 requests took more than 1,000 ms, at most 1%"),
        ({"slow": {"250": 700, "1000": 1}}, "slow", "70% of 3,000 requests took more than 250 ms, at most 50%"),
    ],
)
def test_beyond_its_limit_a_share_raises_an_alarm_and_no_other(changes: dict[str, Any], check: str, words: str) -> None:
    made = judged(counts(changes))
    assert {name for name, one in made.items() if one.verdict == "ALARM"} == {check}
    assert words in made[check].reason


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_the_share_of_a_challenger_changes_nothing_in_what_is_refused_and_fails(tmp_path: Path, share: float) -> None:
    log = RequestLog(tmp_path, VERSION, [250.0, 1000.0], days=90)
    of_challenger = round(share * 2000)
    answered = {VERSION: [0.01] * (2000 - of_challenger), "challenger": [0.01] * of_challenger}
    log.add({("/predict", 200, version): seconds for version, seconds in answered.items() if seconds})
    log.add({("/predict", 503, ""): [0.01] * 3})
    log.add_events({("refused", "contract"): 60, ("refused", "overload"): 3})
    log.write()
    log.close()
    (segment,) = (tmp_path / REQUESTS).iterdir()
    lines = [msgspec.json.decode(line, type=Counted) for line in segment.read_bytes().splitlines()]
    days_ago = [timedelta(days=ago) for ago in range(20, 0, -1)]
    made = judged([msgspec.structs.replace(line, time=NOW - ago) for ago in days_ago for line in lines])
    assert {name: (made[name].verdict, made[name].reason) for name in ("refused", "failed")} == {
        "refused": ("WELL", "2.9% of 41,260 requests were refused, at most 5% (reasons: contract 1,200)"),
        "failed": ("WELL", "0.15% of 41,260 requests failed, at most 0.2%"),
    }


def test_strangers_and_an_overload_are_no_requests_that_clients_got_wrong() -> None:
    made = judged(counts({"refused": {"unauthorised": 10_000, "method": 500, "overload": 700, "log": 700}}))
    assert made["refused"].verdict == "WELL"


def test_what_has_no_limit_is_not_watched_and_the_rest_decides() -> None:
    watched = watch(limits=UNLIMITED)
    result = monitor(watched, look(days(20), watched), {}, requests_by_day(counts({"failed": 30}), VERSION))
    assert result["verdict"] == "WELL"
    assert {name: found(result, name)["verdict"] for name in ("refused", "failed", "slow")} == {
        "refused": "WELL",
        "failed": "SKIP",
        "slow": "SKIP",
    }
    assert found(result, "slow")["reason"] == (
        "not watched without a limit: set gates.service.median_ms and gates.service.p99_ms in params.yaml, and train "
        "again"
    )
    assert view(result)["reason"].startswith("9 of 11 checks are well, not watched: failed, slow; ")


def test_of_two_limits_the_missing_one_is_named() -> None:
    slow = judged(counts({"slow": {"250": 700, "1000": 1}}), Limits(median_ms=250))["slow"]
    assert slow.verdict == "ALARM"
    assert slow.reason.endswith(
        "; not watched without a limit: set gates.service.p99_ms in params.yaml, and train again"
    )


@pytest.mark.parametrize(("counted", "is_slow_judged"), [({"timed": 500}, True), ({"unlogged": 5}, False)])
def test_of_a_challenger_only_its_latency_is_judged(counted: dict[str, int], is_slow_judged: bool) -> None:
    made = judged([Counted(NOW, VERSION, **counted)])
    assert [made[check].verdict for check in ("refused", "failed")] == ["SKIP", "SKIP"]
    assert made["failed"].reason == "requests count for the champion, which this version was not"
    assert made["slow"].verdict == ("WELL" if is_slow_judged else "SKIP")
    # Strangers asked the champion.
    assert judged([Counted(NOW, VERSION, refused={"unauthorised": 9})])["failed"].verdict == "HOLD"


def test_with_few_requests_nobody_can_tell() -> None:
    few = judged([Counted(NOW, VERSION, answered=99, failed=0, timed=99)])
    assert {one.verdict for one in few.values()} == {"HOLD"}


def test_where_no_requests_of_this_version_were_counted_there_is_nothing_to_judge() -> None:
    assert judged([]) == judged([Counted(NOW, "another", answered=1000)]) == {}


def test_requests_are_judged_with_the_rest_in_the_order_of_importance() -> None:
    watched = watch(limits=LIMITS)
    seen = look(days(20), watched)
    requests = requests_by_day(counts({"unlogged": 4}), VERSION)
    result = monitor(watched, seen, {}, requests)
    checks = [one["check"] for one in result["outcomes"]]
    assert checks == (
        ["log", "loss", "surprise", "cost", "refused", "values", "failed", "slow", "scores", "features", "estimate"]
    )
    assert result["verdict"] == "WELL"
    assert "12 rows that could not be logged" in found(result, "log")["reason"]
    # The one false alarm a year is shared by more checks, of which those of outcomes have half.
    shares = {one["check"]: one["limit"]["false_alarms_a_year"] for one in result["outcomes"][1:]}
    assert (sum(shares.values()), shares["surprise"], shares["features"]) == pytest.approx((1.0, 0.375, 0.25))
    assert shares["values"] < found(monitor(watched, seen), "values")["limit"]["false_alarms_a_year"]
