"""Each section of the report comes from what a gate measured: what the gate no longer writes, the report misses."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.base.outcomes import Outcome, not_judged
from assay.data.versions import Version
from assay.gates import contract as contract_gate
from assay.gates import expectations, quality, service, slices
from assay.gates.findings import FIGURES, Expected
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.project.params import ContractGate
from assay.report import content as module
from assay.report.content import content, params_changed
from assay.report.data import ParamChange, read
from judged import answers, evidence, params, scores, table
from loads import loadtest, side
from patients import contract, patients
from project.repositories import commit, git

TARGET = patients(400)[1]
BETTER, WORSE = answers(scores(TARGET, 0.6), TARGET), answers(scores(TARGET, 2.5), TARGET)
CONTRACT = contract()
LIMITS = ContractGate(
    rewritten=0.01, removed=0.05, class_change=0.05, missing_change=0.05, drift=0.2, significance=0.01
)
NOTHING: dict[str, Any] = {"metrics": [], "slices": [], "drift": [], "expectations": [], "service": []}


def test_changed_parameters_are_what_the_report_takes_also_lists():
    mean = "model: {family: mean, parameters: {}, members: [{family: linear, parameters: {C: 1.5}}]}\n"
    changes = params_changed("seed: 1\nmodel: {family: linear, parameters: {C: 2}}\n", f"seed: 1\n{mean}")
    found = {one.name: (one.before, one.now) for one in (ParamChange(**change) for change in changes)}
    assert found == {
        "model.family": ("linear", "mean"),
        "model.parameters.C": (2, None),
        "model.members": (None, '[{"family": "linear", "parameters": {"C": 1.5}}]'),
    }
    assert [one["name"] for one in params_changed("", mean)] == ["model.family", "model.members"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty project with one commit, of the contract of `patients`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "load_contract", lambda: CONTRACT)
    monkeypatch.setattr(module, "load_params", params)
    git("init", "--quiet", "--initial-branch", "main")
    return commit("params.yaml", "seed: 1\n")


def reported(*outcomes: Outcome, base: str | None = None) -> dict[str, Any]:
    """Return the data of the report on a verdict with these outcomes, which has the shape of a report."""
    verdict = {
        "verdict": "HOLD",
        "candidate": {"commit": base, "data": None, "model": "a" * 32, "contract": None},
        "champion": None,
        "outcomes": [outcome.as_dict() for outcome in outcomes],
        "overrides": [],
    }
    found = content(verdict, None, base, seconds={}, began=0.0)
    read(found)
    return found


def test_metrics_come_from_the_quality_gate_with_difference_and_direction(start: str):
    rows = reported(quality.judge(evidence(BETTER, WORSE)))["metrics"]
    auc = next(row for row in rows if row["name"] == "roc_auc")
    assert auc["decides"]
    assert auc["direction"] == "better"
    assert auc["difference"]["low"] > 0
    assert auc["champion"]["value"] == pytest.approx(auc["candidate"]["value"] - auc["difference"]["value"])
    alone = reported(quality.judge(evidence(BETTER, None)))["metrics"]
    assert {row["name"] for row in alone} == {row["name"] for row in rows}
    assert {row["difference"] for row in alone} == {None}


def test_slices_come_from_the_slices_gate(start: str):
    by_ward = contract(slices=[{"column": "ward"}])
    outcome = slices.judge(evidence(WORSE, BETTER, spec=by_ward, params=params(slices={"min_rows": 20})))
    shown = reported(outcome)["slices"]
    assert [row["slice"] for row in shown] == [row["slice"] for row in outcome.measured["slices"]]
    assert shown
    assert {row["verdict"] for row in shown} <= {"worse", "better", "no clear difference"}


def test_drift_and_rows_and_contract_come_from_the_contract_gate(start: str):
    before, now = table(400), pa.concat_tables([table(400), table(60, seed=7)])
    other = contract(sensitive=["smoker"])
    held = [Outcome("contract", "PROMOTE", "keeps to it")]
    outcome = contract_gate.compare(held, Version(before, CONTRACT), Version(now, other), LIMITS)
    found = reported(outcome, base=start)
    assert {row["column"] for row in found["drift"]} == set(CONTRACT.features)
    assert found["changed"]["data"]["rows"] == {"before": 400, "now": 460, "kept": 400, "added": 60, "removed": 0}
    assert found["changed"]["contract"] == ["sensitive: smoker added"]


def test_data_that_is_compared_with_none_has_no_drift(start: str):
    held = [Outcome("contract", "PROMOTE", "keeps to it"), contract_gate.OTHER_PROBLEM]
    found = reported(contract_gate.compare(held, None, Version(table(), CONTRACT), LIMITS), base=start)
    assert (found["drift"], found["changed"]["data"], found["changed"]["contract"]) == ([], None, [])


def test_expectations_come_from_the_expectations_gate(start: str):
    results = [Expected("older_is_sicker", False, 12, "it fell", {"age": 3}), Expected("still", True, 9)]
    assert reported(expectations.outcome(results, 10))["expectations"] == [
        {"name": "older_is_sicker", "held": False, "examples": 12, "row": {"age": 3}, "said": "it fell"},
        {"name": "still", "held": True, "examples": 9, "row": None, "said": ""},
    ]


@pytest.mark.parametrize("champion", [side(seed=1), None], ids=["compared", "alone"])
def test_every_figure_of_the_service_comes_from_the_service_gate(start: str, champion: dict[str, Any] | None):
    shown = reported(service.compare(loadtest(side(), champion), params().gates.service))["service"]
    assert [row["figure"] for row in shown] == list(FIGURES.values())
    assert all(row["candidate"] is not None for row in shown)
    assert {row["champion"] is None for row in shown} == {champion is None}


@pytest.mark.parametrize("gate", ["quality", "slices", "expectations", "contract", "service"])
def test_a_gate_that_did_not_judge_leaves_its_section_empty(start: str, gate: str):
    for outcome in (not_judged(gate, "the pipeline stopped"), Outcome(gate, "HOLD", "the gate failed (x)")):
        found = reported(outcome, base=start)
        assert {name: found[name] for name in NOTHING} == NOTHING


def renamed(measured: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {f"{key}_" if key == name else key: value for key, value in measured.items()}


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (quality.judge(evidence(BETTER, WORSE)), "metrics"),
        (slices.judge(evidence(WORSE, BETTER, spec=contract(slices=[{"column": "ward"}]))), "slices"),
        (expectations.outcome([Expected("still", True, 9)], 10), "expectations"),
    ],
    ids=["quality", "slices", "expectations"],
)
def test_a_field_that_is_missing_is_an_error_and_no_empty_section(start: str, outcome: Outcome, name: str):
    with pytest.raises(InputError, match=f"reports/verdict.json: {name}: .*; run `assay gate` again"):
        reported(replace(outcome, measured=renamed(outcome.measured, name)))


def test_slices_that_are_not_compared_leave_no_rows(start: str):
    gone = Obstacle(kind=ObstacleKind.NOT_RESTORED, text="it is gone")
    assert reported(slices.judge(evidence(BETTER, None, obstacle=gone)))["slices"] == []


def shaped(classes: int) -> dict[str, Any]:
    names = [f"grade {number}" for number in range(classes)]
    points = [{"value": "20", "effects": [0.5] * classes}]
    found = {"of": "log-odds", "scores": names, "features": {"age": points}}
    return {"importance": {"permutation": {"age": 0.1}, "shapes": found}}


@pytest.mark.parametrize(("classes", "shown"), [(1, 1), (10, 1), (41, 0)])
def test_what_a_feature_does_to_so_many_classes_that_no_table_holds_them_is_not_shown(
    classes: int, shown: int, start: str
) -> None:
    write_json(Path("reports/analyse.json"), shaped(classes))
    assert len(reported()["curves"]["shapes"]) == shown
