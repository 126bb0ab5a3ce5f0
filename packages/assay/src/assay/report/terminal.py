"""The report in a few lines of plain text."""

from typing import Any

from assay.report.data import read
from assay.report.text import shorten
from assay.report.view import view

PAGE = "reports/report.html"
WIDTH = 160
SHOWN = 6


def terminal(report: dict[str, Any]) -> str:
    """Return verdict, what is not a pass, the metrics that matter and the next steps, in at most 25 lines.

    Raises InputError for data of another shape.
    """
    shown = view(read(report))
    noticed = [
        f"{one['verdict']} {one['gate']}: {one['reason']}"
        for one in shown["outcomes"]
        if one["verdict"] in ("HOLD", "REJECT") and one["reason"] not in shown["reason"]
    ]
    lines = [f"{shown['verdict']}: {shown['reason']}", *_some(noticed, "gates"), ""]
    deciding = [one for one in shown["metrics"] if one["decides"] or one["direction"] in ("better", "worse")]
    for one in (deciding or shown["metrics"])[:SHOWN]:
        line = f"{one['name']} {one['candidate']} ({one['interval']})"
        if one["noise"]:
            line += f", {one['difference']} ({one['noise']}) from the champion's {one['champion']}: {one['direction']}"
        lines.append(f"{line}; dummy {one['dummy']}")
    lines += ["", *_some([f"next: {step}" for step in shown["next"]], "steps")]
    lines.append(f"all of it: {PAGE}")
    return "\n".join(shorten(line, WIDTH) for line in lines) + "\n"


def _some(lines: list[str], of: str) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more {of}"] if more > 0 else [])
