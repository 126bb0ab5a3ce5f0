"""Statistics that stay valid however often one looks: bets against a bound on a mean, and a detector of changes.

All values lie in [0, 1] and take one of a few levels, so that the counts of the levels are all that is needed. A
bettor bets on each row that its value exceeds a bound. If the mean is at most the bound, the capital is not expected to
grow, whatever the distribution: capital is evidence (an e-value; Waudby-Smith, Ramdas 2024). The detector is of the
Shiryaev-Roberts type (Shin, Ramdas, Rinaldo 2024, "E-detectors", doi 10.51387/23-NEJSDS51).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# A bet that loses all its capital on a value of 0 is 1. The boldest bet is this share of it, the most timid one this
# share of the boldest.
BOLDEST, MOST_TIMID = 0.95, 0.005
# The stake that pays most if a skewed loss grows by about a fifth.
USUAL_STAKE = 0.15


def growth_table(levels: np.ndarray, bounds: np.ndarray, bets: int) -> np.ndarray:
    """Return the logarithm of what a bet multiplies the capital by, shape (bets, bounds, levels).

    `levels` are the values that a row can have, `bounds` the largest mean of each feature without a change, in (0, 1].
    """
    stakes = _stakes(bets)[:, None] / bounds
    return np.asarray(np.log1p(stakes[..., None] * (levels - bounds[:, None])))


def stake_weights(bets: int) -> np.ndarray:
    """Return how much capital the bettors on a skewed loss start with, shape (bets, 1): most near the usual stake."""
    stakes = _stakes(bets)[:, None]
    return np.asarray(np.minimum(stakes / USUAL_STAKE, USUAL_STAKE / stakes) ** 2)


def _stakes(bets: int) -> np.ndarray:
    return np.asarray(BOLDEST * np.geomspace(MOST_TIMID, 1, bets))


def growth(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the logarithm of the growth of capital over some rows, shape (bets, features).

    `counts`, shape (features, levels), says how many of the rows have each level; so their order does not matter.
    """
    return np.asarray(np.einsum("bfl,fl->bf", table, counts))


def total_capital(logs: np.ndarray) -> float:
    """Return the logarithm of the capital of several bettors together, given that of each.

    >>> round(total_capital(np.log([0.5, 1.5])), 4) == round(float(np.log(2.0)), 4)
    True
    """
    largest = float(logs.max())
    return largest + float(np.log(np.exp(logs - largest).sum())) if np.isfinite(largest) else largest


def allowance(spread: np.ndarray, rows: int, quantile: np.ndarray | float) -> np.ndarray:
    """Return how far the mean of each feature in a finite reference may be from the true one.

    `spread` is the standard deviation in the reference, `quantile` that of the normal distribution at the confidence
    level. The second part is Wilson's bound for a share of 0, where the normal approximation fails.
    """
    return np.asarray(np.hypot(quantile * spread / np.sqrt(rows), quantile**2 / rows))


def pooled_means(mean: float, rows: int, sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return for each window the mean of a reference and of all windows up to it, at least that of the reference.

    `mean` is that of the reference, which has `rows` rows; `sums` are those of the values of each window, `numbers` how
    many there are. As bounds for bets they need no allowance for a finite reference: without a change the rows of a
    window are drawn without replacement from all rows up to it, whose mean is known, and capital is not expected to
    grow (Hoeffding 1963, theorem 4). So at each window the evidence of all bettors is expected to be at most the number
    of windows; that it stays low between windows is only so for large windows (a conformal e-pseudomartingale; Vovk,
    Nouretdinov, Gammerman 2025, "Conformal e-testing").
    """
    total = rows * mean + np.cumsum(sums)
    return np.asarray(np.maximum(total / (rows + np.cumsum(numbers)), mean))


@dataclass(frozen=True)
class Alarm:
    """A change that was detected in the window of number `window`, and seems to have begun in that of number `since`.

    `shares` has the share of each bettor in the evidence, in the shape of the growth.
    """

    window: int
    since: int
    shares: np.ndarray


@dataclass(frozen=True)
class Course:
    """What a detector found: the logarithm of evidence over limit after each window, and the alarms."""

    evidence: tuple[float, ...]
    alarms: tuple[Alarm, ...]


def detect(growths: Iterable[np.ndarray], limit: float, weights: np.ndarray | None = None) -> Course:
    """Look for a change in windows, given the growth of capital of several bettors in each of them.

    `weights`, in a shape that broadcasts to that of the growth, divides the capital of 1 with which bettors start
    between them; without, equally. Without a change the expected time between two alarms is at least `limit` windows,
    however the bettors depend on each other, if no bound depends on later rows; `pooled_means` says what holds for
    those that do. This holds for looks in the middle of a window too: the last window may be incomplete.
    """
    evidence: list[float] = []
    alarms: list[Alarm] = []
    capital = run = begun = start = np.empty(0)
    for number, grown in enumerate(growths):
        if number == 0 or (alarms and alarms[-1].window == number - 1):
            # After an alarm the detector starts again, as for a new process.
            capital, run, begun = np.full(grown.shape, -np.inf), np.zeros(grown.shape), np.full(grown.shape, number)
            shares = np.broadcast_to(1.0 if weights is None else weights, grown.shape)
            start = np.log(shares / shares.sum())
        # Bettors start with each window, with capital 1 in all, and all of them go on betting.
        capital = np.logaddexp(capital, start) + grown
        # The change began where the best bettor would have started.
        begun = np.where(run > 0, begun, number)
        run = np.maximum(run, 0.0) + grown
        evidence.append(total_capital(capital) - float(np.log(limit)))
        if evidence[-1] >= 0:
            part = np.exp(capital - capital.max())
            best = np.unravel_index(int(capital.argmax()), capital.shape)
            alarms.append(Alarm(number, int(begun[best]), part / part.sum()))
    return Course(tuple(evidence), tuple(alarms))
