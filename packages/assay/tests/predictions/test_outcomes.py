"""Outcomes: late, twice, corrected, of a wrong type, of unknown predictions; each is handled and counted."""

import errno
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.base.config import read_yaml, typed
from assay.base.errors import InputError
from assay.contract.spec import Target
from assay.inference.ids import time_of
from assay.predictions import segments
from assay.predictions.outcomes import OutcomeLog, joined, meant
from assay.predictions.read import LogCounts
from assay.predictions.write import PredictionLog
from assay.project.settings import Outcomes
from assay.stages import validate
from patients import contract, patients, write_project
from predictions.test_write import DIGEST, told

NOW = datetime.now(UTC)


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """Return the ids of predictions of this hour that are in the log."""
    data, _ = patients(4)
    log, batch = PredictionLog(tmp_path, contract(), DIGEST), told(4)
    log.predictions("v1", "champion", batch, data)
    log.predictions("v2", "shadow", batch, data)
    return batch.ids()


def made_at(asked: list[str]) -> datetime:
    """Return when the predictions were made."""
    found = time_of(asked[0])
    assert found is not None
    return found


def report(folder: Path, **outcomes: Any) -> tuple[int, int]:
    log = OutcomeLog(folder)
    done = log.write([{"prediction_id": name.replace("_", "-"), "outcome": value} for name, value in outcomes.items()])
    log.close()
    return done


def found(folder: Path, **between: Any) -> tuple[dict[str, Any], LogCounts]:
    counts = LogCounts()
    rows = [row for batch in joined(folder, counts, **between) for row in batch.to_pylist()]
    assert all(row["outcome_time"] is None or row["outcome"] is not None for row in rows)
    return {row["prediction_id"]: row["outcome"] for row in rows if row["arm"] == "champion"}, counts


def test_predictions_have_the_outcomes_that_came(tmp_path: Path, asked: list[str]) -> None:
    assert report(tmp_path, **{asked[0]: "sick", asked[2]: "well"}) == (2, 0)
    outcomes, counts = found(tmp_path)
    assert outcomes == {asked[0]: "sick", asked[1]: None, asked[2]: "well", asked[3]: None}
    assert (counts.outcomes, counts.entries, counts.unknown, counts.foreign) == (2, 8, 0, 0)


def test_the_last_correction_wins(tmp_path: Path, asked: list[str]) -> None:
    for value in ("sick", "well", "well", "sick"):
        report(tmp_path, **{asked[0]: value})
    outcomes, counts = found(tmp_path)
    assert outcomes[asked[0]] == "sick"
    assert (counts.corrected, counts.doubled, counts.outcomes) == (2, 1, 1)


def test_what_came_later_wins_wherever_it_was_written(tmp_path: Path, asked: list[str]) -> None:
    made = made_at(asked)
    hour = segments.hour_name(made)
    (tmp_path / "outcomes").mkdir()
    for process, (minutes, value) in {"a": (5, "sick"), "b": (1, "well")}.items():
        line = {"time": (made + timedelta(minutes=minutes)).isoformat(), "prediction_id": asked[0], "outcome": value}
        (tmp_path / f"outcomes/{hour}.{process}.jsonl").write_text(json.dumps(line) + "\n")
    assert found(tmp_path)[0][asked[0]] == "sick"


def test_what_another_client_sends_is_counted_and_left_out_if_both_are_known(tmp_path: Path) -> None:
    data, _ = patients(3)
    log, batch = PredictionLog(tmp_path, contract(), DIGEST), told(3)
    log.predictions("v1", "champion", batch, data, keys=[(b"ann", 1), (b"bob", 1), (b"", 1)])
    ann, bob, unknown = batch.ids()

    def send(outcome: str, key: bytes, *ids: str) -> None:
        log.outcomes([{"prediction_id": one, "outcome": outcome} for one in ids], key)

    send("sick", b"ann", ann, unknown)
    send("sick", b"", bob)
    send("well", b"eve", ann, bob, unknown)
    outcomes, counts = found(tmp_path)
    assert outcomes == {ann: "sick", bob: "sick", unknown: "well"}
    assert (counts.others, counts.unknown, counts.foreign) == (2, 0, 0)
    # Who asked may correct it, and so may who is not known: a person with a file.
    send("well", b"ann", ann)
    send("well", b"", bob)
    assert set(found(tmp_path)[0].values()) == {"well"}


def test_an_outcome_that_only_another_client_sent_is_none(tmp_path: Path) -> None:
    data, _ = patients(1)
    log, batch = PredictionLog(tmp_path, contract(), DIGEST), told(1)
    log.predictions("v1", "champion", batch, data, keys=[(b"ann", 1)])
    log.outcomes([{"prediction_id": batch.names, "outcome": "well"}], b"eve")
    assert found(tmp_path)[0] == {batch.names: None}
    assert found(tmp_path, due=NOW + timedelta(hours=1), missing="sick")[0] == {batch.names: "sick"}


def test_an_outcome_of_an_unknown_prediction_is_counted(tmp_path: Path, asked: list[str]) -> None:
    earlier = f"{int((NOW - timedelta(hours=9)).timestamp() * 1000):012x}-somebody-0-0"
    assert report(tmp_path, **{asked[0] + "9": "sick", earlier: "sick", "x": "sick"}) == (2, 1)
    outcomes, counts = found(tmp_path)
    assert set(outcomes.values()) == {None}
    assert counts.unknown == 2


def test_a_prediction_of_a_clock_that_was_ahead_gets_its_outcome(tmp_path: Path) -> None:
    data, _ = patients(1)
    name, strange = (f"{int((NOW + timedelta(days=days)).timestamp() * 1000):012x}-p-0" for days in (400, 401))
    PredictionLog(tmp_path, contract(), DIGEST).predictions("v1", "champion", replace(told(1), names=f"{name}-0"), data)
    assert report(tmp_path, **{f"{name}-0": "sick", f"{strange}-0": "sick"}) == (1, 1)
    assert found(tmp_path)[0] == {f"{name}-0": "sick"}


def test_many_ids_from_the_future_cost_one_look_at_the_log(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: looks.append(folder) or iterdir(folder))
    begin = int((NOW + timedelta(days=400)).timestamp() * 1000)
    assert report(tmp_path, **{f"{begin + 3_600_000 * hour:012x}-p-0-0": "sick" for hour in range(100)}) == (0, 100)
    assert len(looks) == 1


@pytest.mark.parametrize("value", [1.5, "ill", True, None])
def test_an_outcome_that_the_target_cannot_have_is_counted(tmp_path: Path, asked: list[str], value: Any) -> None:
    report(tmp_path, **{asked[0]: value})
    outcomes, counts = found(tmp_path)
    assert (outcomes[asked[0]], counts.foreign) == (None, 1)


def test_a_line_that_breaks_off_loses_only_itself(tmp_path: Path, asked: list[str]) -> None:
    report(tmp_path, **{asked[0]: "sick", asked[1]: "well"})
    (path,) = (tmp_path / "outcomes").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    outcomes, counts = found(tmp_path)
    assert (outcomes[asked[0]], outcomes[asked[1]], counts.torn) == ("sick", None, 1)


def test_only_the_time_that_is_asked_for_is_read_and_counted(tmp_path: Path, asked: list[str]) -> None:
    report(tmp_path, **{asked[0]: "sick"})
    made = made_at(asked)
    for between in ({"since": made + timedelta(minutes=1)}, {"until": made - timedelta(minutes=1)}):
        outcomes, counts = found(tmp_path, **between)
        assert (outcomes, counts.outcomes, counts.unknown) == ({}, 0, 0)


def test_where_no_outcome_came_in_time_there_is_the_one_that_this_means(tmp_path: Path, asked: list[str]) -> None:
    report(tmp_path, **{asked[0]: "sick"})
    late, early = (found(tmp_path, due=NOW + timedelta(hours=hours), missing="well")[0] for hours in (24, -24))
    assert late == {asked[0]: "sick"} | dict.fromkeys(asked[1:], "well")
    assert early == {asked[0]: "sick"} | dict.fromkeys(asked[1:])
    with pytest.raises(InputError, match=r"outcomes\.missing: expected one of sick, well, got .alive."):
        found(tmp_path, due=NOW, missing="alive")


@pytest.mark.parametrize(
    ("text", "classes", "label"),
    [
        ("1000001", ("1000001", "2"), "1000001"),
        ("20240101", ("20240101", "x"), "20240101"),
        ("1", ("1.0", "2.0"), "1.0"),
        ("0.1234567", ("0.1234567", "1"), "0.1234567"),
        ("0", ("0", "1"), "0"),
        ("'007'", ("007", "8"), "007"),
        ("false", ("False", "True"), "False"),
        ("no", ("no", "yes"), "no"),
    ],
)
def test_a_missing_outcome_is_the_class_that_yaml_reads_as_the_same(
    tmp_path: Path, text: str, classes: tuple[str, ...], label: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"missing: {text}\n")
    missing = typed(read_yaml(path), Outcomes, path).missing
    assert missing is not None
    assert meant(missing, Target(name="outcome", classes=classes)) == label


@pytest.mark.parametrize(("missing", "classes"), [(1.0, ("1", "1.0")), (True, ("0", "1")), (1.0, ("false", "true"))])
def test_a_missing_outcome_that_may_be_several_classes_or_none_must_be_quoted(
    missing: bool | float, classes: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match=r"outcomes\.missing: expected one of .*; put the class in quotes$"):
        meant(missing, Target(name="outcome", classes=classes))


@pytest.mark.parametrize("missing", [-5.0, 99_999.0, "none"])
def test_a_missing_outcome_is_in_the_range_of_the_target(missing: float | str) -> None:
    target = Target(name="rentals", range=(0, 977))
    assert meant(0.0, target) == 0
    with pytest.raises(InputError, match=r"outcomes\.missing: expected a number from 0 to 977, got "):
        meant(missing, target)


def test_a_missing_outcome_that_the_target_cannot_have_stops_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(400, {"by": "hash"})
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("  delay: 7\n", "  delay: 7\n  missing: alive\n"))
    with pytest.raises(InputError, match=r"params\.yaml: outcomes\.missing: expected one of sick, well, got .alive."):
        validate.main()


def test_an_outcome_that_the_target_cannot_have_is_not_missing(tmp_path: Path, asked: list[str]) -> None:
    report(tmp_path, **{asked[0]: "ill"})
    outcomes, counts = found(tmp_path, due=NOW + timedelta(hours=24), missing="well")
    assert outcomes == {asked[0]: None} | dict.fromkeys(asked[1:], "well")
    assert counts.foreign == 1


def test_outcomes_are_on_the_disk_before_they_are_acknowledged(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(segments.os, "fdatasync", synced.append)
    report(tmp_path, **{asked[0]: "sick"})
    assert len(synced) == 1


def test_an_hour_whose_segment_was_sealed_takes_more_outcomes(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open

    def refusing(path: Path, flags: int, mode: int = 0o777) -> int:
        # As for a user who is not root.
        if Path(path).is_file() and segments.is_sealed(Path(path).stat()):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_file(path, flags, mode)

    monkeypatch.setattr(segments.os, "open", refusing)
    log = OutcomeLog(tmp_path)
    earlier = f"{int((NOW - timedelta(hours=5)).timestamp() * 1000):012x}-p-0-0"
    log.write([{"prediction_id": asked[0], "outcome": "sick"}])
    (path,) = (tmp_path / "outcomes").iterdir()
    log.write([{"prediction_id": earlier, "outcome": "sick"}])
    segments.seal(path)
    assert log.write([{"prediction_id": asked[1], "outcome": "well"}]) == (1, 0)
    outcomes, _ = found(tmp_path)
    assert [outcomes[name] for name in asked[:2]] == ["sick", "well"]
