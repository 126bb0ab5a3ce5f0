"""The verdict on a change: every gate is asked, and nothing else counts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from assay.base.errors import InputError
from assay.base.outcomes import Outcome, overall
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.data.check import check, kept
from assay.data.leakage import class_shares, duplicates
from assay.data.reading import read_table
from assay.data.versions import Version
from assay.gates import (
    calibration,
    contract,
    dominance,
    expectations,
    fairness,
    leakage,
    limits,
    lock,
    parity,
    quality,
    reproducibility,
    robustness,
    service,
    slices,
)
from assay.gates.evidence import Champion, Evidence, champion_of, gather
from assay.gates.loadtest import LOADTEST, read_loadtest, unfit
from assay.gates.overrides import applying, load_overrides
from assay.project.change import Change
from assay.project.dvc import stale_stages
from assay.project.fingerprint import PROCESS
from assay.project.history import dirty_files, file_at
from assay.project.identity import LOCK, identity
from assay.project.packed import is_same_service
from assay.project.params import Params, load_params
from assay.project.pipeline import locked_stages
from assay.project.settings import PARAMS

# What `dvc repro` itself changes.
MADE = {"dvc.lock", "metrics.json", PROCESS.as_posix()}
# In the order of the report. Those of the second group look at the trained model.
MODEL_GATES: dict[str, Callable[[Evidence], Outcome]] = {
    "leakage": leakage.judge,
    "reproducibility": reproducibility.judge,
    "quality": quality.judge,
    "slices": slices.judge,
    "calibration": calibration.judge,
    "robustness": robustness.judge,
    "dominance": dominance.judge,
    "fairness": fairness.judge,
    "expectations": expectations.judge,
    "parity": parity.judge,
}


@dataclass(frozen=True)
class Judgement:
    """A verdict in the shape of reports/verdict.json, the seconds that each gate took, and the champion.

    `failed` says that something went wrong in judging, which may go better the next time.
    """

    verdict: dict[str, Any]
    seconds: dict[str, float]
    champion: Champion | None
    failed: bool


def judge(change: Change) -> Judgement:
    """Judge what the pipeline left here against the champion of the change.

    Raises InputError when the configuration is wrong. Whatever else is missing or fails is HOLD, with the reason.
    """
    params, spec, overrides = load_params(), load_contract(), load_overrides()
    start, is_new_problem = change.start, change.is_new_problem
    stale = stale_stages()
    seconds: dict[str, float] = {}
    outcomes: list[Outcome] = []
    failures: list[str] = []

    def ask(gate: str, look: Callable[[], Outcome]) -> None:
        began = time.monotonic()
        try:
            outcomes.append(_asked(gate, params, look))
        # A gate that fails has not judged, whatever it failed of.
        except Exception as error:
            failures.append(gate)
            outcomes.append(Outcome(gate, "HOLD", f"the gate failed ({one_line(error)})"))
        seconds[gate] = time.monotonic() - began
        say(f"  {gate}: {outcomes[-1].verdict}: {outcomes[-1].reason}")

    champion, obstacle = None, ""
    try:
        champion = champion_of(change.champion)
    # Whatever a champion of other code, or of a torn cache, raises: it cannot be compared with, and that is HOLD.
    except Exception as error:
        obstacle = f"the champion of {str(start)[:10]} could not be restored ({one_line(error)})"
        failures.append("champion")
    table, violations = read_table(spec.data, spec)
    held = kept(table, violations + check(table, spec), spec)
    ask("contract", lambda: _data(table, held, spec, params, champion, is_new_problem=is_new_problem))
    ask(
        "lock",
        lambda: lock.judge(stale, _refreshed(change.head), None if start is None else file_at(start, lock.PIPELINE)),
    )
    ask("limits", lambda: _limits(start, is_new_problem=is_new_problem))
    evidence, missing = None, ""
    if stale:
        missing = f"not judged: the pipeline did not get through ({', '.join(stale)})"
    else:
        try:
            evidence = gather(params, spec, table, champion, obstacle)
        # Missing, torn or foreign files raise errors of many kinds, and each means that there is no evidence.
        except Exception as error:
            missing = f"not judged: there is no evidence ({one_line(error)})"
            failures.append("evidence")
    for gate, look in MODEL_GATES.items():
        ask(gate, partial(_look, gate, look, evidence, missing))
    ask(
        "service", lambda: Outcome("service", "HOLD", missing) if stale else _service(params, change.champion, champion)
    )
    candidate = identity(change.head, Path())
    applied = applying(overrides, outcomes, candidate["model"])
    counted = [o.verdict for o in outcomes if o.gate not in {override.gate for override in applied}]
    verdict = {
        "verdict": overall(counted),
        "candidate": candidate,
        "champion": None if champion is None else identity(champion.commit, champion.folder),
        "outcomes": [outcome.as_dict() for outcome in outcomes],
        "overrides": [override.model_dump(include={"gate", "by", "why"}) for override in applied],
    }
    return Judgement(verdict, seconds, champion, bool(failures))


def _look(gate: str, look: Callable[[Evidence], Outcome], evidence: Evidence | None, missing: str) -> Outcome:
    return Outcome(gate, "HOLD", missing) if evidence is None else look(evidence)


def _service(params: Params, commit: str | None, champion: Champion | None) -> Outcome:
    """Ask the service gate, about a load test of what lies here beside the champion; the same needs none."""
    limits = params.gates.service
    if champion is not None and is_same_service(champion.folder):
        reason = (
            "model, contract, parameters, requirements and code of the service are the champion's, to the last byte"
        )
        return Outcome("service", "PROMOTE", reason)
    try:
        found = read_loadtest()
    except InputError as error:
        return Outcome("service", "HOLD", f"not measured: {str(error).partition(';')[0]}; run `make loadtest`")
    if why := unfit(found, limits, commit):
        return Outcome("service", "HOLD", f"not measured: {LOADTEST} {why}; run `make loadtest`")
    return service.judge(found, limits)


def _asked(gate: str, params: Params, look: Callable[[], Outcome]) -> Outcome:
    """Return the outcome of a gate: SKIP if it is switched off, HOLD if a limit is missing."""
    settings = getattr(params.gates, gate, None)
    if settings is not None:
        if not settings.enabled:
            return Outcome(gate, "SKIP", f"switched off: gates.{gate}.enabled in params.yaml")
        unset = [name for name, value in settings.model_dump().items() if value is None]
        if unset:
            return Outcome(
                gate, "HOLD", f"params.yaml sets no limit gates.{gate}.{unset[0]}, and without it nothing passes"
            )
    return look()


def _limits(start: str | None, *, is_new_problem: bool) -> Outcome:
    now = PARAMS.read_bytes()
    if start is None:
        return limits.judge(now, None)
    code = limits.rewritten(start, is_new_problem=is_new_problem)
    if not is_new_problem:
        return limits.judge(now, file_at(start, PARAMS), code)
    if code:
        return limits.judge(now, now, code)
    return Outcome("limits", "SKIP", "another problem has limits of its own; the code that judges is as it was")


def _refreshed(head: str | None) -> bool:
    """Say whether the commit's own dvc.lock is not the one that its code, data and parameters give."""
    committed = None if head is None else file_at(head, LOCK)
    if committed is None or not set(dirty_files()) <= MADE:
        return False
    now = LOCK.read_text(encoding="utf-8")
    return _sources(locked_stages(committed.decode())) != _sources(locked_stages(now))


def _sources(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dvc.lock was made from, without what the stages made: that may differ from machine to machine."""
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
    return {
        name: {
            "cmd": stage.get("cmd"),
            "params": stage.get("params"),
            "deps": {dep["path"]: dep.get("md5") for dep in stage.get("deps", []) if dep["path"] not in made},
        }
        for name, stage in stages.items()
    }


def one_line(error: Exception) -> str:
    """Return an error in one line: a message for people as it is, any other with its kind."""
    said = " ".join(str(error).split())[:300]
    return said if isinstance(error, InputError) else f"{type(error).__name__}: {said}"


def _data(
    table: pa.Table,
    held: Outcome,
    spec: Contract,
    params: Params,
    champion: Champion | None,
    *,
    is_new_problem: bool,
) -> Outcome:
    """Ask the contract gate, about the data by itself and beside the champion's."""
    looks = (duplicates, class_shares) if held.verdict == "PROMOTE" else ()
    checks = [held, *(look(table, spec, params.validate_) for look in looks)]
    if is_new_problem:
        checks.append(contract.OTHER_PROBLEM)
    before = None if champion is None else Version(champion.rows, champion.contract)
    return contract.judge(checks, before, Version(table, spec), params.gates.contract)
