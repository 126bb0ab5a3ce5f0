"""Bootstrap: resamples as weights of the rows, and percentile intervals (Efron, Tibshirani 1993)."""

from dataclasses import dataclass

import numpy as np

# Shape (weightings, rows): the weight of each row.
Weights = np.ndarray
# Units that are drawn at once: few enough for the cache of the processor.
AT_ONCE = 30_000


@dataclass(frozen=True)
class Estimate:
    """A metric's value on the rows, and the percentile interval over bootstrap resamples (Efron, Tibshirani 1993)."""

    value: float
    low: float
    high: float


def percentile_interval(value: float, deviations: np.ndarray, confidence: float) -> Estimate:
    """Return a value with the percentile interval at level `confidence`.

    `deviations` has shape (resamples,): the metric on each resample minus the metric on all rows.

    >>> percentile_interval(0.9, np.linspace(-0.1, 0.1, 101), 0.9)
    Estimate(value=0.9, low=0.81, high=0.99)
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(deviations, [tail, 1 - tail])
    return Estimate(value, float(value + low), float(value + high))


def resample_weights(classes: np.ndarray, units: np.ndarray, resamples: int, rng: np.random.Generator) -> Weights:
    """Return bootstrap weights, shape (resamples, rows): how often the unit of each row was drawn.

    A resample without one of the classes is drawn again because most metrics need all classes.
    """
    _, unit = np.unique(units, return_inverse=True)
    number = int(unit.max()) + 1
    labels, label = np.unique(classes, return_inverse=True)
    of_label = np.eye(len(labels))[label]
    weights = np.empty((resamples, len(classes)))
    made = 0
    while made < resamples:
        places = rng.integers(0, number, (min(resamples - made, max(1, AT_ONCE // number)), number))
        places += number * np.arange(len(places))[:, None]
        drawn = np.bincount(places.ravel(), minlength=places.size).reshape(places.shape).astype(float)[:, unit]
        whole = drawn[(drawn @ of_label > 0).all(axis=1)]
        weights[made : made + len(whole)] = whole
        made += len(whole)
    return weights
