"""How much days differ from each other beyond chance: seasons, weather and the like make the rows of a day alike."""

import numpy as np

# Days, weeks and months: of a month there are rows enough to see a season, where a day has few.
STRETCHES = (1, 7, 28)
# Of fewer stretches of time nothing is said.
FEWEST = 10
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
