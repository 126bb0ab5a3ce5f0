"""Forgetting a client: all of its rows leave, no other does, and whatever happens half-way can be done again."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.base.errors import InputError
from assay.base.files import lock_alone
from assay.cli.production import forget as command
from assay.predictions import forget as forgetting
from assay.predictions.collected import alone
from assay.predictions.entry import MANY
from assay.predictions.forget import forget
from assay.predictions.keys import key_hash, log_secret
from assay.predictions.outcomes import OutcomeLog, joined
from assay.predictions.read import LogCounts
from assay.predictions.write import PredictionLog
from patients import contract, patients
from predictions.test_write import DIGEST, told


class Logged:
    """A log with rows of two clients, in small and in large requests, and an outcome for each row."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = PredictionLog(folder, contract(), DIGEST)
        self.ann: list[str] = []
        self.bob: list[str] = []
        for rows in (4, MANY):
            data, _ = patients(rows)
            batch = told(rows)
            batch.warnings[1] = ["age: 120"]
            half = rows // 2
            self.log.predictions("v1", "champion", batch, data, keys=[(b"ann", half), (b"bob", rows - half)])
            self.ann += batch.ids()[:half]
            self.bob += batch.ids()[half:]
        OutcomeLog(folder).write([{"prediction_id": one, "outcome": "sick"} for one in self.ann + self.bob])

    def rows(self) -> list[dict[str, Any]]:
        counts = LogCounts()
        found = [row for batch in joined(self.folder, counts) for row in batch.to_pylist()]
        assert (counts.torn, counts.foreign, counts.unknown) == (0, 0, 0)
        return found


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def test_the_rows_of_a_client_leave_and_the_others_stay_as_they_were(logged: Logged) -> None:
    before = [row for row in logged.rows() if row["prediction_id"] in logged.bob]
    gone, _ = forget(logged.folder, b"ann")
    assert (gone.predictions, gone.outcomes, gone.segments) == (len(logged.ann), len(logged.ann), 2)
    assert logged.rows() == before
    assert len(before) == len(logged.bob)
    texts = [path.read_text() for path in logged.folder.glob("*/*.jsonl")]
    assert not any(f'"{one}"' in text for one in logged.ann for text in texts)


def test_outcomes_that_the_client_sent_of_predictions_for_others_leave_too(logged: Logged) -> None:
    before = len(logged.rows())
    logged.log.outcomes([{"prediction_id": one, "outcome": "well"} for one in logged.bob[:3]], b"eve")
    gone, _ = forget(logged.folder, b"eve")
    assert (gone.predictions, gone.outcomes) == (0, 3)
    hashed = key_hash(log_secret(logged.folder), b"eve")
    assert not any(hashed in path.read_text() for path in logged.folder.glob("outcomes/*.jsonl"))
    assert len(logged.rows()) == before


def test_the_receipt_says_what_left_and_does_not_hold_the_key(logged: Logged) -> None:
    _, path = forget(logged.folder, b"ann")
    receipt = json.loads(path.read_text())
    assert (receipt["predictions"], receipt["outcomes"], receipt["answered_by"]) == (len(logged.ann),) * 2 + (["v1"],)
    assert "ann" not in path.read_text().replace("cannot", "")


def test_who_is_not_in_the_log_changes_nothing_and_gets_a_receipt_too(logged: Logged) -> None:
    before = logged.rows()
    gone, path = forget(logged.folder, b"nobody")
    assert (gone.predictions, gone.segments, logged.rows()) == (0, 0, before)
    assert json.loads(path.read_text())["predictions"] == 0


def test_in_a_project_no_copy_is_left_of_a_killed_collection_and_none_runs_meanwhile(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(logged.folder)
    with alone(), pytest.raises(InputError, match="another `assay feedback collect` or"):
        forget(logged.folder, b"ann")
    copy = Path(".assay/collected.csv")
    copy.touch()
    forget(logged.folder, b"ann")
    assert not copy.exists()


def test_what_the_service_writes_meanwhile_stays(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = patients(1)
    late, change = told(1), forgetting._without

    def meanwhile(line: bytes, *given: Any) -> bytes:
        # Again for each line: what is there twice counts once.
        logged.log.predictions("v1", "champion", late, data, keys=[(b"bob", 1)])
        return change(line, *given)

    monkeypatch.setattr(forgetting, "_without", meanwhile)
    forget(logged.folder, b"ann")
    assert {row["prediction_id"] for row in logged.rows()} == {*logged.bob, late.ids()[0]}


def test_what_the_client_asks_meanwhile_leaves_too_and_nothing_is_there_twice(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = patients(2)
    late, change = told(2), forgetting._without
    asked: list[bytes] = []

    def meanwhile(line: bytes, *given: Any) -> bytes:
        if not asked:
            asked.append(b"ann")
            logged.log.predictions("v1", "champion", late, data, keys=[(b"ann", 1), (b"bob", 1)])
        return change(line, *given)

    monkeypatch.setattr(forgetting, "_without", meanwhile)
    forget(logged.folder, b"ann")
    assert sorted(row["prediction_id"] for row in logged.rows()) == sorted([*logged.bob, late.ids()[1]])


def test_a_segment_that_is_retired_meanwhile_is_no_error(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = forgetting.seal

    def retired(path: Path) -> None:
        path.unlink()
        seal(path)

    monkeypatch.setattr(forgetting, "seal", retired)
    gone, _ = forget(logged.folder, b"ann")
    assert gone.segments == 0
    assert not list(logged.folder.glob("*/*.jsonl"))


def test_a_segment_keeps_its_owner(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(forgetting.os, "chown", lambda _, user, group: owners.append((user, group)))
    forget(logged.folder, b"ann")
    assert owners == [(os.getuid(), os.getgid())] * 2


@pytest.mark.parametrize("rewritten", [0, 1])
def test_what_was_stopped_half_way_is_done_by_the_next_run(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, rewritten: int
) -> None:
    rewrite, done = forgetting._rewrite, []

    def stopped(*given: Any) -> None:
        if len(done) == rewritten:
            raise KeyboardInterrupt
        rewrite(*given)
        done.append(given)

    with monkeypatch.context() as half_way:
        half_way.setattr(forgetting, "_rewrite", stopped)
        with pytest.raises(KeyboardInterrupt):
            forget(logged.folder, b"ann")
    assert {row["prediction_id"] for row in logged.rows()} == {*logged.ann, *logged.bob}
    forget(logged.folder, b"ann")
    assert {row["prediction_id"] for row in logged.rows()} == set(logged.bob)


def test_on_a_full_disk_the_segment_stays_as_it_was(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    before = logged.rows()
    monkeypatch.setattr(forgetting.os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        forget(logged.folder, b"ann")
    assert logged.rows() == before
    logged.log.predictions("v1", "champion", told(1), {name: values[:1] for name, values in patients(1)[0].items()})
    assert len(logged.rows()) == len(before) + 1


def test_what_breaks_off_and_names_the_client_leaves_too(logged: Logged) -> None:
    (path,) = (logged.folder / "predictions").iterdir()
    first = path.read_bytes().splitlines(keepends=True)[0]
    with path.open("ab") as file:
        file.write(first[:-20])
    gone, _ = forget(logged.folder, b"ann")
    assert gone.unreadable == 1
    assert {row["prediction_id"] for row in logged.rows()} == set(logged.bob)


def test_the_command_says_what_left_and_what_nobody_could_read(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (logged.folder / "predictions").iterdir()
    first = path.read_bytes().splitlines(keepends=True)[0]
    with path.open("ab") as file:
        file.write(first[:-20])
    command.main(["ann", "--log", str(logged.folder)], standalone_mode=False)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{len(logged.ann)} predictions and {len(logged.ann)} outcomes removed; the receipt is ")
    assert told[1] == "unreadable lines that name the client, removed as a whole: 1"


def test_a_folder_that_is_no_log_is_refused_and_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="other: this is no prediction log"):
        forget(tmp_path / "other", b"ann")
    assert not list((tmp_path / "other").iterdir())


def test_a_broken_record_of_the_data_is_said_before_anything_is_removed(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logged.rows()
    monkeypatch.chdir(logged.folder)
    Path("data").mkdir()
    Path("data/collected.json").write_text("{")
    with pytest.raises(InputError, match=r"^data/collected\.json: not a complete JSON file"):
        forget(logged.folder, b"ann")
    assert logged.rows() == before


def test_two_do_not_forget_at_once(logged: Logged) -> None:
    is_running = pytest.raises(InputError, match="another `assay forget` is running")
    lock = logged.folder / "forget.lock"
    lock.touch()
    with lock_alone(lock, ""), is_running:
        forget(logged.folder, b"ann")


def test_packed_columns_keep_the_rows_of_the_others(logged: Logged) -> None:
    data, _ = patients(MANY)
    forget(logged.folder, b"ann")
    kept = [row["inputs"]["age"] for row in logged.rows() if row["prediction_id"] in logged.bob[2:]]
    assert np.array_equal(kept, data["age"][MANY // 2 :])
