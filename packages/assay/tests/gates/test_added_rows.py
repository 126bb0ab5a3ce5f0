"""Added rows whose target the champion hardly explains are held, whatever the shares of their classes are."""

import numpy as np
import pytest

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.data.columns import target
from assay.evaluation.metrics import ScoredRows, take_rows
from assay.gates.contract import judge
from assay.gates.evidence import Answered
from judged import answers, evidence, scores, table
from patients import contract

TASKS = ("binary", "regression")


def answered(rows: int, task: str, made: Contract, *, noise: float, seed: int, mixed: bool = False) -> Answered:
    """Return rows that a model predicts well; `mixed` gives each row the target of another."""
    known = target(table(rows, task, seed), made)
    rng = np.random.default_rng(seed)
    given = known + rng.normal(0, 0.2 * known.std(), rows) if task == "regression" else scores(known, noise, seed)
    seen = rng.permutation(known) if mixed else known
    return Answered(ScoredRows(seen, given, given if task == "regression" else given.argmax(axis=1)), None)


def look(task: str, added: Answered | None, own_test: Answered | None) -> Outcome:
    made = contract(task)
    rows = table(task=task)
    known = target(rows, made)
    given = answers(known if task == "regression" else scores(known, 0.8), known)
    return judge(evidence(given, given, made, rows, added=added, champion_test=own_test))


def found(outcome: Outcome) -> str:
    checks = outcome.measured
    return str(checks["targets of added rows"]["verdict"]) if "targets of added rows" in checks else "none"


@pytest.mark.parametrize("task", TASKS)
def test_targets_that_belong_to_other_rows_are_held_with_both_numbers(task: str):
    made = contract(task)
    own_test = answered(400, task, made, noise=0.8, seed=1)
    outcome = look(task, answered(60, task, made, noise=0.8, seed=2, mixed=True), own_test)
    assert found(outcome) == "HOLD"
    assert "R2 on the added rows is -" in outcome.reason
    assert "on its own test rows 0." in outcome.reason


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(20))
def test_rows_like_those_before_are_never_held(task: str, seed: int):
    made = contract(task)
    own_test = answered(400, task, made, noise=0.8, seed=1)
    assert found(look(task, answered(60, task, made, noise=0.8, seed=100 + seed), own_test)) == "PROMOTE"


def test_a_champion_that_explains_nothing_says_nothing_of_added_rows():
    made = contract("binary")
    useless = answered(400, "binary", made, noise=0.8, seed=1, mixed=True)
    assert found(look("binary", answered(60, "binary", made, noise=0.8, seed=2, mixed=True), useless)) == "SKIP"
    assert found(look("binary", None, None)) == "none"


def test_more_rows_than_one_resample_takes_are_judged_too():
    made = contract("binary")
    own_test = answered(9_000, "binary", made, noise=0.8, seed=1)
    assert found(look("binary", answered(9_000, "binary", made, noise=0.8, seed=2, mixed=True), own_test)) == "HOLD"


@pytest.mark.parametrize("seed", range(20))
def test_few_groups_or_rows_of_a_class_are_too_few_to_tell(seed: int):
    made = contract("binary")
    own_test = answered(400, "binary", made, noise=0.8, seed=1)
    added = answered(60, "binary", made, noise=0.8, seed=100 + seed, mixed=True)
    of_three_groups = Answered(added.rows, np.arange(60) % 3)
    assert found(look("binary", of_three_groups, own_test)) == "SKIP"
    rare = np.flatnonzero((added.rows.target == 0) | (np.cumsum(added.rows.target) <= 5))
    assert found(look("binary", Answered(take_rows(added.rows, rare), None), own_test)) == "SKIP"


@pytest.mark.parametrize("seed", range(20))
def test_rows_like_those_before_are_not_held_in_groups_or_with_a_rare_class_either(seed: int):
    made = contract("binary")
    many = answered(4000, "binary", made, noise=0.8, seed=200 + seed)
    rare = np.flatnonzero((many.rows.target == 0) | (np.cumsum(many.rows.target) % 20 == 0))
    rows = take_rows(many.rows, rare)
    first, second = take_rows(rows, np.arange(300)), take_rows(rows, np.arange(300, 1000))
    assert found(look("binary", Answered(first, None), Answered(second, None))) in ("PROMOTE", "SKIP")
    assert found(look("binary", Answered(first, np.arange(300) // 15), Answered(second, None))) in ("PROMOTE", "SKIP")
