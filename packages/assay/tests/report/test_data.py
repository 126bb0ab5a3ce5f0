import copy
import json
from pathlib import Path

import pytest
from hypothesis import given

from assay.base.errors import InputError
from assay.github.comment import rederive_verdict
from assay.project.layout import REPORT_FORMAT, VERDICT_FORMAT
from assay.report.data import read, read_verdict
from assay.report.markdown import markdown
from nasty import TEXTS
from reports import NOTHING, report

# As the last release wrote them, before they had a format.
RELEASED = Path(__file__).with_name("released")
TASKS = ("binary", "multiclass", "regression")


def strings(value):
    if isinstance(value, dict):
        return [one for pair in value.items() for part in pair for one in strings(part)]
    if isinstance(value, list | tuple):
        return [one for part in value for one in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("task", TASKS)
def test_a_report_with_every_section_is_read(task):
    assert read(report(task)).task == task


def test_a_section_that_is_not_known_is_empty():
    assert read(NOTHING).slices == ()
    assert read({key: NOTHING[key] for key in ("verdict", "name", "task")}) == read(NOTHING)


@given(TEXTS)
def test_every_text_is_one_visible_line_of_sane_length(text):
    read_texts = strings(
        read(report(text=text)).model_dump(exclude={"verdict": {"outcomes": {"__all__": {"measured"}}}})
    )
    assert all(one.isprintable() and len(one) <= 500 for one in read_texts)


def changed(path, value):
    made = copy.deepcopy(report())
    *way, last = path
    place = made
    for key in way:
        place = place[key]
    place[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("more",), 1, "more: Extra inputs are not permitted"),
        (("metrics", 0, "valeu"), 1, "metrics.0.valeu: Extra inputs are not permitted"),
        (("name",), None, "name: Input should be a valid string"),
        (("task",), "ranking", "task: Input should be 'binary', 'multiclass' or 'regression'"),
        (("verdict", "verdict"), "SKIP", "verdict.verdict: Input should be 'PROMOTE', 'HOLD' or 'REJECT'"),
        (("metrics", 0, "candidate", "value"), float("nan"), "finite number"),
        (("metrics", 0, "dummy"), float("inf"), "finite number"),
        (("metrics", 0, "dummy"), "0.5", "metrics.0.dummy: Input should be a valid number"),
        (("metrics", 0, "dummy"), 10**400, "metrics.0.dummy"),
        (("slices", 0, "rows"), -1, "greater than or equal to 0"),
        (("slices", 0, "rows"), 1.5, "slices.0.rows: Input should be a valid integer"),
        (("curves", "roc", "candidate", 0), [1, 2, 3], "curves.roc.candidate.0"),
        (("next",), ["x"] * 41, "next: Tuple should have at most 40 items"),
        (("slices",), [report()["slices"][0]] * 20_001, "slices: Tuple should have at most 20000 items"),
        (("next",), "abc", "next: Input should be a valid array"),
        (("next",), [b"abc"], "not JSON"),
        (("name",), "\ud800", "Invalid JSON"),
        (("name",), "x" * 50_000_000, "characters, more than"),
    ],
)
def test_data_of_another_shape_is_refused_by_name(path, value, said):
    with pytest.raises(InputError) as refused:
        read(changed(path, value))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_nasty_key_cannot_break_out_of_the_error():
    with pytest.raises(InputError, match=r"^report\.json: a b: Extra inputs") as refused:
        read(report() | {"a\nb": 1})
    assert str(refused.value).isprintable()


def test_verdict_and_report_of_the_last_release_are_read():
    verdict = read_verdict(RELEASED / "verdict.json")
    assert verdict["verdict"] == "HOLD"
    report = json.loads((RELEASED / "report.json").read_text())
    assert "ward is west" in markdown(report)
    assert rederive_verdict(report, report["verdict"]["candidate"]["commit"])["verdict"]["verdict"] == "REJECT"


@pytest.mark.parametrize("newer", [1, 9])
def test_a_newer_format_is_refused_in_one_line_that_says_so(newer: int, tmp_path: Path):
    with pytest.raises(InputError, match=r"^report\.json: written by a newer Assay \(format \d+\); upgrade$"):
        read(report() | {"format": REPORT_FORMAT + newer})
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(report()["verdict"] | {"format": VERDICT_FORMAT + newer}))
    with pytest.raises(InputError, match=r"verdict\.json: written by a newer Assay"):
        read_verdict(path)


def test_the_format_stays_with_a_verdict_that_is_derived_again():
    made = report() | {"format": REPORT_FORMAT}
    made["reproduce"] = None
    made["verdict"] |= {"format": VERDICT_FORMAT, "candidate": {"commit": "a" * 40}}
    found = rederive_verdict(made)
    assert (found["format"], found["verdict"]["format"]) == (REPORT_FORMAT, VERDICT_FORMAT)
