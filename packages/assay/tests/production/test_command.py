"""`assay monitor`: a folder with a log and models/ in, a verdict and three files out."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.cli.production import monitor
from assay.export.reference import REFERENCE
from assay.inference.ids import new_ids
from assay.inference.predictor import PredictionBatch, record
from assay.predictions.outcomes import OutcomeLog, joined
from assay.predictions.read import LogCounts
from assay.predictions.write import PredictionLog
from assay.project.layout import MODELS, model_version
from assay.project.params import load_params
from assay.project.settings import PARAMS, write_packed
from assay.serve.image import copy_service
from patients import patients
from places import ROOT
from watched import Change, day, made, missing, promised

NOW = datetime.now(UTC)
DIGEST = "c0ffee"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_LOG", raising=False)
    contract = json.loads(made().model_dump_json())
    write_json(MODELS / "model.json", {"format": 1})
    params = load_params(ROOT / PARAMS)
    write_packed(made(), params.export, params.serve)
    write_json(MODELS / REFERENCE, promised().model_dump(exclude_none=True))
    write_json(Path(f"monitoring/contracts/{DIGEST}.json"), {"format": 1, "contract": contract})
    Path("monitoring/predictions").mkdir()
    return tmp_path


def write_log(folder: Path, version: str, days: int = 3, change: Change | None = None) -> list[dict[str, object]]:
    """Write the predictions of some days, and return their outcomes."""
    outcomes = []
    for number in range(1, days + 1):
        time = NOW - timedelta(days=number)
        rows = day(number, rows=200, change=change).to_pylist()
        for index, row in enumerate(rows):
            row["prediction_id"] = f"{int(time.timestamp() * 1000):012x}-process-{index}"
        outcomes += [{name: row[name] for name in ("prediction_id", "outcome")} for row in rows]
        entry = {
            "time": time.isoformat(),
            "version": version,
            "arm": "champion",
            "contract": DIGEST,
            **{name: [row[name] for row in rows] for name in ("prediction_id", "key", "prediction", "decision")},
            "inputs": {name: [_text(row["inputs"][name]) for row in rows] for name in rows[0]["inputs"]},
            "probabilities": {name: [row["probabilities"][name] for row in rows] for name in made().classes},
        }
        path = folder / f"predictions/{time:%Y-%m-%dT%H}.0.jsonl"
        path.write_bytes(json.dumps(entry, separators=(",", ":")).encode() + b'\n{"time":"2026')
    return outcomes


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def run(*arguments: str) -> int:
    return int(monitor.main(list(arguments), standalone_mode=False))


def test_it_reads_the_log_and_writes_its_reports(project: Path, capsys: pytest.CaptureFixture[str]):
    write_log(project / "monitoring", model_version())
    assert run() == 3
    result = json.loads(Path("reports/monitor.json").read_text())
    assert list(result) == ["format", "verdict", "version", "since", "until", "outcomes"]
    assert set(result["outcomes"][0]) == {"check", "verdict", "reason", "measured", "limit"}
    verdicts = {one["check"]: one["verdict"] for one in result["outcomes"]}
    # Without outcomes nobody can say that the model is as good as promised.
    assert verdicts == dict.fromkeys(["log", "values", "scores", "features", "estimate"], "WELL") | dict.fromkeys(
        ["loss", "surprise", "cost"], "HOLD"
    )
    assert "600 rows on 3 days; 3 torn lines" in capsys.readouterr().out
    for name in ("monitor.md", "monitor.html"):
        assert "no outcome is known" in (Path("reports") / name).read_text()


def test_an_image_says_what_the_monitor_says_and_writes_nothing(project: Path):
    write_log(project / "monitoring", model_version(), change=missing)
    copy_service(project / "image/assay")
    command = [sys.executable, "-m", "assay.production.run", "monitoring"]
    done = subprocess.run(command, env={"PYTHONPATH": "image"}, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert not Path("reports").exists()
    assert run() == 1
    assert result["outcomes"] == json.loads(Path("reports/monitor.json").read_text())["outcomes"]


@pytest.mark.parametrize(("change", "status"), [(None, 0), (missing, 1)])
def test_with_outcomes_the_exit_status_is_that_of_the_verdict(project: Path, change: Change | None, status: int):
    OutcomeLog(project / "monitoring").write(write_log(project / "monitoring", model_version(), change=change))
    assert run() == status


def test_the_folder_of_the_log_is_an_argument_or_a_variable(project: Path, monkeypatch: pytest.MonkeyPatch):
    Path("monitoring").rename("elsewhere")
    write_log(project / "elsewhere", model_version())
    assert run("elsewhere") == 3
    first = json.loads(Path("reports/monitor.json").read_text())["outcomes"]
    monkeypatch.setenv("ASSAY_LOG", "elsewhere")
    assert run("--json") == 3
    assert json.loads(Path("reports/monitor.json").read_text())["outcomes"] == first


def test_two_at_once_say_the_same_and_leave_one_whole_report(project: Path):
    write_log(project / "monitoring", model_version(), change=missing)
    copy_service(project / "image/assay")
    assert run("--until", f"{NOW:%Y-%m-%dT%H:%M:%S}") == 1
    pages = [Path("reports/monitor").with_suffix(suffix) for suffix in (".json", ".md", ".html")]
    alone = [page.read_bytes() for page in pages]
    until = f"datetime.fromisoformat('{NOW:%Y-%m-%dT%H:%M:%S}')"
    code = (
        f"from datetime import datetime\nfrom assay.production.run import *\nwatch(Path('monitoring'), until={until})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": "image"}) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert [page.read_bytes() for page in pages] == alone
    assert sorted(Path("reports").iterdir()) == sorted(pages)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(hours=-7), "200 rows on 1 day"),
        (timedelta(hours=7), "200 rows are dated after now: check the clock of the service; they are not judged"),
        (timedelta(days=4000), "200 rows are dated after now: check the clock of the service; they are not judged"),
        (timedelta(days=-4000), "the log has no prediction of version"),
    ],
)
def test_a_service_whose_clock_was_wrong_loses_nothing_and_the_monitor_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ahead: timedelta, words: str
):
    wrong = NOW.replace(minute=30) + ahead
    moments = SimpleNamespace(now=lambda _: wrong, fromtimestamp=datetime.fromtimestamp)
    with monkeypatch.context() as clock:
        clock.setattr("assay.inference.ids.time.time_ns", lambda: int(wrong.timestamp() * 1e9))
        clock.setattr("assay.predictions.write.datetime", moments)
        clock.setattr("assay.predictions.outcomes.datetime", moments)
        log = PredictionLog(Path("monitoring"), made(), DIGEST)
        first = answered(log, 200)
        log.close()
    run()
    assert words in capsys.readouterr().out
    # The clock is right again.
    log = PredictionLog(Path("monitoring"), made(), DIGEST)
    then = answered(log, 200)
    log.close()
    counts = LogCounts()
    outcomes = {
        row["prediction_id"]: row["outcome"]
        for batch in joined(Path("monitoring"), counts)
        for row in batch.to_pylist()
    }
    assert outcomes == dict.fromkeys([*first, *then], "sick")
    assert (counts.torn, counts.foreign, counts.unknown) == (0, 0, 0)
    run()
    rows = json.loads(Path("reports/monitor.json").read_text())["outcomes"][0]["measured"]["rows"]
    assert rows == (400 if ahead == timedelta(hours=-7) else 200)


def answered(log: PredictionLog, rows: int) -> list[str]:
    """Predict as a service does, and let the outcomes come at once; return the ids."""
    data, _ = patients(rows)
    labels, scores = np.array(made().classes, dtype=object), np.tile([0.7, 0.3], (rows, 1))
    batch = PredictionBatch(new_ids(rows), scores, {}, labels, record(labels), np.zeros(rows, int), np.zeros(rows, int))
    log.predictions(model_version(), "champion", batch, data)
    assert log.outcomes([{"prediction_id": name, "outcome": "sick"} for name in batch.ids()]) == (rows, 0)
    return batch.ids()


def test_a_log_of_another_version_is_not_enough_to_tell(project: Path, capsys: pytest.CaptureFixture[str]):
    write_log(project / "monitoring", "another")
    assert run() == 3
    assert "600 rows of 1 other version, not judged" in capsys.readouterr().out


def test_an_empty_log_is_not_enough_to_tell(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 3
    assert "the log has no prediction of version" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [("--until", "0001-01-02"), ("--delay", "1e300"), ("--delay", "nan"), ("--days", "nan")]
)
def test_a_period_that_no_calendar_has_is_refused_in_a_line(project: Path, options: tuple[str, str]):
    with pytest.raises(InputError, match=r"days before .* is no date; give fewer days"):
        run(*options)


def test_what_is_not_there_is_named(project: Path):
    with pytest.raises(InputError, match="nowhere: there is no such folder; name that of the prediction log"):
        run("nowhere")
    (MODELS / REFERENCE).unlink()
    with pytest.raises(InputError, match=r"models/reference\.json: this version was exported without a reference"):
        run()


@pytest.fixture
def ssh(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of ssh, which notes what it is asked and answers with the file `answer`."""
    tool = project / "bin/ssh"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {project}/asked\ncat {project}/answer || echo "no route" >&2\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    return project


def test_on_another_machine_only_the_result_comes_from_there(ssh: Path):
    write_log(ssh / "monitoring", model_version(), change=missing)
    assert run("monitoring") == 1
    Path("reports/monitor.json").rename("answer")
    Path("reports/monitor.html").unlink()
    assert run("--host", "ann@there", "--days", "30", "--until", "2026-11-29", "log of 'x'") == 1
    assert Path("asked").read_text().splitlines() == [
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=30",
        "ann@there",
        "assay monitor --json --days 30.0 --models models --until 2026-11-29T00:00:00 'log of '\"'\"'x'\"'\"''",
    ]
    assert json.loads(Path("reports/monitor.json").read_text()) == json.loads(Path("answer").read_text())
    assert Path("reports/monitor.html").exists()


@pytest.mark.parametrize(
    "answer", ["", "hello", "[]", "{}", '{"verdict": "WELL"}', '{"verdict": "FINE", "outcomes": []}']
)
def test_an_answer_that_is_no_result_is_one_line_and_nothing_is_written(ssh: Path, answer: str):
    Path("answer").write_text(answer)
    with pytest.raises(InputError, match="ann@there: it answered with something else than a result"):
        run("--host", "ann@there")
    assert not Path("reports").exists()


def test_a_machine_that_cannot_be_reached_is_one_line(ssh: Path):
    with pytest.raises(InputError, match="ann@there: no route"):
        run("--host", "ann@there")
    with pytest.raises(InputError, match="not a machine; write USER@HOST"):
        run("--host", "-oProxyCommand=ls")
