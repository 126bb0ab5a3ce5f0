"""How much days differ from each other beyond chance: seasons, weather and the like make the rows of a day alike."""

from statistics import NormalDist

import numpy as np

# Days, weeks and months: of a month there are rows enough to see a season, where a day has few.
STRETCHES = (1, 7, 28)
# Of fewer stretches of time nothing is said.
FEWEST = 10
# Steps from one day to the next; of fewer nothing is said.
FEWEST_STEPS = 5
# The probability that chance alone is taken for a difference between stretches.
CHANCE = 1e-3


def day_effects(apart: np.ndarray, rows: np.ndarray, variance: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the means of days, weeks or months, the largest of them; 0 if it may be chance.

    `apart`, shape (days, features), has the sums of how far the values of each day are from what is expected of them,
    the days in their order, and `rows`, shape (days,), the number of values. `variance` and `kurtosis` are those of a
    value. This is a one-way analysis of variance with random effects. By chance its statistic is about a multiple of
    chi-square with the same mean and variance (Satterthwaite 1946); rare values have a large kurtosis, and so a large
    variance of the statistic.
    """
    # The monitor imports this module without scipy.
    from scipy.stats import chi2

    found = np.zeros(apart.shape[1])
    variance = np.maximum(variance, 1e-12)
    for length in STRETCHES:
        starts = np.arange(0, len(rows), length)
        number, of_stretch = len(starts), np.add.reduceat(rows, starts)
        if number < FEWEST:
            break
        statistic = (np.add.reduceat(apart, starts) ** 2 / of_stretch[:, None]).sum(axis=0) / variance
        spread = np.maximum(2 * number + (kurtosis - 3) * (1 / of_stretch).sum(), number / 1000)
        limit = spread / (2 * number) * chi2.isf(CHANCE, 2 * number**2 / spread)
        # The variance of a value has that of the days as a part.
        freedom = max(of_stretch.sum() - number, 1)
        effect = np.sqrt(np.maximum(statistic - number, 0) * variance / freedom)
        found = np.where(statistic > limit, np.maximum(found, effect), found)
    return found


def overdispersion(moments: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return by how much the variance of the mean of each day exceeds that of independent rows, as days before show it.

    `moments`, shape (5, days, features), has the number of the values of each day and the sums of their first four
    powers, `expected`, shape (days, features), the means that are expected. The result has the shape of `expected` and
    is 1 where the difference may be chance. Only successive days are compared, so a lasting change counts once and slow
    drift hardly at all (von Neumann 1941).
    """
    number = np.maximum(moments[0], 1.0)
    apart = moments[1] / number - expected
    # Of the days before each day.
    total = np.cumsum(moments, axis=1)[:, :-1]
    first, second, third, fourth = total[1:] / np.maximum(total[0], 1.0)
    variance = np.maximum(second - first**2, 1e-12)
    kurtosis = (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2
    weight = 1 / (1 / number[1:] + 1 / number[:-1])
    squares = np.cumsum(np.diff(apart, axis=0) ** 2 * weight, axis=0)
    weights = np.cumsum(weight, axis=0)
    rare = np.cumsum(weight**2 * (1 / number[1:] ** 3 + 1 / number[:-1] ** 3), axis=0)

    found: np.ndarray = np.ones_like(apart)
    steps = np.arange(1, len(apart) - 1)[:, None]
    variance, kurtosis = variance[1:], kurtosis[1:]
    squares, weights, rare = squares[:-1] / variance, weights[:-1], rare[:-1]
    # Neighbouring differences share a day: without that the first factor would be 2.
    spread = np.maximum(3 * steps + (kurtosis - 3) * rare, steps / 1000)
    is_chance = squares <= _limit(steps, spread)
    more = 1 + number[2:] * np.maximum(squares - steps, 0) / (2 * weights)
    found[2:] = np.where(is_chance | (steps < FEWEST_STEPS), 1.0, more)
    return found


def _limit(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return what about a multiple of chi-square with a mean and variance exceeds by CHANCE (Wilson, Hilferty 1931)."""
    part = np.minimum(variance / mean**2 / 9, 1.0)
    return np.asarray(mean * (1 - part + NormalDist().inv_cdf(1 - CHANCE) * np.sqrt(part)) ** 3)
