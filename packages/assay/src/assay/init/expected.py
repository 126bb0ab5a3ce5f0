"""Expectations that the first model of a new problem meets: clear cases that it predicts correctly."""

from datetime import datetime
from typing import Any

import numpy as np

from assay.contract.spec import Boolean, Contract, Integer, Number, Time
from assay.data.columns import Columns, length

# Its name, the features of a row, and the expected prediction.
Case = tuple[str, dict[str, Any], Any]

MOST_CLASSES = 5
CLEAR = 0.7
HEAD = '''\
"""What every model of this problem must do, whatever its family: tests of the trained model, in your words.

`assay init` recorded clear cases: rows that the first model never saw and predicted correctly. Add what you know of the
problem, or replace them: `assay manual expectations` explains the functions.
"""
'''


def expectations_text(cases: list[Case]) -> str:
    """Return src/model/expectations.py for some cases."""
    if not cases:
        return (
            f"{HEAD}\nfrom assay.properties.expectations import Expectation\n\nEXPECTATIONS: list[Expectation] = []\n"
        )
    lines = [HEAD]
    if any(isinstance(value, datetime) for _, row, _ in cases for value in row.values()):
        lines.append("from datetime import datetime\n")
    lines += [
        "from assay.properties.expectations import Expectation, answers",
        "",
        "EXPECTATIONS: list[Expectation] = [",
    ]
    for name, row, expected in cases:
        lines += ["    answers(", "        {"]
        lines += [f"            {_literal(feature)}: {_literal(value)}," for feature, value in row.items()]
        lines += ["        },", f"        {_literal(expected)},", f"        name={_literal(name)},", "    ),"]
    text = "\n".join([*lines, "]"]) + "\n"
    return "# ruff: noqa: E501\n" + text if any(len(line) > 120 for line in text.splitlines()) else text


def clear_cases(data: Columns, target: np.ndarray, scores: np.ndarray, contract: Contract) -> list[Case]:
    """Return rows that a model predicts correctly and confidently, each with a name and the expected prediction.

    The rows are new to the model. For classes it is the most confident row of each; for regression a low and a high
    one, with one standard deviation of the target as tolerance on either side.
    """
    if contract.task == "regression":
        room = float(target.std())
        near = np.flatnonzero(np.abs(scores - target) <= room / 2)
        if not len(near) or not room:
            return []
        order = near[np.argsort(scores[near], kind="stable")]
        chosen = {"a low case": order[len(order) // 10], "a high case": order[len(order) * 9 // 10]}
        return [
            (name, _row(data, row, contract), tuple(_short(scores[row] + side * room) for side in (-1, 1)))
            for name, row in chosen.items()
        ]
    cases = []
    for index, label in enumerate(contract.classes[:MOST_CLASSES]):
        sure = np.where(target == index, scores[:, index], 0.0)
        row = int(sure.argmax())
        if sure[row] >= CLEAR and length(data):
            cases.append((f"a clear case of {label}", _row(data, row, contract), label))
    return cases


def _row(data: Columns, row: int, contract: Contract) -> dict[str, Any]:
    return {name: _value(data[name][row], column) for name, column in contract.features.items()}


def _value(cell: Any, column: Any) -> Any:
    """Return a cell as a plain Python value, None if it is missing."""
    match column:
        case Time():
            return None if np.isnat(cell) else cell.astype("datetime64[us]").item()
        case Number() | Integer() | Boolean():
            if np.isnan(cell):
                return None
            return (
                bool(cell) if isinstance(column, Boolean) else int(cell) if isinstance(column, Integer) else float(cell)
            )
        case _:
            return cell


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _literal(value: Any) -> str:
    if isinstance(value, datetime):
        return f"datetime.fromisoformat({_literal(value.isoformat())})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    if isinstance(value, str):
        quoted = repr(value)
        return quoted if quoted.startswith('"') or '"' in value else '"' + quoted[1:-1] + '"'
    return repr(value)
