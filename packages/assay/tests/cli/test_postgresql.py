"""The log, predictions and outcomes in a real PostgreSQL: what is written there is there, and read again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from assay.cli.production import feedback
from assay.cli.production import log as log_commands
from assay.cli.score import score
from assay.predictions.export import export
from assay.predictions.forget import forget
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts
from assay.predictions.write import PredictionLog
from patients import contract, patients
from postgresql import postgresql
from predictions.test_write import DIGEST, told


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgresql() as made:
        yield made


@contextmanager
def connected(url: str) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


def asked(url: str, query: str) -> list[dict[str, Any]]:
    with connected(url) as connection:
        return [dict(row) for row in connection.execute(sqlalchemy.text(query)).mappings()]


def logged(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in joined(folder, LogCounts()) for row in batch.to_pylist()]


def test_the_copy_of_the_log_holds_what_the_log_holds_and_follows_it(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = PredictionLog(tmp_path, contract(), DIGEST)
    data, _ = patients(40)
    batch = told(40)
    for version, arm in (("v1", "champion"), ("v2", "shadow")):
        log.predictions(version, arm, batch, data, keys=[(b"ann", 10), (b"bob", 30)])

    def copy() -> str:
        log_commands.main(["export", url, "--log", str(tmp_path), "--table", "copied"], standalone_mode=False)
        return capsys.readouterr().out

    assert copy().startswith("80 rows of 1 hours copied")
    assert copy().startswith("0 rows of 0 hours copied; 1 hours have not changed")
    log.outcomes([{"prediction_id": one, "outcome": "sick"} for one in batch.ids()[:5]])
    copy()
    names = ("prediction_id", "version", "arm", "key", "time", "prediction", "probabilities", "outcome", "outcome_time")
    found = [{name: row[name] for name in names} for row in asked(url, "select * from copied order by 1, 2")]
    wanted = sorted(logged(tmp_path), key=lambda row: (row["prediction_id"], row["version"]))
    assert found == [{name: row[name] for name in names} for row in wanted]
    inputs = asked(url, "select inputs ->> 'ward' as ward, (inputs ->> 'age')::float as age from copied")
    assert {(row["ward"], row["age"]) for row in inputs} == {
        (row["inputs"]["ward"], row["inputs"]["age"]) for row in wanted
    }
    forget(tmp_path, b"ann")
    copy()
    assert asked(url, "select count(*) from copied") == [{"count": 60}]


def test_a_text_that_its_json_cannot_hold_is_changed(tmp_path: Path, url: str) -> None:
    made = contract(columns={"note": {"kind": "text", "max_length": 9}})
    log = PredictionLog(tmp_path, made, DIGEST)
    log.predictions("v1", "champion", told(1), {"note": np.array(["a\0b"], dtype=object)})
    export(tmp_path, url, "texts")
    assert asked(url, "select inputs ->> 'note' as note from texts") == [{"note": "a\ufffdb"}]


def test_predictions_replace_those_of_before_and_outcomes_beside_them_come_home(
    tmp_path: Path, url: str, projects: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "models").symlink_to(projects() / "models")
    monkeypatch.chdir(tmp_path)
    data, _ = patients(30, "binary", 1)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
    for rows in (20, 30):
        pq.write_table(table.slice(0, rows), "in.parquet")
        score.main(["in.parquet", f"{url}#scored", "--log", "log"], standalone_mode=False)
    wanted = {row["prediction_id"]: row for row in logged(Path("log"))}
    found = asked(url, 'select row, prediction_id, prediction, "probability sick" as sick from scored order by row')
    assert [row["row"] for row in found] == list(range(1, 31))
    for row in found:
        one = wanted[row["prediction_id"]]
        assert (row["prediction"], row["sick"]) == (one["prediction"], one["probabilities"]["sick"])
    with connected(url) as connection:
        connection.exec_driver_sql(
            "create table came_true as select prediction_id, 'sick' as outcome, row::numeric as cents from scored"
        )
    capsys.readouterr()
    feedback.main([url, "--table", "came_true", "--log", "log"], standalone_mode=False)
    assert capsys.readouterr().out.startswith("30 outcomes recorded, 0 skipped")
    assert [row["outcome"] for row in logged(Path("log"))].count("sick") == 30
