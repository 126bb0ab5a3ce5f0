"""Limits for the gates of a new problem, from the results of its first model."""

import math
from collections.abc import Mapping
from typing import Any

from assay.init.infer import Finding


def limits(
    metrics: Mapping[str, Any], analysis: Mapping[str, Any], gates: Mapping[str, Any], task: str
) -> tuple[dict[str, Any], list[Finding]]:
    """Return settings of params.yaml, by dotted key, that the first model meets, and findings to review.

    `metrics` is the content of metrics.json, `analysis` that of reports/analyse.json, `gates` the section of
    params.yaml. The floor lies half-way between the dummy model and the worse end of the interval. The limits of
    robustness, calibration, fairness and dominance are those of the template, or wider if the model is close to them or
    exceeds them.
    """
    name = gates["quality"]["metric"]
    found, dummy = metrics["test"][name], metrics["dummy"][name]
    end = found["low"] if found["value"] >= dummy else found["high"]
    made: dict[str, Any] = {"gates.quality.floor": _two((end + dummy) / 2)}
    findings: list[Finding] = []
    measured = {
        "gates.robustness.changed": float(analysis["sensitivity"]["all"]),
        "gates.calibration.error": float(metrics["test"].get("calibration_error", {"high": 0.0})["high"]),
        "gates.fairness.difference": max(
            (float(value) for group in analysis["fairness"].values() for value in group["difference"].values()),
            default=0.0,
        ),
    }
    what = {
        "gates.robustness.changed": "share of predictions that small perturbations change",
        "gates.calibration.error": "calibration error",
        "gates.fairness.difference": "difference between groups of a sensitive column",
    }
    for key, value in measured.items():
        _, gate, limit = key.split(".")
        now = gates[gate].get(limit)
        if now is not None and value > 0.8 * now:
            made[key] = _two(min(1.25 * value, 1.0 if task != "regression" else 1.25 * value))
            findings.append(
                Finding(
                    2, key, f"the {what[key]} is {value:.2g}; the limit was set to {made[key]:g}; lower it if you can"
                )
            )
    answered = max(
        (row["predicted_share"] for row in analysis["dominance"] if row["predicted_share"] > row["true_share"]),
        default=0.0,
    )
    most = float(gates["dominance"].get("share") or 1.0)
    if 1 - answered < 1.25 * (1 - most):
        key, wider = "gates.dominance.share", math.ceil(500 * (1 + answered)) / 1000
        made[key] = wider
        text = f"one label is predicted for {answered:.1%} of a slice; the limit was raised from {most:g} to {wider:g}"
        findings.append(Finding(2, key, f"{text}; lower it if you can"))
    return made, findings


def _two(value: float) -> float:
    return float(f"{value:.2g}")
