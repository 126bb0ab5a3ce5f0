from contextlib import nullcontext
from dataclasses import fields, replace
from importlib import import_module
from typing import get_type_hints

import pytest

from assay.base.outcomes import Outcome, was_judged
from assay.gates import verdict
from assay.gates.evidence import Evidence, changed_predictions
from assay.gates.gate import GATES, Gate
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.gates.overrides import may_override
from assay.gates.repository import Repository
from assay.gates.verdict import ask, judge
from assay.project.fingerprint import SOURCE, part_files
from assay.report.content import next_steps
from judged import answers, evidence, params, scores
from patients import patients

TARGET = patients(400)[1]
MADE = evidence(answers(scores(TARGET, 0.6), TARGET), None)
WITHOUT_A_MODEL = Evidence(
    **{field.name: getattr(MADE, field.name) for field in fields(Evidence)} | {"unjudged": "the pipeline stopped"}
)


def gate(name: str) -> Gate:
    return next(one for one in GATES if one.name == name)


def judged(made: Evidence, monkeypatch: pytest.MonkeyPatch) -> dict[str, Outcome]:
    """Return the outcomes of a verdict on evidence, in which every gate that can judge passes."""
    monkeypatch.setattr(verdict, "gather", lambda change: nullcontext(made))
    monkeypatch.setattr(Gate, "judge", property(lambda gate: lambda evidence: Outcome(gate.name, "PROMOTE", "well")))
    found = judge(made.change)
    assert [one["gate"] for one in found.verdict["outcomes"]] == [one.name for one in GATES]
    return {one["gate"]: Outcome(**one) for one in found.verdict["outcomes"]}


@pytest.mark.parametrize("one", GATES, ids=[one.name for one in GATES])
def test_every_gate_has_a_module_of_its_name_that_judges_evidence(one: Gate):
    hints = get_type_hints(import_module(f"assay.gates.{one.name}").judge)
    assert set(hints) == {"evidence", "return"}
    assert issubclass(hints["evidence"], Evidence)
    assert (hints["evidence"] is not Evidence) == one.on_model
    assert hints["return"] is Outcome
    assert one.advice


def test_every_gate_is_among_the_code_that_judges():
    assert {SOURCE / f"gates/{one.name}.py" for one in GATES} <= part_files("judge")


def test_a_verdict_has_an_outcome_of_every_gate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.yaml").write_text("name: x\n")
    assert {one.verdict for one in judged(MADE, monkeypatch).values()} == {"PROMOTE"}


def test_without_a_model_the_gates_on_it_hold_and_are_marked_as_unjudged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.yaml").write_text("name: x\n")
    found = judged(WITHOUT_A_MODEL, monkeypatch)
    for one in GATES:
        assert found[one.name].verdict == ("HOLD" if one.on_model else "PROMOTE")
        assert was_judged(found[one.name].measured) != one.on_model
        assert (found[one.name].reason == "not judged: the pipeline stopped") == one.on_model


def test_a_gate_that_raises_is_held_with_the_error(tmp_path, monkeypatch):
    def fail(evidence: Evidence) -> Outcome:
        raise KeyError("no such thing")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.yaml").write_text("name: x\n")
    monkeypatch.setattr(verdict, "gather", lambda change: nullcontext(MADE))
    monkeypatch.setattr(Gate, "judge", property(lambda gate: fail))
    found = judge(MADE.change)
    assert found.failed
    assert {(one["verdict"], one["reason"]) for one in found.verdict["outcomes"]} == {
        ("HOLD", "the gate failed (KeyError: 'no such thing')")
    }


def test_a_gate_that_is_switched_off_is_skipped_and_one_without_limit_held():
    off = replace(MADE, params=params(slices={"enabled": False}))
    assert ask(gate("slices"), off).verdict == "SKIP"
    unset = replace(MADE, params=params(slices={"margin": None}))
    outcome = ask(gate("slices"), unset)
    assert (outcome.verdict, "gates.slices.margin" in outcome.reason) == ("HOLD", True)


def test_a_service_is_not_judged_where_the_pipeline_stopped():
    stopped = replace(WITHOUT_A_MODEL, repository=Repository(stale=("train",)), same_service=True)
    outcome = ask(gate("service"), stopped)
    assert (outcome.verdict, was_judged(outcome.measured)) == ("HOLD", False)


def test_a_service_that_is_the_champions_passes_and_one_that_was_not_loaded_holds():
    assert ask(gate("service"), replace(MADE, same_service=True)).verdict == "PROMOTE"
    outcome = ask(gate("service"), MADE)
    assert (outcome.verdict, outcome.reason.startswith("not measured: ")) == ("HOLD", True)


@pytest.mark.parametrize("text", ["no champion yet", "could not be restored", ""])
@pytest.mark.parametrize("name", ["quality", "slices", "calibration", "robustness"])
@pytest.mark.parametrize(("kind", "held"), [(ObstacleKind.NO_CHAMPION, False), (ObstacleKind.NOT_RESTORED, True)])
def test_the_kind_of_an_obstacle_decides_whatever_its_text_says(text: str, name: str, kind: ObstacleKind, held: bool):
    outcome = ask(gate(name), replace(MADE, obstacle=Obstacle(kind=kind, text=text)))
    assert (outcome.verdict == "HOLD") is held


def stopped(name: str, verdict: str, reason: str) -> dict[str, object]:
    return {
        "outcomes": [{"gate": name, "verdict": verdict, "reason": reason}],
        "overrides": [],
        "champion": None,
        "candidate": {"model": "a" * 32, "contract": "c" * 64},
    }


@pytest.mark.parametrize("reason", ["not judged: the pipeline stopped", "Es wurde nicht geurteilt"])
def test_the_next_step_goes_by_whether_a_gate_judged_and_not_by_its_words(reason: str):
    verdict = stopped("quality", "HOLD", reason)
    assert next_steps(verdict, {"quality"}) == ["Run `make repro` to see why the pipeline stopped."]
    judged = next_steps(verdict, set())
    assert judged[0] == f"quality: {gate('quality').advice}"
    assert "the model owner adds gate, by, why" in judged[1]


def test_data_that_no_clone_could_fetch_is_the_first_step():
    passed = stopped("quality", "PROMOTE", "good") | {"champion": {"commit": "a"}}
    steps = next_steps(passed, set(), uncommitted=["data.dvc"], unpushed=["data.dvc"])
    assert "run `assay remote push`, and commit `.dvc/embedded`" in steps[0]
    assert [step[:6] for step in steps[1:]] == ["Commit", "The ch"]
    assert next_steps(passed, set()) == ["The change can be merged."]


@pytest.mark.parametrize("one", GATES, ids=[one.name for one in GATES])
def test_a_rejection_of_contract_or_leakage_is_final(one: Gate):
    assert one.final == (one.name in ("contract", "leakage"))
    assert may_override(one.name, "REJECT") != one.final
    assert may_override(one.name, "HOLD")
    assert len(next_steps(stopped(one.name, "REJECT", "bad"), set())) == (1 if one.final else 2)


def test_stored_answers_that_come_out_the_same_are_no_obstacle():
    assert changed_predictions(scores(TARGET, 0.6), scores(TARGET, 0.6).tolist()) == ""
    numbers = TARGET * 1e9
    assert changed_predictions(numbers + 1.0, numbers.tolist()) == ""


def test_stored_answers_that_changed_are_an_obstacle_that_says_by_how_much():
    given = scores(TARGET, 0.6)
    for changed, by in ((given + 0.001, "0.001"), (given[:3], "inf"), (given * float("nan"), "nan")):
        assert f"stored predictions changed with this version of Assay or its libraries: by {by} (limit 1e-06)" in (
            changed_predictions(changed, given.tolist())
        )
