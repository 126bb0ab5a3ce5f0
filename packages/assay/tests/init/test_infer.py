import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.errors import InputError
from assay.data.reading import read_table, typed
from assay.data.split import assign
from assay.init.infer import Plan, checked, infer
from assay.init.write import contract_text, data_bytes, params_text, readme_text
from assay.project.params import Prepare
from init.houses import houses
from init.plans import KINDS, LABEL, RNG, ROWS, X, plan, said


def test_each_column_has_a_reason():
    made = plan({name: values for name, values, _ in KINDS.values()})
    for name, decided in made.contract["columns"].items():
        assert made.reasons[name] or decided.get("reason")


def test_a_series_that_grows_is_learnt_from_its_time():
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(ROWS)]
    made = infer(pa.table({"day": days, "stock": np.arange(ROWS) + RNG.normal(size=ROWS)}), "stock", "mine")
    assert made.contract["split"] == {"by": "time", "column": "day"}
    assert made.suspects == {}


def test_a_copy_of_the_target_is_left_out_unless_it_is_to_be_kept():
    made = plan({"verdict": np.where(LABEL == "yes", 1.5, 2.5)})
    assert list(made.suspects) == ["verdict"]
    assert "suspected leak" in made.contract["columns"]["verdict"]["reason"]
    assert made.findings[0].where == "verdict"
    assert (
        plan({"verdict": np.where(LABEL == "yes", 1.5, 2.5)}, keep=["verdict"]).contract["columns"]["verdict"]["kind"]
        == "number"
    )


def test_parts_of_a_sum_that_is_the_target_are_left_out():
    a, b = RNG.integers(0, 100, ROWS), RNG.integers(0, 100, ROWS)
    made = plan({"casual": a, "registered": b}, a + b)
    assert sorted(made.suspects) == ["casual", "registered"]
    assert "x" not in made.suspects


def test_so_are_those_whose_mean_is_the_target_rounded():
    low, room = RNG.uniform(5, 40, ROWS).round(1), RNG.uniform(1, 30, ROWS).round(1)
    made = plan({"lowest": low, "highest": low + room}, (low + room / 2).round(1))
    assert sorted(made.suspects) == ["highest", "lowest"]


def test_a_good_linear_model_is_no_leak():
    one, two = RNG.uniform(0, 100, ROWS).round(), RNG.uniform(0, 100, ROWS).round()
    assert not plan({"one": one, "two": two}, (one + two + RNG.normal(0, 3, ROWS)).round()).suspects
    few = RNG.integers(0, 4, ROWS), RNG.integers(0, 4, ROWS)
    noise = RNG.uniform(-0.9, 0.9, ROWS)
    assert not plan({"one": few[0], "two": few[1]}, (few[0] + few[1] + noise).round(), task="regression").suspects


def test_a_column_that_is_there_only_afterwards_is_left_out():
    body = [float(i % 17) if label == "yes" else None for i, label in enumerate(LABEL)]
    assert plan({"body": body}).suspects.keys() == {"body"}


def test_a_strong_but_honest_feature_stays():
    assert not plan({"strong": np.where(RNG.random(ROWS) < 0.9, LABEL == "yes", LABEL == "no") + 0.0}).suspects


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (LABEL, "binary"),
        (RNG.integers(0, 2, ROWS), "binary"),
        (RNG.choice(["a", "b", "c"], ROWS), "multiclass"),
        (RNG.integers(1, 4, ROWS), "multiclass"),
        (RNG.integers(0, 500, ROWS), "regression"),
        (RNG.normal(size=ROWS), "regression"),
    ],
)
def test_the_task_follows_from_the_target(target, task):
    assert plan({}, target).contract["task"] == task


def test_few_whole_numbers_are_classes_or_an_amount_and_the_doubt_is_told():
    made = plan({}, RNG.integers(1, 6, ROWS))
    assert "--task regression" in said(made, "answer")
    assert plan({}, RNG.integers(1, 6, ROWS), task="regression").contract["task"] == "regression"


def test_the_positive_class_is_the_one_whose_word_says_so_or_the_rarer():
    assert plan({}).contract["target"]["positive"] == "yes"
    rare = np.where(np.arange(ROWS) % 10 == 0, "cat", "dog")
    assert plan({}, rare).contract["target"]["positive"] == "cat"


@pytest.mark.parametrize(("other", "positive"), [("0", "1"), ("-1", "1"), ("2", "2")])
def test_one_is_positive_beside_nothing_and_no_more_than_two_is(other, positive):
    made = plan({}, np.where(np.arange(ROWS) % 10 == 0, other, "1"))
    assert made.contract["target"]["positive"] == positive


def test_rows_with_a_time_are_split_by_it_and_those_of_one_patient_stay_together():
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(ROWS)]
    assert plan({"date": days}).contract["split"] == {"by": "time", "column": "date"}
    births = RNG.permutation(np.array(days, dtype="datetime64[D]"))
    assert plan({"date_of_birth": births}).contract["split"] == {"by": "hash"}
    for name in ("patient_id", "PatientID", "patientid", "custid"):
        assert plan({name: RNG.integers(0, 80, ROWS)}).contract["split"] == {"by": "group", "column": name}


@pytest.mark.parametrize("name", ["purchased", "v3"])
def test_a_time_is_one_whatever_its_name_and_the_order_of_rows(name):
    days = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]")
    made = plan({name: RNG.permutation(np.resize(days, ROWS))})
    assert made.contract["split"] == {"by": "time", "column": name}


def test_a_day_of_birth_is_told_as_what_it_says_of_a_person():
    births = RNG.permutation(np.resize(np.arange("1950-01-01", "1990-01-01", 40, dtype="datetime64[D]"), ROWS))
    made = plan({"geb_datum": births})
    assert made.contract["split"] == {"by": "hash"}
    assert "how old a person is" in said(made, "geb_datum")


def test_a_time_that_cannot_split_is_told():
    days = np.resize(np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]"), ROWS)
    assert "it has only 5 different values" in said(plan({"day": days}), "day")
    gaps = pa.array([None, *np.resize(np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]"), ROWS - 1).tolist()])
    assert "it is missing in 1 rows" in said(plan({"day": gaps}), "day")


def test_a_group_beside_a_time_is_told():
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(ROWS)]
    made = plan({"date": days, "patient": RNG.integers(0, 80, ROWS)})
    assert "both sides of the split by time" in said(made, "patient")


def test_sensitive_columns_are_found_by_name_and_by_content():
    made = plan({"age": RNG.integers(18, 80, ROWS), "v7": RNG.choice(["male", "female"], ROWS), "stage": LABEL[::-1]})
    assert made.contract["sensitive"] == ["age", "v7"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ja", "nein"),
        ("oui", "non"),
        ("si", "no"),
        ("J", "N"),
        ("1", "0"),
        ("case", "control"),
        ("defective", "ok"),
        ("tested_positive", "tested_negative"),
        ("heart disease", "no heart disease"),
        ("churn", "not churn"),
        ("muerto", "vivo"),
        ("tak", "nie"),
        ("verdadero", "falso"),
        ("verstorben", "lebt"),
        ("charged off", "paid"),
        ("gekündigt", "aktiv"),
        ("anything", "normal"),
        ("nicht bezahlt", "bezahlt"),
        ("not paid", "paid"),
        ("non conforme", "conforme"),
    ],
)
def test_the_positive_class_is_known_in_other_words_too(one, other):
    made = plan({}, np.where(np.arange(ROWS) % 4 == 0, other, one))
    assert made.contract["target"]["positive"] == one


@pytest.mark.parametrize(
    ("name", "values", "sensitive"),
    [
        ("alter", range(18, 80), True),
        ("How old are you?", range(18, 80), True),
        ("edad_años", range(18, 80), True),
        ("Geschlecht", ["a", "b"], True),
        ("v1", ["männlich", "weiblich"], True),
        ("Staatsangehörigkeit", ["a", "b"], True),
        ("Female", [0, 1], True),
        ("is_married", ["no", "yes"], True),
        ("white1", [False, True], True),
        ("isFemale", [0, 1], True),
        ("Geschl.", ["a", "b"], True),
        ("Staatsang.", ["a", "b"], True),
        ("Herkunftsland", ["a", "b"], True),
        ("altersgruppe", ["a", "b"], True),
        ("deficiencia", ["a", "b"], True),
        ("GebJahr", range(1940, 2005), True),
        ("annee_naissance", range(1940, 2005), True),
        ("etat_civil", ["a", "b"], True),
        ("discapacidad", [0, 1], True),
        ("embarazada", [0, 1], True),
        ("native_language", ["a", "b"], True),
        ("RAC1P", [1, 2, 3, 6, 8], True),
        ("genre", [1, 2], True),
        ("genre", ["m", "f"], True),
        ("v2", ["m", "w", "d"], False),
        ("frequency", ["d", "m", "w"], False),
        ("billing", ["m", "w"], False),
        ("risk", ["h", "m"], False),
        ("geschlossen", [0, 1], False),
        ("Rasse", ["Holstein", "Jersey", "Angus"], False),
        ("citizens", range(1000, 9000, 37), False),
        ("citizenship", ["a", "b"], True),
        ("dob_year", range(1940, 2005), True),
        ("customer_yob", range(1940, 2005), True),
        ("genre", ["rock", "pop", "jazz"], False),
        ("race_time", range(400), False),
        ("colour", ["d", "e", "f", "g", "h", "i"], False),
        ("is", [0, 1], False),
        ("white_wine", [0, 1], False),
        ("black", range(80), False),
        ("single_family", [0, 1], False),
        ("house_age", range(80), False),
        ("age of battery", range(80), False),
        ("age", range(365), False),
        ("age", range(12), False),
        ("mileage", range(80), False),
        ("page", range(80), False),
    ],
)
def test_a_column_is_sensitive_by_what_it_means(name, values, sensitive):
    made = plan({name: RNG.permutation(np.resize(list(values), ROWS))})
    assert made.contract.get("sensitive", []) == ([name] if sensitive else [])


def test_classes_with_too_few_rows_are_left_out_and_told():
    target = np.array(["a", "b"] * (ROWS // 2))
    target[:3] = "c"
    made = plan({}, target)
    assert made.contract["target"]["classes"] == ["a", "b"]
    assert made.table.num_rows == ROWS - 3
    assert "left out: c (3 rows)" in said(made, "answer")


def dealt(made: Plan) -> np.ndarray:
    """Return the side of each row."""
    contract = checked(made.contract)
    table, violations = typed(made.table, contract)
    assert not violations
    settings = {name.removeprefix("prepare."): value for name, value in made.params.items() if "prepare." in name}
    return assign(table, contract, Prepare(**settings))


def sides_of(made: Plan) -> np.ndarray:
    """Return how many rows of each class are on each side."""
    contract, sides = checked(made.contract), dealt(made)
    labels = np.array(made.table["answer"].to_pylist())
    return np.array([[(labels[sides == side] == label).sum() for label in contract.classes] for side in range(3)])


def test_rows_of_few_possible_values_are_told_apart_by_a_number_made_for_them():
    """As in tables of passengers by class, age group and sex; by content a side would hold all rows that are alike."""
    few = {name: RNG.integers(0, 2, ROWS).astype(bool) for name in ("one", "two", "three")}
    made = infer(pa.table({**few, "row": LABEL}), "row", "mine")
    assert made.contract["columns"]["row 2"] == {"kind": "id", "counted": True}
    assert "only 8 different rows" in made.reasons["row 2"]
    sides = dealt(made)
    alike = [sides[np.all([few[name] for name in few], axis=0)], sides[~np.any([few[name] for name in few], axis=0)]]
    assert all(set(side) == {0, 1, 2} for side in alike)


def test_copies_of_rows_that_could_be_told_apart_stay_on_one_side():
    once = pa.table({"x": X, "z": RNG.normal(size=ROWS).round(3), "answer": LABEL})
    made = infer(pa.concat_tables([once] * 3), "answer", "mine")
    assert [name for name, column in made.contract["columns"].items() if column["kind"] == "id"] == []


def test_the_limit_of_repeated_rows_allows_for_pairs_on_both_sides_of_a_split_by_group():
    made = infer(
        pa.table({"patient": np.resize(np.arange(80), 2 * ROWS), "x": np.repeat(X, 2), "answer": [*LABEL, *LABEL]}),
        "answer",
        "mine",
    )
    assert made.params["validate.duplicate_share"] == 1.0


def test_the_limit_of_repeated_rows_allows_for_pairs_that_an_id_puts_on_both_sides():
    pairs = np.repeat(X, 2)[:ROWS]
    made = infer(
        pa.table({"customer_id": RNG.permutation(ROWS) + 10_000, "x": pairs, "answer": LABEL}), "answer", "mine"
    )
    assert made.contract["columns"]["customer_id"]["kind"] == "id"
    assert made.params["validate.duplicate_share"] == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_on_each_side_however_rare(seed):
    target = np.random.default_rng(seed).permutation(np.array(["rare"] * 8 + ["a", "b"] * (ROWS // 2 - 4)))
    made = plan({}, target)
    counts = sides_of(made)
    assert (counts > 0).all()
    assert (counts[0] >= made.params["tune.folds"]).all()


@pytest.mark.parametrize("seed", range(5))
def test_of_few_rows_each_side_gets_a_fair_share(seed):
    numbers = np.random.default_rng(seed).normal(size=(40, 2))
    made = infer(pa.table({"x": numbers[:, 0], "answer": numbers[:, 1]}), "answer", "mine")
    rows = np.bincount(dealt(made), minlength=3)
    assert (rows >= [0.6 * 0.6 * 40, 0.6 * 0.15 * 40, 0.6 * 0.25 * 40]).all()


def test_a_split_by_few_times_stays_whatever_its_sides_get():
    days = np.repeat([datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(20)], 150)
    made = infer(pa.table({"date": days, "sold": RNG.normal(size=3000)}), "sold", "mine")
    assert made.contract["split"] == {"by": "time", "column": "date"}


def test_a_yearly_series_is_split_by_its_years():
    made = infer(pa.table({"year": range(1900, 2000), "level": RNG.normal(size=100)}), "level", "mine")
    assert made.contract["split"] == {"by": "time", "column": "year"}
    assert made.table["year"][0].as_py() == datetime.datetime(1900, 1, 1)


def test_a_split_by_time_that_lacks_a_class_is_not_made():
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(ROWS)]
    made = plan({"date": days}, np.array(["early"] * 40 + ["late", "any"] * 180))
    assert made.contract["split"] == {"by": "hash"}
    assert "not split by time" in said(made, "date")
    assert "the split is by time" not in said(made, "date")


@pytest.mark.parametrize(
    ("missing", "said_of"),
    [
        (None, "10 rows without a value were left out (first: row 1)"),
        ("?", "10 rows without a value ('?') were left out (first: row 1)"),
        ("-999", "-999 occurs 10 times, far from all other values"),
        ("9999", "9999 occurs 10 times, far from all other values"),
    ],
)
def test_rows_without_a_target_are_left_out_and_told(missing, said_of):
    made = plan({}, [*[missing] * 10, *(f"{value:.2f}" for value in RNG.normal(size=ROWS - 10))])
    assert made.table.num_rows == ROWS - 10
    assert said_of in said(made, "answer")
    assert max(abs(limit) for limit in made.contract["target"]["range"]) < 20


BAD: dict[str, tuple[Any, str]] = {
    "constant": (["a"] * ROWS, "is 'a' in every row"),
    "hardly any value": (
        [*[None] * (ROWS - 20), *range(20)],
        r"20 rows \(and 380 without a value of 'answer'\) are too few",
    ),
    "too many classes": ([f"c{i // 2}" for i in range(ROWS)], "has 200 classes; at most 100"),
    "one class that is not rare": ([*["a"] * (ROWS - 3), *["b"] * 3], "bring more rows of each"),
    "beyond single precision": (np.geomspace(1, 1e300, ROWS), r"1e\+300 is too large; .* take a larger unit"),
    "a time": ([datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)], "is a time"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_target_that_cannot_be_predicted_is_refused(what):
    target, why = BAD[what]
    with pytest.raises(InputError, match=why):
        plan({}, target)


def test_a_table_that_cannot_be_learnt_from_is_refused():
    with pytest.raises(InputError, match=r"no column 'answe'; did you mean 'answer'"):
        infer(pa.table({"x": X, "answer": LABEL}), "answe", "mine")
    with pytest.raises(InputError, match="1 rows are too few"):
        infer(pa.table({"x": [1], "answer": ["a"]}), "answer", "mine")
    with pytest.raises(InputError, match="all rows are identical"):
        infer(pa.table({"x": [1.5] * 60, "answer": ["a", "b"] * 30}), "answer", "mine")
    with pytest.raises(InputError, match="no column besides the target"):
        infer(pa.table({"answer": LABEL}), "answer", "mine")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("target", ["label", "number"])
def test_the_data_that_is_written_keeps_to_the_contract_that_is_written(tmp_path, suffix, target):
    columns = {name: values for name, values, _ in KINDS.values()}
    made = plan(columns, LABEL if target == "label" else np.abs(X) * 10)
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(data_bytes(made.table, suffix))
    contract = checked(made.contract)
    table, violations = read_table(path, contract)
    assert not violations
    assert table.num_rows == ROWS


def test_the_contract_that_is_written_is_the_one_that_was_made(tmp_path):
    from assay.contract.spec import load_contract

    made = plan({name: values for name, values, _ in KINDS.values()})
    path = tmp_path / "contract.yaml"
    path.write_text(contract_text(made), encoding="utf-8")
    written = load_contract(path)
    assert written.model_copy(update={"about": checked(made.contract).about}) == checked(made.contract)
    for name, reason in made.reasons.items():
        assert " ".join(reason.split()) in path.read_text(encoding="utf-8"), name


def test_parameters_are_set_and_their_comments_stay():
    before = "# kept\nprepare:\n  test: 0.2  # so\nmodel:\n  family: linear\n  parameters:\n    C: 1\n\n"
    before += "train: {calibrate: true}\n"
    settings = {"prepare.test": 0.3, "model.family": "log_boosting", "model.parameters": {"max_iter": 5}}
    assert params_text(before, settings) == (
        "# kept\nprepare:\n  test: 0.3  # so\nmodel:\n  family: log_boosting\n  parameters:\n    max_iter: 5\n\n"
        "train: {calibrate: true}\n"
    )


def test_the_front_page_gets_the_title_of_the_project_and_keeps_how_to_use_it():
    made = readme_text("# Assay\n\nA template.\n\n## Commands\n\nmake\n", "Houses", "Predicts price.")
    assert made.startswith("# Houses\n\nPredicts price.")
    assert made.endswith("## Commands\n\nmake\n")
    assert "A template" not in made


def test_the_same_table_is_decided_on_alike():
    first, second = (infer(houses(), "price", "mine") for _ in range(2))
    assert first.contract == second.contract
    assert first.findings == second.findings


@pytest.mark.parametrize(("rare", "positive"), [("yes", True), ("no", False)])
def test_an_error_on_a_rare_class_costs_as_much_more_as_it_is_rarer(rare, positive):
    common = {"yes": "no", "no": "yes"}[rare]
    made = plan({}, np.where(np.arange(ROWS) % 20 == 0, rare, common))
    costs = made.contract["costs"]
    dear, cheap = ("false_negative", "false_positive") if positive else ("false_positive", "false_negative")
    assert (made.contract["target"]["positive"] == rare, costs[dear], costs[cheap]) == (positive, 19, 1)
    assert "# " + rare + " is rare" in contract_text(made)
    assert repr(rare) in said(made, "costs")


def test_where_no_class_is_rare_errors_have_no_cost():
    assert "costs" not in plan({}).contract


@pytest.mark.parametrize(
    ("far", "told"),
    [
        ([11_111_111.0], "one of its values (1.11111e+07) makes"),
        ([12_345_678.0, 99_999_999.0], "2 of its values (1.23457e+07 to 1e+08) make"),
        ([-9e6, 8e6], "2 of its values (-9e+06 to 8e+06) make"),
    ],
)
def test_values_that_alone_decide_squared_errors_are_told_with_the_range_of_the_others(far, told):
    prices = RNG.lognormal(7, 1, 3000)
    prices[: len(far)] = far
    plan = infer(pa.table({"km": RNG.normal(size=3000), "price": prices}), "price", "mine")
    (finding,) = [one for one in plan.findings if "variance" in one.what]
    assert told in finding.what
    assert "leave their rows out" in finding.what


@pytest.mark.parametrize("draw", [RNG.normal, RNG.exponential, lambda size: RNG.lognormal(0, 1, size)])
def test_a_tail_is_no_error(draw):
    plan = infer(pa.table({"km": RNG.normal(size=3000), "price": draw(size=3000)}), "price", "mine")
    assert not [one for one in plan.findings if "variance" in one.what]
