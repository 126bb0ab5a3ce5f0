import copy
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assay.base.errors import InputError
from assay.report.markdown import MOST_CHARACTERS, markdown
from nasty import FRAGMENTS, TEXTS, active, prose
from reports import NOTHING, TEMPLATE, report

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
TASKS = ("binary", "multiclass", "regression")
SECTIONS = [
    "What to do next",
    "What changed",
    "Checks",
    "Metrics",
    "Worst slices",
    "Curves",
    "Data",
    "Expectations",
    "Service",
    "What drives the model",
    "Model card",
    "Reproduce this run",
    "Cost",
]
ESSENTIAL = ["What to do next", "What changed", "Checks"]


def structure(text):
    """Return the blocks of a page, and the elements inside them, without their text."""
    found = []
    for token in PARSER.parse(text):
        elements = [t.content if t.type == "html_inline" else t.type for t in token.children or []]
        found.append((token.type, token.tag, [e for e in elements if e not in ("text", "<span>", "</span>")]))
    return found


def acting(tokens):
    """Return what GitHub would act on in a page that was parsed."""
    return [found for token in tokens for run in prose(token.children or []) for found in active(run)]


def headings(text):
    return re.findall(r"^(?:### |\*\*)([A-Z][\w ]+?)(?:\*\*)?$", text, re.MULTILINE)


@cache
def structure_of_plain(task):
    return structure(markdown(report(task, "x"), TEMPLATE))


# Backticks are left out: they make code of a next step and of a reason, as another test says.
@given(st.sampled_from(TASKS), TEXTS.map(lambda text: text.replace("`", "'")))
def test_no_text_changes_the_structure_of_the_page(task, text):
    assert structure(markdown(report(task, text), TEMPLATE)) == structure_of_plain(task)


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_no_fragment_makes_a_link_a_mention_or_a_picture(fragment):
    page = PARSER.parse(markdown(report(text=f"a {fragment} b "), TEMPLATE))
    kinds = {child.type for token in page for child in token.children or []}
    assert kinds <= {
        "text",
        "html_inline",
        "strong_open",
        "strong_close",
        "em_open",
        "em_close",
        "code_inline",
        "softbreak",
    }
    assert acting(page) == []


@given(TEXTS)
def test_a_next_step_is_one_item_whatever_it_says(text):
    page = markdown(report(next=[text, "go on"]), "{% for step in next %}\n- {{ step | inline }}\n{% endfor %}")
    assert [kind for kind, _, _ in structure(page)].count("list_item_open") == 2
    assert acting(PARSER.parse(page)) == []


def test_the_page_has_its_sections_in_their_order():
    assert headings(markdown(report(), TEMPLATE)) == SECTIONS


def test_the_verdict_and_its_reason_are_the_first_line():
    assert markdown(report(), TEMPLATE).startswith("## ❌ REJECT: slices: ward is west is worse\n")


def test_what_is_not_known_is_left_out():
    page = markdown(NOTHING, TEMPLATE)
    assert headings(page) == ["What changed", "Checks"]
    assert "There is no champion yet" in page


def test_every_figure_stands_beside_its_noise():
    page = markdown(report(), TEMPLATE)
    row = "| **roc_auc** | higher | 0.9 | 0.9123<br><sub>0.88 to 0.94</sub> | +0.0123<br><sub>-0.002 to +0.03</sub> |"
    assert f"{row} no clear difference | 0.5 |" in page
    assert "| ward is west | 40 | 0.1 | 0.2 | +0.1<br><sub>+0.05 to +0.15</sub> | worse | 0.001 |" in page


def test_a_difference_that_is_not_known_is_a_dash():
    page = markdown(report(metrics=[report()["metrics"][0] | {"champion": None, "difference": None}]), TEMPLATE)
    assert "| &#45; | 0.9123<br><sub>0.88 to 0.94</sub> | &#45; | no clear difference |" in page


def test_a_reason_has_its_code_between_backticks():
    outcome = {"gate": "lock", "verdict": "HOLD", "reason": "run `dvc repro`"}
    page = markdown(report(verdict=NOTHING["verdict"] | {"outcomes": [outcome]}), TEMPLATE)
    assert page.startswith("## ✋ HOLD: lock: run <code>dvc repro</code>\n")
    assert "| lock | ✋&nbsp;HOLD | run <code>dvc repro</code> |" in page


@pytest.mark.parametrize("task", TASKS)
def test_each_curve_is_a_table_and_a_chart(task):
    page = markdown(report(task), TEMPLATE)
    titles = {
        "binary": ["ROC curve", "Precision and recall", "Reliability", "Confusion", "Learning curve"],
        "multiclass": ["Reliability", "Confusion"],
        "regression": ["Residuals"],
    }[task]
    assert [title for title in re.findall("<summary>(.*)</summary>", page) if title in titles] == titles
    # The confusion is a table only, and the importance of features a chart more.
    assert page.count("```mermaid") == len(titles) - ("Confusion" in titles) + 1


def test_what_is_too_long_is_cut_section_by_section_and_says_where_the_rest_is():
    long = report()
    for section, name in (("slices", "slice"), ("drift", "column"), ("explanation", "feature"), ("metrics", "name")):
        long[section] = [long[section][0] | {name: f"{i} " + "&" * 490} for i in range(1_000)]
    page = markdown(long, TEMPLATE)
    assert len(page) <= MOST_CHARACTERS
    assert headings(page) == SECTIONS
    assert "990 more in report.html" in page
    assert page.endswith("</details>\n")
    assert page.count("<details") == page.count("</details>")


@pytest.mark.parametrize("fragment", ["x", "$", "|", "@a ", "` ", "</b>"])
def test_the_longest_report_there_can_be_keeps_verdict_next_steps_and_outcomes(fragment):
    longest = report()
    longest["next"] = [fragment * 500] * 40
    outcome = {"gate": fragment * 500, "verdict": "HOLD", "reason": fragment * 500}
    longest["verdict"]["outcomes"] = [outcome] * 40
    longest["verdict"]["overrides"] = [{"gate": fragment * 500, "by": fragment * 500, "why": fragment * 500}] * 40
    longest["reproduce"]["commands"] = [fragment * 500] * 40
    page = markdown(longest, TEMPLATE)
    assert len(page) <= MOST_CHARACTERS
    assert set(ESSENTIAL) <= set(headings(page))
    kinds = [kind for kind, _, _ in structure(page)]
    assert kinds.count("tr_open") >= 41
    assert page.count("HOLD |") == 40


@given(st.integers(0, 8_000))
@settings(max_examples=20)
def test_a_page_is_never_cut_inside_a_row_or_a_fence(characters):
    # Text of the owner's own takes the room away, so that the cut falls anywhere.
    page = markdown(report(), "x" * (48_000 + characters) + "\n\n" + TEMPLATE)
    assert len(page) <= MOST_CHARACTERS
    assert page.count("```") % 2 == 0
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_report_is_not_changed():
    given_report = report()
    before = copy.deepcopy(given_report)
    markdown(given_report, TEMPLATE)
    assert given_report == before


class TestTemplateOfTheOwner:
    @given(TEXTS)
    def test_what_it_prints_is_escaped(self, text):
        written = markdown(
            report(name=text), "{{ name }}, {{ name ~ '' }}, {{ [name] | join }}, {{ name | upper | lower }}"
        )
        assert acting(PARSER.parse(written)) == []
        assert {kind for kind, _, _ in structure(written)} <= {"paragraph_open", "inline", "paragraph_close"}

    def test_its_own_markdown_is_its_own(self):
        assert markdown(report(), "**{{ name }}**") == "**ward**\n"

    @pytest.mark.parametrize(
        ("template", "line", "said"),
        [
            ("a\n{% if %}", 2, "Expected an expression"),
            ("a\n\n{{ nmae }}", 3, "'nmae' is undefined"),
            ("{{ metrics[0].valeu }}", 1, "no attribute 'valeu'"),
            ("a\n{{ name | safe }}", 2, "No filter named 'safe'"),
            ("a\n{{ 1 / 0 }}", 2, "division by zero"),
            ("{{ name.__class__.__mro__ }}", 1, "unsafe"),
            ("{% include 'x' %}", 1, "no loader"),
        ],
    )
    def test_a_mistake_in_it_is_named_with_its_line(self, template, line, said):
        with pytest.raises(InputError, match=rf"^src/model/report\.md\.j2, line {line}: .*{said}[^\n]*$"):
            markdown(report(), template)

    def test_one_that_is_too_long_itself_is_refused(self):
        with pytest.raises(InputError, match="shorten the template"):
            markdown(report(), "x" * 60_001)
