from assay.report.data import read
from assay.report.view import shortened, view
from places import PACKAGE
from reports import NOTHING, report


def seen(**changes):
    return view(read(report(**changes)))


def judged(verdict, *outcomes, overrides=()):
    return {
        "verdict": verdict,
        "candidate": {},
        "champion": None,
        "outcomes": [{"gate": gate, "verdict": one, "reason": f"{gate} said so"} for gate, one in outcomes],
        "overrides": [{"gate": gate, "by": "Ann", "why": "known"} for gate in overrides],
    }


def reason(*given, **overrides):
    return seen(verdict=judged(*given, **overrides))["reason"]


def test_the_reason_is_that_of_the_gate_that_decided():
    assert reason("REJECT", ("quality", "PROMOTE"), ("slices", "REJECT"), ("lock", "HOLD")) == "slices: slices said so"
    assert reason("HOLD", ("a", "HOLD"), ("b", "HOLD")) == "a: a said so (and 1 more gate)"
    assert reason("HOLD", ("a", "HOLD"), ("b", "HOLD"), ("c", "HOLD")) == "a: a said so (and 2 more gates)"


def test_the_reason_to_promote_is_quality():
    passed = ("contract", "PROMOTE"), ("quality", "PROMOTE"), ("fairness", "SKIP")
    assert reason("PROMOTE", *passed) == "quality: quality said so; 2 of 3 gates passed and 1 did not apply"


def test_an_overridden_gate_is_no_reason():
    assert reason("REJECT", ("a", "REJECT"), ("b", "REJECT"), overrides=["a"]) == "b: b said so"
    assert reason("PROMOTE", ("a", "PROMOTE"), ("b", "HOLD"), overrides=["b"]) == "1 of 2 gates passed (1 overridden)"


def test_without_a_reason_it_says_so():
    assert view(read(NOTHING))["reason"] == "no gate gave a reason"


def test_what_matters_most_comes_first():
    metric = report()["metrics"][0]
    part = report()["slices"][0]
    shown = seen(
        metrics=[metric | {"name": "b", "decides": False}, metric],
        slices=[part | {"slice": "fine", "difference": 9.0, "verdict": "better"}, part],
        drift=[{"column": "a", "distance": 0.1}, {"column": "b", "distance": 0.2}, {"column": "c", "drifted": True}],
        expectations=[{"name": "a", "held": True, "examples": 1}, {"name": "b", "held": False, "examples": 1}],
    )
    assert [one["verdict"] for one in shown["outcomes"]] == ["REJECT", "HOLD", "PROMOTE", "SKIP"]
    assert [one["name"] for one in shown["metrics"]] == ["roc_auc", "b"]
    assert [one["slice"] for one in shown["slices"]] == ["ward is west", "fine"]
    assert [one["column"] for one in shown["drift"]] == ["c", "b", "a"]
    assert [one["name"] for one in shown["expectations"]] == ["b", "a"]
    assert [one["feature"] for one in shown["explanation"]] == ["age", "height"]


def test_what_moved_is_named_with_how_far():
    assert seen()["moved"] == [{"feature": "height", "by": "-0.2"}, {"feature": "age", "by": "+0.1"}]


def test_a_parameter_is_shown_as_it_was_written():
    params = [{"name": "C", "before": 0.123456, "now": None}, {"name": "on", "before": True, "now": 1000000}]
    shown = seen(changed={"params": params})["changed"]["params"]
    assert [(one["before"], one["now"]) for one in shown] == [("0.123456", "-"), ("true", "1000000")]


def test_rows_that_stayed_are_said_to_be_the_same():
    rows = {"before": 5, "now": 5, "kept": 5, "added": 0, "removed": 0}
    assert seen(changed={"data": {"rows": rows}})["changed"]["data"] == "5 rows, the same as before"


def test_what_came_from_the_cache_cost_nothing():
    shown = seen()["cost"]
    assert (shown["total"], shown["saved"], shown["cached"], shown["of"]) == ("1.9 min", "0.1 s", 1, 2)


def test_shortened_sections_say_how_much_is_left():
    whole = {"slices": list(range(5)), "cost": {"stages": [1, 2, 3], "gates": [1]}, "next": [1, 2, 3]}
    assert shortened(whole, {"slices": 2, "cost": 1}) == (
        {"slices": [0, 1], "cost": {"stages": [1], "gates": [1]}, "next": [1, 2, 3]},
        {"slices": 3, "cost": 2},
    )


def test_the_documentation_names_everything_a_template_can_print():
    page = (PACKAGE / "docs/reference/report.md").read_text(encoding="utf-8")
    assert [key for key in seen() if f"`{key}`" not in page] == []
