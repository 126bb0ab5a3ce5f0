"""The report as the comment on a pull request, rendered with a template that users can edit."""

import re
import traceback
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from assay.base.errors import InputError
from assay.project.room import TEMPLATE as USERS_TEMPLATE
from assay.report.data import read
from assay.report.text import NAME, WORDS, Safe, code, escape, fenced, inline, plain
from assay.report.view import View, shortened, view

# The default template; a project may have its own in src/model/report.md.j2.
DEFAULT = Path(__file__).with_name("report.md.j2")
TEMPLATE = str(USERS_TEMPLATE)
MOST_CHARACTERS = 60_000
# The number of entries that each section shows. If the comment is too long, the last sections are cut first. Verdict,
# next steps and outcomes are not listed because they are never cut.
SECTIONS = {
    "metrics": 30,
    "changed": 20,
    "slices": 10,
    "figures": 20,
    "drift": 10,
    "expectations": 20,
    "service": 20,
    "explanation": 10,
    "reproduce": 20,
    "cost": 40,
}
FEW = 5
# If it is still too long, texts are cut to this length.
SHORTER = 150


def markdown(report: dict[str, Any], template: str | None = None, longest: int = MOST_CHARACTERS) -> str:
    """Return the report as GitHub-flavoured Markdown of at most `longest` characters.

    `template` is the text of src/model/report.md.j2 (Jinja2), if the project has one. Its variables are the keys of
    `assay.report.view.view`; every text that it prints is escaped.

    Raises InputError if the data has the wrong shape, if the template fails (with its line), or if its output is too
    long.
    """
    shown = view(read(report))
    try:
        made = _compiled(template or DEFAULT.read_text(encoding="utf-8"))
        for most, characters in _reductions():
            text = _render(made, *shortened(shown, most), characters)
            if len(text) <= longest:
                return text
    except TemplateSyntaxError as error:
        raise InputError(f"{TEMPLATE}, line {error.lineno}: {plain(str(error.message), WORDS)}") from None
    except Exception as error:
        # Any error while the template runs is reported to its owner, with the line of the template.
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == TEMPLATE]
        raise InputError(f"{TEMPLATE}, line {lines[-1] if lines else 1}: {plain(str(error), WORDS)}") from None
    raise InputError(
        f"{TEMPLATE}: the output exceeds {longest} characters even with only verdict, next steps and outcomes; "
        "shorten the template"
    )


@lru_cache(maxsize=8)
def _compiled(template: str) -> CodeType:
    return _environment(WORDS).compile(template, filename=TEMPLATE)


def _reductions() -> Iterable[tuple[dict[str, int], int]]:
    most = dict(SECTIONS)
    yield dict(most), WORDS
    for fewer in (FEW, 0):
        for section in reversed(SECTIONS):
            most[section] = min(most[section], fewer)
            yield dict(most), WORDS
    yield most, SHORTER


def _environment(characters: int) -> ImmutableSandboxedEnvironment:
    def finalize(value: Any) -> Safe:
        return value if isinstance(value, Safe) else escape("" if value is None else str(value), characters)

    def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Safe:
        lines = [[finalize(cell) for cell in cells] for cells in (head, *rows)]
        lines.insert(1, [Safe("---")] * len(head))
        return Safe("\n".join(f"| {' | '.join(cells)} |" for cells in lines))

    environment = ImmutableSandboxedEnvironment(
        finalize=finalize, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["table"] = table
    environment.filters |= {
        "code": partial(code, most=min(NAME, characters)),
        "inline": partial(inline, most=characters),
        "fenced": fenced,
    }
    # Everything is escaped; the filter `safe` would promise otherwise.
    del environment.filters["safe"]
    return environment


def _render(template: CodeType, shown: View, left: dict[str, int], characters: int) -> str:
    def rest(section: str) -> Safe:
        return Safe(f"*{left[section]:,} more in report.html, in the artifact of this run.*" if left[section] else "")

    environment = _environment(characters)
    written = Template.from_code(environment, template, environment.globals).render(shown, rest=rest)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", written, flags=re.MULTILINE)).strip() + "\n"
