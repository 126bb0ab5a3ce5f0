"""The verdict on a change, derived from the outcomes of all gates and from nothing else."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.base.errors import with_type
from assay.base.outcomes import Outcome, not_judged, overall
from assay.base.progress import say
from assay.gates.evidence import Champion, Evidence, ModelEvidence, gather
from assay.gates.gate import GATES, Gate
from assay.gates.overrides import Override, applying, load_overrides
from assay.project.change import Change
from assay.project.identity import identity
from assay.project.layout import VERDICT_FORMAT
from assay.project.params import Params


@dataclass(frozen=True)
class Judgement:
    """A verdict in the shape of reports/verdict.json, the seconds that each gate took, and the champion.

    `failed` says that an error occurred while judging, so that another run may give another verdict.
    """

    verdict: dict[str, Any]
    seconds: dict[str, float]
    champion: Champion | None
    failed: bool


def judge(change: Change) -> Judgement:
    """Judge the outputs of the pipeline against the champion of the change.

    Raises InputError if the configuration is wrong or git fails. Any other missing file or failure is HOLD, with the
    reason.
    """
    overrides = load_overrides()
    with gather(change) as evidence:
        return _judgement(change, overrides, evidence)


def _judgement(change: Change, overrides: Sequence[Override], evidence: Evidence) -> Judgement:
    seconds: dict[str, float] = {}
    outcomes: list[Outcome] = []
    failed = evidence.failed
    for gate in GATES:
        began = time.monotonic()
        try:
            outcomes.append(ask(gate, evidence))
        # A gate that raises any error has not judged.
        except Exception as error:
            failed = True
            outcomes.append(Outcome(gate.name, "HOLD", f"the gate failed ({with_type(error)})"))
        seconds[gate.name] = time.monotonic() - began
        say(f"  {gate.name}: {outcomes[-1].verdict}: {outcomes[-1].reason}")
    candidate, champion = identity(change.head, Path()), evidence.champion
    applied = applying(overrides, outcomes, candidate)
    counted = [o.verdict for o in outcomes if o.gate not in {override.gate for override in applied}]
    verdict = {
        "format": VERDICT_FORMAT,
        "verdict": overall(counted),
        "candidate": candidate,
        "champion": None if champion is None else identity(champion.commit, champion.folder),
        "outcomes": [outcome.as_dict() for outcome in outcomes],
        "overrides": [override.model_dump(include={"gate", "by", "why"}) for override in applied],
    }
    return Judgement(verdict, seconds, champion, failed)


def ask(gate: Gate, evidence: Evidence) -> Outcome:
    """Return the outcome of a gate: SKIP if it is switched off, HOLD if a limit is missing or there is no model."""
    if excused := _by_parameters(gate.name, evidence.params):
        return excused
    if gate.on_model and not isinstance(evidence, ModelEvidence):
        return not_judged(gate.name, evidence.unjudged)
    return gate.judge(evidence)


def _by_parameters(gate: str, params: Params) -> Outcome | None:
    settings = getattr(params.gates, gate, None)
    if settings is None:
        return None
    if not settings.enabled:
        return Outcome(gate, "SKIP", f"switched off: gates.{gate}.enabled in params.yaml")
    unset = [name for name, value in settings.model_dump().items() if value is None]
    if not unset:
        return None
    return Outcome(
        gate, "HOLD", f"params.yaml does not set gates.{gate}.{unset[0]}, and the gate cannot pass without it"
    )
