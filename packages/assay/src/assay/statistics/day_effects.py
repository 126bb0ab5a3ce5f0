"""How much days differ from each other beyond chance: seasons, weather and the like make the rows of a day alike."""

from statistics import NormalDist

import numpy as np

# Days, weeks and months: of a month there are rows enough to see a season, where a day has few.
STRETCHES = (1, 7, 28)
# Of fewer stretches of time nothing is said.
FEWEST = 10
# Steps from one day to the next; of fewer nothing is said.
FEWEST_STEPS, ENOUGH_STEPS = 5, 14
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


def overdispersion(sums: np.ndarray) -> np.ndarray:
    """Return by how much the variance of the mean of each day exceeds that of independent rows, as days before show it.

    `sums`, shape (5, days, features), has the number of the values of each day and the sums of their first four powers.
    The result has shape (days, features) and is 1 where the difference may be chance. Only successive days are
    compared, so a lasting change counts once and slow drift hardly at all (von Neumann 1941). The two largest
    differences are left out once there are ENOUGH_STEPS, so that an outage of a day does not hide what comes after it.
    """
    number = np.maximum(sums[0], 1.0)
    # A day without values differs from none.
    weight = sums[0, 1:] * sums[0, :-1] / (number[1:] + number[:-1])
    squares = np.diff(sums[1] / number, axis=0) ** 2 * weight
    # The variance of their sum for normal values, and what values of another kurtosis add to it. Successive differences
    # share a day, so they depend on each other.
    shared = np.zeros_like(weight)
    shared[1:] = 2 * weight[1:] * weight[:-1]
    normal = np.cumsum(2 + 2 * shared / number[:-1] ** 2, axis=0)
    rare = np.cumsum(weight**2 * (1 / number[1:] ** 3 + 1 / number[:-1] ** 3) + shared / number[:-1] ** 3, axis=0)
    # Each day is judged by the values of the days before it.
    total = np.cumsum(sums, axis=1)[:, 1:-1]
    first, second, third, fourth = total[1:] / np.maximum(total[0], 1.0)
    variance = np.maximum(second - first**2, 1e-12)
    kurtosis = (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2

    steps = np.arange(1, len(number) - 1)[:, None]
    plain = np.cumsum(squares, axis=0)[:-1]
    scale = steps / (steps - _two_largest_of_chance(np.maximum(steps, ENOUGH_STEPS)))
    trimmed = np.minimum((plain - _two_largest(squares)[:-1]) * scale, plain)
    statistic = np.where(steps < ENOUGH_STEPS, plain, trimmed) / variance
    is_chance = statistic <= _limit(steps, np.maximum(normal[:-1] + (kurtosis - 3) * rare[:-1], steps / 1000))
    found: np.ndarray = np.ones_like(number)
    # The variance between days is a part of that of a value.
    between = np.minimum(np.maximum(statistic - steps, 0) / np.maximum(2 * np.cumsum(weight, axis=0)[:-1], 1.0), 1.0)
    found[2:] = np.where(is_chance | (steps < FEWEST_STEPS), 1.0, 1 + number[2:] * between)
    return found


def _two_largest(values: np.ndarray) -> np.ndarray:
    """Return the sum of the two largest values so far."""
    first = second = np.zeros(values.shape[1:])
    found = np.empty_like(values)
    for index, value in enumerate(values):
        second, first = np.maximum(second, np.minimum(first, value)), np.maximum(first, value)
        found[index] = first + second
    return found


def _two_largest_of_chance(number: np.ndarray) -> np.ndarray:
    """Return about what is expected of the sum of the two largest of some squares of normal values (Blom 1958)."""
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
    found: np.ndarray = sum(quantile(1 - (one - 0.375) / (number + 0.25) / 2) ** 2 for one in (1, 2))
    return found


def _limit(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return what about a multiple of chi-square with a mean and variance exceeds by CHANCE (Wilson, Hilferty 1931)."""
    part = np.minimum(variance / mean**2 / 9, 1.0)
    return np.asarray(mean * (1 - part + NormalDist().inv_cdf(1 - CHANCE) * np.sqrt(part)) ** 3)
