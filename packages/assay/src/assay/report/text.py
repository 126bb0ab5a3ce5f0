"""Text from data: on one line, with invisible characters shown, and escaped for GitHub-flavoured Markdown."""

import re
from collections.abc import Iterable
from functools import lru_cache

# An invisible character that keeps GitHub from finding links, mentions and references.
GAP = "&#8203;"
WORDS = 600
NAME = 160
# Tables do not break words: a very long one would push away the other columns.
WORD = 64
# Characters that create references or links, or that Markdown or HTML would interpret.
_ACTIVE = re.compile(
    r"""(?P<commit>\b(?!(?<=\d\.)\d+\b)[0-9a-f]{7,40}\b) | (?P<issue>\bGH-(?=\d)) | (?P<emoji>:(?=[\w+-]+(?::|$)))
    | (?P<url>:(?=//)) | (?P<web>www(?=\.)) | (?P<at>@) | (?P<dollar>\$)
    | (?P<other>[\#&<>"`*\[\]\\|~] | (?<![^\W_])_ | _(?![^\W_]))""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# Starts of lists, heading underlines, tables and bot commands.
_START = re.compile(r"^(\d{1,9})?((?<=\d)[.)](?= |$)|(?<!\d)(?:[-+=](?!\d)|[:/]))")


class Safe(str):
    """Text that is already Markdown."""

    __slots__ = ()


def plain(text: str, most: int) -> str:
    """Return text on one line of at most `most` characters, with unprintable characters as escapes."""
    line = shorten(" ".join(text.split()), most)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return shorten(line, most)


def shorten(text: str, most: int) -> str:
    """Cut the middle out of text longer than `most` characters: names often differ at the end."""
    if len(text) <= most:
        return text
    tail = most // 3
    return text[: most - 1 - tail] + "…" + text[len(text) - tail :]


def escape(text: str, most: int = WORDS) -> Safe:
    """Return Markdown of at most `most` characters that shows a text literally, with long words shortened.

    It works in paragraphs, tables and HTML blocks, but not in code spans and fences, which show the escapes.
    """
    return _escaped(text, most, GAP)


def code(text: object, most: int = NAME) -> Safe:
    """Return Markdown that shows a name as code."""
    # An HTML element, because backticks cannot show every text inside a table.
    return Safe(f"<code>{_escaped(str(text), most, '')}</code>")


def inline(text: str, most: int = WORDS) -> Safe:
    """Return Markdown of a sentence, with the parts between backticks as code."""
    parts = plain(text, most).split("`")
    made = "".join(
        code(part) if i % 2 else " " * part.startswith(" ") + escape(part) + " " * (part.endswith(" ") and part != " ")
        for i, part in enumerate(parts)
    )
    return Safe(made) if len(parts) % 2 and len(made) <= most else escape(text, most)


def fenced(lines: Iterable[str], language: str = "") -> Safe:
    """Return lines in a code fence that none of the lines can close."""
    body = "\n".join(plain(line, WORDS) for line in lines)
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", body))])
    return Safe(f"{fence}{language}\n{body}\n{fence}")


# Cached, because a comment that is too long is rendered again from the same texts.
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
                # Keeps GitHub from seeing a formula.
                return "<span>$</span>"
            case _:
                return f"&#{ord(character)};" + gap * (character == "#")

    shown = " ".join(shorten(word, WORD) for word in plain(text, most).split(" "))
    while len(made := _START.sub(_start, _ACTIVE.sub(stands_for, shown))) > most:
        shown = shorten(shown, min(len(shown) - 1, len(shown) * most // len(made) + 1))
    return Safe(made)


def _start(found: re.Match[str]) -> str:
    return f"{found[1] or ''}&#{ord(found[2])};"
