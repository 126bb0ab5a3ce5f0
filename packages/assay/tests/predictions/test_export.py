"""The copy of the log in a database: all of it, once, with late outcomes, and nothing of clients who were forgotten."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy

from assay.base.errors import InputError
from assay.inference.ids import new_ids
from assay.inference.predictor import PredictionBatch, record
from assay.predictions import export as exporting
from assay.predictions.export import Exported, export
from assay.predictions.forget import forget
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts
from assay.predictions.write import PredictionLog
from patients import contract, patients
from predictions.test_write import DIGEST, told


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/x.sqlite"


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    """A log with rows of two clients, of a champion and a shadow."""
    made = PredictionLog(tmp_path / "log", contract(), DIGEST)
    data, _ = patients(40)
    batch = told(40)
    for version, arm in (("v1", "champion"), ("v2", "shadow")):
        made.predictions(version, arm, batch, data, keys=[(b"ann", 10), (b"bob", 30)])
    made.outcomes([{"prediction_id": one, "outcome": "sick"} for one in batch.ids()[:5]])
    return made


def copied(url: str, columns: str = "*") -> list[dict[str, Any]]:
    query = sqlalchemy.text(f"select {columns} from predictions")  # noqa: S608 - no input of anybody
    with sqlalchemy.create_engine(url).connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def logged(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in joined(folder, LogCounts()) for row in batch.to_pylist()]


def test_all_of_the_log_is_in_the_table_as_the_reader_reads_it(tmp_path: Path, log: PredictionLog, url: str) -> None:
    assert export(tmp_path / "log", url, "predictions").rows == 80
    names = ("prediction_id", "version", "arm", "contract", "key", "prediction", "decision", "outcome")
    found = copied(url, ", ".join(names))
    assert sorted(map(str, found)) == sorted(
        str({name: row[name] for name in names}) for row in logged(tmp_path / "log")
    )
    inputs = copied(url, "json_extract(inputs, '$.age') as age, json_extract(probabilities, '$.sick') as sick, time")
    assert [row["age"] for row in inputs] == [row["inputs"]["age"] for row in logged(tmp_path / "log")]
    assert {row["sick"] for row in inputs} == {0.3}
    assert all(row["time"].startswith("20") for row in inputs)


def test_again_copies_what_has_changed_and_nothing_twice(tmp_path: Path, log: PredictionLog, url: str) -> None:
    first = export(tmp_path / "log", url, "predictions")
    assert export(tmp_path / "log", url, "predictions") == Exported(0, 0, first.hours)
    ids = [row["prediction_id"] for row in copied(url) if row["arm"] == "champion"]
    log.outcomes([{"prediction_id": ids[0], "outcome": "well"}, {"prediction_id": ids[39], "outcome": "well"}])
    assert export(tmp_path / "log", url, "predictions").rows == 80
    outcomes = {row["prediction_id"]: row["outcome"] for row in copied(url)}
    assert (outcomes[ids[0]], outcomes[ids[1]], outcomes[ids[39]]) == ("well", "sick", "well")
    assert len(copied(url)) == 80


def test_who_was_forgotten_leaves_the_copy_too(tmp_path: Path, log: PredictionLog, url: str) -> None:
    export(tmp_path / "log", url, "predictions")
    forget(tmp_path / "log", b"ann")
    export(tmp_path / "log", url, "predictions")
    assert len(copied(url)) == 60
    assert len({row["key"] for row in copied(url)}) == 1


def test_what_was_killed_half_way_is_not_there_and_the_next_run_copies_it(
    tmp_path: Path, log: PredictionLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "log", url, "predictions")
    log.outcomes([{"prediction_id": copied(url)[0]["prediction_id"], "outcome": "well"}])
    with monkeypatch.context() as killed:
        killed.setattr(exporting, "_row", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            export(tmp_path / "log", url, "predictions")
    assert len(copied(url)) == 80
    assert export(tmp_path / "log", url, "predictions").rows == 80
    assert {row["outcome"] for row in copied(url)} == {"well", "sick", None}


def test_the_folder_is_listed_as_often_for_many_hours_as_for_one(
    tmp_path: Path, log: PredictionLog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: (listed.append(folder), glob(folder, pattern))[1])
    export(tmp_path / "log", url, "predictions")
    once = len(listed)
    for number in range(5):
        (tmp_path / f"log/predictions/2026-01-01T0{number}.x.jsonl").touch()
    assert export(tmp_path / "log", url, "predictions") == Exported(hours=5, unchanged=1)
    assert len(listed) == 2 * once


def test_a_text_that_postgresql_could_not_read_again_is_changed(tmp_path: Path, url: str) -> None:
    made = contract(columns={name: {"kind": "text", "max_length": 9} for name in ("note", "a\0b")})
    log = PredictionLog(tmp_path / "log", made, DIGEST)
    log.predictions("v1", "champion", told(1), dict.fromkeys(made.features, np.array(["a\0b"], dtype=object)))
    export(tmp_path / "log", url, "predictions")
    assert [row["note"] for row in copied(url, "json_extract(inputs, '$.note') as note")] == ["a\ufffdb"]
    assert "\\u0000" not in copied(url, "inputs")[0]["inputs"]


def test_a_log_without_a_prediction_makes_no_table_and_numbers_fit_later(tmp_path: Path, url: str) -> None:
    made = contract("regression")
    log = PredictionLog(tmp_path / "log", made, DIGEST)
    (tmp_path / "log").mkdir()
    assert export(tmp_path / "log", url, "predictions") == Exported()
    data, _ = patients(2, "regression")
    batch = PredictionBatch(new_ids(2), np.array([1.5, 2.5]), {}, np.array([], dtype=object), record(()))
    log.predictions("v1", "champion", batch, data)
    export(tmp_path / "log", url, "predictions")
    with sqlalchemy.create_engine(url).connect() as connection:
        columns = {one["name"]: one["type"] for one in sqlalchemy.inspect(connection).get_columns("predictions")}
    assert isinstance(columns["prediction"], sqlalchemy.Double)


def test_logs_of_two_machines_share_a_table(tmp_path: Path, log: PredictionLog, url: str) -> None:
    other = PredictionLog(tmp_path / "other", contract(), DIGEST)
    data, _ = patients(3)
    other.predictions("v1", "champion", told(3), data)
    for folder in ("log", "other", "log"):
        export(tmp_path / folder, url, "predictions")
    assert len(copied(url)) == 83


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nothing", "not an address of a database: expected sqlite:///FILE or"),
        ("postgresql://me:secret@host:port/x", "not an address of a database"),  # pragma: allowlist secret
        (
            "sqlite:////nowhere/x.sqlite?uri=secret",
            "sqlite:////nowhere/x.sqlite?***#predictions: the address has a parameter",
        ),
        ("sqlite:////nowhere/x.sqlite", "sqlite:////nowhere/x.sqlite#predictions: cannot be written: unable to open"),
    ],
)
def test_a_database_that_cannot_be_written_is_one_line(
    tmp_path: Path, log: PredictionLog, address: str, words: str
) -> None:
    with pytest.raises(InputError) as raised:
        export(tmp_path / "log", address, "predictions")
    assert str(raised.value).startswith(words)


def test_a_table_needs_a_name(tmp_path: Path, log: PredictionLog, url: str) -> None:
    with pytest.raises(InputError, match="name the table"):
        export(tmp_path / "log", url, "")


def test_only_one_copies_at_a_time(tmp_path: Path, log: PredictionLog, url: str) -> None:
    with exporting._alone(tmp_path / "log"), pytest.raises(InputError, match="another `assay log export` is running"):
        export(tmp_path / "log", url, "predictions")
