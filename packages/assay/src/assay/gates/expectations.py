"""Expectations: the model satisfies src/model/expectations.py; Hypothesis searches for a counterexample."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from assay.base.config import did_you_mean
from assay.base.errors import InputError, with_type
from assay.base.outcomes import Outcome, Verdict
from assay.base.rounding import significant
from assay.contract.request import as_json, explain, request_model
from assay.contract.spec import Boolean, Contract, Feature, Integer, Number, Time
from assay.data.columns import Columns, from_rows
from assay.gates.evidence import ModelEvidence
from assay.gates.findings import Expectations, Expected
from assay.properties.counterexample import Failure, counterexample, decisive, draw
from assay.properties.expectations import Answer, Change, Effect, Expectation, Row, Where, few, listed, shown
from assay.properties.strategies import cells, feature_cells, together

PLACE = "src/model/expectations.py"
# A feature is tried at this many values over its range, or at powers of ten if the range has an open end.
STEPS = 17
POWERS = [10.0**power for power in range(-3, 7)]
# The rounding error of single precision; relative for numbers.
ROUNDING = 1e-6

Scores = Callable[[Columns], np.ndarray]
Decide = Callable[[np.ndarray], np.ndarray]
Alone = Callable[[str], tuple[Contract, type[BaseModel]]]


def judge(evidence: ModelEvidence) -> Outcome:
    """Check the model against its owner's expectations."""
    params, model = evidence.params, evidence.model
    examples = params.gates.expectations.examples or 1
    return outcome(
        check(model.room.expectations, evidence.contract, model.scores, model.decide, examples, params.seed), examples
    )


def outcome(results: Sequence[Expected], examples: int) -> Outcome:
    """Return PROMOTE if all expectations hold, REJECT with the first failure, HOLD if there are none."""
    measured = asdict(Expectations(list(results)))
    failed = [result for result in results if not result.held]
    if not results:
        verdict: Verdict = "HOLD"
        reason = f"{PLACE} has no expectations: add what must hold for any model (`assay manual expectations`)"
    elif failed:
        verdict = "REJECT"
        reason = f"{len(failed)} of {len(results)} expectations fail: {failed[0].name}: {failed[0].reason}"
    else:
        verdict = "PROMOTE"
        reason = f"all {len(results)} expectations hold, on {sum(result.examples for result in results)} rows"
    return Outcome("expectations", verdict, reason, measured, {"examples": examples})


def check(
    expectations: Sequence[Expectation], contract: Contract, scores: Scores, decide: Decide, examples: int, seed: int
) -> list[Expected]:
    """Test each expectation on rows that the contract allows, and shrink a failure to the smallest row.

    `scores` takes columns as returned by `assay.data.columns.from_rows`, and `decide` takes the scores. A change is
    tested on rows that it alters into other rows that the contract allows; if there are none, or if the change raises,
    the expectation fails. The same model and seed give the same results.

    Raises:
        InputError: An expectation names a feature, a value or a class that the contract does not have.
    """
    # Cached, because building a request model takes longer than using it.
    alone = cache(lambda name: _alone(name, contract))
    for expectation in expectations:
        for problem in _contradictions(expectation, contract, alone):
            raise InputError(f"{PLACE}: {expectation.name}: {problem}")
    rows = cache(lambda where: _rows(dict(where), contract, examples, seed))
    return [
        _try(expectation, contract, scores, decide, rows(tuple(expectation.where.items())))
        for expectation in expectations
    ]


class Drawn(NamedTuple):
    """Rows that the contract and a `where` allow, their strategy, and those of their features."""

    cells: dict[str, st.SearchStrategy[Any]]
    strategy: st.SearchStrategy[Row]
    rows: list[Row]
    examples: int
    seed: int


def _rows(where: Where, contract: Contract, examples: int, seed: int) -> Drawn:
    drawn = feature_cells(contract) | {
        name: _given(contract.features[name], value, contract.missing_markers) for name, value in where.items()
    }
    strategy = together(drawn)
    return Drawn(drawn, strategy, draw(strategy, examples, seed), examples, seed)


def _try(expectation: Expectation, contract: Contract, scores: Scores, decide: Decide, drawn: Drawn) -> Expected:
    cells, strategy, rows, examples, seed = drawn
    refused: list[str] = []
    if isinstance(expectation, Effect) and not isinstance(expectation.change, str):
        change, model = expectation.change, request_model(contract, 1)

        def is_a_trial(row: Row) -> bool:
            after = _changed(change, row, contract)
            why = "" if isinstance(after, str) else _refusal(row, after, contract, model)
            refused.append(why)
            return not why

        strategy = strategy.filter(is_a_trial)
        # Drawn again only if the change does not apply to some row.
        if not all(map(is_a_trial, rows)):
            rows = draw(strategy, examples, seed)

    def failures(tried: Sequence[Row]) -> list[Failure | None]:
        variants = [_variants(expectation, row, contract) for row in tried]
        scored = iter(_score([row for made in variants if not isinstance(made, str) for row in made], contract, scores))
        return [
            Failure("an error", made)
            if isinstance(made, str)
            else _judge(expectation, made, np.stack([next(scored) for _ in made]), contract, decide)
            for made in variants
        ]

    tried, found = counterexample(strategy, failures, drawn=rows, examples=examples, seed=seed)
    if tried == 0:
        return Expected(expectation.name, False, 0, f"the change applies to no row: {refused[0]}")
    if found is None:
        return Expected(expectation.name, True, tried)
    row, failure = found
    details = {"row": as_json(row, contract), **failure.details}
    others = {name: value for name, value in decisive(row, cells).items() if name not in details.get("changed", {})}
    where = f", where {listed(others)}" if others else ""
    return Expected(expectation.name, False, tried, failure.reason + where, **details)


def _score(rows: Sequence[Row], contract: Contract, scores: Scores) -> np.ndarray:
    # Very large numbers overflow in sums if a range has an open end; scikit-learn handles that.
    with np.errstate(over="ignore", invalid="ignore"):
        return scores(from_rows(rows, contract)) if rows else np.empty(0)


def _given(column: Feature, value: Any, markers: Sequence[str]) -> st.SearchStrategy[Any]:
    if not isinstance(value, tuple):
        return st.just(value)
    if isinstance(column, Number | Integer | Time):
        return cells(column.model_copy(update={"range": value, "missing": "refuse"}), markers)
    return st.sampled_from(value)


def _variants(expectation: Expectation, row: Row, contract: Contract) -> list[Row] | str:
    """Return the variants of a row to score, or an error message."""
    if isinstance(expectation, Answer):
        return [row]
    if isinstance(expectation.change, str):
        name = expectation.change
        return [{**row, name: value} for value in _values(contract.features[name], expectation.where.get(name))]
    after = _changed(expectation.change, row, contract)
    return after if isinstance(after, str) else [row, after]


def _values(column: Feature, given: Any) -> list[Any]:
    """Return values from low to high: the given ones, or else those that the contract allows."""
    if given is not None and not isinstance(given, tuple):
        return [given]
    if not isinstance(column, Number | Integer):
        return [False, True]
    low, high = given or column.range or (-math.inf, math.inf)
    ends = [end for end in (low, high) if math.isfinite(end)]
    steps = np.linspace(low, high, STEPS).tolist() if len(ends) == 2 else [*(-power for power in POWERS), 0.0, *POWERS]
    kept = {value for value in [*steps, *ends] if low <= value <= high}
    return sorted({round(value) for value in kept} if isinstance(column, Integer) else kept)


def _changed(change: Change, row: Row, contract: Contract) -> Row | str:
    """Return the changed row, or an error message."""
    try:
        after: Any = change(dict(row))
    # The owner's function may raise anything.
    except Exception as error:
        return f"the change raised {with_type(error)}"
    if not isinstance(after, dict):
        return f"the change returned {shown(after)} instead of a row"
    if unknown := sorted(map(str, after.keys() - contract.features.keys())):
        return f"the change added {_unknown(unknown[0], contract)}"
    if absent := sorted(contract.features.keys() - after.keys()):
        return f"the change removed {absent[0]!r}"
    return after


def _refusal(row: Row, after: Row, contract: Contract, model: type[BaseModel]) -> str:
    """Return why a changed row is not tested, "" if it is."""
    return "it changes nothing" if after == row else _violation(after, contract, model)


def _violation(row: Where, contract: Contract, model: type[BaseModel]) -> str:
    """Return how values violate the contract, "" if they do not."""
    for name, value in row.items():
        if isinstance(contract.features[name], Time) and not isinstance(value, datetime | None):
            return f"{name}: expected a datetime, got {shown(value)}"
    try:
        model.model_validate({"rows": [as_json(row, contract)]})
    except ValidationError as error:
        return explain(error.errors(include_url=False), contract)[0].removeprefix("row 0: ")
    return ""


def _unknown(name: str, contract: Contract) -> str:
    return f"{name!r}, which is not a feature{did_you_mean(name, contract.features)}"


def _judge(
    expectation: Expectation, variants: Sequence[Row], scored: np.ndarray, contract: Contract, decide: Decide
) -> Failure | None:
    """Return how an expectation fails on a row, from the scores of its variants."""
    if isinstance(expectation, Answer):
        return _judge_answer(expectation.expected, scored, contract, decide)
    risks = _risks(expectation, scored, contract)
    if expectation.sign:
        signed = expectation.sign * risks
        # The drop of the risk below its maximum over the previous variants.
        wrong = np.maximum.accumulate(signed, axis=0) - signed
    else:
        wrong = np.abs(risks - risks[0])
    last, which = (int(place) for place in np.unravel_index(wrong.argmax(), wrong.shape))
    rounding = ROUNDING * (np.abs(risks).max() if contract.task == "regression" else 1)
    # NaN is not within the tolerance.
    if wrong[last, which] <= expectation.tolerance + rounding:
        return None
    first = int((expectation.sign * risks[: last + 1, which]).argmax())
    before, after = as_json(variants[first], contract), as_json(variants[last], contract)
    changed = {name: value for name, value in after.items() if value != before[name]}
    moves = [f"{name} goes from {shown(before[name])} to {shown(value)}" for name, value in changed.items()]
    risk = _name_of_risk(expectation, which, contract)
    was, became = float(risks[first, which]), float(risks[last, which])
    return Failure(
        "a wrong effect",
        f"{risk} goes from {shown(was)} to {shown(became)} as {few(moves)}",
        {"row": before, "changed": changed, "before": _plain(was), "after": _plain(became)},
    )


def _judge_answer(
    expected: str | tuple[float, float], scored: np.ndarray, contract: Contract, decide: Decide
) -> Failure | None:
    if isinstance(expected, tuple):
        answer = float(scored[0])
        right, said = expected[0] <= answer <= expected[1], shown(answer)
    else:
        answer = float(scored[0, contract.classes.index(expected)])
        label = contract.classes[int(decide(scored)[0])]
        right, said = label == expected, f"{label}; the probability of {expected} is {shown(answer)}"
    return None if right else Failure("a wrong answer", f"the prediction is {said}", {"before": _plain(answer)})


def _risks(effect: Effect, scored: np.ndarray, contract: Contract) -> np.ndarray:
    """Return the risks, shape (variants, 1), or (variants, classes) if no class may change."""
    if contract.task == "regression":
        return scored[:, None]
    if effect.sign == 0 and contract.task == "multiclass":
        return scored
    return scored[:, [contract.classes.index(effect.of or contract.classes[-1])]]


def _name_of_risk(effect: Effect, which: int, contract: Contract) -> str:
    if contract.task == "regression":
        return f"the predicted {contract.target.name}"
    if effect.sign == 0 and contract.task == "multiclass":
        return f"the probability of {contract.classes[which]}"
    return f"the probability of {effect.of or contract.classes[-1]}"


def _plain(value: float) -> float | None:
    return significant(value) if math.isfinite(value) else None


def _contradictions(expectation: Expectation, contract: Contract, alone: Alone) -> Iterator[str]:
    """Yield contradictions between an expectation and the contract; only the first is sure to be meaningful."""
    for name, given in expectation.where.items():
        if name not in contract.features:
            yield f"where names {_unknown(name, contract)}"
        yield from _misfits(name, given, *alone(name))
    if isinstance(expectation, Answer):
        yield from _no_answers(expectation.expected, contract)
        return
    if not expectation.tolerance >= 0:
        yield f"tolerance is {expectation.tolerance}; it must be at least 0"
    yield from _no_classes(expectation, contract)
    if isinstance(expectation.change, str):
        yield from _not_ordered(expectation.change, expectation.where, contract)


def _alone(name: str, contract: Contract) -> tuple[Contract, type[BaseModel]]:
    """Return the contract of one feature and the request model of its rows."""
    part = contract.model_copy(update={"columns": {name: contract.features[name]}})
    return part, request_model(part, 1)


def _misfits(name: str, given: Any, part: Contract, model: type[BaseModel]) -> Iterator[str]:
    column = part.features[name]
    for value in given if isinstance(given, tuple) else (given,):
        if problem := _violation({name: value}, part, model):
            yield f"where: {problem}"
    if isinstance(given, tuple) and isinstance(column, Number | Integer | Time):
        if len(given) != 2 or not given[0] <= given[1]:
            yield f"where: {name}: expected (low, high), got {given}"
    elif given == ():
        yield f"where: {name}: expected a value, got none"


def _no_answers(expected: str | tuple[float, float], contract: Contract) -> Iterator[str]:
    if contract.task != "regression":
        yield from _no_class(expected, contract)
    elif not isinstance(expected, tuple) or len(expected) != 2 or not expected[0] <= expected[1]:
        yield f"the target is numeric: expected (low, high), got {expected!r}"


def _no_class(label: Any, contract: Contract) -> Iterator[str]:
    if label not in contract.classes:
        hint = did_you_mean(str(label), contract.classes) or f"; classes are {', '.join(contract.classes)}"
        yield f"{label!r} is not a class of {contract.target.name}{hint}"


def _no_classes(effect: Effect, contract: Contract) -> Iterator[str]:
    if effect.of is not None and contract.task == "regression":
        yield f"of={effect.of!r} names a class, but {contract.target.name} is numeric"
    elif effect.of is not None:
        yield from _no_class(effect.of, contract)
    elif contract.task == "multiclass" and effect.sign:
        yield f"name the class, for example of={contract.classes[0]!r}"


def _not_ordered(feature: str, where: Where, contract: Contract) -> Iterator[str]:
    if feature not in contract.features:
        yield _unknown(feature, contract)
    column = contract.features[feature]
    if not isinstance(column, Number | Integer | Boolean):
        yield f"{feature} is a {column.kind} and has no order; use rises_when(...) with your own change"
    if len(_values(column, where.get(feature))) < 2:
        yield f"{feature} has only one value, so it cannot rise or fall"
