"""What the monitor found, as Markdown and as a self-contained HTML page, in the words and looks of the report."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from assay.base.words import number, percent
from assay.production.finding import SEVERITY
from assay.report.text import code, escape
from assay.report.view import MARKS as OF_THE_REPORT

TEMPLATE = Path(__file__).with_name("monitor.html.j2")
MARKS = {
    "SKIP": OF_THE_REPORT["SKIP"],
    "WELL": OF_THE_REPORT["PROMOTE"],
    "HOLD": OF_THE_REPORT["HOLD"],
    "ALARM": OF_THE_REPORT["REJECT"],
}
ADVICE = {
    "loss": "The predictions are worse than promised: retrain with the outcomes that are due.",
    "surprise": "What the model held improbable comes true more often: see what changed; retrain with due outcomes.",
    "cost": "The decisions cost more than promised: retrain with the outcomes that are due.",
    "error": "More decisions are wrong than promised: retrain with the outcomes that are due.",
    "refused": "Clients send what the contract does not allow: find out which, and what changed there.",
    "failed": "The service fails: read its log, and see whether its machine is overloaded or its disk full.",
    "slow": "The service is slower than allowed: see whether its machine is busy, or clients send larger requests.",
    "values": "Look at the rows named below, and at what sends them: a source of data may have changed.",
    "scores": "The predictions are distributed differently than on the test rows: find the cause.",
    "features": "The rows are unlike those the model was trained on: find the cause; retrain once outcomes are due.",
    "estimate": "Worse predictions are expected: send outcomes, which alone can show it.",
}
OUTCOMES = "Send outcomes to /feedback, or use assay feedback: they alone show whether the predictions are right."
NOT_ENOUGH = {
    "log": "Check that the service runs this version and writes its log, and the clock of its machine.",
    **dict.fromkeys(("loss", "surprise", "cost", "error"), OUTCOMES),
    **dict.fromkeys(("refused", "failed", "slow"), "More requests are needed: the reasons say which."),
    **dict.fromkeys(("values", "scores", "features", "estimate"), "More rows are needed: the reasons say which."),
}
WIDTH, HEIGHT = 360, 90


def view(result: dict[str, Any]) -> dict[str, Any]:
    """Return the content of both forms: texts, the most important first."""
    outcomes = sorted(result["outcomes"], key=lambda one: -SEVERITY.index(one["verdict"]))
    alarms = [one for one in outcomes if one["verdict"] == "ALARM"]
    first = outcomes[0] if outcomes else None
    told = [one for one in outcomes if one["verdict"] == result["verdict"]]
    advice = {"ALARM": ADVICE, "HOLD": NOT_ENOUGH}.get(result["verdict"])
    reason = f"{first['check']}: {first['reason']}" if first else "nothing was checked"
    if result["verdict"] == "WELL":
        unwatched = [one["check"] for one in outcomes if one["verdict"] == "SKIP"]
        others = f", not watched: {', '.join(unwatched)}" if unwatched else ""
        reason = f"{len(told)} of {len(outcomes)} checks are well{others}; {reason}"
    first = next((one["measured"]["first"] for one in outcomes if one["measured"].get("first")), None)
    changes = [(one, change) for one in alarms for change in one["measured"].get("changes", [])]
    return {
        **{name: result[name] for name in ("verdict", "version")},
        "mark": MARKS[result["verdict"]],
        "period": f"rows from {first}" if first else f"looked at from {result['since'][:10]}",
        "until": result["until"][:16].replace("T", " "),
        "reason": reason,
        "next": list(dict.fromkeys(advice[one["check"]] for one in told)) if advice else [],
        "outcomes": [{**one, "mark": MARKS[one["verdict"]]} for one in outcomes],
        "changes": [
            {
                "check": one["check"],
                "words": change["words"],
                "since": one["measured"]["since"],
                "share": percent(float(f"{change['share']:.2g}")),
                "examples": change["examples"],
            }
            for one, change in changes
        ],
        "has_examples": any(change["examples"] for _, change in changes),
        "examples": {one["check"]: one["measured"]["examples"] for one in alarms if one["measured"].get("examples")},
        "histories": {one["check"]: one["measured"]["evidence"] for one in outcomes if one["measured"].get("evidence")},
    }


def markdown(result: dict[str, Any]) -> str:
    """Return what was found as GitHub-flavoured Markdown, with every text escaped."""
    shown = view(result)
    lines = [
        f"## {shown['mark']} {shown['verdict']}: {escape(shown['reason'])}",
        "",
        f"Version {code(shown['version'])}, {shown['period']} until {shown['until']} UTC.",
        "",
    ]
    if shown["next"]:
        lines += ["**What to do next**", "", *(f"- {step}" for step in shown["next"]), ""]
    lines += ["### Checks", "", "| check | verdict | reason |", "|---|---|---|"]
    lines += [
        f"| {one['check']} | {one['mark']}&nbsp;{one['verdict']} | {escape(one['reason'])} |"
        for one in shown["outcomes"]
    ]
    if shown["changes"]:
        has_examples = shown["has_examples"]
        lines += ["", "### What changed", ""]
        lines += ["| check | change | since | share of the evidence |" + " predictions, for example |" * has_examples]
        lines += ["|---|---|---|--:|" + "---|" * has_examples]
        for one in shown["changes"]:
            names = f" {' '.join(code(name) for name in one['examples'])} |" * has_examples
            lines.append(f"| {one['check']} | {escape(one['words'])} | {one['since']} | {one['share']} |{names}")
    for check, rows in shown["examples"].items():
        lines += ["", f"Predictions with the largest {check}: {' '.join(code(name) for name in rows)}"]
    return "\n".join(lines) + "\n"


def html(result: dict[str, Any]) -> str:
    """Return what was found as a page without script, network or other files."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = view(result)
    charts = {check: _chart(history) for check, history in shown["histories"].items()}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(shown, charts=charts)


def _chart(history: list[dict[str, Any]]) -> Markup:
    """Return the evidence after each day as an SVG line; the top is what raises an alarm."""
    step = (WIDTH - 8) / max(len(history) - 1, 1)
    points = [(4 + index * step, 4 + (HEIGHT - 8) * (1 - one["share"])) for index, one in enumerate(history)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    label = f"{history[0]['day']} to {history[-1]['day']}: last {number(history[-1]['share'], 2)} of the limit"
    parts = [
        Markup('<path class="limit" d="M0 4H{}"/><path class="grid" d="M0 {}H{}"/>').format(WIDTH, HEIGHT - 4, WIDTH),
        Markup('<polyline points="{}"/>').format(line),
        *(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2"><title>{}: {} of the limit, {} rows</title></circle>').format(
                x, y, one["day"], percent(float(f"{one['share']:.2g}")), f"{one['rows']:,}"
            )
            for (x, y), one in zip(points, history, strict=True)
        ),
    ]
    svg = Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>')
    return svg.format(WIDTH, HEIGHT, WIDTH, label, Markup().join(parts))
