import datetime

import numpy as np
import pyarrow as pa
import pytest

from assay.init.again import is_same_problem, renewed
from assay.init.infer import Plan, checked, infer
from assay.init.limits import limits
from assay.init.write import contract_text, parse_contract

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
        {"sold": [datetime.date(2050, 1, 1 + i % 28) for i in range(ROWS)]},
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


METRICS = {"test": {"roc_auc": {"value": 0.9, "low": 0.86, "high": 0.93}}, "dummy": {"roc_auc": 0.5}}
GATES = {
    "quality": {"metric": "roc_auc"},
    "robustness": {"changed": 0.1},
    "calibration": {"error": 0.1},
    "fairness": {"difference": 0.1},
    "dominance": {"share": 0.95},
}
UNDER = {"sensitivity": {"all": 0.01}, "fairness": {}, "dominance": []}


def test_the_floor_lies_between_the_dummy_and_what_the_first_model_surely_reaches():
    made, findings = limits(METRICS, UNDER, GATES, "binary")
    assert made == {"gates.quality.floor": 0.68}
    assert not findings


def test_the_floor_of_a_loss_lies_above_what_the_first_model_reaches():
    metrics = {"test": {"log_loss": {"value": 0.2, "low": 0.1, "high": 0.3}}, "dummy": {"log_loss": 1.1}}
    gates = GATES | {"quality": {"metric": "log_loss"}}
    made, _ = limits(metrics, UNDER, gates, "multiclass")
    assert made["gates.quality.floor"] == 0.7


def test_a_limit_that_the_first_model_is_past_is_widened_and_told():
    analysis = UNDER | {"sensitivity": {"all": 0.2}, "fairness": {"sex": {"difference": {"selection_rate": 0.4}}}}
    made, findings = limits(METRICS, analysis, GATES, "binary")
    assert made["gates.robustness.changed"] == 0.25
    assert made["gates.fairness.difference"] == 0.5
    assert {finding.where for finding in findings} == {"gates.robustness.changed", "gates.fairness.difference"}


@pytest.mark.parametrize(
    ("answered", "true", "limit"), [(0.96, 0.9, 0.98), (1.0, 0.99, 1.0), (0.9, 0.8, None), (0.99, 0.995, None)]
)
def test_a_label_that_the_first_model_answers_more_often_than_the_limit_says_may_be_answered_so(answered, true, limit):
    slices = [{"part": "old", "rows": 99, "label": "no", "predicted_share": answered, "true_share": true}]
    made, findings = limits(METRICS, UNDER | {"dominance": slices}, GATES, "binary")
    assert made.get("gates.dominance.share") == limit
    assert len(findings) == (limit is not None)
