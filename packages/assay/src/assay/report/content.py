"""The data of the report, from the verdict and from the pipeline's outputs for candidate and champion."""

import csv
import json
import platform
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.base.config import flat, parse_yaml
from assay.base.files import read_json
from assay.base.outcomes import was_judged
from assay.contract.spec import CONTRACT, load_contract
from assay.evaluation.metrics import metrics_for
from assay.gates.findings import (
    ALONE,
    CONTRACT_CHANGES,
    FIGURES,
    PREVIOUS_VERSION,
    ContractChanges,
    Expectations,
    Figure,
    Interval,
    PreviousVersion,
    Quality,
    SliceLoss,
    Slices,
    read,
)
from assay.gates.gate import BY_NAME
from assay.gates.overrides import OVERRIDES, is_final
from assay.project.history import changed_lines, dirty_files, file_at, subjects
from assay.project.layout import ANALYSIS, CHOICE, EVIDENCE, METRICS, MODELS, PLOTS, REPORT_FORMAT, read_choice
from assay.project.limits import SHAPED_CLASSES
from assay.project.params import load_params
from assay.project.remote import unpushed_data
from assay.project.results import fitted_on
from assay.project.settings import PARAMS
from assay.project.times import stage_times
from assay.project.trials import cost_beside, read_trials

REQUIREMENTS = Path("requirements/train.txt")
# Outputs of the pipeline, which are not listed as code changes.
PIPELINE_OUTPUTS = ("dvc.lock", "metrics.json", "trials.csv", ".dvc/embedded/")
CURVES = {
    "roc": ("false_positive_rate", "true_positive_rate"),
    "precision_recall": ("recall", "precision"),
    "reliability": ("predicted", "observed"),
    "residuals": ("predicted", "residual"),
}
SHOWN_POINTS = 200
# Features whose shapes are shown.
SHAPES = 5
# Of files to commit.
MOST_NAMED = 6


def content(
    verdict: dict[str, Any], champion: Path | None, base: str | None, *, seconds: dict[str, float], began: float
) -> dict[str, Any]:
    """Return the data of the report in the shape of `assay.report.data.Report`.

    `champion` is the folder of the champion's files, `base` the base commit, `seconds` the time of each gate. Stages
    that ran after `began` (seconds since 1970) did not come from the cache.
    """
    contract, params = load_contract(), load_params()
    unjudged = {outcome["gate"] for outcome in verdict["outcomes"] if not was_judged(outcome["measured"])}
    # A gate that is switched off, failed or had nothing to judge has no measurements.
    measured = {o["gate"]: o["measured"] for o in verdict["outcomes"] if o["measured"] and o["gate"] not in unjudged}
    checks = measured.get("contract", {})
    quality = read(Quality, measured["quality"]) if "quality" in measured else None
    slices = read(Slices, measured["slices"]) if "slices" in measured else None
    expected = read(Expectations, measured["expectations"]) if "expectations" in measured else None
    data = _previous_version(checks)
    here = Path()
    analysis = _json(here / ANALYSIS)
    return {
        "format": REPORT_FORMAT,
        "verdict": verdict,
        "name": contract.name,
        "task": contract.task,
        "next": next_steps(
            verdict,
            unjudged,
            uncommitted=dirty_files(),
            unpushed=unpushed_data(),
            limits=measured.get("limits", {}).get("limits"),
        ),
        "changed": None if base is None else _changed(checks, champion, base),
        "fitted": fitted_on(rows) if (rows := _json(here / METRICS).get("rows")) else None,
        "metrics": _metrics(quality, params.gates.quality.metric) if quality else [],
        "confidence": params.gates.quality.confidence or 0.95,
        "slices": [_slice(one) for one in slices.slices] if slices else [],
        "curves": _curves(here, champion) | {"shapes": _shapes(analysis)},
        "drift": [asdict(one) for one in data.drift] if data else [],
        "expectations": [
            {"name": one.name, "held": one.held, "examples": one.examples, "row": one.row, "said": one.reason}
            for one in (expected.expectations if expected else [])
        ],
        "alone": cost_beside(read_choice(), read_trials(EVIDENCE.read_text(encoding="utf-8")))
        if CHOICE.exists() and EVIDENCE.exists()
        else "",
        "explanation": _explanation(analysis, _json(champion / ANALYSIS) if champion else {}),
        "service": _service(measured["service"]) if "service" in measured else [],
        "card": str(MODELS / "card.md") if (MODELS / "card.md").exists() else None,
        "reproduce": {
            "commit": verdict["candidate"]["commit"],
            "base": base,
            "dirty": bool(dirty_files()),
            "python": platform.python_version(),
            "commands": commands(verdict["candidate"]["commit"], base),
        },
        "cost": {
            "stages": [
                {"stage": stage, "seconds": took, "cached": at < began} for stage, (took, at) in stage_times().items()
            ],
            "gates": [{"gate": gate, "seconds": round(took, 2)} for gate, took in seconds.items()],
        },
    }


def next_steps(
    verdict: dict[str, Any],
    unjudged: Collection[str],
    *,
    uncommitted: Sequence[str] = (),
    unpushed: Sequence[str] = (),
    limits: str | None = None,
) -> list[str]:
    """Return the next steps as sentences: first what stops the change, then who may accept it.

    `unjudged` names the gates that had nothing to judge, `uncommitted` the files to commit, and `unpushed` the .dvc
    files whose data no clone could fetch. `limits` is the hash that an override of the gate `limits` must name.
    """
    accepted = {override["gate"] for override in verdict["overrides"]}
    stopped = [o for o in verdict["outcomes"] if o["verdict"] in ("REJECT", "HOLD") and o["gate"] not in accepted]
    if not stopped:
        is_first = verdict["champion"] is None and not accepted
        steps = ["The change can be merged."] + [
            "It is the first model: there was no champion to compare with."
        ] * is_first
        steps = [f"{_commit(uncommitted)}."] * bool(uncommitted) + steps
        return [_push(name) for name in unpushed] + steps
    stopped.sort(key=lambda o: o["verdict"] != "REJECT")
    # One cause is often behind several gates that could not judge.
    unfinished = [o for o in stopped if o["gate"] in unjudged]
    steps = [
        f"{o['gate']}: {BY_NAME[o['gate']].advice}" for o in stopped if o not in unfinished and o["gate"] in BY_NAME
    ]
    if unfinished and not steps:
        steps.append("Run `make repro` to see why the pipeline stopped.")
    if not unfinished and not any(o["verdict"] == "REJECT" and is_final(o["gate"]) for o in stopped):
        candidate = verdict["candidate"]
        named = {"model": candidate["model"] or "", "contract": candidate["contract"] or ""}
        if limits and any(o["gate"] == "limits" for o in stopped):
            named["limits"] = limits
        lines = ", ".join(f"`{name}: {value[:12]}`" for name, value in named.items())
        steps.append(f"To accept it as it is, the model owner adds gate, by, why, {lines} to `{OVERRIDES}`.")
    return steps


def _commit(files: Sequence[str]) -> str:
    """Return the sentence with the command that commits files."""
    named = " ".join(files) if len(files) <= MOST_NAMED else "--all"
    return f"Commit the files that this run judged: `git add {named} && git commit`"


def _push(name: str) -> str:
    return f"No clone can fetch the data of `{name}` yet: run `assay remote push`, and commit `.dvc/embedded`."


def _previous_version(checks: Mapping[str, Any]) -> PreviousVersion | None:
    """Return the differences from the champion's data, None without a comparison."""
    check = checks.get(PREVIOUS_VERSION)
    return read(PreviousVersion, check) if check and check["verdict"] == "PROMOTE" else None


def _changed(checks: Mapping[str, Any], champion: Path | None, base: str) -> dict[str, Any]:
    data = _previous_version(checks)
    now = load_contract()
    before = _champions_columns(champion)
    return {
        "data": {"rows": asdict(data.rows), "rewritten": data.rewritten} if data else None,
        "columns": None
        if before is None
        else {
            "added": [name for name in now.columns if name not in before],
            "removed": [name for name in before if name not in now.columns],
        },
        "contract": read(ContractChanges, checks[CONTRACT_CHANGES]).changes if CONTRACT_CHANGES in checks else [],
        "params": _params_changed(base),
        "code": [
            {"path": path, "added": added, "removed": removed}
            for path, added, removed in changed_lines(base)
            if not path.startswith(PIPELINE_OUTPUTS)
        ],
        "environment": _environment_changed(base),
        "commits": subjects(base),
    }


def _champions_columns(champion: Path | None) -> list[str] | None:
    if champion is None:
        return None
    return list(parse_yaml((champion / CONTRACT).read_text(encoding="utf-8")).get("columns", {}))


def _params_changed(base: str) -> list[dict[str, Any]]:
    before = file_at(base, PARAMS)
    return params_changed(before.decode() if before else "", PARAMS.read_text(encoding="utf-8"))


def params_changed(before: str, now: str) -> list[dict[str, Any]]:
    """Return the parameters that differ between two texts of params.yaml; a list, such as members, is a text."""
    old, new = (
        {
            name: json.dumps(value) if isinstance(value, list) else value
            for name, value in flat(parse_yaml(text)).items()
        }
        for text in (before or "{}", now)
    )
    return [
        {"name": name, "before": old.get(name), "now": new.get(name)}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _environment_changed(base: str) -> list[dict[str, Any]]:
    before = file_at(base, REQUIREMENTS)
    if before is None or not REQUIREMENTS.exists():
        return []
    old, new = _packages(before.decode()), _packages(REQUIREMENTS.read_text(encoding="utf-8"))
    return [
        {"package": name, "before": old.get(name), "now": new.get(name)}
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _packages(text: str) -> dict[str, str]:
    """Return the pinned packages of a lock file with their versions."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def _metrics(quality: Quality, decides: str | None) -> list[dict[str, Any]]:
    better = {metric.name: metric.higher_is_better for metric in metrics_for(load_contract())}
    dummy = _json(METRICS).get("dummy", {})
    rows = []
    for name, value in quality.metrics.items():
        difference = quality.differences.get(name)
        rows.append(
            {
                "name": name,
                "higher_is_better": better[name],
                "decides": name == decides,
                "candidate": asdict(value),
                "champion": None if difference is None else {"value": value.value - difference.value},
                "difference": None if difference is None else asdict(difference),
                "direction": None if difference is None else _direction(difference, higher_is_better=better[name]),
                "dummy": dummy.get(name),
            }
        )
    return rows


def _direction(difference: Interval, *, higher_is_better: bool) -> str:
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    return "better" if (difference.low > 0) == higher_is_better else "worse"


def _slice(one: SliceLoss) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(one).items() if name not in ("p", "worse")}
    inconclusive = "worse, within the margin" if one.low > 0 else "no clear difference"
    return shown | {"verdict": "worse" if one.worse else "better" if one.high < 0 else inconclusive}


def _curves(here: Path, champion: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, axes in CURVES.items():
        mine = _points(here / PLOTS / f"{name}.csv", *axes)
        if mine:
            theirs = _points(champion / PLOTS / f"{name}.csv", *axes) if champion else []
            found[name] = {"candidate": mine, "champion": theirs}
    learning = {side: _points(here / PLOTS / "learning.csv", "rows", side) for side in ("train", "validation")}
    if learning["train"]:
        found["learning"] = learning
    if classes := _classes(here):
        found["classes"] = {"candidate": classes, "champion": _classes(champion) if champion else []}
    pairs = _pairs(here / PLOTS / "confusion.csv")
    if pairs:
        labels = list(load_contract().classes)
        theirs_pairs = _pairs(champion / PLOTS / "confusion.csv") if champion else Counter()
        found["confusion"] = {
            "labels": labels,
            "candidate": _matrix(pairs, labels),
            "champion": _matrix(theirs_pairs, labels) if theirs_pairs else None,
        }
    return found


def _classes(project: Path) -> list[dict[str, Any]]:
    return [{"name": name, **found} for name, found in _json(project / METRICS).get("classes", {}).items()]


def _points(path: Path, x: str, y: str) -> list[list[float]]:
    points = [[float(row[x]), float(row[y])] for row in _rows(path)]
    step = max(1, -(-len(points) // SHOWN_POINTS))
    return points[::step]


def _pairs(path: Path) -> Counter[tuple[str, str]]:
    return Counter((row["actual"], row["predicted"]) for row in _rows(path))


def _matrix(counts: Counter[tuple[str, str]], labels: list[str]) -> list[list[int]]:
    return [[counts[actual, predicted] for predicted in labels] for actual in labels]


def _explanation(mine: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    before = theirs.get("importance", {}).get("permutation", {})
    now = mine.get("importance", {}).get("permutation", {})
    return [{"feature": name, "candidate": value, "champion": before.get(name)} for name, value in now.items()]


def _shapes(analysis: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the shapes of the most important features of a model in which each feature acts alone."""
    importance = analysis.get("importance", {})
    found = importance.get("shapes")
    if not found or len(found["scores"]) > SHAPED_CLASSES:
        return []
    names = [name for name in importance["permutation"] if name in found["features"]]
    return [
        {
            "feature": name,
            "of": found["of"],
            "scores": found["scores"],
            "points": found["features"][name],
        }
        for name in names[:SHAPES]
    ]


def _service(checks: Mapping[str, Any]) -> list[dict[str, Any]]:
    # Without a comparison, the figures are those of the candidate alone.
    alone = checks.get(ALONE, {})
    found = []
    for name, words in FIGURES.items():
        check = checks.get(name)
        figure = read(Figure, check) if check else Figure(alone.get(name), None)
        if figure.candidate is not None:
            found.append({"figure": words, **asdict(figure), "verdict": check["verdict"] if check else "SKIP"})
    return found


def commands(commit: str | None, base: str | None) -> list[str]:
    """Return the commands that reproduce a run."""
    if commit is None:
        return ["make pr"]
    return [f"git checkout {commit}", f"make pr BASE={base}" if base else "make pr"]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found
