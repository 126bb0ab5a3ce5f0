"""The comment on a pull request, from data that a stranger may have written."""

import re
from typing import Any

from assay.base.errors import InputError
from assay.base.outcomes import overall, was_judged
from assay.gates.gate import GATES
from assay.gates.overrides import may_override
from assay.report.content import commands, next_steps
from assay.report.data import Outcome, read
from assay.report.markdown import MOST_CHARACTERS, markdown
from assay.report.text import code, plain
from assay.report.view import view

# Finds the comment again; invisible, and no text of a report can hold it.
MARKER = "<!-- assay: report -->"
# A commit status has at most 140 characters.
MOST_STATUS = 140
STATES = {"PROMOTE": "success", "HOLD": "pending", "REJECT": "failure"}


def rederive_verdict(report: dict[str, Any], commit: str | None = None, refreshed: str | None = None) -> dict[str, Any]:
    """Return the data of a report in which nothing is believed that follows from something else.

    The verdict is derived from the outcomes again, next steps and commands from the verdict. A gate without an outcome
    holds, an override counts only where there may be one. `commit` is the one that the run was of, `refreshed` the one
    that brought its dvc.lock since.

    Raises InputError for data of another shape, of another commit, or with two outcomes of one gate.
    """
    typed = read(report)
    base = typed.reproduce.base if typed.reproduce else None
    for name, found in {"candidate": typed.verdict.candidate.commit, "base": base}.items():
        if found is not None and not re.fullmatch(r"[0-9a-f]{40}", found):
            raise InputError(f"report.json: {name}: is no commit")
    if commit and typed.verdict.candidate.commit != commit:
        raise InputError(f"report.json: is not of {commit}, the commit that was run")
    outcomes = {one.gate: one for one in typed.verdict.outcomes}
    if len(outcomes) < len(typed.verdict.outcomes):
        raise InputError("report.json: holds two outcomes of one gate")
    for gate in (one.name for one in GATES):
        outcomes.setdefault(gate, Outcome(gate=gate, verdict="HOLD", reason="the run says nothing of this gate"))
    lock = outcomes["lock"]
    if _wrote_lock(lock):
        if refreshed:
            reason = "this run wrote dvc.lock, and it is committed to the branch"
            outcomes["lock"] = lock.model_copy(update={"reason": reason})
        elif lock.verdict == "PROMOTE":
            reason = "the dvc.lock of this commit belongs to other code, data or parameters; commit the new one"
            outcomes["lock"] = lock.model_copy(update={"verdict": "HOLD", "reason": reason})
    overrides = [
        one
        for one in typed.verdict.overrides
        if one.gate in outcomes and may_override(one.gate, outcomes[one.gate].verdict)
    ]
    accepted = {one.gate for one in overrides}
    made = typed.model_dump(mode="json")
    made["verdict"] |= {
        "verdict": overall([one.verdict for one in outcomes.values() if one.gate not in accepted]),
        "outcomes": [one.model_dump(mode="json", exclude={"measured", "limit"}) for one in outcomes.values()],
        "overrides": [one.model_dump(mode="json") for one in overrides],
    }
    unjudged = {one.gate for one in outcomes.values() if not was_judged(one.measured)}
    limits = outcomes["limits"].measured.get("limits")
    made["next"] = next_steps(made["verdict"], unjudged, limits=limits if isinstance(limits, str) else None)
    if made["reproduce"]:
        made["reproduce"]["commands"] = commands(typed.verdict.candidate.commit, base)
    return made


def comment(report: dict[str, Any], template: str | None, run: str | None = None) -> str:
    """Return the Markdown of a comment, at most 60,000 characters, with a link to the run.

    Raises InputError as `assay.report.markdown.markdown` does.
    """
    end = f"\n[The whole run, with every plot and the model card]({run})\n" if run else ""
    return f"{MARKER}\n{markdown(report, template, MOST_CHARACTERS - len(MARKER) - len(end) - 1)}{end}"


def failure_comment(reason: str, run: str | None) -> str:
    """Return the Markdown of the comment on a run that left nothing to report."""
    end = f"\n[Its log says more]({run})\n" if run else ""
    return f"{MARKER}\n## ⛔ There is no report\n\n{code(reason, MOST_STATUS * 2)}\n{end}"


def status(report: dict[str, Any]) -> tuple[str, str]:
    """Return state and description of the commit status: HOLD waits for somebody, and blocks as REJECT does."""
    shown = view(read(report))
    return STATES[shown["verdict"]], plain(f"{shown['verdict']}: {shown['reason']}", MOST_STATUS)


def _wrote_lock(lock: Outcome) -> bool:
    """Say whether the run wrote another dvc.lock than the one of its commit."""
    fresh = lock.measured.get("fresh")
    return isinstance(fresh, dict) and fresh.get("refreshed") is True
