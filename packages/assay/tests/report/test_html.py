import re
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given

from assay.report.html import html
from nasty import FRAGMENTS, TEXTS
from reports import NOTHING, report

VOID = ("meta", "br")


class Page(HTMLParser):
    """The elements of a page with their attributes, in order; what opens has to close."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outside_plots(text):
    return re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


@cache
def elements_of_plain():
    return Page(html(report(text="x", explanation=[], curves=None))).elements


# What stands between backticks is code in a next step or a reason, which makes an element more.
@given(TEXTS.map(lambda text: text.replace("`", "'")))
def test_no_text_changes_the_elements_of_the_page(text):
    assert Page(html(report(text=text, explanation=[], curves=None))).elements == elements_of_plain()


def test_a_name_in_a_plot_is_text():
    nasty = [{"feature": fragment, "candidate": 0.5, "champion": None} for fragment in FRAGMENTS]
    for start in range(0, len(nasty), 10):
        page = html(report(explanation=nasty[start : start + 10], curves=None))
        (drawing,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
        assert {tag for tag, _ in Page(drawing).elements} == {"svg", "g", "path", "line", "text"}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_page_needs_no_script_and_nothing_from_elsewhere(task):
    page = html(report(task, " ".join(FRAGMENTS)))
    elements = Page(page).elements
    assert not {tag for tag, _ in elements} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "image",
        "use",
        "a",
        "style2",
    }
    assert not [name for _, names in elements for name in names if name.startswith("on") or name in ("src", "href")]
    assert "default-src 'none'" in page
    # Addresses stand in text that is shown, and as names of XML.
    assert not re.search(r"url\(|@import", page)


@pytest.mark.parametrize(("task", "plots"), [("binary", 5), ("multiclass", 2), ("regression", 2)])
def test_every_curve_is_drawn_with_a_name_and_a_table(task, plots):
    page = html(report(task))
    assert page.count("<svg") == plots
    assert page.count('role="img" aria-label=') == plots
    assert page.count("<figure>") == page.count("</table></div>\n</figure>")


def test_a_plot_takes_its_colours_from_the_page():
    drawing = re.findall(r"<svg.*?</svg>", html(report()), re.DOTALL)[0]
    fixed = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]+|[a-z]+)"', drawing))
    assert fixed <= {"none", "currentColor", "transparent"}


def test_candidate_and_champion_are_in_one_plot():
    drawing = re.findall(r"<svg.*?</svg>", html(report()), re.DOTALL)[0]
    assert "var(--candidate)" in drawing
    assert "var(--champion)" in drawing


def test_it_reads_like_the_comment():
    text = " ".join("".join(Page(outside_plots(html(report()))).text).split())
    for expected in (
        "❌ REJECT: slices: ward is west is worse",
        "lock was overridden by Ann: it is known",
        "collect more rows",
        "120 rows, 100 before: 90 kept, 30 added, 10 removed",
        "0.9123 (0.88 to 0.94)",
        "+0.0123 (-0.002 to +0.03)",
        "1 column drifted from the data of the champion.",
        "it fell; fails on age = old, height = 1.75",
        "Largest changes from the champion: height by -0.2, age by +0.1.",
        "git checkout c0ffee make pr",
        "1 of 2 stages came from the cache, which saved 0.1 s.",
    ):
        assert expected in text, expected


def test_what_is_not_known_is_left_out():
    page = html(NOTHING)
    Page(page)
    assert re.findall("<h2>(.*?)</h2>", page) == ["What changed", "Checks"]


def test_a_very_long_list_ends_with_where_the_rest_is():
    page = html(report(slices=report()["slices"] * 2_500))
    assert page.count("ward is west</td>") == 1_000
    assert "1,500 more in report.json" in page


def test_a_slice_that_is_worse_within_the_margin_is_not_shown_as_worse():
    part = report()["slices"][0] | {"verdict": "worse, within the margin"}
    assert '<td class="short worse, within the margin">worse, within the margin</td>' in html(report(slices=[part]))
