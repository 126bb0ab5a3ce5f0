"""The laws that the promise of the monitor rests on."""

from itertools import permutations, product

import numpy as np
import pytest

from assay.statistics.sequential import (
    allowance,
    detect,
    growth,
    growth_table,
    pooled_means,
    stake_weights,
    total_capital,
)

LEVELS = np.linspace(0, 1, 5)


def counts(values: np.ndarray) -> np.ndarray:
    """Return how often each level occurs in the columns of some values, given as indices of LEVELS."""
    return np.array([np.bincount(column, minlength=len(LEVELS)) for column in values.T])


@pytest.mark.parametrize(
    ("shares", "bound"),
    [
        ([0.5, 0, 0, 0, 0.5], 0.5),
        ([0.2, 0.2, 0.2, 0.2, 0.2], 0.5),
        ([0.9, 0, 0, 0, 0.1], 0.1),
        ([0.01, 0, 0, 0, 0.99], 0.99),
        ([0.7, 0.2, 0.1, 0, 0], 0.1),
    ],
)
def test_capital_is_not_expected_to_grow_while_the_mean_is_at_most_the_bound(shares: list[float], bound: float):
    table = growth_table(LEVELS, np.array([bound]), bets=6)
    expected = np.zeros(6)
    for rows in product(range(len(LEVELS)), repeat=4):
        chance = np.prod([shares[level] for level in rows])
        expected += chance * np.exp(growth(table, counts(np.array([rows]).T)))[:, 0]
    assert np.all(expected <= 1 + 1e-12)
    at_the_bound = abs(np.dot(shares, LEVELS) - bound) < 1e-12
    assert np.allclose(expected, 1) == at_the_bound


def test_capital_grows_where_the_mean_exceeds_the_bound():
    table = growth_table(LEVELS, np.array([0.5]), bets=6)
    assert total_capital(growth(table, np.array([[20, 20, 20, 20, 120]]))) > 20


def test_no_row_ruins_a_bettor():
    table = growth_table(LEVELS, np.array([1e-4, 0.5, 1.0]), bets=6)
    assert np.isfinite(table).all()


def test_the_order_of_rows_does_not_matter_and_windows_add_up():
    table = growth_table(LEVELS, np.array([0.4]), bets=3)
    single = np.exp(table[:, 0])
    for rows in permutations([0, 3, 3, 4]):
        one_by_one = np.cumprod([single[:, level] for level in rows], axis=0)[-1]
        assert np.allclose(np.exp(growth(table, counts(np.array([rows]).T)))[:, 0], one_by_one)


def test_bettors_who_are_ruined_add_nothing():
    assert total_capital(np.array([-np.inf, 0.0, 0.0])) == pytest.approx(np.log(2))
    assert total_capital(np.array([-np.inf])) == -np.inf


@pytest.mark.parametrize("weights", [None, np.array([0.9, 0.1]), stake_weights(2)])
@pytest.mark.parametrize("bound", [0.5, 0.6])
def test_however_often_one_looks_the_evidence_is_expected_to_be_at_most_the_number_of_windows(
    bound: float, weights: np.ndarray | None
):
    # All outcomes of three windows of two rows each, and a look after each row. Without a change the evidence is not
    # expected to exceed the number of windows begun: so the expected time to an alarm is at least the limit.
    table = growth_table(np.array([0.0, 1.0]), np.array([bound, bound]), bets=2)
    expected = np.zeros(6)
    for values in product((0, 1), repeat=6):
        rows = [table[..., value] for value in values]
        for look in range(6):
            windows = [sum(rows[start : min(start + 2, look + 1)]) for start in range(0, look + 1, 2)]
            expected[look] += np.exp(detect(windows, 1e9, weights).evidence[-1]) * 1e9 / 2**6
    begun = np.array([1, 1, 2, 2, 3, 3])
    assert np.all(expected <= begun + 1e-9)
    assert np.allclose(expected, begun) == (bound == 0.5)


@pytest.mark.parametrize("rows", [(0, 0, 1, 4), (1, 2, 3), (0, 4, 4, 4, 4), (0, 0, 0, 0, 0, 3)])
@pytest.mark.parametrize("size", [1, 2])
def test_against_the_mean_of_all_rows_so_far_evidence_is_expected_to_be_at_most_the_number_of_windows(
    rows: tuple[int, ...], size: int
):
    # A reference of two rows, and windows; the rows are exchangeable, so every order is as likely.
    orders, expected = list(permutations(rows)), np.zeros((len(rows) - 1) // size)
    for order in orders:
        reference, later = LEVELS[list(order[:1])], order[1:]
        windows = [np.array(later[start : start + size]) for start in range(0, len(later) - size + 1, size)]
        sums, numbers = np.array([[LEVELS[one].sum(), size] for one in windows]).T
        means = np.maximum(pooled_means(float(reference.mean()), 1, sums, numbers), 1e-3)
        growths = [
            growth(growth_table(LEVELS, np.array([mean]), bets=3), counts(one[:, None]))
            for one, mean in zip(windows, means, strict=True)
        ]
        expected += np.exp(detect(growths, 1e9).evidence) * 1e9 / len(orders)
    assert np.all(expected <= np.arange(1, len(expected) + 1) + 1e-9)


def test_a_bound_from_all_rows_so_far_is_never_below_that_of_the_reference():
    means = pooled_means(0.4, 10, np.array([0.0, 4.0, 16.0]), np.array([10, 10, 20]))
    assert means.tolist() == pytest.approx([0.4, 0.4, 0.48])


def test_false_alarms_are_at_most_as_frequent_as_the_limit_says():
    rng = np.random.default_rng(1)
    table = growth_table(LEVELS, np.full(3, 0.5), bets=4)
    shared = rng.integers(0, len(LEVELS), (3000, 20, 1))
    # Three features that are copies of each other: dependence costs nothing.
    course = detect((growth(table, counts(np.repeat(window, 3, axis=1))) for window in shared), limit=30)
    assert len(course.alarms) <= 3000 / 30


def test_a_change_is_found_with_its_beginning_and_its_feature():
    rng = np.random.default_rng(2)
    table = growth_table(LEVELS, np.full(10, 0.52), bets=8)
    windows = []
    for number in range(40):
        values = rng.integers(0, len(LEVELS), (200, 10))
        if number >= 30:
            values[:, 7] = np.minimum(values[:, 7] + 1, 4)
        windows.append(growth(table, counts(values)))
    course = detect(windows, limit=365)
    first = course.alarms[0]
    assert first.window in (30, 31)
    assert first.since == 30
    assert int(first.shares.sum(axis=0).argmax()) == 7
    assert first.shares.sum() == pytest.approx(1)
    # While the change lasts the alarm is raised again.
    assert len(course.alarms) >= 3
    assert len(course.evidence) == 40


def test_a_bettor_with_a_larger_share_of_the_capital_finds_its_change_with_less_growth():
    windows = [np.array([[0.0, 0.0]]), np.array([[0.0, 4.0]])]
    evidence = {share: detect(windows, 20, np.array([1 - share, share])).evidence for share in (0.1, 0.5, 0.9)}
    assert evidence[0.1][1] < evidence[0.5][1] < evidence[0.9][1]
    # Without growth all of the capital is there.
    assert {round(found[0], 9) for found in evidence.values()} == {round(-float(np.log(20)), 9)}
    assert detect(windows, 20).evidence == evidence[0.5]


def test_a_skewed_loss_that_grows_by_a_fifth_is_found_with_less_growth_by_the_usual_stakes():
    levels = np.array([0.05, 0.1, 0.5, 1.0])
    before, after = np.array([800, 150, 45, 5]), np.array([780, 150, 60, 10])
    assert after @ levels / (before @ levels) == pytest.approx(1.14, abs=0.01)
    table = growth_table(levels, np.array([before @ levels / before.sum()]), bets=24)
    weights = stake_weights(24)
    assert weights.shape == (24, 1)
    found = [detect([growth(table, 4 * after[None])], 365, given).evidence[0] for given in (weights, None)]
    assert found[0] > found[1] + 0.2
    # A larger change is found, too.
    doubled = [
        detect([growth(table, np.array([[500, 300, 150, 50]]))], 365, given).evidence[0] for given in (weights, None)
    ]
    assert doubled[0] > 0.98 * doubled[1]


def test_nothing_to_look_at_is_no_alarm():
    course = detect([], 365)
    assert course.evidence == course.alarms == ()


def test_a_small_reference_needs_a_large_allowance_and_one_without_spread_still_some():
    spread = np.array([0.0, 0.3])
    few, many = (allowance(spread, rows, 3.0) for rows in (100, 10_000))
    assert np.all(few > many)
    assert many[0] > 0
    assert few[1] == pytest.approx(np.hypot(3 * 0.3 / 10, 9 / 100))
