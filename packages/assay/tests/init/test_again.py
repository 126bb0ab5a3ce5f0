import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.init.again import is_same_problem, renewed
from assay.init.infer import Finding, Plan, checked, infer
from assay.init.limits import limits
from assay.init.noise import GateNumbers
from assay.init.write import contract_text, parse_contract, review_text
from assay.statistics.bootstrap import Estimate

ROWS = 300


def plan(rows: int = ROWS, **columns: object) -> Plan:
    rng = np.random.default_rng(rows)
    size = rng.integers(40, 200, rows)
    made = {
        "size": size,
        "town": rng.choice(["Bonn", "Köln"], rows),
        "sold": [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(day)) for day in rng.integers(0, 300, rows)],
        "price": size * 3000.5 + rng.normal(0, 1e5, rows),
    } | columns
    return infer(pa.table({name: values for name, values in made.items() if values is not None}), "price", "houses")


def test_data_that_keeps_to_the_contract_changes_no_letter_of_it():
    text = contract_text(plan())
    assert renewed(text, plan(200)) == (text, [])


def test_what_a_person_wrote_stays():
    text = contract_text(plan()).replace("size: {kind: integer", "size: {kind: integer, unit: m2, description: floor")
    text = text.replace("# Fill this in", "# I read it all. Fill this in")
    made, _ = renewed(text, plan(200, town=np.array(["Bonn", "Orly"] * 100)))
    assert "# I read it all." in made
    assert parse_contract(made).columns["size"].description == "floor"


CHANGES = {
    "a range": ({"size": np.arange(ROWS) * 100}, "size: range widened from 0 to 280 to 0 to"),
    "a new value": ({"town": ["Bonn", "Orly", "Ulm"] * 100}, "town: new values 'Orly', 'Ulm'"),
    "a gap": ({"town": [None, "Bonn", "Köln"] * 100}, "town: values may now be missing"),
    "a later time": (
        {"sold": [datetime.date(2095, 1, 1 + i % 28) for i in range(ROWS)]},
        "sold: range widened from 2019-01-01 to",
    ),
    "fractions": ({"size": np.linspace(40.5, 199, ROWS)}, "size: now has fractions"),
    "a new column": ({"garden": [True, False] * 150}, "garden: new column, boolean"),
    "a column gone": ({"town": None}, "town: removed: no longer in the data"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_contract_follows_newer_data_and_says_so(what):
    columns, said = CHANGES[what]
    made, changes = renewed(contract_text(plan()), plan(**columns))
    assert any(change.startswith(said) for change in changes), changes
    parse_contract(made)


def test_a_column_whose_kind_cannot_hold_the_data_gets_the_new_decision():
    made, changes = renewed(contract_text(plan()), plan(size=["big", "small"] * 150), replaced=("size",))
    assert parse_contract(made).columns["size"].kind == "category"
    assert "size: the data no longer fits its kind; now category" in changes


def test_another_target_or_other_columns_are_another_problem():
    old = checked(plan().contract)
    assert is_same_problem(old, plan(200))
    assert not is_same_problem(old, plan(size=None, town=None, garden=[1.5, 2.5, 9.5] * 100))


ROWS = {"rows": {"test": 400}}
METRICS = {"test": {"roc_auc": {"value": 0.9, "low": 0.86, "high": 0.93}}, "dummy": {"roc_auc": 0.5}} | ROWS
GATES = {
    "quality": {"metric": "roc_auc"},
    "robustness": {"changed": 0.1},
    "calibration": {"error": 0.1},
    "fairness": {"difference": 0.1},
    "dominance": {"share": 0.95},
}
UNDER = {"fairness": {}, "dominance": []}


def test_the_floor_lies_between_the_dummy_and_what_the_first_model_surely_reaches():
    made, findings = limits(METRICS, UNDER, GATES, "binary")
    assert made == {"gates.quality.floor": 0.68}
    assert not findings


def test_the_floor_of_a_loss_lies_above_what_the_first_model_reaches():
    metrics = {"test": {"log_loss": {"value": 0.2, "low": 0.1, "high": 0.3}}, "dummy": {"log_loss": 1.1}}
    gates = GATES | {"quality": {"metric": "log_loss"}}
    made, _ = limits(metrics | ROWS, UNDER, gates, "multiclass")
    assert made["gates.quality.floor"] == 0.7


def test_a_limit_that_the_first_model_is_past_is_widened_and_told():
    analysis = UNDER | {"fairness": {"sex": {"difference": {"selection_rate": 0.4}}}}
    made, findings = limits(METRICS, analysis, GATES, "binary", GateNumbers(changed=Estimate(0.2, 0.16, 0.24)))
    assert made["gates.robustness.changed"] == 0.26
    assert made["gates.fairness.difference"] == 0.5
    assert {finding.where for finding in findings} == {"gates.robustness.changed", "gates.fairness.difference"}


@pytest.mark.parametrize(
    ("difference", "margin"), [(0.001, None), (0.008, None), (0.02, 0.025), (0.0161, 0.021), (0.4, 0.18)]
)
def test_the_margin_is_larger_than_what_another_seed_changes_and_never_reaches_the_floor(difference, margin):
    gates = GATES | {"quality": GATES["quality"] | {"margin": 0.01}, "reproducibility": {"spread": 0.02}}
    made, findings = limits(METRICS, UNDER, gates, "binary", GateNumbers(difference, 0.001))
    assert made.get("gates.quality.margin") == margin
    assert [finding.where for finding in findings] == ["gates.quality.margin"] * (margin is not None)
    assert made["gates.quality.floor"] == 0.68


def test_without_a_section_for_a_gate_nothing_is_widened():
    gates = {"quality": GATES["quality"]}
    made, findings = limits(METRICS, UNDER, gates, "binary", GateNumbers(0.03, 0.03))
    assert set(made) <= {"gates.quality.floor", "gates.quality.margin"}
    assert {finding.where for finding in findings} <= {"gates.quality.margin"}


def test_seeds_that_differ_more_than_the_limit_widen_it():
    gates = GATES | {"quality": GATES["quality"] | {"margin": 0.1}, "reproducibility": {"spread": 0.02}}
    made, _ = limits(METRICS, UNDER, gates, "binary", GateNumbers(0.03, 0.03))
    assert made["gates.reproducibility.spread"] == 0.038
    assert "gates.quality.margin" not in made


@pytest.mark.parametrize(("high", "limit"), [(0.165, 0.21), (0.133, 0.16), (0.081, None)])
def test_a_limit_is_beyond_the_interval_of_the_first_model(high, limit):
    made, _ = limits(METRICS, UNDER, GATES, "binary", GateNumbers(changed=Estimate(0.079, 0.06, high)))
    assert made.get("gates.robustness.changed") == limit


def test_intervals_that_miss_more_values_than_they_should_widen_their_limit():
    metrics = {"test": {"r2": {"value": 0.8, "low": 0.7, "high": 0.9}}, "dummy": {"r2": 0.0}}
    gates = GATES | {"quality": {"metric": "r2"}}
    made, (finding,) = limits(metrics | ROWS, UNDER, gates, "regression", GateNumbers(missed=0.23))
    assert made["gates.calibration.error"] == 0.29
    assert finding.what.startswith(
        "the excess share of values outside their interval is 0.23; the limit was set to 0.29"
    )


def test_a_limit_that_can_hold_nothing_says_so():
    analysis = UNDER | {"fairness": {"sex": {"difference": {"selection_rate": 0.95}}}}
    made, (finding,) = limits(METRICS, analysis, GATES, "binary")
    assert made["gates.fairness.difference"] == 1.0
    assert "this gate holds nothing now" in finding.what


@given(st.floats(0.5, 0.99), st.floats(0, 0.2))
def test_a_floor_never_lies_within_the_interval_of_the_first_model(value, half):
    metrics = {
        "test": {"roc_auc": {"value": value, "low": value - half, "high": value + half}},
        "dummy": {"roc_auc": 0.5},
    }
    made, _ = limits(metrics | ROWS, UNDER, GATES, "binary")
    assert made["gates.quality.floor"] <= value - half + 1e-9


@pytest.mark.parametrize(
    ("metric", "found", "dummy", "worse"),
    [
        ("roc_auc", (0.45, 0.52), 0.5, True),
        ("roc_auc", (0.55, 0.6), 0.5, False),
        ("log_loss", (0.6, 0.7), 0.65, True),
        ("log_loss", (0.3, 0.4), 0.65, False),
        ("r2", (-0.4, -0.1), 0.0, True),
    ],
)
def test_a_model_no_better_than_the_dummy_is_the_first_to_review(metric, found, dummy, worse):
    metrics = {"test": {metric: {"value": sum(found) / 2, "low": found[0], "high": found[1]}}, "dummy": {metric: dummy}}
    gates = GATES | {"quality": {"metric": metric}}
    _, findings = limits(metrics | ROWS, UNDER, gates, "regression" if metric == "r2" else "binary")
    assert [finding.where for finding in findings] == (["model"] if worse else [])
    assert review_text([*findings, Finding(3, "x", "y")]).startswith("  first  model: ") == worse


@pytest.mark.parametrize(
    ("answered", "true", "limit"), [(0.96, 0.9, 0.98), (1.0, 0.99, 1.0), (0.9, 0.8, None), (0.99, 0.995, None)]
)
def test_a_label_that_the_first_model_answers_more_often_than_the_limit_says_may_be_answered_so(answered, true, limit):
    slices = [{"part": "old", "rows": 99, "label": "no", "predicted_share": answered, "true_share": true}]
    made, findings = limits(METRICS, UNDER | {"dominance": slices}, GATES, "binary")
    assert made.get("gates.dominance.share") == limit
    assert len(findings) == (limit is not None)
