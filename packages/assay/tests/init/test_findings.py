"""What `assay init` asks and writes goes by the kind of a finding, whatever its words are."""

from dataclasses import replace

import click
import numpy as np
import pyarrow as pa
import pytest

from assay.init.command import Wishes, _ask
from assay.init.infer import Kind, Plan, infer
from assay.init.write import contract_text


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
    assert _ask(plan, "rating", Wishes(None, (), False)) == Wishes("multiclass", ("refund",))


def test_a_column_that_was_left_out_has_its_own_reason_alone(plan: Plan):
    assert plan.suspects == ["refund"]
    text = contract_text(plan)
    assert "Schau" not in text.partition("refund:")[0].splitlines()[-1]
    assert "ignored" in text.partition("refund:")[2].splitlines()[0]
