"""Texts that try to break out of their place on a page, and what GitHub makes of a text once it is rendered."""

import re

from hypothesis import strategies as st

FRAGMENTS = [
    "|", "\\|", "\\", "`", "```", "~~~", "~~gone~~", "*", "**b**", "_", "__b__", "# h", "#12", "GH-12", "own/repo#12",
    "\n", "\r\n", "\n\n", "\t", "    ", "\u2028", "---", "===", "- x", "+ x", "1. x", "1) x", "> q", "> [!NOTE]", ":--",
    "<b>", "</details>", "</td>", "</svg>", "<script>alert(1)</script>", "<!--", "-->", "<img src=x onerror=alert(1)>",
    "&lt;", "&#64;", "&", '"', "'", "'><b>", "[a](http://x.y)", "![a](x.png)", "[^1]", "[ ]", "[a]: http://x.y", "](",
    "@ann", "@org/team", "ann@example.com", "http://x.y", "HTTPS://x.y/z", "ftp://x.y", "www.x.y", "WWW.x.y",
    "mailto:a@b.c", "deadbeef", "c0ffee1234567890c0ffee1234567890c0ffee12", "1234567",
    "0.1234567", "own/repo@c0ffee1", "$x$", "$$", "$`x`$", ":tada:", ":+1:", "/merge", "%%{init: {}}%%", "%%", "end",
    '"]', "{{ x }}", "{% if %}",
    "\u202e", "\u200b", "\u2066", "\ufeff", "\x00", "\x1b[31m", "\x7f", "é", "名", "א", "👩\u200d⚕️", "x",
    "age_of_x", " ", "…",
]  # fmt: skip
MANY = st.permutations(FRAGMENTS).map(lambda fragments: fragments[:40])
TEXTS = st.one_of(
    MANY.map("".join),
    MANY.map(" ".join),
    st.text(max_size=40),
    st.sampled_from(FRAGMENTS),
    st.sampled_from(FRAGMENTS).map(lambda fragment: fragment * 100),
)
# GitHub looks for these in the text of a rendered page, outside of code (the patterns of html-pipeline, loosened).
LINKS = [re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in (r"://", r"www\.", r"[^\s@]@[a-z0-9-]+\.")]
_REFERENCES = [
    r"(?<![a-z0-9])@[a-z0-9]",
    r"#\d",
    r"\bgh-\d",
    # Digits after a decimal point are of a number.
    r"\b(?!(?<=\d\.)\d+\b)[0-9a-f]{7,40}\b",
    r":[\w+-]+:",
    r"\$",
]
REFERENCES = [re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in _REFERENCES]


def active(text: str, *, within_code: bool = False) -> list[str]:
    """Return what GitHub would make a link, a mention, a formula or a picture of."""
    patterns = LINKS if within_code else LINKS + REFERENCES
    return [found[0] for pattern in patterns if (found := pattern.search(text))]


def prose(tokens) -> list[str]:
    """Return what GitHub looks at in inline tokens: text outside of code, and not a dollar in a span of its own."""
    found, before, within_code = [""], "", False
    for token in tokens:
        within_code = token.content == "<code>" or (within_code and token.content != "</code>")
        if token.type == "text" and not within_code and (before, token.content) != ("<span>", "$"):
            found[-1] += token.content
        else:
            found.append("")
        before = token.content
    return found


def seen(tokens) -> str:
    """Return what a reader sees of inline tokens that are text and spans around a dollar, and nothing else."""
    assert {token.type for token in tokens} <= {"text", "html_inline"}
    assert {token.content for token in tokens if token.type == "html_inline"} <= {"<span>", "</span>"}
    return "".join(token.content for token in tokens if token.type == "text").replace("\u200b", "")
