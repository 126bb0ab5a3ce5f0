"""What `assay init` asks and writes depends on the kind of a finding, not on its wording."""

from dataclasses import replace

import click
import numpy as np
import pyarrow as pa
import pytest

from assay.init.command import InitOptions, _ask
from assay.init.infer import Finding, Kind, Plan, infer
from assay.init.write import contract_text, review_text


@pytest.fixture
def plan() -> Plan:
    """A plan for whole numbers as a target, and a column that gives it away, in which each finding has other words."""
    rng = np.random.default_rng(1)
    age = rng.integers(18, 81, 400)
    rating = np.clip(np.round(age / 20 + rng.normal(0, 0.7, 400)), 1, 5).astype(int)
    columns = {"age": age, "visits": rng.integers(0, 10, 400), "refund": 10 * rating, "rating": rating}
    made = infer(pa.table(columns), "rating", "ratings")
    return replace(made, findings=[replace(one, what="Schau hier hin") for one in made.findings])


def test_the_doubtful_decisions_are_marked(plan: Plan):
    kinds = {one.where: one.kind for one in plan.findings if one.kind is not Kind.NOTE}
    assert kinds == {"rating": Kind.UNSURE_TASK, "refund": Kind.LEFT_OUT}


def test_an_unsure_task_is_asked_for(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "multiclass")
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert _ask(plan, "rating", InitOptions(None, (), False)) == InitOptions("multiclass", ("refund",))


def test_a_column_that_was_left_out_has_its_own_reason_alone(plan: Plan):
    assert list(plan.suspects) == ["refund"]
    text = contract_text(plan)
    assert "Schau" not in text.partition("refund:")[0].splitlines()[-1]
    assert "ignored" in text.partition("refund:")[2].splitlines()[0]


def test_columns_with_the_same_finding_share_a_line():
    constant = "ignored: constant: 0 in every row"
    findings = [Finding(2, "sex", "sensitive"), *(Finding(1, f"c{number}", constant) for number in range(3))]
    findings += [Finding(2, "c4", constant), Finding(0, "c5", "done")]
    assert review_text(findings).splitlines() == [
        "  look   sex: sensitive",
        f"  note   c0, c1, c2: {constant}",
        f"  look   c4: {constant}",
    ]
    assert review_text(findings, most=1).splitlines() == ["  look   sex: sensitive", "  and 2 more in contract.yaml"]
