"""The smallest failing example, found by Hypothesis with few calls of the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy, tuples

T = TypeVar("T")

# Calls of the model to shrink a failure: unlike a time limit, it does not depend on the machine.
ATTEMPTS = 500


@dataclass(frozen=True)
class Failure:
    """How an example fails: the kind of failure, the reason in one sentence, and details."""

    kind: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


Failures = Callable[[Sequence[T]], Sequence[Failure | None]]


def counterexample(
    strategy: SearchStrategy[T],
    failures: Failures[T],
    *,
    examples: int,
    seed: int,
    attempts: int = ATTEMPTS,
    drawn: Sequence[T] | None = None,
) -> tuple[int, tuple[T, Failure] | None]:
    """Return how many examples were tried, and the smallest one with the same kind of failure as the first.

    `failures` returns for each example its failure, or None. It gets all examples at once, and then up to `attempts`
    smaller examples one by one. `drawn` holds the examples if they were drawn before. The same strategy, failures and
    seed give the same result.
    """
    drawn = draw(strategy, examples, seed) if drawn is None else drawn
    found = failures(drawn)
    first = next(((one, failure) for one, failure in zip(drawn, found, strict=True) if failure is not None), None)
    if first is None:
        return len(drawn), None
    known = {repr(example): failure for example, failure in zip(drawn, found, strict=True)}
    asked = 0

    def fails_the_same_way(example: T) -> bool:
        nonlocal asked
        key = repr(example)
        if key not in known and asked < attempts:
            asked += 1
            known[key] = failures([example])[0]
        failure = known.get(key)
        return failure is not None and failure.kind == first[1].kind

    smallest = _find(strategy, fails_the_same_way, examples, seed)
    failure = known.get(repr(smallest))
    return len(drawn), first if smallest is None or failure is None else (smallest, failure)


def draw(strategy: SearchStrategy[T], examples: int, seed: int) -> list[T]:
    """Return examples of a strategy, fewer if it has no more; the same seed gives the same examples."""
    drawn: list[T] = []
    # `append` returns None, so that the search never stops early.
    _find(strategy, drawn.append, examples, seed)
    return drawn


def decisive(row: Mapping[str, Any], cells: Mapping[str, SearchStrategy[Any]]) -> dict[str, Any]:
    """Return the values of a row that differ from the simplest value of their column's strategy."""
    # Of all columns at once: to start a search takes longer than to draw a row.
    plain = dict(zip(cells, _find(tuples(*cells.values()), lambda _: True, 100, 0) or (), strict=True))
    return {name: value for name, value in row.items() if value != plain[name]}


def _find(strategy: SearchStrategy[T], condition: Callable[[T], object], examples: int, seed: int) -> T | None:
    """Return the smallest example that meets a condition, or None if no example does."""
    found: list[T] = []

    # Every setting is given, because Hypothesis has a different default profile on CI.
    @settings(
        max_examples=examples,
        derandomize=False,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
        stateful_step_count=1,
        suppress_health_check=tuple(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @hypothesis.seed(seed)
    @given(strategy)
    def search(example: T) -> None:
        if condition(example):
            found[:] = [example]
            raise _Found

    try:
        search()
    except (_Found, Unsatisfiable):
        return found[0] if found else None
    return None


class _Found(Exception):  # noqa: N818
    pass
