import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.base.outcomes import Outcome
from assay.contract.spec import Contract
from assay.data.versions import Version
from assay.gates.contract import compare, differences
from assay.project.params import ContractGate
from examples import contract, plain, small

LIMITS = ContractGate(
    rewritten=0.01, removed=0.05, class_change=0.05, missing_change=0.05, drift=0.2, significance=0.01
)
HELD = [Outcome("contract", "PROMOTE", "keeps to it"), Outcome("duplicates", "PROMOTE", "none")]
NUMBERS = [f"x{j}" for j in range(8)]
COLUMNS: dict[str, dict[str, Any]] = {name: {"kind": "number", "missing": "allow"} for name in NUMBERS}
COLUMNS["ward"] = {"kind": "category", "values": ["north", "south", "west"]}
MADE = small(COLUMNS)
DAYS = small(COLUMNS, "regression")
N = 500

Edit = Callable[[pa.Table], pa.Table]


def source(rows: int, seed: int, task: str = "binary") -> pa.Table:
    """Return rows with numbers that go together; `sick` depends on the first ones."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 3)) @ np.random.default_rng(0).normal(size=(3, 8)) + rng.normal(size=(rows, 8))
    days = numbers[:, 0] + numbers[:, 1] + 20
    sick = days if task == "regression" else np.where(days > 20.8, "yes", "no")
    ward = rng.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2])
    return pa.table({**dict(zip(NUMBERS, numbers.T, strict=True)), "ward": ward, "sick": sick})


TABLE = source(N, 1)
MORE = source(40, 2)


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type, from_pandas=True))


def edited(name: str, edit: Callable[[np.ndarray], Any]) -> Edit:
    return lambda table: put(table, name, edit(np.array(table[name].to_pylist())))


def some(share: float) -> np.ndarray:
    return np.random.default_rng(3).permutation(N) < share * N


def relabelled(share: float) -> Edit:
    return edited("sick", lambda sick: np.where(some(share), np.where(sick == "yes", "no", "yes"), sick))


def without(label: str, share: float) -> Edit:
    return lambda table: table.filter(pa.array((np.array(table["sick"].to_pylist()) != label) | ~some(share)))


def plus(more: pa.Table) -> Edit:
    return lambda table: pa.concat_tables([table, more])


def look(now: pa.Table, *, before: pa.Table = TABLE, was: Contract = MADE, made: Contract = MADE) -> Outcome:
    outcome = compare(HELD, Version(before, was), Version(now, made), LIMITS)
    assert json.loads(json.dumps(outcome.as_dict(), allow_nan=False)) == outcome.as_dict()
    return outcome


def held(outcome: Outcome) -> set[str]:
    return {name for name, check in outcome.measured.items() if check["verdict"] in ("HOLD", "REJECT")}


BAD: dict[str, tuple[Edit, str, set[str], str]] = {
    "another unit": (
        edited("x0", lambda x: x * 2.54),
        "HOLD",
        {"rewritten values", "drift"},
        "x0 has another value in 500 of 500 rows that are otherwise the same (100.0%, limit 1.0%)",
    ),
    "a column of zeros": (
        edited("x1", lambda x: x * 0),
        "HOLD",
        {"rewritten values", "drift"},
        "the previous data: x1 by 0.5",
    ),
    "a shifted column": (edited("x2", lambda x: x + 0.2), "HOLD", {"rewritten values"}, "x2 has another value in 500"),
    "a shuffled column": (edited("x3", lambda x: np.roll(x, 7)), "HOLD", {"rewritten values"}, "x3 has another value"),
    "some values emptied": (
        edited("x4", lambda x: np.where(some(0.4), np.nan, x)),
        "HOLD",
        {"rewritten values", "missing shares changed"},
        "the share of missing values in the 500 current rows changed: x4 from 0.0% to 40.0% (limit: a difference of "
        "5.0%)",
    ),
    "a category swapped": (
        edited("ward", lambda ward: np.where(ward == "north", "west", ward)),
        "HOLD",
        {"rewritten values", "drift"},
        "the distribution of the 500 current rows differs from the previous data: ward by 0.",
    ),
    "some labels flipped": (
        relabelled(0.1),
        "HOLD",
        {"rewritten values"},
        "sick is relabelled in 50 of 500 rows that are otherwise the same (10.0%, limit 1.0%)",
    ),
    "most labels flipped": (
        relabelled(0.6),
        "REJECT",
        {"rewritten values", "class shares changed"},
        "sick is relabelled in 300 of 500 rows that are otherwise the same (60.0%, limit 1.0%)",
    ),
    "rows removed": (
        lambda table: table.slice(40),
        "HOLD",
        {"removed rows"},
        "40 of the 500 previous rows were removed (8.0%, limit 5.0%)",
    ),
    "few rows removed, all of one class": (
        without("yes", 0.08),
        "HOLD",
        {"one-sided removal"},
        "rows were removed, and not at random: 100% of them where sick is 'yes', which is so in",
    ),
    "few rows removed, all in one place": (
        lambda table: table.filter(pa.array((np.array(table["ward"].to_pylist()) != "west") | ~some(0.1))),
        "HOLD",
        {"one-sided removal"},
        "100% of them where ward is 'west'",
    ),
    "few rows removed, all at one end": (
        lambda table: table.filter(pa.array(table["x1"].to_numpy() < np.sort(table["x1"].to_numpy())[-20])),
        "HOLD",
        {"one-sided removal"},
        "20 rows were removed, and not at random: half of them in the highest 2% of x1",
    ),
    "rows of one class removed": (
        without("yes", 0.6),
        "HOLD",
        {"removed rows", "class shares changed"},
        "current rows and ",
    ),
    "rows from elsewhere": (
        plus(put(MORE, "x5", MORE["x5"].to_numpy() + 5)),
        "HOLD",
        {"drift"},
        "the distribution of the 40 added rows differs from the previous data: x5 by 0.9",
    ),
    "rows of one class": (
        plus(put(MORE, "sick", ["yes"] * 40)),
        "HOLD",
        {"class shares changed"},
        "makes up 0.0% of the 40 added rows and 6",
    ),
    "rows without a value": (
        plus(put(MORE, "x6", pa.nulls(40, pa.float64()))),
        "HOLD",
        {"missing shares changed"},
        "missing values in the 40 added rows changed: x6 from 0.0% to 100.0%",
    ),
    "two columns rewritten": (
        lambda table: edited("x0", np.negative)(edited("x1", lambda x: x + 9)(table)),
        "HOLD",
        {"removed rows", "drift"},
        "500 of the 500 previous rows were removed",
    ),
}

HARMLESS: dict[str, Edit] = {
    "the same": lambda table: table,
    "reordered": lambda table: table.take(pa.array(np.random.default_rng(4).permutation(N))).select(["sick", *COLUMNS]),
    "more of the same": plus(MORE),
    "many more of the same": plus(source(N, 5)),
    "one more row": plus(MORE.slice(0, 1)),
    "a few corrections": edited("x0", lambda x: np.where(some(0.008), 0.0, x)),
    "a few labels corrected": relabelled(0.008),
    "a few rows removed": lambda table: table.slice(20),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_stopped_for_its_reason(name: str) -> None:
    edit, verdict, checks, reason = BAD[name]
    outcome = look(edit(TABLE))
    assert (outcome.gate, outcome.verdict) == ("contract", verdict)
    assert held(outcome) == checks
    said = "; ".join(f"{check}: {outcome.measured[check]['reason']}" for check in outcome.measured)
    assert reason in said


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_changes_are_let_through(name: str) -> None:
    outcome = look(HARMLESS[name](TABLE))
    assert (outcome.verdict, held(outcome)) == ("PROMOTE", set())


@pytest.mark.nightly
def test_more_rows_from_the_same_source_are_let_through_nearly_always() -> None:
    alarms = sum(look(plus(source(25, seed))(TABLE), before=TABLE).verdict != "PROMOTE" for seed in range(100, 200))
    assert alarms <= 1


def test_what_the_checks_of_the_data_said_counts() -> None:
    bad = [Outcome("contract", "REJECT", "column x: not a number"), Outcome("duplicates", "HOLD", "too many")]
    outcome = compare(bad, Version(TABLE, MADE), Version(TABLE, MADE), LIMITS)
    assert (outcome.verdict, outcome.reason) == ("REJECT", "column x: not a number")
    assert outcome.measured["duplicates"]["verdict"] == "HOLD"


def test_without_the_checks_of_the_data_nothing_passes() -> None:
    outcome = compare([], Version(TABLE, MADE), Version(TABLE, MADE), LIMITS)
    assert (outcome.verdict, outcome.reason) == ("HOLD", "the data was not checked")


def test_a_first_version_has_none_to_be_compared_with() -> None:
    outcome = compare(HELD, None, Version(TABLE, MADE), LIMITS)
    assert outcome.verdict == "PROMOTE"
    assert outcome.measured["previous version"] == {
        "verdict": "SKIP",
        "reason": "there is no previous version of the data to compare with",
    }


@pytest.mark.parametrize("name", [name for name in ContractGate.model_fields if name != "enabled"])
def test_a_limit_that_is_not_set_holds(name: str) -> None:
    limits = LIMITS.model_copy(update={name: None})
    outcome = compare(HELD, Version(TABLE, MADE), Version(TABLE, MADE), limits)
    assert (outcome.verdict, outcome.reason) == ("HOLD", f"gates.contract.{name} is not set in params.yaml")


def test_what_was_measured_is_left_for_the_report() -> None:
    now = edited("x0", lambda x: np.where(some(0.006), 0.0, x))(TABLE)
    measured = look(plus(MORE)(now).slice(0, N + 30)).measured["previous version"]
    assert measured["rows"] == {"before": 500, "now": 530, "kept": 500, "added": 30, "removed": 0}
    assert measured["rewritten"] == {"x0": 3}
    assert [row["column"] for row in measured["drift"]] != list(COLUMNS)
    assert {row["column"] for row in measured["drift"]} == set(COLUMNS)
    distances = [row["distance"] for row in measured["drift"]]
    assert distances == sorted(distances, reverse=True)
    assert set(measured["drift"][0]) == {"column", "distance", "q", "missing_before", "missing_now", "drifted"}
    shares = np.array(list(measured["classes"].values()))
    assert shares.sum(axis=0) == pytest.approx([1, 1])


def test_the_limits_are_left_for_the_report() -> None:
    limits = LIMITS.model_dump()
    del limits["enabled"]
    assert look(TABLE).limit == limits


def test_what_drifted_comes_first_even_if_other_columns_lie_further_off_by_chance() -> None:
    made = small({"x": {"kind": "number"}, "rare": {"kind": "category", "values": [f"v{n}" for n in range(400)]}})
    rng = np.random.default_rng(0)
    before, more = (
        pa.table(
            {
                "x": rng.normal(mean, size=rows),
                "rare": [f"v{n}" for n in rng.integers(0, 400, rows)],
                "sick": rng.choice(["no", "yes"], rows),
            }
        )
        for mean, rows in ((0, 300), (1.2, 30))
    )
    table = look(plus(more)(before), before=before, was=made, made=made).measured["previous version"]["drift"]
    assert [row["column"] for row in table] == ["x", "rare"]
    assert table[1]["distance"] > table[0]["distance"]
    assert [row["drifted"] for row in table] == [True, False]


def test_many_columns_are_counted_and_three_are_named() -> None:
    names = [f"c{number}" for number in range(60)]
    made = small({name: {"kind": "number"} for name in names})
    before = pa.table({**{name: np.arange(200.0) for name in names}, "sick": ["no", "yes"] * 100})
    now = pa.table({**{name: np.arange(200.0) + 500 for name in names}, "sick": ["no", "yes"] * 100})
    outcome = look(now, before=before, was=made, made=made)
    assert "c0 by 1.00, c1 by 1.00, c10 by 1.00 and 57 more (limit 0.2)" in outcome.reason
    assert len(outcome.measured["previous version"]["drift"]) == 50
    assert outcome.measured["drift"]["columns"] == 60


def test_with_ids_the_rewritten_rows_are_those_of_the_same_id() -> None:
    made = small({"name": {"kind": "id"}, **COLUMNS})
    before = TABLE.append_column("name", pa.array([f"n{row}" for row in range(N)]))
    now = edited("x0", np.negative)(edited("x1", lambda x: x + 9)(before))
    outcome = look(now, before=before, was=made, made=made)
    assert "x0 has another value in 500 of 500 rows with the same id" in outcome.reason
    assert outcome.measured["previous version"]["rewritten"] == {"x0": 500, "x1": 500}


def test_few_labels_that_all_change_alike_are_held_with_their_numbers() -> None:
    sick = np.array(TABLE["sick"].to_pylist())
    few = np.flatnonzero(sick == "yes")[:20]
    sick[few] = "no"
    limits = LIMITS.model_copy(update={"rewritten": 0.05})
    outcome = compare(HELD, Version(TABLE, MADE), Version(put(TABLE, "sick", sick), MADE), limits)
    assert held(outcome) == {"one-sided rewriting"}
    assert "sick is rewritten in 20 of 500 kept rows, and not at random: 20 of 20 from 'yes' to 'no'" in outcome.reason


def test_rewritten_labels_are_named_first() -> None:
    made = small({"name": {"kind": "id"}, **COLUMNS})
    before = TABLE.append_column("name", pa.array([f"n{row}" for row in range(N)]))
    now = edited("x0", np.negative)(relabelled(0.1)(before))
    assert look(now, before=before, was=made, made=made).reason.startswith("sick is relabelled in 50 of 500 rows")


def test_what_was_taken_away_is_no_chance_however_few_rows_there_are() -> None:
    before = put(TABLE.slice(0, 40), "sick", ["no", "yes"] * 20)
    kept = np.arange(40) % 2 == 0
    kept[:24] = True
    assert "class shares changed" in held(look(before.filter(pa.array(kept)), before=before))


def test_labels_that_the_contract_calls_otherwise_are_for_the_owner_to_accept() -> None:
    renamed = {"name": "sick", "classes": ["well", "ill"], "positive": "ill"}
    now = edited("sick", lambda sick: np.where(sick == "yes", "ill", "well"))(TABLE)
    outcome = look(now, made=small(COLUMNS, target=renamed))
    assert outcome.verdict == "HOLD"
    assert {"rewritten values", "contract changes"} <= held(outcome)


def test_a_target_of_numbers_is_compared_as_numbers_are() -> None:
    before = source(N, 1, "regression")
    harmless = look(plus(source(40, 2, "regression"))(before), before=before, was=DAYS, made=DAYS)
    assert harmless.verdict == "PROMOTE"
    assert harmless.measured["class shares changed"]["verdict"] == "SKIP"
    outcome = look(edited("sick", lambda days: days * 3)(before), before=before, was=DAYS, made=DAYS)
    assert held(outcome) == {"rewritten values", "drift"}
    assert "sick has another value in 500 of 500 rows" in outcome.reason
    assert "the previous data: sick by " in outcome.reason


def test_a_column_that_is_new_or_gone_is_for_the_owner_to_accept_and_the_others_are_compared() -> None:
    made = small({**{name: column for name, column in COLUMNS.items() if name != "x7"}, "y": {"kind": "number"}})
    now = edited("x0", np.negative)(TABLE.drop_columns("x7").append_column("y", pa.array(np.arange(500.0))))
    outcome = look(now, made=made)
    assert held(outcome) == {"contract changes", "rewritten values"}
    assert outcome.reason.startswith(
        "contract.yaml changed: column y added, column x7 removed; needs the data owner's approval; "
    )


def test_versions_without_a_column_in_common_are_held() -> None:
    made = small({"z": {"kind": "number"}}, "regression")
    outcome = look(pa.table({"z": [1.0, 2.0], "sick": [1.0, 2.0]}), made=made)
    assert held(outcome) == {"contract changes", "removed rows"}
    assert outcome.measured["drift"]["verdict"] == "SKIP"


def changed(**columns: Any) -> dict[str, Any]:
    return {"columns": {**plain()["columns"], **columns}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (changed(floor={"kind": "number", "range": [0, 60]}), "column floor: range [0, inf] -> [0, 60]"),
        (changed(schema={"kind": "number", "range": [-3, 120]}), "column schema: kind integer -> number"),
        (changed(model_x={"kind": "boolean", "missing": "allow"}), "column model_x: missing refuse -> allow"),
        (changed(_x={"kind": "number", "unit": "m"}), "column _x: unit none -> m"),
        (changed(size={"kind": "category", "values": ["S", "L"], "missing": "allow"}), "column size: values: L added"),
        (
            changed(ever={"kind": "time", "range": ["2020-01-01", "2021-01-01"]}),
            "column ever: range none -> [2020-01-01",
        ),
        (changed(extra={"kind": "id"}), "column extra added"),
        ({"target": {"name": "sick", "classes": ["no", "yes"], "positive": "no"}}, "target.positive yes -> no"),
        ({"target": {"name": "ill", "classes": ["no", "yes"], "positive": "yes"}}, "target.name sick -> ill"),
        ({"target": {"name": "sick", "classes": ["no", "si"], "positive": "no"}}, "target.classes: si added"),
        ({"costs": {"false_positive": 1, "false_negative": 5}}, "costs.false_negative none -> 5"),
        ({"split": {"by": "group", "column": "c0"}}, "split.by hash -> group"),
        ({"sensitive": ["c0"]}, "sensitive: c0 added"),
        ({"slices": [{"column": "floor", "edges": [1, 2.5]}]}, "slices: floor [1, 2.5] added"),
        ({"slices": [{"column": "c0"}]}, "slices: c0 added"),
        ({"missing_markers": ["", "NA", " "]}, "missing_markers: ' ' added"),
        ({"clean": True}, "clean False -> True"),
        (changed(ever={"kind": "time", "zone": "UTC"}), "column ever: zone none -> UTC"),
        (
            changed(maybe={"kind": "boolean", "missing": "allow", "cleaning": {"missing": ["?"]}}),
            "column maybe: cleaning.missing none -> [?]",
        ),
        (
            changed(_x={"kind": "number", "cleaning": {"units": {"kg": 1000}}}),
            "column _x: cleaning.units.kg none -> 1000",
        ),
        (changed(_x={"kind": "number", "cleaning": {}}), "column _x: cleaned none -> True"),
    ],
)
def test_what_a_contract_says_otherwise_is_named(changes: dict[str, Any], said: str) -> None:
    there, back = (
        differences(*pair) for pair in ((contract(), contract(**changes)), (contract(**changes), contract()))
    )
    assert any(one.startswith(said) for one in there), there
    assert len(there) == len(back) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other", "description": "other", "about": {"source": "other"}, "data": "data/other.parquet"},
        {"target": {**plain()["target"], "description": "other"}},
        {"target": {"name": "sick", "classes": ["yes", "no"], "positive": "yes"}},
        {"columns": dict(reversed(plain()["columns"].items()))},
        changed(scribble={"kind": "ignored", "reason": "other"}),
        changed(c0={"kind": "category", "values": plain()["columns"]["c0"]["values"][::-1], "description": "other"}),
    ],
    ids=["words", "words of the target", "order of classes", "order of columns", "reason", "order of values"],
)
def test_what_says_nothing_of_the_data_is_no_difference(changes: dict[str, Any]) -> None:
    assert differences(contract(), contract(**changes)) == []
