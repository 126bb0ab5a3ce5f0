"""The report as a self-contained HTML page: no network, no script, no other file."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from assay.report.data import read
from assay.report.plots import plots
from assay.report.view import shortened, view

TEMPLATE = Path(__file__).with_name("report.html.j2")
MOST = 1000
SECTIONS = (
    "metrics",
    "changed",
    "slices",
    "figures",
    "drift",
    "expectations",
    "service",
    "explanation",
    "reproduce",
    "cost",
)


def html(report: dict[str, Any]) -> str:
    """Return the report as an HTML page with embedded plots.

    Raises InputError if the data has the wrong shape.
    """
    typed = read(report)
    shown, left = shortened(view(typed), dict.fromkeys(SECTIONS, MOST))
    # The template marks plots as safe because Vega escapes the texts in them.
    return _template().render(shown, left=left, plots=plots(typed))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["inline"] = _inline
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _inline(text: str) -> Markup:
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup.escape(text)
    return Markup().join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))
