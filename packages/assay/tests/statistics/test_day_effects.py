"""Days that differ by more than chance are told from those that do not, also where values are rare or days small."""

import numpy as np
import pytest

from assay.statistics.day_effects import CHANCE, STRETCHES, day_effects


def effects(values: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return the effects of days, numbered from 0, on columns of values."""
    rows, middle = np.bincount(days), values.mean(axis=0)
    apart = np.array([np.bincount(days, column) for column in (values - middle).T]).T
    spread = values.std(axis=0)
    kurtosis = ((values - middle) ** 4).mean(axis=0) / np.maximum(spread, 1e-6) ** 4
    return day_effects(apart, rows, spread**2, kurtosis)


@pytest.mark.parametrize("a_day", [1, 3, 30])
@pytest.mark.parametrize("share", [2 / 6000, 0.01, 0.5, None])
def test_what_differs_by_chance_has_no_effect(a_day: int, share: float | None):
    rng = np.random.default_rng(0)
    values = rng.random((6000, 1000))
    found = effects(values if share is None else (values < share).astype(float), np.arange(6000) // a_day)
    # Chi-square is the distribution of the statistic but approximately.
    assert (found > 0).mean() <= 3 * CHANCE * len(STRETCHES)


@pytest.mark.parametrize("a_day", [3, 30, 300])
def test_the_effect_of_days_is_found(a_day: int):
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(300), a_day)
    values = rng.normal(size=(len(days), 20)) + 0.5 * rng.normal(size=(300, 20))[days]
    assert np.median(effects(values, days)) == pytest.approx(0.5, rel=0.1)


def test_a_season_is_seen_with_a_row_a_day_and_a_weekend_with_few():
    rng = np.random.default_rng(2)
    days = np.arange(730)
    season = np.sin(2 * np.pi * days / 365)[:, None] + rng.normal(size=(730, 20))
    assert effects(season, days) == pytest.approx(np.sqrt(0.5), rel=0.25)
    days = np.repeat(np.arange(300), 5)
    weekend = (days % 7 >= 5)[:, None] + rng.normal(size=(1500, 20))
    assert effects(weekend, days) == pytest.approx(0.45, rel=0.3)


def test_of_a_few_days_nothing_is_said():
    values = np.repeat(np.arange(9.0), 100)[:, None]
    assert effects(values, np.repeat(np.arange(9), 100)) == [0]
    values = np.repeat(np.arange(10.0), 100)[:, None]
    assert effects(values, np.repeat(np.arange(10), 100)) > 0
