"""Quality: not worse than the champion on the same rows, above the floor and above the dummy baseline."""

from dataclasses import asdict, replace

from assay.base.outcomes import Outcome, Verdict, combined
from assay.base.rounding import significant
from assay.base.words import decimal
from assay.evaluation.metrics import Metric, estimate, metrics_for
from assay.gates.comparing import (
    compare_with_limit,
    difference,
    interval_options,
    non_inferiority,
    not_compared,
    rounded,
    with_interval,
)
from assay.gates.evidence import ModelEvidence
from assay.gates.findings import Interval, Quality
from assay.statistics.bootstrap import Estimate

# Floating-point results differ between machines, and so may the order of two rows.
SAME = 1e-3


def judge(evidence: ModelEvidence) -> Outcome:
    """Compare the deciding metric with the champion, the floor and the dummy baseline."""
    name = evidence.params.gates.quality.metric
    known = {metric.name: metric for metric in metrics_for(evidence.contract)}
    if name not in known:
        return Outcome(
            "quality", "HOLD", f"gates.quality.metric: unknown metric {name!r}; expected one of {', '.join(known)}"
        )
    if missing := _missing(evidence, [name]):
        return Outcome("quality", "HOLD", f"metrics.json lacks {missing} on the test rows")
    metric = known[name]
    found = estimate(evidence.candidate.test, list(known.values()), **interval_options(evidence))
    match = _metrics_match(found, evidence)
    floor = _floor(found[name], metric, evidence)
    dummy = _dummy(found[name], metric, evidence)
    moved: dict[str, Estimate] = {}
    if evidence.champion_predictions is None:
        outcome = combined("quality", [not_compared(evidence), floor, dummy, *match])
    else:
        moved = difference(evidence, list(known.values()))
        checks = [_champion(moved[name], metric, evidence), *_cost(moved, metric, evidence), floor, dummy, *match]
        outcome = combined("quality", checks)
    details = Quality(_intervals(found), _intervals(moved))
    return replace(outcome, measured=outcome.measured | asdict(details))


def _intervals(found: dict[str, Estimate]) -> dict[str, Interval]:
    return {name: Interval(**rounded(value)) for name, value in found.items()}


def _missing(evidence: ModelEvidence, wanted: list[str]) -> str:
    """Return the missing metrics: the deciding one and all those that the champion has."""
    there = evidence.metrics.get("test") or {}
    before = (evidence.champion.metrics.get("test") or {}) if evidence.champion and evidence.obstacle is None else {}
    return ", ".join(name for name in {**dict.fromkeys(wanted), **before} if name not in there)


def _metrics_match(found: dict[str, Estimate], evidence: ModelEvidence) -> list[Outcome]:
    """Check that metrics.json matches the predictions on the test rows, if all of them were predicted here."""
    if len(evidence.candidate.test.target) != evidence.split["test"].num_rows:
        return []
    there = evidence.metrics["test"]
    pairs = {name: (there[name]["value"], found[name].value) for name in found if name in there}
    off = [name for name, (was, now) in pairs.items() if abs(was - now) > SAME * max(1.0, abs(now))]
    if not off:
        return [Outcome("metrics.json", "PROMOTE", "metrics.json matches the model's predictions on the test rows")]
    reported, actual = pairs[off[0]]
    reason = (
        f"metrics.json gives {off[0]} as {decimal(reported)}, but the predictions on the test rows give "
        f"{decimal(actual)}"
    )
    return [Outcome("metrics.json", "HOLD", reason, {"off": off})]


def _champion(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    limits = evidence.params.gates.quality
    return non_inferiority(found, metric, limits.margin or 0.0, limits.confidence or 0.95)


def _cost(moved: dict[str, Estimate], metric: Metric, evidence: ModelEvidence) -> list[Outcome]:
    """Judge the cost per decision if another metric decides; only a conclusively higher cost rejects.

    Few decisions change, so the interval of the cost is wide and non-inferiority could hardly be shown. The margin is a
    share of the cost without a model: the cheaper of the two labels for every row.
    """
    costs = evidence.contract.costs
    if costs is None or metric.name == "cost":
        return []
    found, share = moved["cost"], evidence.params.gates.quality.cost_margin or 0.0
    # Not the dummy of metrics.json: its predictions depend on the threshold code, which is under judgement.
    positive = float((evidence.candidate.test.target == 1).mean())
    margin = share * min(costs.false_positive * (1 - positive), costs.false_negative * positive)
    reason = (
        f"cost per decision changes by {found.value:+.4f} {costs.unit} ({found.low:+.4f} to {found.high:+.4f}, margin "
        f"{margin:.2g})"
    )
    verdict: Verdict = "REJECT" if found.low > margin else "PROMOTE"
    return [Outcome("cost", verdict, reason, {"cost": rounded(found)}, {"cost_margin": share})]


def _floor(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    floor = evidence.params.gates.quality.floor or 0.0
    verdict, said = compare_with_limit(found, floor, higher_is_better=metric.higher_is_better)
    reason = f"{metric.name} is {with_interval(found)}, {said} the floor of {floor:g}"
    return Outcome("floor", verdict, reason, rounded(found), {"floor": floor})


def _dummy(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    dummy = (evidence.metrics.get("dummy") or {}).get(metric.name)
    if dummy is None:
        return Outcome("dummy", "HOLD", f"metrics.json lacks {metric.name} for the dummy baseline")
    verdict, said = compare_with_limit(found, dummy, higher_is_better=metric.higher_is_better)
    reason = f"{metric.name} is {with_interval(found)}, {said} the dummy baseline of {decimal(dummy)}"
    return Outcome("dummy", verdict, reason, {"dummy": significant(dummy)})
