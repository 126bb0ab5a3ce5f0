import re
from xml.etree import ElementTree

import pytest

from assay.gates.service import compare
from assay.load.page import page
from judged import params
from loads import loadtest, side, with_errors

LIMITS = params().gates.service


def shown(candidate, champion=None) -> str:
    found = loadtest(candidate, champion)
    return page(found, compare(found, LIMITS))


def charts(text: str) -> list[ElementTree.Element]:
    found = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    return [ElementTree.fromstring(svg) for svg in found]  # noqa: S314


def test_each_figure_has_a_line_for_either_side():
    found = charts(shown(side(), side(seed=1)))
    assert len(found) == 5
    for chart in found:
        assert [line.get("class") for line in chart.iter("polyline")] == ["candidate", "champion"]
        for line in chart.iter("polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            assert len(points) == 20
            assert all(0 <= x <= 360 and 0 <= y <= 200 for x, y in points)


def test_the_verdict_and_every_check_are_named():
    text = shown(with_errors(side(), 0.01, "status <500>"), side(seed=1))
    assert "<b>REJECT</b>" in text
    assert "throughput is" in text
    assert "status &lt;500&gt;" in text
    assert "status <500>" not in text


def test_the_page_needs_nothing_else():
    text = shown(side(), side(seed=1))
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text


@pytest.mark.parametrize("made", [side(failed="the built Bento does not start: OSError", rounds=0), side(rounds=1)])
def test_what_was_not_measured_is_left_out(made):
    assert "<html" in shown(made)
