"""Alert rules for Prometheus and a dashboard for Grafana, both from one list of signals and the limits of the project.

The name of the project is the name of the scrape job, so one Prometheus can watch several projects.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.files import write_text
from assay.base.words import number, percent
from assay.contract.spec import Contract, load_contract
from assay.production.monitor import SILENT
from assay.project.limits import MOST_REFUSED
from assay.project.params import ServiceGate, load_params

RULES, DASHBOARD = "rules.yml", "dashboard.json"
# The endpoints that the model answers.
ENDPOINTS = "/predict|/explain|/feedback"
WIDTH, HEIGHT, ACROSS = 12, 8, 2
# The version of the dashboard's form: that of Grafana 10.
SCHEMA = 38


@dataclass(frozen=True)
class Alert:
    """An alarm if a signal has been beyond a limit for so long; `words` says so, and `what` what to do."""

    name: str
    sign: str
    limit: float
    lasts: str
    words: str
    what: str
    severity: str = "page"


@dataclass(frozen=True)
class Signal:
    """What is watched: an expression of PromQL, the unit and the labels of its values, and its alert if it has one."""

    title: str
    expression: str
    unit: str = "short"
    labels: tuple[str, ...] = ()
    alert: Alert | None = None

    def condition(self) -> str:
        """Return the expression of the alert: empty while all is well."""
        return f"({self.expression}) {self.alert.sign} {self.alert.limit!r}" if self.alert else ""


def write(folder: Path) -> list[Path]:
    """Write the rules and the dashboard of the project to a folder; return the paths."""
    contract, params = load_contract(), load_params()
    watched = signals(contract, params.gates.service)
    made = {RULES: rules(contract, watched), DASHBOARD: dashboard(contract, watched)}
    for name, content in made.items():
        write_text(folder / name, text(content))
    return [folder / name for name in made]


def text(content: dict[str, Any]) -> str:
    """Return the text of a file: JSON that is YAML too, which has no escapes for halves of a character."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def signals(contract: Contract, limits: ServiceGate) -> list[Signal]:
    """Return all that is watched, the most important first; without an alert where the project has no limit."""
    # PromQL has no escapes for halves of a character.
    job = f"job={json.dumps(contract.name, ensure_ascii=False)}"
    asked = f'{job},endpoint=~"{ENDPOINTS}"'
    requests = f"sum by (job) (rate(bentoml_service_request_total{{{asked}}}[5m]))"

    def or_none(expression: str) -> str:
        """Return an expression that is 0 where nothing was counted yet: such a metric does not exist."""
        return f"({expression} or 0 * max by (job) (up{{{job}}}))"

    def by(labels: str, name: str) -> str:
        return f"sum by ({labels}) (rate({name}{{{job}}}[5m]))"

    def counted(name: str) -> str:
        return or_none(f"sum by (job) (increase({name}{{{job}}}[15m]))")

    def latency(quantile: float) -> str:
        name = "bentoml_service_request_duration_seconds_bucket"
        return f'histogram_quantile({quantile}, sum by (job, le) (rate({name}{{{job},endpoint="/predict"}}[5m])))'

    failed = or_none(f'sum by (job) (rate(bentoml_service_request_total{{{asked},http_response_code=~"5.."}}[5m]))')
    refused = or_none(f'sum by (job) (rate(assay_refused_requests_total{{{job},reason="contract"}}[5m]))')
    found = [
        Signal(
            "The service can be reached",
            # Prometheus has no value of `up` if it knows of no service, or of none with this job.
            f"up{{{job}}} or 0 * absent(up{{{job}}})",
            labels=("instance",),
            alert=Alert(
                "AssayDown",
                "<",
                1,
                "2m",
                "The service cannot be reached",
                "see whether its container runs, and whether the scrape job has the name of the project",
            ),
        ),
        Signal(
            "Failed requests",
            f"{failed} / {requests}",
            "percentunit",
            alert=_above("AssayErrors", limits.errors, "of requests fail", "read the log of the service"),
        ),
        Signal(
            "Latency of 99% of predictions",
            latency(0.99),
            "s",
            alert=_slower("AssaySlow", limits.p99_ms, "The slowest 1% of predictions take"),
        ),
        Signal(
            "Median latency of predictions",
            latency(0.5),
            "s",
            alert=_slower("AssaySlowMedian", limits.median_ms, "Half of the predictions take"),
        ),
        Signal(
            "Requests that break the contract",
            f"{refused} / {requests}",
            "percentunit",
            alert=_above(
                "AssayContract", MOST_REFUSED, "of requests break the contract", "find out which client sends them"
            ),
        ),
        Signal(
            "Predictions that are not in the log",
            counted("assay_unlogged_predictions_total"),
            alert=Alert(
                "AssayUnlogged",
                ">",
                0,
                "0m",
                "Predictions are missing from the log",
                "see whether the disk is full, and whether the service may write to ASSAY_LOG",
            ),
        ),
        Signal(
            "Predictions a second",
            or_none(f"sum by (job) (rate(assay_predictions_total{{{job}}}[1h]))"),
            "reqps",
            alert=Alert(
                "AssaySilent",
                "<=",
                0,
                f"{SILENT.days}d",
                f"No prediction for {SILENT.days} days",
                "see whether clients still ask this service",
                "ticket",
            ),
        ),
        Signal(
            "Failures of challengers",
            counted("assay_challenger_failures_total"),
            alert=Alert("AssayChallenger", ">", 0, "0m", "A challenger fails", "take it out of traffic.yaml", "ticket"),
        ),
        Signal(
            "Invalid versions of traffic.yaml",
            counted("assay_traffic_errors_total"),
            alert=Alert(
                "AssayTraffic", ">", 0, "0m", "traffic.yaml is invalid", "read the log of the service", "ticket"
            ),
        ),
        Signal(
            "Requests by status",
            by("endpoint, http_response_code", "bentoml_service_request_total"),
            "reqps",
            ("endpoint", "http_response_code"),
        ),
        Signal("Refused requests by reason", by("reason", "assay_refused_requests_total"), "reqps", ("reason",)),
        Signal("Broken contract by column", by("column", "assay_contract_violations_total"), labels=("column",)),
        Signal(
            "Values outside of the training data by column", by("column", "assay_warnings_total"), labels=("column",)
        ),
        Signal(
            "Predictions by version and class",
            by("version, prediction", "assay_predictions_total"),
            labels=("version", "prediction"),
        ),
    ]
    if contract.classes:
        name = "assay_score_bucket"
        found.append(
            Signal(
                "Median score by version",
                f"histogram_quantile(0.5, sum by (version, le) (rate({name}{{{job}}}[5m])))",
                "percentunit",
                ("version",),
            )
        )
    if any(column.kind == "category" for column in contract.features.values()):
        found.append(
            Signal("Unknown categories by column", by("column", "assay_unknown_categories_total"), labels=("column",))
        )
    return found


def _above(name: str, limit: float | None, words: str, what: str) -> Alert | None:
    return None if limit is None else Alert(name, ">", limit, "5m", f"More than {percent(limit)} {words}", what)


def _slower(name: str, limit: float | None, words: str) -> Alert | None:
    if limit is None:
        return None
    what = "see whether the machine is busy, and whether clients send larger requests"
    return Alert(name, ">", limit / 1000, "10m", f"{words} more than {number(limit)} ms", what)


def rules(contract: Contract, watched: Sequence[Signal]) -> dict[str, Any]:
    """Return the content of a rule file of Prometheus."""
    # Labels and annotations are templates.
    named = contract.name.replace("{{", '{{"{{"}}')
    made = [
        {
            "alert": alert.name,
            "expr": one.condition(),
            "for": alert.lasts,
            "labels": {"severity": alert.severity, "project": named},
            "annotations": {"summary": f"{named}: {alert.words}", "description": f"What to do: {alert.what}."},
        }
        for one in watched
        if (alert := one.alert)
    ]
    return {"groups": [{"name": f"assay {contract.name}", "rules": made}]}


def dashboard(contract: Contract, watched: Sequence[Signal]) -> dict[str, Any]:
    """Return a dashboard that Grafana can import: a panel for each signal, with the limit of its alert as a line."""
    source = {"type": "prometheus", "uid": "${source}"}
    panels = [
        {
            "id": place + 1,
            "type": "timeseries",
            "title": one.title,
            "datasource": source,
            "gridPos": {
                "x": WIDTH * (place % ACROSS),
                "y": HEIGHT * (place // ACROSS),
                "w": WIDTH,
                "h": HEIGHT,
            },
            "fieldConfig": {"defaults": {"unit": one.unit, **_limit(one)}, "overrides": []},
            "targets": [
                {
                    "refId": "A",
                    "datasource": source,
                    "expr": one.expression,
                    "legendFormat": " ".join(f"{{{{{label}}}}}" for label in one.labels) or one.title,
                }
            ],
        }
        for place, one in enumerate(watched)
    ]
    variable = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": None,
        "title": f"Model {contract.name}",
        "tags": ["assay"],
        "schemaVersion": SCHEMA,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [variable]},
        "panels": panels,
    }


def _limit(one: Signal) -> dict[str, Any]:
    if one.alert is None:
        return {}
    steps = [{"color": "green", "value": None}, {"color": "red", "value": one.alert.limit}]
    if one.alert.sign.startswith("<"):
        steps = [{"color": "red", "value": None}, {"color": "green", "value": one.alert.limit}]
    return {"thresholds": {"mode": "absolute", "steps": steps}, "custom": {"thresholdsStyle": {"mode": "line"}}}
