"""The short table at the end of a run: metrics, and checks that did not pass."""

from typing import Any

from assay.base.outcomes import Outcome
from assay.base.words import decimal


def fitted_on(rows: dict[str, int]) -> str:
    """Say in a sentence which rows the model was fitted on; `rows` are those of metrics.json."""
    train, validation, test = (f"{rows[side]:,} {side}" for side in ("train", "validation", "test"))
    if "drawn_from" in rows:
        is_both = rows["drawn_from"] != rows["train"]
        return (
            f"The model is fitted on {rows['fitted']:,} of the {train}{f' and {validation}' if is_both else ''} rows, "
            f"drawn by a hash, as train.max_memory allows no more; none of the {test} rows was used."
        )
    # Models of earlier versions were fitted on the train rows.
    if rows.get("fitted", rows["train"]) == rows["train"]:
        return f"The model is fitted on {train} rows, without the {validation} and {test} rows."
    return (
        f"The model is fitted on {train} and {validation} rows, with boosting rounds in proportion, if it has any; "
        f"whatever is set or measured on validation rows comes from the same model fitted on the train rows alone; "
        f"none of the {test} rows was used."
    )


def summary(metrics: dict[str, Any], checks: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the results of a run as lines of plain text."""
    choice = about["choice"]
    rows = metrics["rows"]
    lines = [
        f"{about['name']}: {choice['family'].replace('_', ' ')}, tested on {rows['test']} unseen rows "
        f"(trained on {rows.get('fitted', rows['train'])})",
        "",
    ]
    table = [("metric", "test", "interval", "train", "dummy")]
    for name, test in metrics["test"].items():
        interval = f"{decimal(test['low'])} to {decimal(test['high'])}"
        values = (decimal(value) for value in (test["value"], metrics["train"][name], metrics["dummy"][name]))
        on_test, on_train, dummy = values
        table.append((name, on_test, interval, on_train, dummy))
    # Large numbers need wider columns.
    first, *others = (max(7, *map(len, column)) for column in zip(*table, strict=True))
    lines += [
        f"{name:<{max(20, first + 2)}}{test:>{others[0] + 2}}  {interval:<{others[1] + 4}}"
        f"{train:>{others[2] + 2}}{dummy:>{others[3] + 2}}"
        for name, test, interval, train, dummy in table
    ]
    noticed = [Outcome(**check) for check in checks if check["verdict"] in ("HOLD", "REJECT")]
    lines += ["", *(f"{outcome.verdict} {outcome.gate}: {outcome.reason}" for outcome in noticed)]
    lines += [
        f"served as {about['served']}" + (f": {about['reason']}" if about["reason"] else "") + "; card: models/card.md"
    ]
    return "\n".join(lines)
