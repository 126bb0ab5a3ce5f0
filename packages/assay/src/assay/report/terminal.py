"""The report in a few lines of plain text."""

from typing import Any

from assay.report.data import read
from assay.report.text import shorten
from assay.report.view import view

PAGE = "reports/report.html"
WIDTH = 160
SHOWN = 5
MOST_METRICS = 4


def terminal(report: dict[str, Any]) -> str:
    """Return verdict, next steps, failed checks and main metrics, in the words of the comment and at most 25 lines.

    Raises InputError if the data has the wrong shape.
    """
    shown = view(read(report))
    noticed = [
        f"{one['verdict']} {one['gate']}: {one['reason']}"
        for one in shown["outcomes"]
        if one["verdict"] in ("HOLD", "REJECT") and one["reason"] not in shown["reason"]
    ]
    metrics = []
    deciding = [one for one in shown["metrics"] if one["decides"] or one["direction"] in ("better", "worse")]
    for one in (deciding or shown["metrics"])[:MOST_METRICS]:
        line = f"{one['name']}: candidate {one['candidate']} ({one['interval']})"
        if one["noise"]:
            line += f", champion {one['champion']}, difference {one['difference']} ({one['noise']}): {one['direction']}"
        metrics.append(f"{line}; dummy {one['dummy']}")
    lines = [f"{shown['verdict']}: {shown['reason']}", ""]
    for heading, listed in (
        ("What to do next", _some([f"- {step}" for step in shown["next"]], "steps")),
        ("Checks", _some(noticed, "gates")),
        ("Metrics", metrics),
    ):
        lines += [heading, *listed, ""] if listed else []
    lines.append(f"Full report: {PAGE}")
    return "\n".join(shorten(line, WIDTH) for line in lines) + "\n"


def _some(lines: list[str], of: str) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more {of}"] if more > 0 else [])
