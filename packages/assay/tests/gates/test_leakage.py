from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.outcomes import Outcome
from assay.gates.leakage import intact, judge
from assay.gates.retraining import Retrained
from assay.project.params import Prepare
from examples import parts
from judged import ROWS, answers, evidence, params, scores, table
from patients import contract, patients

SPEC, DATA = contract(), table()
SPLIT = parts(DATA, SPEC, Prepare(test=0.25, validation=0.15, salt="x"))
TARGET = patients(ROWS)[1]
CLEAN = [Outcome("leakage", "PROMOTE", "no feature gives it away")]
MODEL = answers(scores(TARGET, 0.7), TARGET)


def judged(**changes: object) -> Outcome:
    return judge(evidence(MODEL, None, **{"split": SPLIT, "data": DATA, "checks": CLEAN, **changes}))


def test_a_split_of_the_data_as_it_is_passes():
    assert judged().verdict == "PROMOTE"


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_the_rows_does_not_matter(seed):
    mixed = {n: part.take(pa.array(np.random.default_rng(seed).permutation(len(part)))) for n, part in SPLIT.items()}
    assert intact(DATA, mixed, SPEC).verdict == "PROMOTE"


def test_test_rows_in_the_training_rows_are_found():
    copied = {**SPLIT, "train": pa.concat_tables([SPLIT["train"], SPLIT["test"]])}
    outcome = judged(split=copied)
    assert outcome.verdict == "HOLD"
    assert "test rows equal a training row" in outcome.reason
    assert f"{len(SPLIT['test'])} repeated" in outcome.reason


def test_test_rows_in_the_validation_rows_are_found_if_the_model_is_fitted_on_them():
    copied = {**SPLIT, "validation": pa.concat_tables([SPLIT["validation"], SPLIT["test"]])}
    assert "test rows equal a training row" in judged(split=copied).reason
    once = params().model_copy(update={"train": params().train.model_copy(update={"refit": False})})
    assert "test rows equal a training row" not in judged(split=copied, params=once).reason


def test_values_that_preparing_changed_are_found():
    ages = pa.array(np.asarray(SPLIT["train"]["age"]) - 50)
    changed = {**SPLIT, "train": SPLIT["train"].set_column(0, "age", ages)}
    outcome = judged(split=changed)
    assert outcome.verdict == "HOLD"
    assert f"{len(ages)} rows changed" in outcome.reason


def test_rows_that_were_left_out_are_found():
    outcome = judged(split={**SPLIT, "test": SPLIT["test"].slice(3)})
    assert outcome.verdict == "HOLD"
    assert "3 missing" in outcome.reason


OLD = contract(
    columns={name: column.model_dump(mode="json") for name, column in SPEC.columns.items() if name != "noise"}
)


def with_noise(candidate: float, champion: float, noise: float) -> Outcome:
    """Return the outcome for a model with the new column `noise`, of this score alone, beside one without it."""
    ours, theirs = (answers(scores(TARGET, error), TARGET) for error in (candidate, champion))
    check = Outcome("leakage", "PROMOTE", "none", {"scores": {"age": 0.2, "noise": noise}})
    made = evidence(ours, theirs, split=SPLIT, data=DATA, checks=[check])
    return judge(replace(made, champion=replace(made.champion, contract=OLD)))


def test_a_gain_that_an_added_column_brings_alone_is_too_good():
    outcome = with_noise(0.4, 1.5, 0.8)
    assert outcome.verdict == "HOLD"
    assert "with the added column noise, which alone explains 0.800 of the target; age explains 0.200" in outcome.reason


@pytest.mark.parametrize(("candidate", "noise"), [(1.3, 0.8), (0.4, 0.1), (1.5, 0.8)])
def test_a_small_gain_or_one_of_many_columns_is_welcome(candidate, noise):
    assert with_noise(candidate, 1.5, noise).verdict == "PROMOTE"


def test_a_feature_that_gives_the_target_away_is_rejected():
    outcome = judged(checks=[Outcome("leakage", "REJECT", "alone gives the target away")])
    assert outcome.verdict == "REJECT"


def test_a_check_of_the_features_that_is_missing_holds():
    assert judged(checks=[]).verdict == "HOLD"


def test_training_that_needs_the_test_rows_holds():
    outcome = judged(retrained=Retrained([], "build/split/test.parquet: no such file"))
    assert outcome.verdict == "HOLD"
    assert "needs more than the training and validation rows" in outcome.reason


@pytest.mark.parametrize("name", ["age", "outcome"])
def test_every_column_counts(name):
    values = SPLIT["test"][name].to_pylist()
    values[0] = values[0] + 1 if name == "age" else next(c for c in SPEC.classes if c != values[0])
    place = SPLIT["test"].column_names.index(name)
    changed = SPLIT["test"].set_column(place, name, pa.array(values, SPLIT["test"].schema.field(name).type))
    assert intact(DATA, {**SPLIT, "test": changed}, SPEC).measured["altered"] == 1
