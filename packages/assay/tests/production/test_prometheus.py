"""Alert rules and dashboard: each alert fires when it should, and all are silent while all is well."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.base.files import write_json
from assay.cli.production import monitor
from assay.production.prometheus import DASHBOARD, RULES, Alert, rules, signals, text, write
from assay.project.params import ServiceGate
from machine import lacks
from patients import contract
from places import ROOT

LIMITS = ServiceGate(errors=0.01, p99_ms=1000, median_ms=250)
PREDICT = 'endpoint="/predict",http_response_code='
BUCKET = 'bentoml_service_request_duration_seconds_bucket{endpoint="/predict",le='
# A service that is well: what its counters count from step to step, as promtool writes it.
WELL = {
    "up{": "1x500",
    f'bentoml_service_request_total{{{PREDICT}"200"': "0+600x500",
    f'{BUCKET}"0.05"': "0+590x500",
    f'{BUCKET}"0.5"': "0+599x500",
    f'{BUCKET}"2.5"': "0+600x500",
    f'{BUCKET}"+Inf"': "0+600x500",
    'assay_predictions_total{version="a",prediction="well"': "0+600x500",
}
# What is different where an alert fires.
WRONG = {
    "AssayDown": {"up{": "0x500"},
    "AssayErrors": {f'bentoml_service_request_total{{{PREDICT}"500"': "0+9x500"},
    "AssaySlow": {f'{BUCKET}"0.5"': "0+590x500"},
    "AssaySlowMedian": {f'{BUCKET}"0.05"': "0+1x500"},
    "AssayContract": {'assay_refused_requests_total{reason="contract"': "0+40x500"},
    "AssayUnlogged": {"assay_unlogged_predictions_total{": "0+1x500"},
    "AssaySilent": {'assay_predictions_total{version="a",prediction="well"': "5x500"},
    "AssayChallenger": {'assay_challenger_failures_total{challenger="b"': "0+1x500"},
    "AssayTraffic": {"assay_traffic_errors_total{": "0+1x500"},
}


def alerts(limits: ServiceGate = LIMITS) -> dict[str, Alert]:
    return {one.alert.name: one.alert for one in signals(contract(), limits) if one.alert}


def case(changes: dict[str, str], fires: str | None, when: str, step: str) -> dict[str, object]:
    """Return what promtool is to check: that one alert fires, and no other."""
    series = [
        {"series": f'{name}{"" if name.endswith("{") else ","}job="patients"}}', "values": values}
        for name, values in (WELL | changes).items()
    ]
    given = rules(contract(), signals(contract(), LIMITS))["groups"][0]["rules"]

    def expected(rule: dict[str, dict[str, str]]) -> list[dict[str, object]]:
        made = {"exp_labels": {**rule["labels"], "job": "patients"}, "exp_annotations": rule["annotations"]}
        return [made] if rule["alert"] == fires else []

    tests = [{"eval_time": when, "alertname": rule["alert"], "exp_alerts": expected(rule)} for rule in given]
    return {"interval": step, "input_series": series, "alert_rule_test": tests}


def test_each_alert_fires_when_it_should_and_all_are_silent_while_all_is_well(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        lacks("promtool is not here (prometheus)")
    assert WRONG.keys() == alerts().keys()
    write_json(tmp_path / RULES, rules(contract(), signals(contract(), LIMITS)))
    # In steps of a minute it would take a minute to see that there was no prediction for days.
    slow = {name: changes for name, changes in WRONG.items() if name == "AssaySilent"}
    for when, step, wrong in (("40m", "1m", {**WRONG, **dict.fromkeys(slow)}), ("3d", "30m", slow)):
        cases = [case({}, None, when, step)]
        cases += [case(changes, name, when, step) for name, changes in wrong.items() if changes]
        content = {"rule_files": [RULES], "evaluation_interval": step, "tests": cases}
        write_json(tmp_path / f"{step}.yml", content)
    command = ["promtool", "test", "rules", "1m.yml", "30m.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_that_prometheus_does_not_know_is_an_alert_whatever_the_project_is_called(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        lacks("promtool is not here (prometheus)")
    name = 'caf\u00e9 \U0001f600 "{{ .Labels }}" \\d'
    made = contract(name=name)
    (tmp_path / RULES).write_text(text(rules(made, signals(made, LIMITS))))
    others = [{"series": 'up{job="another"}', "values": "1x10"}]
    alert = {
        "exp_labels": {"severity": "page", "project": name, "job": name},
        "exp_annotations": {
            "summary": f"{name}: The service cannot be reached",
            "description": f"What to do: {alerts()['AssayDown'].what}.",
        },
    }
    wanted = {"eval_time": "5m", "alertname": "AssayDown", "exp_alerts": [alert]}
    content = {
        "rule_files": [RULES],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": others, "alert_rule_test": [wanted]}],
    }
    (tmp_path / "test.yml").write_text(text(content))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_limit_that_the_project_does_not_set_is_no_alert() -> None:
    assert alerts().keys() - alerts(ServiceGate()).keys() == {"AssayErrors", "AssaySlow", "AssaySlowMedian"}


def test_the_limits_are_those_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("contract.yaml", "params.yaml"):
        text = (ROOT / name).read_text()
        (tmp_path / name).write_text(re.sub("p99_ms: .*", "p99_ms: 640", text))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(monitor, ["--prometheus", "alerts"], standalone_mode=False)
    assert done.output.split() == [f"alerts/{RULES}", f"alerts/{DASHBOARD}"]
    made = json.loads((tmp_path / f"alerts/{RULES}").read_text())["groups"][0]["rules"]
    slow = next(rule for rule in made if rule["alert"] == "AssaySlow")
    assert slow["expr"].endswith(" > 0.64")
    assert "640 ms" in slow["annotations"]["summary"]


def test_a_panel_has_a_place_of_its_own_and_the_limit_of_its_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    write(tmp_path)
    panels = json.loads((tmp_path / DASHBOARD).read_text())["panels"]
    assert len({one["id"] for one in panels}) == len({tuple(one["gridPos"].values()) for one in panels}) == len(panels)
    limits = {
        one["title"]: one["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
        for one in panels
        if "thresholds" in one["fieldConfig"]["defaults"]
    }
    assert limits["Latency of 99% of predictions"] == 1.0
    assert len(limits) == len(alerts())
