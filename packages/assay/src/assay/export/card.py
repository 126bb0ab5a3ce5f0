"""The model card: what the model is, how good it is and what it must not be used for (Mitchell et al. 2019)."""

from typing import Any

from assay.contract.spec import Contract, Time
from assay.evaluation.metrics import metrics_for
from assay.project.limits import SHAPED_CLASSES
from assay.project.results import fitted_on

SHOWN = 5


def card(
    contract: Contract,
    about: dict[str, Any],
    metrics: dict[str, Any],
    analysis: dict[str, Any],
    checks: list[dict[str, Any]],
) -> str:
    """Return the card in Markdown, made only from the results of the run."""
    parts = [
        [f"# Model card: {contract.name}", contract.description],
        ["## Use", contract.about.intended_use or "The owner has not said what the model is for."],
        ["## Limits", *([f"- {limit}" for limit in contract.about.limits] or ["The owner has named none."])],
        ["## Data", *_data(contract, metrics, checks)],
        ["## Model", *_model(contract, about), f"- {fitted_on(metrics['rows'])}"],
        ["## Metrics", *_metrics(contract, metrics)],
        *([["## Classes", *_classes(metrics)]] if "classes" in metrics else []),
        ["## Slices", *_slices(analysis)],
        ["## Groups", *_groups(analysis)],
        ["## What drives it", *_importance(analysis)],
        *([["## What each feature does", *_shapes(analysis)]] if analysis["importance"].get("shapes") else []),
    ]
    return "\n\n".join("\n".join(line for line in _spaced(part) if line is not None) for part in parts) + "\n"


def _spaced(part: list[str]) -> list[str]:
    return [part[0], "", *part[1:]]


def _data(contract: Contract, metrics: dict[str, Any], checks: list[dict[str, Any]]) -> list[str]:
    rows = metrics["rows"]
    split = contract.split.by if contract.split.column is None else f"{contract.split.by} of {contract.split.column}"
    return [
        f"- Source: {contract.about.source or 'not stated'}",
        f"- Licence: {contract.about.licence or 'not stated'}",
        f"- Rows: {rows['train']} to train on, {rows['validation']} to validate on, {rows['test']} to judge on; "
        f"split by {split}",
        f"- Features: {len(contract.features)}; target: {contract.target.name}"
        + (f" ({', '.join(contract.classes)})" if contract.classes else ""),
        *_zones(contract),
        *[f"- {check['gate'].capitalize()}: {check['reason']}" for check in checks],
    ]


def _zones(contract: Contract) -> list[str]:
    zones = {name: column.zone for name, column in contract.columns.items() if isinstance(column, Time) and column.zone}
    return [
        f"- Times in {name} are in {zone}: a time with an offset is converted, one without is taken to be in it"
        for name, zone in zones.items()
    ]


def _model(contract: Contract, about: dict[str, Any]) -> list[str]:
    choice = about["choice"]
    decides = []
    if about["threshold"] is not None:
        from_where = f"from a probability of {about['threshold']:g}"
        decides = [f"- Decides for {contract.target.positive} {from_where}{_why(contract)}"]
    return [
        f"- Family: {_family(choice)}",
        *(f"    - {_family(member)}{_weight(member, choice)}" for member in choice.get("members", [])),
        *decides,
        f"- Served as: {about['served']}" + (f", because {about['reason']}" if about["reason"] else ""),
        f"- Versions: {', '.join(f'{name} {version}' for name, version in about['versions'].items())}",
    ]


def _family(choice: dict[str, Any]) -> str:
    if choice.get("members"):
        return "the mean of the predictions of these models"
    parameters = ", ".join(f"{name} = {value}" for name, value in choice["parameters"].items())
    return f"{choice['family'].replace('_', ' ')} ({parameters or 'default parameters'})"


def _weight(member: dict[str, Any], choice: dict[str, Any]) -> str:
    # Models of earlier versions have no weights.
    weights = [one.get("weight", 1.0) for one in choice["members"]]
    return f", with {member.get('weight', 1.0) / sum(weights):.0%} of the weight" if len(set(weights)) > 1 else ""


def _why(contract: Contract) -> str:
    if contract.costs is None:
        return ""
    costs = contract.costs
    return (
        f", the cheapest on the validation rows: a false positive costs {costs.false_positive:g}, a false negative "
        f"{costs.false_negative:g} ({costs.unit})"
    )


def _metrics(contract: Contract, metrics: dict[str, Any]) -> list[str]:
    better = {metric.name: "higher" if metric.higher_is_better else "lower" for metric in metrics_for(contract)}
    lines = ["| metric | better | test | interval | validation | train | dummy |", "|---|---|---|---|---|---|---|"]
    for name, test in metrics["test"].items():
        others = " | ".join(f"{metrics[side][name]:.4g}" for side in ("validation", "train", "dummy"))
        lines.append(
            f"| {name} | {better[name]} | {test['value']:.4g} | {test['low']:.4g} to {test['high']:.4g} | {others} |"
        )
    return lines


def _classes(metrics: dict[str, Any]) -> list[str]:
    lines = ["| class | rows | recall | precision | F1 |", "|---|---|---|---|---|"]
    return lines + [
        f"| {name} | {one['rows']} | {one['recall']:.4g} | {one['precision']:.4g} | {one['f1']:.4g} |"
        for name, one in metrics["classes"].items()
    ]


def _slices(analysis: dict[str, Any]) -> list[str]:
    rows = [row for kind in ("declared", "discovered") for row in analysis["slices"][kind]]
    if not rows:
        return ["No slice has enough rows."]
    worst = sorted(rows, key=lambda row: row["loss_elsewhere"] - row["loss"])[:SHOWN]
    lines = ["| slice | rows | loss | elsewhere | significantly worse |", "|---|---|---|---|---|"]
    return lines + [
        f"| {row['slice']} | {row['rows']} | {row['loss']:.4g} | {row['loss_elsewhere']:.4g} | "
        f"{'yes' if row['worse'] else 'no'} |"
        for row in worst
    ]


def _groups(analysis: dict[str, Any]) -> list[str]:
    if not analysis["fairness"]:
        return ["No sensitive column is declared."]
    return [
        f"- {name}: largest difference between groups: "
        + (", ".join(f"{metric} {value:.3g}" for metric, value in found["difference"].items()) or "too few rows to say")
        for name, found in analysis["fairness"].items()
    ]


def _importance(analysis: dict[str, Any]) -> list[str]:
    importance = analysis["importance"]["permutation"]
    lines = ["| feature | loss added when shuffled |", "|---|---|"]
    return lines + [f"| {name} | {value:.4g} |" for name, value in list(importance.items())[:SHOWN]]


def _shapes(analysis: dict[str, Any]) -> list[str]:
    """Return for each feature its effect at some of its values, the most important feature first."""
    found, order = analysis["importance"]["shapes"], list(analysis["importance"]["permutation"])
    if len(found["scores"]) > SHAPED_CLASSES:
        return [f"Each feature acts alone; for {len(found['scores'])} classes see `reports/analyse.json`."]
    names = sorted(found["features"], key=lambda name: order.index(name) if name in order else len(order))
    lines = [
        f"Each feature acts alone: whatever the others are, it adds this to the {found['of']} "
        f"of {', '.join(found['scores'])}, compared with its mean.",
        "",
    ]
    for name in names:
        for at, score in enumerate(found["scores"]):
            steps = [f"{one['value']}: {one['effects'][at]:+.3g}" for one in found["features"][name]]
            lines.append(f"- {name}{f', {score}' if len(found['scores']) > 1 else ''}: {', '.join(steps)}")
    return lines
