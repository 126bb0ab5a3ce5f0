import json
import re
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.gates.expectations import check, outcome
from assay.gates.findings import Expected
from assay.properties.expectations import answers, falls, falls_when, rises, rises_when, same_when
from fewer import fewer
from patients import COLUMNS, contract
from places import PACKAGE

EXAMPLES = 20
# Quick to draw, for the laws that are tried on many models.
FEW = {name: COLUMNS[name] for name in ("age", "noise")}
SMALL = contract(columns=FEW)
NESTED = settings(fewer(6), suppress_health_check=[HealthCheck.nested_given])


def chance(signal):
    """Return the scores of a binary model whose logit is the signal."""
    positive = 1 / (1 + np.exp(-np.clip(signal, -500, 500)))
    return np.stack([1 - positive, positive], axis=1)


def by_age(data):
    """Return the scores of a model in which age raises the risk, and nothing else matters."""
    return chance((data["age"] - 60) / 20)


def binary(scores):
    return (scores[:, 1] >= 0.5).astype(int)


def tried(*expectations, scores=by_age, decide=binary, spec=None, seed=0, examples=EXAMPLES):
    return check(list(expectations), spec or contract(), scores, decide, examples, seed)


def held(expectation, **model):
    return tried(expectation, **model)[0].held


def test_more_of_what_raises_the_risk_never_lowers_it():
    assert held(rises("age"))
    assert not held(falls("age"))
    assert held(falls("age", of="well"))


def test_what_has_no_effect_neither_raises_nor_lowers_the_risk():
    assert held(rises("noise"))
    assert held(falls("noise"))


@NESTED
@given(st.floats(-1, 1).filter(lambda slope: abs(slope) > 0.01), st.booleans())
def test_a_direction_holds_exactly_when_the_model_goes_that_way(slope, whole):
    feature = "age" if whole else "noise"

    def model(data):
        return chance(slope * (data[feature] - (60 if whole else 0)))

    assert held(rises(feature), scores=model, spec=SMALL) == (slope > 0)
    assert held(falls(feature), scores=model, spec=SMALL) == (slope < 0)


@NESTED
@given(effect=st.floats(0.001, 0.4), share=st.floats(0, 2).filter(lambda share: abs(share - 1) > 0.01))
def test_a_change_of_the_risk_counts_exactly_when_it_is_beyond_the_tolerance(effect, share):
    def model(data):
        return np.stack([0.5 + effect * (data["age"] >= 60), 0.5 - effect * (data["age"] >= 60)], axis=1)

    def older(row):
        return {**row, "age": min(row["age"] + 60, 120)}

    within = share > 1
    assert held(rises("age", tolerance=effect * share), scores=model, spec=SMALL) == within
    assert held(rises_when("older", older, tolerance=effect * share), scores=model, spec=SMALL) == within
    assert held(same_when("older", older, tolerance=effect * share), scores=model, spec=SMALL) == within
    assert held(falls_when("older", older), scores=model, spec=SMALL)


def test_a_dip_between_two_ends_that_rise_is_found():
    def model(data):
        return chance(data["age"] / 30 - ((data["age"] > 50) & (data["age"] < 70)))

    [result] = tried(rises("age"), scores=model)
    assert not result.held
    assert result.row["age"] < result.changed["age"]
    assert result.before > result.after


def test_a_failure_is_shrunk_to_the_one_value_that_decides():
    def model(data):
        return chance(np.where(data["ward"] == "west", -1, 1) * (data["age"] - 60) / 20)

    [result] = tried(rises("age"), scores=model, examples=100)
    assert (
        result.reason
        == "the probability of sick goes from 0.9526 to 0.04743 as age goes from 0 to 120, where ward is west"
    )
    simplest = {
        "age": 0,
        "heart-rate": None,
        "noise": 0.0,
        "smoker": None,
        "ward": "west",
        "street": "street 0",
        "admitted": "0001-01-01T00:00:00",
    }
    assert result.row == simplest
    assert result.changed == {"age": 120}
    assert (result.before, result.after) == (0.952574, 0.0474259)


def test_a_result_is_plain_data_even_where_a_score_is_not_a_number():
    def model(data):
        return np.where(data["age"][:, None] > 50, np.nan, by_age(data))

    [result] = tried(rises("age"), scores=model)
    assert not result.held
    assert result.after is None
    json.dumps(outcome([result], EXAMPLES).as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "expectation", [rises("age"), same_when("older", lambda row: {**row, "age": 120}, tolerance=1)]
)
def test_a_risk_that_is_not_a_number_is_never_right(expectation):
    assert not held(expectation, scores=lambda data: by_age(data) * np.nan)


def test_what_single_precision_makes_of_a_score_is_no_change():
    assert held(rises("age"), scores=lambda data: by_age(data).astype(np.float32).astype(float))
    wobble = lambda data: by_age(data) * 0 + 0.5 + 1e-7 * np.sin(data["age"])[:, None]  # noqa: E731
    assert held(rises("age"), scores=wobble)


@pytest.mark.parametrize("feature", ["age", "heart-rate", "noise", "smoker"])
def test_numbers_and_booleans_with_and_without_gaps_have_a_direction(feature):
    def model(data):
        return chance(np.nan_to_num(data[feature]) / 100)

    spec = contract(columns={feature: COLUMNS[feature]})
    assert held(rises(feature), scores=model, spec=spec)
    assert not held(falls(feature), scores=model, spec=spec)


@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_feature_without_a_range_is_tried_far_out_and_near_zero(kind):
    spec = contract(columns={"age": {"kind": kind}})
    for turn in (-1e5, -5, 5, 1e5):
        model = lambda data: chance(1.0 * (data["age"] > turn))  # noqa: E731, B023
        assert not held(falls("age"), scores=model, spec=spec), turn


def test_sums_that_overflow_where_the_contract_leaves_a_side_open_warn_nobody():
    spec = contract(columns={**COLUMNS, "noise": {"kind": "number"}})

    def model(data):
        # As scikit-learn does, to see whether all numbers are finite.
        np.clip(data["noise"], -3e38, 3e38).astype(np.float32).sum()
        return by_age(data)

    assert held(rises("age"), scores=model, spec=spec, examples=100)


def test_where_narrows_the_rows_and_the_values_that_are_tried():
    seen = []

    def model(data):
        seen.append(data)
        return by_age(data)

    where = {
        "age": (30, 40),
        "noise": 1.5,
        "ward": ("north", "west"),
        "smoker": True,
        "admitted": (datetime(2024, 1, 1), datetime(2024, 2, 1)),
        "heart-rate": None,
    }
    assert held(rises("age", where=where), scores=model)
    [data] = seen
    assert (data["age"].min(), data["age"].max()) == (30, 40)
    assert set(data["noise"]) == {1.5}
    assert set(data["ward"]) == {"north", "west"}
    assert set(data["smoker"]) == {1.0}
    assert np.isnan(data["heart-rate"]).all()
    assert data["admitted"].min() >= np.datetime64("2024-01-01")
    assert data["admitted"].max() <= np.datetime64("2024-02-01")


def test_where_a_feature_lies_in_an_interval_it_is_not_missing():
    seen = []

    def model(data):
        seen.append(data)
        return by_age(data)

    tried(rises("age", where={"heart-rate": (60.0, 100.0)}), scores=model)
    assert not np.isnan(seen[0]["heart-rate"]).any()


def test_a_change_that_does_not_matter_may_change_nothing_of_the_answer():
    assert held(same_when("other noise", lambda row: {**row, "noise": -row["noise"]}))
    assert not held(same_when("older", lambda row: {**row, "age": 120}))


def test_a_change_that_changes_nothing_fails_and_says_so():
    [result] = tried(same_when("unchanged", dict), spec=SMALL)
    assert not result.held
    assert result.examples == 0
    assert result.reason == "the change applies to no row: it changes nothing"


def test_a_change_is_tried_only_on_rows_that_it_really_changes():
    seen = []

    def model(data):
        seen.append(data["age"])
        return by_age(data)

    [result] = tried(rises_when("at least 80", lambda row: {**row, "age": max(row["age"], 80)}), scores=model)
    assert result.held
    assert result.examples == EXAMPLES
    before, after = seen[0][::2], seen[0][1::2]
    assert (before < 80).all()
    assert (after == 80).all()


def test_a_change_is_not_tried_where_it_leaves_the_contract():
    seen = []

    def model(data):
        seen.append(data["age"])
        return by_age(data)

    [result] = tried(rises_when("twice as old", lambda row: {**row, "age": 2 * row["age"]}), scores=model)
    assert result.held
    assert result.examples == EXAMPLES
    assert max(seen[0]) <= 120


def test_a_change_that_always_leaves_the_contract_fails_and_says_how():
    [result] = tried(rises_when("far too old", lambda row: {**row, "age": 500}), spec=SMALL)
    assert not result.held
    assert result.reason == "the change applies to no row: age: expected a whole number between 0 and 120, got 500"


def test_a_change_may_not_reach_back_into_the_row_it_was_given():
    def older(row):
        row["age"] = 120
        return row

    [result] = tried(falls_when("older", older))
    assert not result.held
    assert result.changed == {"age": 120}
    assert result.row["age"] < 120


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: 1 / 0, "the change raised ZeroDivisionError: division by zero"),
        (lambda row: {**row, "heart-rate": row["heart-rate"] + 1}, "the change raised TypeError: unsupported operand"),
        (lambda row: None, "the change returned missing instead of a row"),
        (lambda row: {**row, "agee": 3}, "the change added 'agee', which is not a feature; did you mean 'age'?"),
        (lambda row: {"age": 3}, "the change removed 'admitted'"),
    ],
)
def test_a_change_that_goes_wrong_fails_in_one_line_and_the_others_go_on(change, reason):
    result, other = tried(same_when("a mistake", change), rises("age"))
    assert not result.held
    assert result.reason.startswith(reason)
    assert "\n" not in result.reason
    assert other.held


def test_the_row_on_which_a_change_goes_wrong_is_named():
    [result] = tried(
        same_when("of no west", lambda row: {**row, "noise": {"north": 1, "south": 2}[row["ward"] or "north"]})
    )
    assert result.reason == "the change raised KeyError: 'west', where ward is west"


def test_an_answer_is_expected_wherever_features_have_some_values():
    assert held(answers({"age": (61, 120)}, "sick"))
    assert held(answers({"age": 20}, "well"))
    [result] = tried(answers({"age": (50, 120)}, "sick"))
    assert not result.held
    assert result.reason == "the prediction is well; the probability of sick is 0.3775"
    assert result.row["age"] == 50


def test_a_complete_row_is_tried_once():
    row = {
        "age": 90,
        "heart-rate": 80.0,
        "noise": 0.0,
        "smoker": None,
        "ward": "north",
        "street": "street 1",
        "admitted": datetime(2024, 1, 1),
    }
    [result] = tried(answers(row, "sick", name="an old patient"))
    assert (result.held, result.examples) == (True, 1)


def of_three(data):
    """Return scores of three classes: with age, sick becomes more likely and well less."""
    share = data["age"] / 120 * 0.6
    return np.stack([0.1 + share, 0.7 - share, np.full(len(share), 0.2)], axis=1)


def test_with_several_classes_the_risk_is_that_of_a_named_class():
    spec = contract("multiclass")
    model = {"scores": of_three, "decide": lambda scores: scores.argmax(axis=1), "spec": spec}
    assert held(rises("age", of="sick"), **model)
    assert held(falls("age", of="well"), **model)
    assert not held(rises("age", of="well"), **model)
    assert held(answers({"age": 110}, "sick"), **model)
    [result] = tried(answers({"age": 0}, "sick"), **model)
    assert result.reason == "the prediction is well; the probability of sick is 0.1"


def test_with_several_classes_a_change_may_move_the_probability_of_none():
    [result] = tried(
        same_when("old", lambda row: {**row, "age": 120}, tolerance=0.3), scores=of_three, spec=contract("multiclass")
    )
    assert not result.held
    assert "the probability of " in result.reason


def test_for_numbers_the_risk_is_the_number_and_the_answer_an_interval():
    model = {
        "scores": lambda data: 1000.0 * data["age"],
        "decide": lambda scores: scores,
        "spec": contract("regression", columns=FEW),
    }
    assert held(rises("age"), **model)
    assert not held(falls("age", tolerance=100_000), **model)
    assert held(falls("age", tolerance=130_000), **model)
    assert held(answers({"age": (0, 10)}, (0, 10_000)), **model)
    [result] = tried(answers({"age": (0, 11)}, (0, 10_000)), **model)
    assert result.reason == "the prediction is 1.1e+04, where age is 11"
    [result] = tried(falls("age"), **model)
    assert result.reason.startswith("the predicted outcome goes from")


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        (rises("agee"), "'agee', which is not a feature; did you mean 'age'?"),
        (rises("age", where={"wrd": "west"}), "where names 'wrd', which is not a feature; did you mean 'ward'?"),
        (rises("ward"), "ward is a category and has no order; use rises_when"),
        (rises("admitted"), "admitted is a time and has no order"),
        (rises("age", where={"age": 50}), "age has only one value, so it cannot rise or fall"),
        (rises("age", tolerance=-0.1), "tolerance is -0.1; it must be at least 0"),
        (rises("age", of="sik"), "'sik' is not a class of outcome; did you mean 'sick'?"),
        (rises("age", where={"noise": 11.0}), "where: noise: expected a number between -10 and 10, got 11.0"),
        (rises("age", where={"noise": (-11.0, 0.0)}), "where: noise: expected a number between -10 and 10, got -11.0"),
        (rises("age", where={"noise": (3.0, 1.0)}), "where: noise: expected (low, high), got (3.0, 1.0)"),
        (rises("age", where={"noise": (3.0,)}), "where: noise: expected (low, high)"),
        (rises("age", where={"ward": ()}), "where: ward: expected a value, got none"),
        (rises("age", where={"ward": "east"}), "where: ward: expected one of north, south, west or null, got 'east'"),
        (rises("age", where={"admitted": "2024-01-01"}), "where: admitted: expected a datetime, got 2024-01-01"),
        (rises("age", where={"age": None}), "where: age: expected a whole number between 0 and 120, got null"),
        (answers({"age": 50}, "ill"), "'ill' is not a class of outcome; did you mean 'well'?"),
    ],
)
def test_what_the_contract_does_not_have_is_said_in_one_line(expectation, problem):
    with pytest.raises(InputError) as error:
        tried(rises("age"), expectation)
    assert str(error.value).startswith(f"src/model/expectations.py: {expectation.name}: {problem}")


@pytest.mark.parametrize(
    ("task", "expectation", "problem"),
    [
        ("multiclass", rises("age"), "name the class, for example of='sick'"),
        ("regression", rises("age", of="sick"), "of='sick' names a class, but outcome is numeric"),
        ("regression", answers({}, "sick"), "the target is numeric: expected (low, high), got 'sick'"),
        ("regression", answers({}, (3, 1)), "the target is numeric: expected (low, high), got (3, 1)"),
        ("binary", answers({}, (0, 1)), "(0, 1) is not a class of outcome"),
    ],
)
def test_what_does_not_go_with_the_task_is_said_in_one_line(task, expectation, problem):
    with pytest.raises(InputError) as error:
        tried(expectation, spec=contract(task))
    assert problem in str(error.value)


def test_the_same_model_and_seed_give_the_same_results():
    wrong = [falls("age"), same_when("older", lambda row: {**row, "age": 120}), answers({"age": (0, 100)}, "well")]
    assert tried(*wrong, seed=3, spec=SMALL) == tried(*wrong, seed=3, spec=SMALL)


def test_an_expectation_that_holds_asks_the_model_once():
    calls = []

    def model(data):
        calls.append(len(data["age"]))
        return by_age(data)

    tried(rises("age"), answers({"age": 90}, "sick"), scores=model)
    assert len(calls) == 2


def test_all_that_hold_is_promote_with_what_was_tried():
    found = outcome(tried(rises("age"), falls("noise")), EXAMPLES)
    assert (found.gate, found.verdict) == ("expectations", "PROMOTE")
    assert found.reason == f"all 2 expectations hold, on {2 * EXAMPLES} rows"
    assert [one["name"] for one in found.measured["expectations"]] == [
        "more age never lowers the risk",
        "more noise never raises the risk",
    ]
    assert found.limit == {"examples": EXAMPLES}


def test_one_that_fails_is_reject_with_its_name_and_row():
    found = outcome(tried(rises("age"), falls("age")), EXAMPLES)
    assert found.verdict == "REJECT"
    assert found.reason.startswith(
        "1 of 2 expectations fail: more age never raises the risk: the probability of sick goes from"
    )
    json.dumps(found.as_dict(), allow_nan=False)


def test_no_expectation_is_hold():
    found = outcome([], EXAMPLES)
    assert found.verdict == "HOLD"
    assert found.reason.startswith("src/model/expectations.py has no expectations")


def test_an_expectation_that_was_tried_on_no_row_is_no_pass():
    assert outcome([Expected("unchanged", False, 0, "it changes nothing")], EXAMPLES).verdict == "REJECT"


def test_the_example_of_the_page_can_be_used_as_it_stands():
    page = PACKAGE / "docs/how-to/expectations.md"
    found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(found[1], names)  # noqa: S102
    results = tried(*names["EXPECTATIONS"])
    assert [result.held for result in results] == [True] * 5
