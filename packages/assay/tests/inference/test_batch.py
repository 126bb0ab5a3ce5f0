"""Tables of any size are answered as the service answers, in their order; what breaks the contract is set aside."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.inference import batch
from assay.inference.batch import BatchScorer, Scored, output_names, score_in_order, scorer
from patients import patients
from served import load


def table(rows: int, task: str = "binary", seed: int = 1) -> pa.Table:
    data, _ = patients(rows, task, seed)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})


def scored(project: Path, *tables: pa.Table, processes: int = 1) -> list[Scored]:
    return list(score_in_order(tables, project / "models", project, processes=processes, is_plain=True))


def joined(parts: list[Scored]) -> tuple[pa.Table, pa.Table]:
    return pa.concat_tables(one.predictions for one in parts), pa.concat_tables(one.refused for one in parts)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_scores_are_the_services_to_the_last_bit(projects, task: str) -> None:
    rows = table(50, task)
    made, _ = joined(scored(projects(task), rows.slice(0, 33), rows.slice(33)))
    assert made["row"].to_pylist() == list(range(1, 51))
    package = load(projects(task))
    alone = [package.score(scorer_columns(package, rows.slice(row, 1)))[0] for row in range(50)]
    if task == "regression":
        assert made["prediction"].to_pylist() == [float(one) for one in alone]
    else:
        shown = np.stack([made[f"probability {label}"] for label in package.contract.classes], axis=1)
        assert (shown == np.stack(alone)).all()
    assert len(set(made["prediction_id"].to_pylist())) == 50
    assert set(made["model_version"].to_pylist()) == {package.version}


def scorer_columns(package, rows: pa.Table):
    from assay.inference.tables import read_columns

    data, violations = read_columns(rows, package.contract)
    assert not violations
    return data


@given(bad=st.sets(st.integers(0, 39), max_size=40))
def test_every_row_is_either_predicted_or_refused_and_none_is_both(projects, bad: set[int]) -> None:
    ages = [999 if row in bad else 40 for row in range(40)]
    rows = table(40).set_column(0, "age", pa.array(ages))
    (found,) = scored(projects(), rows)
    assert found.refused["row"].to_pylist() == [row + 1 for row in sorted(bad)]
    assert found.predictions["row"].to_pylist() == [row + 1 for row in range(40) if row not in bad]
    assert found.refused_rows == len(bad)
    assert set(found.refused["column"].to_pylist()) <= {"age"}


def test_each_problem_of_a_refused_row_has_a_line(projects) -> None:
    rows = table(3).set_column(0, "age", pa.array([40, 999, None]))
    rows = rows.set_column(2, "noise", pa.array([0.0, 99.0, 0.0]))
    (found,) = scored(projects(), rows)
    assert found.refused.to_pylist() == [
        {"row": 2, "column": "age", "reason": "above the range [0, 120]: 999"},
        {"row": 2, "column": "noise", "reason": "above the range [-10.0, 10.0]: 99.0"},
        {"row": 3, "column": "age", "reason": "missing value"},
    ]
    assert found.refused_rows == 2
    assert found.predictions.num_rows == 1


def test_rows_are_searched_by_the_columns_that_are_wrong(projects, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    read = batch.read_columns
    monkeypatch.setattr(
        batch,
        "read_columns",
        lambda table, *given, **how: seen.append(table.column_names) or read(table, *given, **how),
    )
    rows = (
        table(64)
        .set_column(0, "age", pa.array([999] * 63 + [40]))
        .set_column(2, "noise", pa.array([99.0] + [0.0] * 63))
    )
    (found,) = scored(projects(), rows)
    assert (found.refused_rows, found.refused.num_rows, found.predictions["row"].to_pylist()) == (63, 64, [64])
    assert sum(len(names) > 2 for names in seen) == 2
    assert ["age"] in seen


def test_a_column_that_may_be_missing_may_be_missing_in_all_rows(projects) -> None:
    rows = table(3).set_column(1, "heart-rate", pa.array([None] * 3, pa.float64()))
    (found,) = scored(projects(), rows)
    assert found.predictions.num_rows == 3


def test_processes_answer_as_one_does_and_in_order(projects) -> None:
    parts = [table(20, seed=seed) for seed in range(8)]
    one, several = (joined(scored(projects(), *parts, processes=number))[0] for number in (1, 2))
    assert several.drop_columns("prediction_id").equals(one.drop_columns("prediction_id"))


def test_another_child_of_this_process_goes_on(projects) -> None:
    other = multiprocessing.get_context("spawn").Process(target=signal.pause, daemon=True)
    other.start()
    scored(projects(), table(1), processes=2)
    other.join(0.1)
    assert other.is_alive()
    other.terminate()
    other.join()


def test_this_process_predicts_while_another_one_is_busy_and_the_order_stays() -> None:
    may_end, here = threading.Event(), threading.get_ident()
    seen: list[int] = []

    def score(rows: pa.Table, first: int) -> Scored:
        if threading.get_ident() == here:
            seen.append(first)
            if len(seen) == 5:
                may_end.set()
        else:
            assert may_end.wait(60)
        return Scored(rows, rows, 0)

    parts = [pa.table({"number": [number]}) for number in range(20)]
    numbered = [(part, number) for number, part in enumerate(parts)]
    with ThreadPoolExecutor(1) as pool:
        made = [one.predictions["number"][0].as_py() for one in batch._in_order(pool, numbered, 3, score)]
    assert made == list(range(20))
    assert seen[:5] == [3, 4, 5, 6, 7]


def test_a_process_that_was_killed_is_said_in_a_line(projects, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> Iterator[Scored]:
        raise BrokenProcessPool

    monkeypatch.setattr(batch, "_in_order", killed)
    with pytest.raises(InputError, match="perhaps for want of memory; try again with fewer --processes"):
        scored(projects(), table(1), processes=2)


def test_a_model_is_loaded_once_in_a_process(projects) -> None:
    assert scorer(projects() / "models", projects()) is scorer(projects() / "models", projects())


def test_an_id_with_the_name_of_another_column_of_the_output_has_a_name_of_its_own() -> None:
    assert output_names(["patient", "row", "Prediction", "probability sick"], ["sick"]) == {
        "patient": "patient",
        "row": "id row",
        "Prediction": "id Prediction",
        "probability sick": "id probability sick",
    }
    assert output_names(["row", "id row"], []) == {"row": "id id row", "id row": "id row"}


@pytest.mark.parametrize("values", [[[1]] * 3, [b"\xff"] * 3])
def test_ids_are_copied_under_these_names_and_what_is_no_text_is_refused(projects, values: list[object]) -> None:
    model = BatchScorer(projects() / "models", projects())
    model.ids = {"row": "id row"}
    rows = table(3)
    made = model.score(rows.append_column("row", pa.array([7, 8, 9])), 1, is_plain=True, keep=None).predictions
    assert made.select(["row", "id row"]).to_pydict() == {"row": [1, 2, 3], "id row": ["7", "8", "9"]}
    with pytest.raises(InputError, match=r"column 'row': ids of the type .* cannot be copied as text"):
        model.score(rows.append_column("row", pa.array(values)), 1, is_plain=True, keep=None)
