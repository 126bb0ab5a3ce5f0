"""The short table that ends a run: how good the model is, and what was noticed."""

from typing import Any

from assay.base.outcomes import Outcome


def summary(metrics: dict[str, Any], checks: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the results of a run as lines of plain text."""
    choice = about["choice"]
    rows = metrics["rows"]
    lines = [
        f"{about['name']}: {choice['family'].replace('_', ' ')}, judged on {rows['test']} rows it never saw "
        f"(trained on {rows['train']})",
        "",
        f"{'metric':<20}{'test':>9}  {'interval':<20}{'train':>9}{'dummy':>9}",
    ]
    for name, test in metrics["test"].items():
        interval = f"{test['low']:.4f} to {test['high']:.4f}"
        others = f"{metrics['train'][name]:>9.4f}{metrics['dummy'][name]:>9.4f}"
        lines.append(f"{name:<20}{test['value']:>9.4f}  {interval:<20}{others}")
    noticed = [Outcome(**check) for check in checks if check["verdict"] in ("HOLD", "REJECT")]
    lines += ["", *(f"{outcome.verdict} {outcome.gate}: {outcome.reason}" for outcome in noticed)]
    lines += [
        f"served as {about['served']}" + (f": {about['reason']}" if about["reason"] else "") + "; card: models/card.md"
    ]
    return "\n".join(lines)
