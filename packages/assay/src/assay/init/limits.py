"""Limits for the gates of a new problem, from the results of its first model."""

import math
from collections.abc import Mapping
from typing import Any

from assay.evaluation.metrics import BINARY, REGRESSION
from assay.init.infer import Finding
from assay.init.noise import GateNumbers

# Weight of a finding that comes before all others.
FIRST = 4
# Half-widths of the interval between the first model and a limit: the gate compares the end of the interval.
NOISE = 1.5
NONE = GateNumbers()


def limits(
    metrics: Mapping[str, Any],
    analysis: Mapping[str, Any],
    gates: Mapping[str, Any],
    task: str,
    numbers: GateNumbers = NONE,
) -> tuple[dict[str, Any], list[Finding]]:
    """Return settings of params.yaml, by dotted key, that the first model meets, and findings to review.

    `metrics` is the content of metrics.json, `analysis` that of reports/analyse.json, `gates` the section of
    params.yaml. The floor lies half-way between the dummy model and the worse end of the interval. The limits of
    robustness, calibration, fairness and dominance are those of the template, or wider if the model exceeds them or
    comes close: then they are beyond it by the noise of the test rows. The margin to a champion is larger than what
    another fit may change, up to half of the distance to the dummy model. A model that is not conclusively better than
    that one is the first finding.
    """
    name = gates["quality"]["metric"]
    found, dummy = metrics["test"][name], metrics["dummy"][name]
    is_higher = any(metric.higher_is_better for metric in (*BINARY, *REGRESSION) if metric.name == name)
    end = found["low"] if is_higher else found["high"]
    is_better = end > dummy if is_higher else end < dummy
    findings: list[Finding] = []
    floor = (end + dummy) / 2
    if not is_better:
        interval = f"{found['value']:.3g} ({found['low']:.3g} to {found['high']:.3g})"
        told = f"the model is not conclusively better than one without features: {name} {interval}, without {dummy:.3g}"
        findings.append(Finding(FIRST, "model", f"{told}; look at target, columns and split before all else"))
        floor = end
    made: dict[str, Any] = {"gates.quality.floor": _two(floor, up=not is_higher)}
    by_chance = {"quality.margin": numbers.difference, "reproducibility.spread": numbers.spread}
    for where, chance in by_chance.items():
        key, (gate, limit) = f"gates.{where}", where.split(".")
        # Beyond half of the way to the dummy, the limit would say nothing.
        wanted = _two(min(1.25 * chance, abs(end - dummy) / 2), up=True)
        if wanted > (gates.get(gate, {}).get(limit) or math.inf):
            made[key] = wanted
            text = f"a fit with another seed on 95% of the rows may change {name} by {chance:.2g}"
            text += f"; the limit was set to {wanted:g}"
            cure = "an average of more models, or more test rows, lets you lower it"
            findings.append(Finding(2, key, f"{text}; {cure}"))
    measured = {
        "gates.robustness.changed": numbers.changed.value,
        "gates.calibration.error": float(metrics["test"].get("calibration_error", {"high": numbers.missed})["high"]),
        "gates.fairness.difference": max(
            (float(value) for group in analysis["fairness"].values() for value in group["difference"].values()),
            default=0.0,
        ),
    }
    noise_of = {"gates.robustness.changed": NOISE * (numbers.changed.high - numbers.changed.value)}
    what = {
        "gates.robustness.changed": "share of predictions that small perturbations change",
        "gates.calibration.error": "calibration error"
        if task != "regression"
        else "excess share of values outside their interval",
        "gates.fairness.difference": "difference between groups of a sensitive column",
    }
    for key, value in measured.items():
        _, gate, limit = key.split(".")
        now = gates.get(gate, {}).get(limit)
        beyond = max(1.25 * value, value + noise_of.get(key, 0.0))
        if now is not None and beyond > now:
            made[key] = _two(beyond, up=True)
            text = f"the {what[key]} is {value:.2g}; the limit was set to {made[key]:g}; lower it if you can"
            if task != "regression" and made[key] >= 1:
                made[key] = 1.0
                text = f"the {what[key]} is {value:.2g}; the limit was set to 1: this gate holds nothing now"
            findings.append(Finding(3 if made[key] == 1 else 2, key, text))
    answered = max(
        (row["predicted_share"] for row in analysis["dominance"] if row["predicted_share"] > row["true_share"]),
        default=0.0,
    )
    most = float(gates.get("dominance", {}).get("share") or 1.0)
    if 1 - answered < 1.25 * (1 - most):
        key, wider = "gates.dominance.share", math.ceil(500 * (1 + answered)) / 1000
        made[key] = wider
        text = f"one label is predicted for {answered:.1%} of a slice; the limit was raised from {most:g} to {wider:g}"
        findings.append(Finding(2, key, f"{text}; lower it if you can"))
    return made, findings


def _two(value: float, *, up: bool) -> float:
    """Round to two digits, up or down, so that a limit never moves to the side of the model."""
    if not value:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    whole = (math.ceil if up else math.floor)(round(value / step, 6))
    return float(f"{whole * step:.2g}")
