import html

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assay.report.text import WORD, code, escape, fenced, inline, plain, shorten
from nasty import FRAGMENTS, TEXTS, active, prose, seen

MUCH = 20_000
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def wrapped(text):
    return " ".join(shorten(word, WORD) for word in plain(text, MUCH).split(" "))


def children(markdown):
    blocks = PARSER.parse(markdown)
    assert [block.type for block in blocks] == ["paragraph_open", "inline", "paragraph_close"]
    return blocks[1].children


@given(TEXTS)
def test_an_escaped_text_is_a_paragraph_that_reads_as_the_text(text):
    assume(plain(text, MUCH))
    assert seen(children(escape(text, MUCH))) == wrapped(text)


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_each_fragment_alone_on_a_line_continues_the_paragraph_before_it(fragment):
    types = [token.type for token in PARSER.parse(f"before\n{escape(fragment)}\n\n{fenced([fragment])}")]
    assert types == ["paragraph_open", "inline", "paragraph_close", "fence"]


@given(TEXTS)
def test_an_escaped_text_is_one_cell_of_a_table(text):
    tokens = PARSER.parse(f"| a | b |\n|---|---|\n| {escape(text, MUCH)} | y |")
    cells = [seen(token.children) for token in tokens if token.type == "inline"]
    assert cells == ["a", "b", wrapped(text), "y"]


def test_an_underscore_ends_no_emphasis_of_the_template():
    assert [token.type for token in children(f"_x {escape('a_ _b')} y_")] == ["em_open", "text", "em_close"]


@given(TEXTS)
def test_an_escaped_text_is_text_in_an_html_block_too(text):
    tokens = PARSER.parse(f"<summary>{escape(text, MUCH)}</summary>")
    assert [token.type for token in tokens] == ["html_block"]
    shown = tokens[0].content.replace("<span>$</span>", "$")
    assert "<" not in shown.removeprefix("<summary>").removesuffix("</summary>\n").removesuffix("</summary>")
    assert html.unescape(shown).replace("\u200b", "") == f"<summary>{wrapped(text)}</summary>"


@given(TEXTS)
def test_github_finds_nothing_to_link_in_an_escaped_text(text):
    assert [found for run in prose(children(f"x {escape(text)}")) for found in active(run)] == []


@given(TEXTS)
def test_code_shows_the_text_and_holds_no_address(text):
    opened, *inner, closed = children(code(text, MUCH))
    assert (opened.content, closed.content) == ("<code>", "</code>")
    assert seen(inner) == wrapped(text)
    assert not active("".join(token.content for token in inner), within_code=True)


@given(TEXTS, st.integers(60, 300))
def test_an_escaped_text_is_no_longer_than_asked(text, most):
    assert len(escape(text, most)) <= most
    assert len(inline(text, most)) <= most
    assert len(code(text, most)) <= most + len("<code></code>")


@given(st.lists(TEXTS, max_size=4))
def test_a_fence_holds_its_lines_and_nothing_ends_it(lines):
    tokens = PARSER.parse(fenced(lines, "sh") + "\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.split("\n")[:-1] == [plain(line, 600) for line in lines or [""]]


def test_a_sentence_has_its_code_between_backticks():
    assert inline("raise `a_b` in `params.yaml`: now") == (
        "raise <code>a_b</code> in <code>params.yaml</code>&#58; now"
    )


def test_a_lone_backtick_begins_no_code():
    assert "<code>" not in inline("a ` b")


@given(TEXTS)
def test_no_word_is_too_long_for_a_table(text):
    assert all(len(word) <= WORD for word in seen(children("x " + escape(text))).split(" "))


@given(TEXTS)
def test_plain_text_is_one_line_of_visible_characters(text):
    made = plain(text, 100)
    assert made.isprintable()
    assert len(made) <= 100
    assert plain(made, 100) == made


def test_what_cannot_be_seen_stands_as_its_escape():
    assert plain("a\u202eb\x1b[1m\n c\u200b", 100) == r"a\u202eb\x1b[1m c\u200b"


@pytest.mark.parametrize(("text", "cut"), [("abcdefghij", "abcdefghij"), ("abcdefghijkl", "abcdef…jkl")])
def test_a_long_name_loses_its_middle(text, cut):
    assert shorten(text, 10) == cut
