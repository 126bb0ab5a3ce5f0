"""Reports that tests share: plain data, as reports/report.json has it, with every section filled."""

import json
from typing import Any

from assay.gates.gate import GATES
from assay.report.markdown import DEFAULT

TEMPLATE = DEFAULT.read_text(encoding="utf-8")
NOTHING: dict[str, Any] = {
    "verdict": {
        "verdict": "HOLD",
        "candidate": {"commit": None, "data": None, "model": None, "contract": None},
        "champion": None,
        "outcomes": [],
        "overrides": [],
    },
    "name": "ward",
    "task": "binary",
    **dict.fromkeys(("next", "changed", "metrics", "slices", "curves", "drift", "expectations", "explanation")),
    **dict.fromkeys(("service", "card", "reproduce", "cost")),
}
CURVES: dict[str, dict[str, Any]] = {
    "binary": {
        "roc": {"candidate": [[0, 0], [0, 0.8], [0.3, 1], [1, 1]], "champion": [[0, 0], [0.04, 0.7], [1, 1]]},
        "precision_recall": {"candidate": [[0, 1], [0.9, 0.8], [1, 0.3]], "champion": None},
        "reliability": {"candidate": [[0.1, 0.05], [0.9, 1]], "champion": [[0.2, 0.3]]},
        "classes": {
            "candidate": [
                {"name": "no", "rows": 52, "recall": 0.96, "precision": 0.94, "f1": 0.95},
                {"name": "yes", "rows": 48, "recall": 0.94, "precision": 0.96, "f1": 0.95},
            ],
            "champion": [{"name": "no", "rows": 52, "recall": 0.94, "precision": 0.94, "f1": 0.94}],
        },
        "confusion": {"labels": ["no", "yes"], "candidate": [[50, 2], [3, 45]], "champion": [[49, 3], [3, 45]]},
        "learning": {"train": [[100, 0.1], [200, 0.2]], "validation": [[100, 0.5], [200, 0.3]]},
    },
    "multiclass": {
        "reliability": {"candidate": [[0.4, 0.5], [0.9, 1]], "champion": None},
        "confusion": {
            "labels": [f"grade {i}" for i in range(9)],
            "candidate": [[5 * (i == j) + (i == 2 and j == 7) for j in range(9)] for i in range(9)],
            "champion": None,
        },
    },
    "regression": {"residuals": {"candidate": [[1, -2], [2, 0.5], [3, 1]], "champion": [[1, -3], [2, 1], [3, 4]]}},
}


def report(task: str = "binary", text: str = "", **changes: Any) -> dict[str, Any]:
    """Return a report with every section; every text that comes from data begins with `text`."""

    def said(words: str) -> str:
        return f"{text}{words}"

    metric = {
        "name": said("roc_auc"),
        "higher_is_better": True,
        "decides": True,
        "candidate": {"value": 0.91234, "low": 0.88, "high": 0.94},
        "champion": {"value": 0.9},
        "difference": {"value": 0.01234, "low": -0.002, "high": 0.03},
        "direction": "no clear difference",
        "dummy": 0.5,
    }
    slices = {"rows": 40, "champion": 0.1, "candidate": 0.2, "difference": 0.1, "low": 0.05, "high": 0.15, "q": 0.001}
    curves = json.loads(json.dumps(CURVES[task]))
    for one in curves.get("classes", {}).get("candidate", []):
        one["name"] = said(one["name"])
    if "confusion" in curves:
        curves["confusion"]["labels"] = [said(label) for label in curves["confusion"]["labels"]]
    made = {
        "verdict": {
            "verdict": "REJECT",
            "candidate": {"commit": said("c0ffee"), "data": said("d"), "model": said("m"), "contract": said("v1")},
            "champion": {"commit": said("beef"), "data": None, "model": None, "contract": None},
            "outcomes": [
                {"gate": said("quality"), "verdict": "PROMOTE", "reason": said("0.91 is enough"), "measured": {"a": 1}},
                {"gate": said("slices"), "verdict": "REJECT", "reason": said("ward is west is worse"), "limit": {}},
                {"gate": said("fairness"), "verdict": "SKIP", "reason": said("nothing sensitive")},
                {"gate": said("lock"), "verdict": "HOLD", "reason": said("the lock is old")},
            ],
            "overrides": [{"gate": said("lock"), "by": said("Ann"), "why": said("it is known")}],
        },
        "name": said("ward"),
        "task": task,
        "next": [said("collect more rows")],
        "changed": {
            "data": {
                "rows": {"before": 100, "now": 120, "kept": 90, "added": 30, "removed": 10},
                "rewritten": {said("age"): 7},
            },
            "columns": {"added": [said("height")], "removed": [said("weight")]},
            "contract": [said("age: up to 120, was 100")],
            "params": [{"name": said("C"), "before": said("low"), "now": 0.5}],
            "code": [{"path": said("src/model/features.py"), "added": 3, "removed": 1}],
            "environment": [{"package": said("numpy"), "before": said("1"), "now": said("2")}],
            "commits": [said("Use the log of age")],
        },
        "metrics": [metric],
        "confidence": 0.95,
        "slices": [{"slice": said("ward is west"), "verdict": "worse", **slices}],
        "curves": curves,
        "drift": [
            {
                "column": said("age"),
                "distance": 0.3,
                "q": 0.001,
                "missing_before": 0,
                "missing_now": 0.125,
                "drifted": True,
            }
        ],
        "expectations": [
            {
                "name": said("older_is_sicker"),
                "held": False,
                "examples": 12,
                "row": {said("age"): said("old"), said("height"): 1.75},
                "said": said("it fell"),
            }
        ],
        "explanation": [
            {"feature": said("height"), "candidate": 0.1, "champion": 0.3},
            {"feature": said("age"), "candidate": 0.5, "champion": 0.4},
        ],
        "service": [
            {
                "figure": said("responses per second"),
                "candidate": 812.5,
                "champion": 801.25,
                "ratio": {"value": 1.01, "low": 0.95, "high": 1.08},
                "verdict": "PROMOTE",
            },
            {"figure": said("cold start, s"), "candidate": 3.2, "champion": 3.1, "ratio": None, "verdict": "PROMOTE"},
        ],
        "card": said("models/card.md"),
        "reproduce": {
            "commit": said("c0ffee"),
            "base": said("beef"),
            "dirty": False,
            "python": said("3.11"),
            "commands": [said("git checkout c0ffee"), said("make pr")],
        },
        "cost": {
            "stages": [
                {"stage": said("train"), "seconds": 12.3, "cached": False},
                {"stage": said("tune"), "seconds": 0.1, "cached": True},
            ],
            "gates": [{"gate": said("quality"), "seconds": 100.0}],
        },
    }
    return made | changes


def promoted(commit: str, base: str | None, *changed: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a commit, compared with `base`, in which every gate passed but those that are given."""
    made = report()
    outcomes = {gate: {"gate": gate, "verdict": "PROMOTE", "reason": "well"} for gate in (one.name for one in GATES)}
    outcomes |= {one["gate"]: one for one in changed}
    candidate = made["verdict"]["candidate"] | {"commit": commit}
    made["verdict"] |= {"candidate": candidate, "outcomes": list(outcomes.values()), "overrides": []}
    made["reproduce"] |= {"base": base}
    return made
