"""The comment on a pull request, from untrusted data."""

import re
from typing import Any

from assay.base.errors import InputError
from assay.base.outcomes import overall, was_judged
from assay.gates.gate import GATES
from assay.gates.overrides import may_override
from assay.report.content import commands, next_steps
from assay.report.data import GateOutcome, read
from assay.report.markdown import MOST_CHARACTERS, markdown
from assay.report.text import code, plain
from assay.report.view import view

# An invisible marker to find the comment again; texts of a report cannot contain it.
MARKER = "<!-- assay: report -->"
# A commit status has at most 140 characters.
MOST_STATUS = 140
# What is wrong with a commit whose checks did not start, and what to do.
UNCHECKED = "ci did not start: start it on this branch (Actions, ci, Run workflow)"
STATES = {"PROMOTE": "success", "HOLD": "pending", "REJECT": "failure"}


def rederive_verdict(report: dict[str, Any], commit: str | None = None, refreshed: str | None = None) -> dict[str, Any]:
    """Return the data of a report with all derived parts computed again.

    The verdict is derived from the outcomes, next steps and commands from the verdict. A gate without an outcome is
    HOLD; an override counts only if it is allowed. `commit` is the commit of the run, `refreshed` the later commit
    with its refreshed dvc.lock.

    Raises InputError if the data has the wrong shape, another commit, or two outcomes for one gate.
    """
    typed = read(report)
    base = typed.reproduce.base if typed.reproduce else None
    for name, found in {"candidate": typed.verdict.candidate.commit, "base": base}.items():
        if found is not None and not re.fullmatch(r"[0-9a-f]{40}", found):
            raise InputError(f"report.json: {name}: not a commit hash")
    if commit and typed.verdict.candidate.commit != commit:
        raise InputError(f"report.json: not for commit {commit}, which was run")
    outcomes = {one.gate: one for one in typed.verdict.outcomes}
    if len(outcomes) < len(typed.verdict.outcomes):
        raise InputError("report.json: contains two outcomes for one gate")
    for gate in (one.name for one in GATES):
        outcomes.setdefault(gate, GateOutcome(gate=gate, verdict="HOLD", reason="the run has no outcome for this gate"))
    lock = outcomes["lock"]
    if _wrote_lock(lock) and lock.verdict == "PROMOTE":
        if refreshed:
            change = {"reason": "the dvc.lock that this run wrote is committed to the branch"}
        else:
            reason = "the dvc.lock of this commit does not match its code, data or parameters; commit the new dvc.lock"
            change = {"verdict": "HOLD", "reason": reason}
        outcomes["lock"] = lock.model_copy(update=change)
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


def comment(report: dict[str, Any], template: str | None, run: str | None = None, note: str = "") -> str:
    """Return the Markdown of a comment, at most 60,000 characters, with a note at the top and a link to the run.

    Raises InputError as `assay.report.markdown.markdown` does.
    """
    end = f"\n[The full run, with all plots and the model card]({run})\n" if run else ""
    start = f"{MARKER}\n> [!WARNING]\n> {note}\n\n" if note else f"{MARKER}\n"
    return f"{start}{markdown(report, template, MOST_CHARACTERS - len(start) - len(end))}{end}"


def failure_comment(reason: str, run: str | None) -> str:
    """Return the Markdown of the comment on a run without a report."""
    end = f"\n[See its log]({run})\n" if run else ""
    return f"{MARKER}\n## ⛔ There is no report\n\n{code(reason, MOST_STATUS * 2)}\n{end}"


def status(report: dict[str, Any]) -> tuple[str, str]:
    """Return state and description of the commit status; HOLD is pending and blocks like REJECT."""
    shown = view(read(report))
    return STATES[shown["verdict"]], plain(f"{shown['verdict']}: {shown['reason']}", MOST_STATUS)


def _wrote_lock(lock: GateOutcome) -> bool:
    """Return whether the run wrote another dvc.lock than the committed one."""
    fresh = lock.measured.get("fresh")
    return isinstance(fresh, dict) and fresh.get("refreshed") is True
