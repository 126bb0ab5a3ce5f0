"""`assay feedback collect` in a project with a log, and `assay forget` after it."""

import json
import os
from pathlib import Path

import pyarrow.csv as pacsv
import pytest

from assay.base.errors import InputError
from assay.cli.production import feedback, forget
from assay.data.reading import read_table
from assay.predictions.outcomes import OutcomeLog
from assay.predictions.write import PredictionLog
from assay.production import home
from patients import contract, patients
from places import ROOT
from predictions.test_write import told
from production.collecting import table

WARD = contract()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictionLog:
    """The log of a project that has the data of 400 patients."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_LOG", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("contract.yaml").write_text(WARD.model_dump_json())
    params = (ROOT / "params.yaml").read_text().replace("delay: 7", "delay: 0")
    Path("params.yaml").write_text(params)
    WARD.data.parent.mkdir()
    pacsv.write_csv(table(400, 1), WARD.data, pacsv.WriteOptions(quoting_style="needed"))
    return PredictionLog(Path("monitoring"), WARD, "c0ffee")


def collect(*options: str) -> None:
    feedback.main(["collect", *options], standalone_mode=False)


def test_what_was_asked_and_came_true_is_in_the_data_and_a_client_can_be_forgotten(
    log: PredictionLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    versions: list[int] = []
    monkeypatch.setattr(home, "record", lambda: versions.append(read_table(WARD.data, WARD)[0].num_rows))
    data, _ = patients(40, seed=2)
    batch = told(40)
    log.predictions("v1", "champion", batch, data, keys=[(b"ann", 12), (b"bob", 28)])
    OutcomeLog(Path("monitoring")).write([{"prediction_id": one, "outcome": "sick"} for one in batch.ids()[:30]])
    collect()
    # Of the 80 rows that may be added one client brings 20.
    said = capsys.readouterr().out
    assert "data/x.csv: 30 rows added to 400; 0 were collected before" in said
    assert "10 predictions from before then have no outcome" in said
    added = read_table(WARD.data, WARD)[0].slice(400)
    assert added.drop_columns("outcome").equals(table(40, 2).slice(0, 30).drop_columns("outcome"))
    assert set(added["outcome"].to_pylist()) == {"sick"}
    assert versions == [430]
    collect("--json")
    again = json.loads(capsys.readouterr().out)
    assert (again["added"], again["collected_before"]) == (0, 30)

    forget.main(["ann"], standalone_mode=False)
    said = capsys.readouterr().out
    (receipt,) = Path("monitoring/receipts").iterdir()
    assert f"12 rows of the client were collected into data/: `assay forget --receipt {receipt}` removes them" in said
    found = json.loads(receipt.read_text())["learnt_from_them"]
    assert found == [{"data": "data", "rows": 12, "commit": None, "releases": []}]


def test_data_that_cannot_be_collected_into_are_recorded_too(log: PredictionLog, monkeypatch: pytest.MonkeyPatch):
    recorded: list[bool] = []
    monkeypatch.setattr(home, "record", lambda: recorded.append(True))
    Path("monitoring").mkdir()
    WARD.data.write_text("age\n")
    with pytest.raises(InputError, match=r"data/x\.csv: breaks contract\.yaml"):
        collect()
    assert recorded == [True]


def test_the_first_word_is_a_file_unless_it_is_a_command(log: PredictionLog, capsys: pytest.CaptureFixture[str]):
    Path("outcomes.csv").write_text("prediction_id,outcome\nx,sick\n")
    Path("monitoring").mkdir()
    packed = {"format": 1, "contract": json.loads(WARD.model_dump_json())}
    Path("models").mkdir()
    Path("models/contract.json").write_text(json.dumps(packed))
    for words in (["outcomes.csv"], ["file", "outcomes.csv"], ["--log", "monitoring", "outcomes.csv"]):
        feedback.main(words, standalone_mode=False)
        assert "0 outcomes recorded, 1 skipped" in capsys.readouterr().out


@pytest.mark.parametrize("sent", ["zoë".encode(), "zoë".encode("latin-1"), b"zo\xff\x80"])
def test_a_client_is_forgotten_whatever_bytes_its_key_has(
    log: PredictionLog, capsys: pytest.CaptureFixture[str], sent: bytes
):
    log.predictions("v1", "champion", told(3), patients(3)[0], keys=[(sent, 1), (b"zoe", 2)])
    # As Python passes on what was typed.
    key = os.fsdecode(sent) if b"\xff" in sent else "zoë"
    forget.main([key], standalone_mode=False)
    assert "1 predictions and 0 outcomes removed" in capsys.readouterr().out


def test_what_was_removed_is_said_for_each_encoding_of_the_key(log: PredictionLog, capsys: pytest.CaptureFixture[str]):
    log.predictions("v1", "champion", told(3), patients(3)[0], keys=[("zoë".encode("latin-1"), 1), (b"zoe", 2)])
    forget.main(["zoë"], standalone_mode=False)
    told_of = [line.partition(" outcomes")[0] for line in capsys.readouterr().out.splitlines()]
    assert told_of == ["KEY in UTF-8: 0 predictions and 0", "KEY in Latin-1: 1 predictions and 0"]


def test_another_client_whose_key_has_the_same_bytes_in_utf_8_is_not_forgotten(
    log: PredictionLog, capsys: pytest.CaptureFixture[str]
):
    log.predictions("v1", "champion", told(3), patients(3)[0], keys=[("zoë".encode(), 3)])
    forget.main(["zoë".encode().decode("latin-1")], standalone_mode=False)
    assert capsys.readouterr().out.startswith("0 predictions and 0 outcomes removed")


@pytest.mark.parametrize("words", [[], [""], ["ann", "--receipt", "x.json"]])
def test_who_is_to_be_forgotten_must_be_said_in_one_way(words: list[str]):
    with pytest.raises(InputError, match="give either KEY or --receipt"):
        forget.main(words, standalone_mode=False)
