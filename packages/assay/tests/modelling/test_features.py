from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data.columns import take
from assay.modelling.features import encode, sources, transformer
from patients import COLUMNS, contract, patients

NEEDS = ["nothing", "imputing", "scaling"]


def moments(values: list[str]) -> dict[str, np.ndarray]:
    made = contract(columns={"at": {"kind": "time"}})
    return encode({"at": np.array(values, dtype="datetime64[us]")}, made)


def test_encoding_treats_each_row_by_itself():
    data, _ = patients(50)
    together = encode(data, contract())
    for i in range(50):
        alone = encode(take(data, np.array([i])), contract())
        for name, values in together.items():
            np.testing.assert_array_equal(alone[name], values[i : i + 1])


def test_encoding_changes_nothing_in_place():
    data, _ = patients(20)
    before = deepcopy(data)
    encode(data, contract())
    for name, values in before.items():
        np.testing.assert_array_equal(data[name], values)


def test_a_category_is_the_place_of_its_value_in_the_contract_and_none_and_unknown_ones_have_places_of_their_own():
    made = contract(columns={"ward": {"kind": "category", "values": ["south", "missing", "north"], "missing": "allow"}})
    values = np.array(["north", None, "south", "missing", "elsewhere", "north"], dtype=object)
    assert encode({"ward": values}, made)["ward"].tolist() == [2, 3, 0, 1, -1, 2]


def test_a_missing_number_says_so():
    data, _ = patients(100)
    inputs = encode(data, contract())
    np.testing.assert_array_equal(inputs["heart-rate:missing"] == 1, np.isnan(data["heart-rate"]))
    assert "age:missing" not in inputs


@given(st.datetimes(min_value=pd.Timestamp("1900-01-01"), max_value=pd.Timestamp("2100-01-01")))
def test_the_parts_of_a_time_are_those_of_the_calendar(moment):
    parts = moments([moment.isoformat()])
    assert parts["at:year"] == moment.year
    assert parts["at:month"] == moment.month
    assert parts["at:weekday"] == moment.weekday()
    hour = moment.hour + moment.minute / 60 + (moment.second + moment.microsecond / 1e6) / 3600
    assert parts["at:hour"] == pytest.approx(hour, abs=1e-4)


def test_a_missing_time_has_missing_parts():
    assert all(np.isnan(part[0]) for part in moments(["NaT"]).values())


@pytest.mark.parametrize("needs", NEEDS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_output_column_has_a_source_in_the_contract(task, needs):
    made = contract(task)
    data, target = patients(200, task)
    fitted = transformer(made, needs=needs, seed=1)
    output = fitted.fit_transform(pd.DataFrame(encode(data, made)), target)
    found = sources(fitted, made)
    assert len(found) == output.shape[1]
    assert set(found) == set(made.features)
    if needs != "nothing":
        assert not np.isnan(output).any()


def test_a_source_is_where_a_change_of_its_feature_shows():
    made = contract()
    data, target = patients(200)
    fitted = transformer(made, needs="imputing", seed=1)
    fitted.fit(pd.DataFrame(encode(data, made)), target)
    before = fitted.transform(pd.DataFrame(encode(data, made)))
    found = np.array(sources(fitted, made))
    for name in made.features:
        shuffled = {**data, name: data[name][::-1]}
        moved = (fitted.transform(pd.DataFrame(encode(shuffled, made))) != before).any(axis=0)
        assert set(found[moved]) == {name}


def test_a_colon_in_a_name_is_no_part_of_a_time():
    columns = {"a:b": {"kind": "number", "missing": "allow"}, **COLUMNS}
    made = Contract.model_validate_json(contract(columns=columns).model_dump_json())
    data, target = patients(60)
    data = {"a:b": np.arange(60.0), **data}
    fitted = transformer(made, needs="imputing", seed=1)
    fitted.fit(pd.DataFrame(encode(data, made)), target)
    assert sources(fitted, made).count("a:b") == 2


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_trees_get_the_words_of_a_text_that_say_most_and_linear_models_all_that_are_frequent(task):
    made = contract(task, columns={"said": {"kind": "text"}})
    _, target = patients(300, task)
    drawn = np.random.default_rng(2).integers(0, 300, (300, 10))
    tells = ["telling" if one > np.median(target) else "other" for one in target]
    said = [" ".join([word, *(f"w{number}" for number in row)]) for word, row in zip(tells, drawn, strict=True)]
    frame = pd.DataFrame({"said": np.array(said, dtype=object)})
    widths = {}
    for needs in NEEDS:
        fitted = transformer(made, needs=needs, seed=1)
        output = fitted.fit_transform(frame, target)
        widths[needs] = output.shape[1]
        assert sources(fitted, made) == ["said"] * widths[needs]
        assert max(abs(np.corrcoef(column, np.array(tells) == "telling")[0, 1]) for column in output.T) > 0.9
    assert widths == {"nothing": 50, "imputing": 50, "scaling": 302}


@pytest.mark.parametrize(
    "columns",
    [
        {"x": {"kind": "number", "missing": "allow"}, "x:missing": {"kind": "number"}},
        {"d": {"kind": "time"}, "d:days": {"kind": "number"}},
    ],
)
def test_a_column_named_like_an_input_made_of_another_is_refused(columns):
    made = contract(columns=columns)
    kinds = {name: "datetime64[us]" if column["kind"] == "time" else "float64" for name, column in columns.items()}
    data = {name: np.zeros(1, dtype=kind) for name, kind in kinds.items()}
    with pytest.raises(InputError, match=r"both make the input '[xd]:"):
        encode(data, made)


def test_trees_do_not_see_the_days_of_a_split_by_time_and_others_do():
    made = contract("regression", split={"by": "time", "column": "admitted"})
    data, target = patients(100, "regression")
    frame = pd.DataFrame(encode(data, made))
    days = frame["admitted:days"].to_numpy()

    def shows(needs) -> list[bool]:
        output = transformer(made, needs=needs, seed=1).fit_transform(frame, target)
        return [abs(np.corrcoef(days, values)[0, 1]) > 0.9999 for values in np.nan_to_num(output).T if values.std()]

    assert not any(shows("nothing"))
    assert not any(shows("imputing"))
    assert any(shows("scaling"))
    assert shows("time first")[0]
