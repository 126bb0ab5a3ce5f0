import subprocess
import sys
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.properties.expectations import answers, falls, falls_when, few, listed, rises, rises_when, same_when, shown


@pytest.mark.parametrize(
    ("expectation", "name"),
    [
        (rises("age"), "more age never lowers the risk"),
        (falls("age", tolerance=0.1, of="sick"), "more age never raises the risk of sick by more than 0.1"),
        (rises_when("a year later", dict), "a year later: never lowers the risk"),
        (falls_when("a year later", dict, of="well"), "a year later: never raises the risk of well"),
        (same_when("in upper case", dict), "in upper case: does not matter"),
        (same_when("in upper case", dict, tolerance=0.05), "in upper case: matters by at most 0.05"),
        (answers({"age": 90, "ward": "west"}, "sick"), "age is 90 and ward is west: answers sick"),
        (answers({"age": (80, 120)}, (1, 2.5)), "age is 80 to 120: answers 1 to 2.5"),
        (answers({}, "sick"), "any row: answers sick"),
        (answers({"age": 90}, "sick", name="an old patient"), "an old patient: answers sick"),
    ],
)
def test_an_expectation_is_named_by_what_it_says(expectation, name):
    assert expectation.name == name


def test_only_the_first_few_of_many_things_are_said():
    assert few([]) == ""
    assert few(["a"]) == "a"
    assert few(["a", "b"]) == "a and b"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert listed({"age": 3, "ward": None}) == "age is 3 and ward is missing"


@given(st.lists(st.text(st.characters(exclude_characters=","), min_size=1), min_size=1))
def test_however_many_things_there_are_four_are_said(things):
    said = few(things)
    assert said.startswith(things[0])
    assert said.count(", ") <= 2
    assert (f"and {len(things) - 3} more" in said) == (len(things) > 3) or "more" in "".join(things)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3"),
        (0.1 + 0.2, "0.3"),
        (1e-9, "1e-09"),
        (None, "missing"),
        ((1.0, 2.0), "1 to 2"),
        (datetime(2024, 1, 2), "2024-01-02 00:00:00"),
        ("x" * 100, "x" * 60),
    ],
)
def test_values_are_shown_as_people_write_them(value, words):
    assert shown(value) == words


def test_writing_expectations_down_loads_nothing_heavy():
    heavy = "{'sklearn', 'hypothesis', 'numpy', 'pandas'}"
    code = f"import sys, assay.properties.expectations; print(*{heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
