"""Drift: the distance between the distributions of old and new values, and its significance."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact, ks_2samp

FEW = 30
# A few draws suffice for clear chance; more draws allow significance after correction for many columns.
RANDOM_TABLES = (999, 49_999)
CLEARLY_CHANCE = 0.05
SMALLEST_EXPECTED = 5


def drift(sides: list[np.ndarray], part: float, *, goes_on: bool) -> tuple[float, float]:
    """Return the distance between the first and the second sample, beyond the usual one, and its p-value.

    The other samples are windows of the first, each a share `part` of it; their distances are usual. `goes_on` is for
    values that grow over time: then only a decrease counts.
    """
    old, new, *earlier = sides
    if not len(old) or not len(new):
        return 0.0, 1.0
    distance, p = _distance(old, new, goes_on=goes_on), _p_value(old, new, goes_on=goes_on)
    if goes_on or p > CLEARLY_CHANCE:
        return distance, p
    # A window is part of the sample it is compared with, which makes the distance smaller.
    usual = max((_distance(old, one, goes_on=False) / (1 - part) for one in earlier if len(one)), default=0.0)
    return (distance - usual, p) if distance > usual else (0.0, 1.0)


def _distance(old: np.ndarray, new: np.ndarray, *, goes_on: bool) -> float:
    if old.dtype in (object, bool):
        counts = _counts_of_each(old, new)
        return float(np.abs(np.subtract(*(counts / counts.sum(axis=1, keepdims=True)))).sum() / 2)
    return float(_kolmogorov_smirnov(old, new, goes_on=goes_on).statistic)


def _p_value(old: np.ndarray, new: np.ndarray, *, goes_on: bool) -> float:
    if old.dtype in (object, bool):
        return _independence(_counts_of_each(old, new))
    return float(_kolmogorov_smirnov(old, new, goes_on=goes_on).pvalue)


def _counts_of_each(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    counts = [Counter(side.tolist()) for side in (old, new)]
    return np.array([[side[value] for value in sorted({*counts[0], *counts[1]})] for side in counts])


def _kolmogorov_smirnov(old: np.ndarray, new: np.ndarray, *, goes_on: bool) -> Any:
    # The exact test is too slow for many rows, and the asymptotic test is wrong for few.
    method = "exact" if min(len(old), len(new)) < FEW else "asymp"
    return ks_2samp(new, old, alternative="greater" if goes_on else "two-sided", method=method)


def _independence(table: np.ndarray) -> float:
    """Return the p-value of the test that both rows of a table of counts have the same distribution."""
    table = table[:, table.any(axis=0)]
    if table.shape[1] < 2:
        return 1.0
    if np.outer(table.sum(axis=1), table.sum(axis=0)).min() >= SMALLEST_EXPECTED * table.sum():
        return float(chi2_contingency(table).pvalue)
    if table.shape[1] == 2:
        return float(fisher_exact(table).pvalue)
    p = 0.0
    for draws in RANDOM_TABLES:
        method = MonteCarloMethod(n_resamples=draws, batch=1000, rng=np.random.default_rng(0))
        p = float(chi2_contingency(table, correction=False, method=method).pvalue)
        if p > CLEARLY_CHANCE:
            break
    return p
