"""Expectations of any model, checked on the trained one by `assay.gates.expectations`.

Directional expectation, invariance and minimum functionality, as in CheckList (Ribeiro, Wu, Guestrin, Singh 2020).

The risk is the probability of the positive class, for more than two classes that of the class `of`, and for regression
the predicted number. `where` restricts the tested rows to given values of some features: one value, `(low, high)` for a
number or a time, or a tuple of values for any other kind. A difference of up to `tolerance`, in probability or in the
unit of the target, is ignored. A change is a function from a row to a row; a row maps features to Python values, None
if missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Where = Mapping[str, Any]
Change = Callable[[Row], Row]
SHOWN = 3


@dataclass(frozen=True)
class Effect:
    """The allowed effect of a change on the risk: only an increase (`sign` 1), only a decrease (-1), or none (0).

    `change` is a change, or the name of a feature whose values are tried from low to high.
    """

    name: str
    change: Change | str
    sign: int
    of: str | None
    tolerance: float
    where: Where


@dataclass(frozen=True)
class Answer:
    """The required prediction: a label, or a number from low to high."""

    name: str
    expected: str | tuple[float, float]
    where: Where


Expectation = Effect | Answer


def rises(feature: str, *, tolerance: float = 0, of: str | None = None, where: Where | None = None) -> Expectation:
    """Expect that increasing a feature, all else equal, never lowers the risk."""
    return Effect(f"more {feature} never lowers {_risk(of, tolerance)}", feature, 1, of, tolerance, where or {})


def falls(feature: str, *, tolerance: float = 0, of: str | None = None, where: Where | None = None) -> Expectation:
    """Expect that increasing a feature, all else equal, never raises the risk."""
    return Effect(f"more {feature} never raises {_risk(of, tolerance)}", feature, -1, of, tolerance, where or {})


def rises_when(
    what: str, change: Change, *, tolerance: float = 0, of: str | None = None, where: Where | None = None
) -> Expectation:
    """Expect that a change, described by `what`, never lowers the risk."""
    return Effect(f"{what}: never lowers {_risk(of, tolerance)}", change, 1, of, tolerance, where or {})


def falls_when(
    what: str, change: Change, *, tolerance: float = 0, of: str | None = None, where: Where | None = None
) -> Expectation:
    """Expect that a change, described by `what`, never raises the risk."""
    return Effect(f"{what}: never raises {_risk(of, tolerance)}", change, -1, of, tolerance, where or {})


def same_when(what: str, change: Change, *, tolerance: float = 0, where: Where | None = None) -> Expectation:
    """Expect that a change, described by `what`, changes neither the probabilities nor the predicted number."""
    how_much = f"matters by at most {tolerance:g}" if tolerance else "does not matter"
    return Effect(f"{what}: {how_much}", change, 0, None, tolerance, where or {})


def answers(where: Where, expected: str | tuple[float, float], *, name: str | None = None) -> Expectation:
    """Expect a label, or for regression a number from low to high, wherever features have these values."""
    return Answer(f"{name or listed(where) or 'any row'}: answers {shown(expected)}", expected, where)


def listed(values: Where) -> str:
    """Describe the values of some features."""
    return few([f"{name} is {shown(value)}" for name, value in values.items()])


def few(texts: Sequence[str]) -> str:
    """Return the first few of several texts, and how many more there are."""
    *others, last = [*texts[:SHOWN], f"{len(texts) - SHOWN} more"] if len(texts) > SHOWN else texts or [""]
    return f"{', '.join(others)} and {last}" if others else last


def shown(value: Any) -> str:
    """Describe a value, or a tuple of low and high."""
    if isinstance(value, tuple) and len(value) == 2:
        return f"{shown(value[0])} to {shown(value[1])}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "missing" if value is None else str(value)[:60]


def _risk(of: str | None, tolerance: float) -> str:
    return "the risk" + (f" of {of}" if of else "") + (f" by more than {tolerance:g}" if tolerance else "")
