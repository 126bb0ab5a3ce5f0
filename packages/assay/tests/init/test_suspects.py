"""Columns that give the target away together, or are known only afterwards, are left out; honest ones stay."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.init.infer import Plan, infer
from init.plans import said

ROWS = 600
RNG = np.random.default_rng(5)
A, B, C = (RNG.gamma(4, 10, ROWS).round(2) for _ in range(3))
NOISE = RNG.normal(size=ROWS)
BEGIN = np.datetime64("2024-01-01", "s") + np.sort(RNG.integers(0, 10_000_000, ROWS)).astype("timedelta64[s]")


def made(target: Any, **columns: Any) -> Plan:
    return infer(pa.table({**columns, "answer": target}), "answer", "mine")


FARE = (60 + 2 * A + 12 * NOISE).round(2)
TIP = np.where(RNG.random(ROWS) < 0.6, (FARE * 0.2).round(2), 0)
TOLL = np.where(RNG.random(ROWS) < 0.5, (C / 9).round(2), 0)
FEE = RNG.choice([0.3, 0.8, 3.3], ROWS)
ODD = np.where(np.arange(ROWS) % 50 == 0, 20 * NOISE, 0)
LEVEL = RNG.integers(1, 4, ROWS)
FLAG = RNG.random(ROWS) < 0.4
STEPS = [RNG.integers(1, 6, ROWS) for _ in range(3)]
MINUTES = RNG.integers(60, 9000, ROWS)
GIVEN_AWAY: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "a total with a fee of few values": (FARE, {"km": A, "tip": TIP, "total": FARE + TIP + FEE}, {"tip", "total"}),
    "a total of three parts": (
        FARE,
        {"km": A, "tip": TIP, "toll": TOLL, "total": FARE + TIP + TOLL + FEE},
        {"tip", "toll", "total"},
    ),
    "a total that is wrong in some rows": (FARE, {"km": A, "tip": TIP, "total": FARE + TIP + ODD}, {"tip", "total"}),
    "a sum with a small rest": (A + B + NOISE / 5, {"a": A, "b": B, "c": C}, {"a", "b"}),
    "a price for each unit": (A * B, {"area": A, "answer_per_m2": B, "rooms": C.round(0)}, {"answer_per_m2"}),
    "a ratio": ((A / B).round(4), {"a": A, "b": B, "c": C}, {"a", "b"}),
    "a ratio with a square": ((A / B**2).round(6), {"a": A, "b": B, "c": C}, {"a", "b"}),
    "a logarithm of a product": (np.log(A * B).round(3), {"a": A, "b": B, "c": C}, {"a", "b"}),
    "who of two has more": (np.where(A > B, "home", "away"), {"home": A, "away": B, "c": C}, {"home", "away"}),
    "the other columns of one-hot coding": (
        (LEVEL == 2).astype(int),
        {"level1": LEVEL == 1, "level3": (LEVEL == 3).astype(int), "other": FLAG, "a": A},
        {"level1", "level3"},
    ),
    "a column for one of three classes": (
        np.array(["low", "mid", "high"])[LEVEL - 1],
        {"is_low": LEVEL == 1, "other": FLAG, "a": A},
        {"is_low"},
    ),
    "the end of what it lasts": (
        MINUTES.astype(float),
        {"start": BEGIN, "stop": BEGIN + MINUTES.astype("timedelta64[s]"), "c": C},
        {"stop"},
    ),
    "the target in parts": (
        FARE,
        {"km": A, "class": np.array(["low", "mid", "high"])[np.digitize(FARE, [110.005, 160.005])]},
        {"class"},
    ),
    "the target rounded": (FARE, {"km": A, "about": FARE.round(-1)}, {"about"}),
    "a sum of steps of a scale": (
        sum(STEPS),
        {"q1": STEPS[0], "q2": STEPS[1], "q3": STEPS[2], "km": A},
        {"q1", "q2", "q3"},
    ),
    "a name that means afterwards": (np.where(A + 9 * NOISE > 40, "y", "n"), {"refund": A, "b": B}, {"refund"}),
    "how long it took, if nothing says as much": (
        np.where(A + 9 * NOISE > 40, "y", "n"),
        {"duration": A, "b": B},
        {"duration"},
    ),
}


@pytest.mark.parametrize("what", GIVEN_AWAY)
def test_what_gives_the_target_away_is_left_out(what):
    target, columns, out = GIVEN_AWAY[what]
    plan = made(target, **columns)
    assert set(plan.suspects) == out
    assert all(plan.contract["columns"][name]["kind"] == "ignored" for name in out)
    assert all("left out: " in said(plan, name) for name in out)


def test_a_column_that_alone_says_far_more_than_any_other_is_to_be_looked_at():
    score = (A + 5 * NOISE).round(1)
    assert "the next" in said(made(np.where(A > 40, "y", "n"), score=score, b=B, c=C), "score")
    assert "the next" not in said(made(np.where(A + B > 80, "y", "n"), a=A, b=B, c=C), "a")


HONEST: dict[str, tuple[Any, dict[str, Any]]] = {
    "effects that add and leave little": ((A + B + 2 * NOISE).round(), {"a": A.round(), "b": B.round(), "c": C}),
    "flags that say much": (
        np.where((LEVEL == 1) & (NOISE > -1), "y", "n"),
        {"level2": LEVEL == 2, "other": FLAG, "a": A},
    ),
    "effects that add": (A + B + 3 * NOISE, {"a": A, "b": B, "c": C}),
    "effects that multiply": (A * B * np.exp(NOISE / 5), {"a": A, "b": B, "c": C}),
    "numbers of few values": (RNG.integers(0, 9, ROWS) * 1.0, {"a": RNG.integers(0, 9, ROWS), "b": B}),
    "mostly nothing": (np.where(NOISE > 1.8, A, 0.0), {"a": np.where(C > 80, C, 0), "b": B}),
    "who of two has more, by chance": (np.where(A + 15 * NOISE > B, "home", "away"), {"home": A, "away": B}),
    "numbers that begin with nothing": (A, {"a": np.where(np.arange(ROWS) > 300, B, 0), "b": C}),
    "a time before": (A, {"born": BEGIN - np.timedelta64(9000, "D"), "day": BEGIN, "b": B}),
    "parts of what overlaps": (A, {"class": np.digitize(A + NOISE, [30, 50]), "b": B}),
    "groups of nearly nothing": (np.where(FLAG, A, 0), {"flag": FLAG, "b": B}),
    "what was before": (np.where(A + 9 * NOISE > 40, "y", "n"), {"previous_outcome": A, "b": B}),
    "how long, and others say more": (np.where(B + 9 * NOISE > 40, "y", "n"), {"duration": A, "b": B}),
}


@pytest.mark.parametrize("what", HONEST)
def test_what_is_known_before_stays(what):
    target, columns = HONEST[what]
    assert not made(target, **columns).suspects


@pytest.mark.parametrize("rows", [30, 60, 100, 300])
def test_a_good_feature_of_few_levels_stays_and_is_to_be_looked_at(rows: int) -> None:
    level = np.resize([1, 2, 3], rows)
    plan = made(level + np.random.default_rng(0).uniform(-0.45, 0.45, rows), level=level, b=RNG.normal(size=rows))
    assert not plan.suspects
    assert "a part of the target's range of its own: if" in said(plan, "level")


def test_a_name_that_may_mean_afterwards_is_to_be_looked_at():
    target, columns = HONEST["how long, and others say more"]
    assert "known only afterwards" in said(made(target, **columns), "duration")
