"""Text from data in its place: on one line, seen for what it is, and escaped for GitHub-flavoured Markdown."""

import re
from collections.abc import Iterable
from functools import lru_cache

# Between these GitHub finds no link, mention or reference; a reader sees nothing of it.
GAP = "&#8203;"
WORDS = 600
NAME = 160
# Nothing breaks a word of a table: one as long as a page would push away the figures beside it.
WORD = 64
# What makes a reference or a link of the characters around it, and what Markdown or HTML would act on.
_ACTIVE = re.compile(
    r"""(?P<commit>\b(?!(?<=\d\.)\d+\b)[0-9a-f]{7,40}\b) | (?P<issue>\bGH-(?=\d)) | (?P<emoji>:(?=[\w+-]+(?::|$)))
    | (?P<url>:(?=//)) | (?P<web>www(?=\.)) | (?P<at>@) | (?P<dollar>\$)
    | (?P<other>[\#&<>"`*\[\]\\|~] | (?<![^\W_])_ | _(?![^\W_]))""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# What would start a list, a heading's underline, a table or a command to a bot.
_START = re.compile(r"^(\d{1,9})?((?<=\d)[.)](?= |$)|(?<!\d)(?:[-+=](?!\d)|[:/]))")


class Safe(str):
    """Text that is Markdown already."""

    __slots__ = ()


def plain(text: str, most: int) -> str:
    """Return text on one line of at most `most` characters, and what cannot be seen in it as its escape."""
    line = shorten(" ".join(text.split()), most)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return shorten(line, most)


def shorten(text: str, most: int) -> str:
    """Return text without its middle where it is longer than `most` characters: names often differ at the end."""
    if len(text) <= most:
        return text
    tail = most // 3
    return text[: most - 1 - tail] + "…" + text[len(text) - tail :]


def escape(text: str, most: int = WORDS) -> Safe:
    """Return Markdown of at most `most` characters that shows a text, long words shortened, and does nothing else.

    It holds in a paragraph, a table and an HTML block; in a code span or a fence it shows more than was meant.
    """
    return _escaped(text, most, GAP)


def code(text: object, most: int = NAME) -> Safe:
    """Return Markdown that shows a name as code."""
    # An HTML element and no backticks: those cannot hold every text inside a table.
    return Safe(f"<code>{_escaped(str(text), most, '')}</code>")


def inline(text: str, most: int = WORDS) -> Safe:
    """Return Markdown of a sentence in which what stands between backticks is code."""
    parts = plain(text, most).split("`")
    made = "".join(
        code(part) if i % 2 else " " * part.startswith(" ") + escape(part) + " " * (part.endswith(" ") and part != " ")
        for i, part in enumerate(parts)
    )
    return Safe(made) if len(parts) % 2 and len(made) <= most else escape(text, most)


def fenced(lines: Iterable[str], language: str = "") -> Safe:
    """Return lines in a fence that none of them can end."""
    body = "\n".join(plain(line, WORDS) for line in lines)
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", body))])
    return Safe(f"{fence}{language}\n{body}\n{fence}")


# A page that has to be made shorter is written again from the same texts.
@lru_cache(maxsize=10_000)
def _escaped(text: str, most: int, gap: str) -> Safe:
    def stands_for(found: re.Match[str]) -> str:
        character = found[0]
        match found.lastgroup:
            case "commit":
                return gap.join(re.findall(".{1,6}", character))
            case "issue":
                return character + gap
            case "emoji" | "url" | "web" | "at":
                return character + GAP
            case "dollar":
                # So that GitHub sees no formula.
                return "<span>$</span>"
            case _:
                return f"&#{ord(character)};" + gap * (character == "#")

    shown = " ".join(shorten(word, WORD) for word in plain(text, most).split(" "))
    while len(made := _START.sub(_start, _ACTIVE.sub(stands_for, shown))) > most:
        shown = shorten(shown, min(len(shown) - 1, len(shown) * most // len(made) + 1))
    return Safe(made)


def _start(found: re.Match[str]) -> str:
    return f"{found[1] or ''}&#{ord(found[2])};"
