"""The content of the report in its final order and wording, shared by comment, page and terminal."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from assay.base.outcomes import SEVERITY
from assay.base.words import UNKNOWN, between, number, percent, seconds, signed
from assay.report.data import Changed, Cost, Importance, Report, VerdictRecord
from assay.report.figures import figures
from assay.report.mermaid import CANDIDATE, xychart

MARKS = {"PROMOTE": "✅", "HOLD": "✋", "REJECT": "❌", "SKIP": "⚪"}
CHARTED = 10

View = dict[str, Any]


def view(report: Report) -> View:
    """Return the report as nested mappings and lists of texts, the most important entries first.

    The keys are those of the report, and in addition `mark`, `reason`, `figures` (of the curves), `moved` (the features
    whose importance changed most) and `chart` (of the importance).
    """
    verdict = report.verdict
    outcomes = sorted(verdict.outcomes, key=lambda one: -SEVERITY.index(one.verdict))
    slices = sorted(report.slices, key=lambda one: (one.verdict != "worse", -(one.difference or 0.0)))
    drift = sorted(report.drift, key=lambda one: (not one.drifted, -(one.distance or 0.0)))
    driving = sorted(report.explanation, key=lambda one: -one.candidate)
    return {
        "name": report.name,
        "task": report.task,
        "verdict": verdict.verdict,
        "mark": MARKS[verdict.verdict],
        "reason": _reason(verdict),
        "candidate": verdict.candidate.model_dump(),
        "champion": verdict.champion and verdict.champion.model_dump(),
        "overrides": [one.model_dump() for one in verdict.overrides],
        "next": list(report.next),
        "changed": report.changed and _changed(report.changed),
        "outcomes": [
            {"gate": one.gate, "verdict": one.verdict, "mark": MARKS[one.verdict], "reason": one.reason}
            for one in outcomes
        ],
        "confidence": percent(report.confidence),
        "metrics": [
            {
                "name": one.name,
                "better": "higher" if one.higher_is_better else "lower",
                "decides": one.decides,
                "champion": number(one.champion.value if one.champion else None),
                "candidate": number(one.candidate.value),
                "interval": between(one.candidate.low, one.candidate.high),
                "difference": signed(one.difference.value if one.difference else None),
                "noise": between(one.difference.low, one.difference.high, signed) if one.difference else "",
                "direction": one.direction or "",
                "dummy": number(one.dummy),
            }
            for one in sorted(report.metrics, key=lambda one: not one.decides)
        ],
        "slices": [
            {
                "slice": one.slice,
                "rows": number(one.rows),
                "champion": number(one.champion),
                "candidate": number(one.candidate),
                "difference": signed(one.difference),
                "noise": between(one.low, one.high, signed),
                "q": number(one.q),
                "verdict": one.verdict or "",
            }
            for one in slices
        ],
        "figures": figures(report.curves) if report.curves else [],
        "drifted": sum(one.drifted for one in drift),
        "drift": [
            {
                "column": one.column,
                "distance": number(one.distance),
                "q": number(one.q),
                "missing": f"{percent(one.missing_before)} → {percent(one.missing_now)}",
                "drifted": one.drifted,
            }
            for one in drift
        ],
        "expectations": [
            {
                "name": one.name,
                "held": one.held,
                "examples": number(one.examples),
                "row": ", ".join(f"{column} = {_shown(value)}" for column, value in (one.row or {}).items()),
                "said": one.said,
            }
            for one in sorted(report.expectations, key=lambda one: one.held)
        ],
        "explanation": [
            {"feature": one.feature, "candidate": number(one.candidate), "champion": number(one.champion)}
            for one in driving
        ],
        "moved": _moved(driving),
        "alone": report.alone,
        "chart": _importance(driving[:CHARTED]),
        "service": [
            {
                "figure": one.figure,
                "candidate": number(one.candidate, 3),
                "champion": number(one.champion, 3),
                "ratio": number(one.ratio.value if one.ratio else None, 3),
                "noise": between(one.ratio.low, one.ratio.high, partial(number, digits=3)) if one.ratio else "",
                "verdict": one.verdict,
                "mark": MARKS[one.verdict],
            }
            for one in report.service
        ],
        "fitted": report.fitted,
        "card": report.card,
        "reproduce": report.reproduce and report.reproduce.model_dump(),
        "cost": report.cost and _cost(report.cost),
    }


def shortened(view: View, most: Mapping[str, int]) -> tuple[View, dict[str, int]]:
    """Return the view with at most `most[section]` entries per list, and the number cut from each section."""
    left = dict.fromkeys(most, 0)

    def cut(value: Any, section: str) -> Any:
        if isinstance(value, dict):
            return {key: cut(one, section) for key, one in value.items()}
        if not isinstance(value, list | tuple):
            return value
        left[section] += max(0, len(value) - most[section])
        return value[: most[section]]

    return {key: cut(value, key) if key in most else value for key, value in view.items()}, left


def _reason(judgement: VerdictRecord) -> str:
    overridden = {one.gate for one in judgement.overrides}
    decisive = [one for one in judgement.outcomes if one.verdict == judgement.verdict and one.gate not in overridden]
    if judgement.verdict == "PROMOTE":
        skipped = sum(one.verdict == "SKIP" for one in judgement.outcomes)
        said = [
            # If all gates pass, readers want to know about quality.
            *(f"{one.gate}: {one.reason};" for one in decisive if one.gate == "quality"),
            f"{len(decisive)} of {len(judgement.outcomes)} gates passed",
            *([f"and {skipped} did not apply"] if skipped else []),
            *([f"({len(overridden)} overridden)"] if overridden else []),
        ]
        return " ".join(said)
    if not decisive:
        return "no gate gave a reason"
    others = len(decisive) - 1
    more = f" (and {others} more {'gate' if others == 1 else 'gates'})" if others else ""
    return f"{decisive[0].gate}: {decisive[0].reason}{more}"


def _changed(changed: Changed) -> View:
    rows = changed.data and changed.data.rows
    sentence = ""
    if rows:
        sentence = f"{number(rows.now)} rows, "
        sentence += (
            f"{number(rows.before)} before: {number(rows.kept)} kept, {number(rows.added)} added, "
            f"{number(rows.removed)} removed"
            if rows.added or rows.removed
            else "the same as before"
        )
    rewritten = sorted((changed.data.rewritten if changed.data else {}).items(), key=lambda one: -one[1])
    return {
        "data": sentence,
        "rewritten": [{"column": column, "rows": number(count)} for column, count in rewritten],
        "added": list(changed.columns.added) if changed.columns else [],
        "removed": list(changed.columns.removed) if changed.columns else [],
        "contract": list(changed.contract),
        "params": [{"name": p.name, "before": _shown(p.before), "now": _shown(p.now)} for p in changed.params],
        "code": [{"path": c.path, "added": f"+{c.added}", "removed": f"-{c.removed}"} for c in changed.code],
        "environment": [
            {"package": p.package, "before": _shown(p.before), "now": _shown(p.now)} for p in changed.environment
        ],
        "commits": list(changed.commits),
    }


def _cost(cost: Cost) -> View:
    ran = [one.seconds for one in cost.stages if not one.cached] + [one.seconds for one in cost.gates]
    cached = [one.seconds for one in cost.stages if one.cached]
    return {
        "total": seconds(sum(ran)),
        "saved": seconds(sum(cached)),
        "cached": len(cached),
        "of": len(cost.stages),
        "stages": [{"stage": s.stage, "seconds": seconds(s.seconds), "cached": s.cached} for s in cost.stages],
        "gates": [{"gate": one.gate, "seconds": seconds(one.seconds)} for one in cost.gates],
    }


def _shown(value: Any) -> str:
    """Return a value as in YAML: unlike a measurement, a parameter is not rounded."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _moved(driving: list[Importance]) -> list[View]:
    compared = [(one, one.candidate - one.champion) for one in driving if one.champion is not None]
    most = sorted(((one, by) for one, by in compared if by), key=lambda pair: -abs(pair[1]))[:3]
    return [{"feature": one.feature, "by": signed(by)} for one, by in most]


def _importance(driving: list[Importance]) -> str:
    return xychart(
        ("", [one.feature for one in driving]),
        "increase in loss when shuffled",
        [("bar", CANDIDATE, [one.candidate for one in driving])],
        horizontal=True,
    )
