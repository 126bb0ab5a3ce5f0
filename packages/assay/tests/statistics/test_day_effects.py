"""Days that differ by more than chance are told from those that do not, also where values are rare or days small."""

import numpy as np
import pytest

from assay.statistics.day_effects import CHANCE, ENOUGH_STEPS, FEWEST_STEPS, STRETCHES, day_effects, overdispersion


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


def power_sums(values: np.ndarray) -> np.ndarray:
    """Return the sums for `overdispersion` of values of shape (days, rows, features)."""
    days, rows, features = values.shape
    return np.array([np.full((days, features), rows), *((values**power).sum(axis=1) for power in range(1, 5))])


def overdispersed(values: np.ndarray) -> np.ndarray:
    return overdispersion(power_sums(values))


SIZES = {
    "equal": [300] * 42,
    "few": [5] * 42,
    "in turn": [5, 300] * 21,
    "weekends": [300, 300, 300, 300, 300, 20, 20] * 6,
    "growing": np.geomspace(5, 3000, 42).astype(int).tolist(),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5])
def test_independent_rows_are_taken_for_more_only_by_chance(sizes: list[int], share: float):
    rows = np.broadcast_to(np.array(sizes)[:, None], (len(sizes), 2000))
    count = np.random.default_rng(4).binomial(rows, share)
    found = overdispersion(np.array([rows, *[count] * 4], dtype=float))
    assert found.min() == 1.0
    # The distribution is known but approximately.
    assert (found > 1).mean() <= 3 * CHANCE
    # Not more than if all rows of a day were alike.
    assert np.all(found <= 1 + rows)


@pytest.mark.parametrize("rows", [50, 500])
def test_the_variance_between_days_is_measured_by_the_days_before(rows: int):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(80, rows, 200)) + 0.3 * rng.normal(size=(80, 1, 200))
    found = overdispersed(values)
    assert np.median(found[-1]) == pytest.approx(1 + rows * 0.3**2, rel=0.2)
    # Of a day itself nothing is taken, and of the first ones there is nothing to say.
    values[-1] += 5
    assert np.array_equal(overdispersed(values)[-1], found[-1])
    assert np.all(found[: FEWEST_STEPS + 1] == 1)
    # A pattern of days is a difference too.
    higher = np.arange(80)[:, None, None] % 2
    assert np.all(overdispersed(rng.normal(size=(80, rows, 20)) + higher)[-1] > rows / 8)


def test_the_variance_between_days_is_that_of_their_own_number_of_rows():
    rng = np.random.default_rng(7)
    sizes = np.array([500, 20] * 40)
    days = [rng.normal(size=(rows, 200)) + 0.3 * rng.normal(size=200) for rows in sizes]
    found = overdispersion(np.concatenate([power_sums(day[None]) for day in days], axis=1))
    assert np.median(found[-2:], axis=1) == pytest.approx(1 + sizes[-2:] * 0.3**2, rel=0.25)


def test_a_lasting_change_slow_drift_and_a_day_that_fails_are_no_difference_between_days():
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(60, 500, 200))
    step, drift, outage = (np.arange(60) >= 30) * 0.1, np.arange(60) / 60, (np.arange(60) == 3) * 5
    for change in (step, drift, outage):
        assert (overdispersed(noise + change[:, None, None])[ENOUGH_STEPS + 1 :] > 1).mean() <= 2 * CHANCE
    # Before there are enough of them it may be how days are.
    assert np.all(overdispersed(noise + outage[:, None, None])[ENOUGH_STEPS] > 1)


def test_days_without_values_differ_from_none():
    values = np.random.default_rng(8).normal(10, 1, size=(40, 100, 50))
    sums = power_sums(values)
    sums[:, ::3] = 0
    assert np.all(overdispersion(sums) == 1)
    assert np.all(overdispersion(np.zeros_like(sums)) == 1)
