"""Quality: no worse than the champion on the same rows, above the floor, and above a model that looks at nothing."""

from dataclasses import asdict, replace

from assay.base.outcomes import Outcome, Verdict, combined
from assay.base.rounding import significant
from assay.evaluation.metrics import Metric, estimate, metrics_for
from assay.gates.comparing import against, beyond, difference, interval_options, rounded, uncompared
from assay.gates.evidence import ModelEvidence
from assay.gates.findings import Interval, Quality
from assay.statistics.bootstrap import Estimate

# Machines differ in the last digits, and so may two rows be ranked the other way round.
SAME = 1e-3


def judge(evidence: ModelEvidence) -> Outcome:
    """Hold the deciding metric to the champion, to the floor and to the dummy baseline."""
    name = evidence.params.gates.quality.metric
    known = {metric.name: metric for metric in metrics_for(evidence.contract)}
    if name not in known:
        return Outcome("quality", "HOLD", f"there is no metric {name!r} to decide by; there are {', '.join(known)}")
    if missing := _missing(evidence, [name]):
        return Outcome("quality", "HOLD", f"metrics.json lacks {missing} of the test rows")
    metric = known[name]
    found = estimate(evidence.candidate.test, list(known.values()), **interval_options(evidence))
    match = _metrics_match(found, evidence)
    floor = _floor(found[name], metric, evidence)
    dummy = _dummy(found[name], metric, evidence)
    moved: dict[str, Estimate] = {}
    if evidence.champion_answers is None:
        outcome = combined("quality", [uncompared(evidence), floor, dummy, *match])
    else:
        moved = difference(evidence, list(known.values()))
        checks = [_champion(moved[name], metric, evidence), *_cost(moved, metric, evidence), floor, dummy, *match]
        outcome = combined("quality", checks)
    details = Quality(_intervals(found), _intervals(moved))
    return replace(outcome, measured=outcome.measured | asdict(details))


def _intervals(found: dict[str, Estimate]) -> dict[str, Interval]:
    return {name: Interval(**rounded(value)) for name, value in found.items()}


def _missing(evidence: ModelEvidence, wanted: list[str]) -> str:
    """Name what the metrics of the run lack: what decides, and what the champion's have."""
    there = evidence.metrics.get("test") or {}
    before = (evidence.champion.metrics.get("test") or {}) if evidence.champion and evidence.obstacle is None else {}
    return ", ".join(name for name in {**dict.fromkeys(wanted), **before} if name not in there)


def _metrics_match(found: dict[str, Estimate], evidence: ModelEvidence) -> list[Outcome]:
    """Check that metrics.json reports what the model answers to the test rows, where it was asked about all of them."""
    if len(evidence.candidate.test.target) != evidence.split["test"].num_rows:
        return []
    there = evidence.metrics["test"]
    pairs = {name: (there[name]["value"], found[name].value) for name in found if name in there}
    off = [name for name, (said, is_so) in pairs.items() if abs(said - is_so) > SAME * max(1.0, abs(is_so))]
    if not off:
        return [Outcome("metrics.json", "PROMOTE", "metrics.json reports what the model answers to the test rows")]
    said, is_so = pairs[off[0]]
    reason = (
        f"metrics.json says that {off[0]} is {said:.4f}, and what the model answers to the test rows is {is_so:.4f}"
    )
    return [Outcome("metrics.json", "HOLD", reason, {"off": off})]


def _champion(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    limits = evidence.params.gates.quality
    return against(found, metric, limits.margin or 0.0, limits.confidence or 0.95)


def _cost(moved: dict[str, Estimate], metric: Metric, evidence: ModelEvidence) -> list[Outcome]:
    """Report the cost of a decision; where another metric decides, reject only a cost that is conclusively too high.

    Few decisions change their cost, so that its interval is wide: it could hardly be shown to be no worse. The margin
    is a share of what a decision without a model costs: the cheaper of the two labels for every row.
    """
    costs = evidence.contract.costs
    if costs is None or metric.name == "cost":
        return []
    found, share = moved["cost"], evidence.params.gates.quality.cost_margin or 0.0
    # Not the dummy's of metrics.json: its answers depend on how the code that is judged sets thresholds.
    positive = float((evidence.candidate.test.target == 1).mean())
    margin = share * min(costs.false_positive * (1 - positive), costs.false_negative * positive)
    reason = (
        f"cost of a decision changes by {found.value:+.4f} {costs.unit} ({found.low:+.4f} to {found.high:+.4f}, margin "
        f"{margin:.2g})"
    )
    verdict: Verdict = "REJECT" if found.low > margin else "PROMOTE"
    return [Outcome("cost", verdict, reason, {"cost": rounded(found)}, {"cost_margin": share})]


def _floor(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    floor = evidence.params.gates.quality.floor or 0.0
    verdict, said = beyond(found, floor, higher_is_better=metric.higher_is_better)
    reason = f"{metric.name} is {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), {said} the floor of {floor:g}"
    return Outcome("floor", verdict, reason, rounded(found), {"floor": floor})


def _dummy(found: Estimate, metric: Metric, evidence: ModelEvidence) -> Outcome:
    dummy = (evidence.metrics.get("dummy") or {}).get(metric.name)
    if dummy is None:
        return Outcome("dummy", "HOLD", f"metrics.json lacks {metric.name} of the dummy baseline")
    verdict, said = beyond(found, dummy, higher_is_better=metric.higher_is_better)
    reason = (
        f"{metric.name} is {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), {said} the {dummy:.4f} of a model "
        "that looks at no feature"
    )
    return Outcome("dummy", verdict, reason, {"dummy": significant(dummy)})
