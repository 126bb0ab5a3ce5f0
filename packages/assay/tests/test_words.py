"""Plain English: phrases that messages, docstrings, comments and pages do without, and what to write in their place.

docs/style.md has the rules. A phrase that a reader had to read twice belongs into the list below.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from places import PACKAGE, ROOT

PHRASES = {
    r"beside the champion": "against the champion, next to the champion",
    r"anew": "again, from scratch",
    r"dear(er|est)?": "expensive",
    r"(is|are|was|were|be) taken down": "recorded",
    r"told (of|apart|from)": "reported, distinguished",
    r"lies here": "in the working tree",
    r"surely": "conclusively, significantly",
    r"so many": "the number, this many",
    r"otherwise than": "differs from, differently from",
    r"in turns": "alternately",
    r"befalls?": "affects",
    r"by right": "legitimately",
    r"of old(?= *[.,;:)])": "earlier, old",
    r"who(m|so)?ever": "anyone who, the person who, people who",
    r"(one|ones|that|which|what|it) (is|are) no (?!longer|more than|worse|better|clear|room|way|need|such)": "is not a",
    r"(could|can|may|cannot|to) be had": "is available, is not available",
    r"no whole": "not a complete",
    r"answers? no more": "is disabled, no longer answers",
    r"out are": "excluded are",
    r"goes by": "uses, follows",
    r"held to account": "checked",
    r"for ever": "indefinitely",
    r"all the same": "anyway, in spite of it",
    r"not be told": "not be distinguished",
    r"much the same": "nearly the same",
    r"has to be had": "is required",
    r"thereof|thereby|therein|hitherto|henceforth": "a plain word",
    r"please note|basically|simply put|in order to": "nothing: leave it out",
}
FORBIDDEN = {re.compile(rf"\b({phrase})\b", re.IGNORECASE): instead for phrase, instead in PHRASES.items()}

PAGES = [
    *(ROOT / name for name in ("README.md", "AGENTS.md", "contract.yaml", "params.yaml", "overrides.yaml")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((PACKAGE / "docs").rglob("*.md")),
    *(PACKAGE / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "AGENTS.md", "copy/README.md")),
]
CODE = [
    *sorted((PACKAGE / "src/assay").rglob("*.py")),
    *sorted((ROOT / "src").rglob("*.py")),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "loadtests").rglob("*.py")),
]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the text that people read, with its line: comments and strings of code, and pages without code blocks."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                # A phrase may go over the end of a line.
                yield token.start[0], " ".join(token.string.replace("#", " ").split())
        return
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    # What stands in code, such as a phrase that is an example.
    text = re.sub(r"`[^`\n]*`", "``", text)
    line = 1
    for part in text.split("\n\n"):
        yield line, " ".join(part.split())
        line += part.count("\n") + 2


def found(path: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {said[0]!r}: write {instead}"
        for line, text in prose(path)
        for phrase, instead in FORBIDDEN.items()
        if (said := phrase.search(text))
    ]


def test_pages_are_in_plain_english() -> None:
    assert [one for path in PAGES for one in found(path)] == []


@pytest.mark.parametrize("folder", sorted({path.parent for path in CODE}), ids=lambda folder: folder.name)
def test_messages_docstrings_and_comments_are_in_plain_english(folder: Path) -> None:
    assert [one for path in CODE if path.parent == folder for one in found(path)] == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("# It is made anew.\n", True),
        ('"""The answers differ otherwise\n    than before."""\n', True),
        ("x = 'one that is no table'\n", True),
        ("x = 'a split that is no longer there'\n", False),
        ("anew = 1\n", False),
    ],
)
def test_a_phrase_is_found_where_people_read_it(text: str, is_found: bool, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    assert any(phrase.search(said) for _, said in prose(path) for phrase in FORBIDDEN) is is_found
