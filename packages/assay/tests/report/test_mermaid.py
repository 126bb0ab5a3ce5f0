import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.report.markdown import markdown
from assay.report.mermaid import xychart
from machine import lacks
from nasty import TEXTS
from npm import NotHereError, installed
from reports import TEMPLATE, report

NODE = Path(__file__).with_name("node")
# How many charts the report of a task has.
CHARTS = {"binary": 5, "multiclass": 2, "regression": 2}
NO_CHART = 'xychart-beta\n  line [1e-3, "a"]'

NUMBERS = st.one_of(
    st.floats(-1e300, 1e300), st.floats(-1, 1), st.floats(0, 1e6), st.sampled_from([0.0, 1.0, 1e-300, 1e9, 5e11])
)
LINES = st.lists(st.tuples(NUMBERS, NUMBERS).map(list), max_size=130)
SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)).map(list), max_size=60)


@pytest.fixture(scope="module")
def faults():
    """Return a function from charts to what the parser of the real Mermaid says against each, or None."""
    try:
        home = installed(NODE)
    except NotHereError as error:
        lacks(str(error))

    def parse(charts):
        done = subprocess.run(
            ["node", "parse.js"], cwd=home, input=json.dumps(charts), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return parse


def charts(page):
    return re.findall(r"^```mermaid\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def said(faults):
    """What the parser, asked once, says against each chart of the reports, and against what is no chart."""
    asked = [NO_CHART, *(chart for task in CHARTS for chart in charts(markdown(report(task), TEMPLATE)))]
    return dict(zip(asked, faults(asked), strict=True))


@pytest.mark.parametrize(("task", "number"), CHARTS.items())
def test_every_chart_of_a_report_parses(said, task, number):
    found = charts(markdown(report(task), TEMPLATE))
    assert len(found) == number
    assert [said[chart] for chart in found] == [None] * number


@pytest.mark.nightly
def test_a_chart_with_any_text_and_any_number_parses(faults):
    found = []

    @given(TEXTS, st.lists(st.tuples(TEXTS, NUMBERS), max_size=12), SHARES, LINES, LINES)
    @settings(max_examples=150)
    def collect(text, importance, shares, line, other):
        curves = {
            "roc": {"candidate": shares, "champion": line},
            "precision_recall": {"candidate": shares},
            "reliability": {"candidate": line, "champion": shares},
            "residuals": {"candidate": line, "champion": other},
            "learning": {
                "train": [[i, y] for i, (_, y) in enumerate(line)],
                "validation": [[i, 0.1] for i in range(9)],
            },
        }
        explanation = [{"feature": name, "candidate": value} for name, value in importance]
        found.extend(charts(markdown(report(text=text, curves=curves, explanation=explanation), TEMPLATE)))

    collect()
    different = sorted(set(found))
    assert len(different) > 100
    broken = {chart: fault for chart, fault in zip(different, faults(different), strict=True) if fault}
    assert broken == {}


def test_mermaid_does_refuse_what_is_no_chart(said):
    assert "Parse error" in said[NO_CHART]


def test_what_cannot_be_drawn_is_no_chart():
    for values in ([], [0.0, 0.0], [1e300, 1.0], [1e-12], [1.0] * 101):
        assert xychart(("x", 0, 1), "y", [("line", "#000", values)]) == ""


def test_labels_that_read_alike_are_numbered():
    chart = xychart(("", ['a"]', "a%{", "b"]), "y", [("bar", "#000", [1, 2, 3])])
    assert 'x-axis ["1 a", "2 a", "3 b"]' in chart
