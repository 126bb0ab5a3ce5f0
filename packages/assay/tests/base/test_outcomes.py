import json
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from assay.base.outcomes import SEVERITY, Outcome, combined, overall

verdicts = st.sampled_from(SEVERITY)


def test_an_outcome_is_plain_data():
    outcome = Outcome("leakage", "HOLD", "0.5 is over 0.4", {"score": 0.5}, {"score": 0.4})
    assert Outcome(**json.loads(json.dumps(outcome.as_dict()))) == outcome


def test_the_verdict_is_the_worst_and_what_does_not_apply_weighs_nothing():
    for first, second in product(SEVERITY, repeat=2):
        found = overall([first, second])
        if "REJECT" in (first, second):
            assert found == "REJECT"
        elif "HOLD" in (first, second) or (first, second) == ("SKIP", "SKIP"):
            assert found == "HOLD"
        else:
            assert found == "PROMOTE"


def test_without_any_evidence_nothing_passes():
    assert overall([]) == "HOLD"
    assert combined("quality", []).verdict == "HOLD"


@given(st.lists(verdicts, min_size=1), verdicts)
def test_one_more_outcome_never_makes_a_stopped_change_pass(before, more):
    if overall(before) == "REJECT":
        assert overall([*before, more]) == "REJECT"
    if "HOLD" in before:
        assert overall([*before, more]) != "PROMOTE"


@given(st.lists(verdicts, min_size=1, max_size=5))
def test_a_gate_that_looked_at_several_things_has_the_worst_verdict_and_its_reasons(given_verdicts):
    checks = [Outcome(f"check {i}", verdict, f"reason {i}") for i, verdict in enumerate(given_verdicts)]
    found = combined("gate", checks)
    assert found.verdict == max(given_verdicts, key=SEVERITY.index)
    reasons = [check.reason for check in checks if check.verdict == found.verdict]
    assert found.reason == (reasons[0] if found.verdict == "PROMOTE" else "; ".join(reasons))
    assert {name: check["verdict"] for name, check in found.measured.items()} == {c.gate: c.verdict for c in checks}
