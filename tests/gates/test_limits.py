from assay.gates.limits import judge

BEFORE = b"seed: 1\nvalidate:\n  leakage_score: 0.98\ngates:\n  quality:\n    margin: 0.01\n    floor: 0.9\n"


def test_the_same_limits_pass_whatever_else_changes():
    assert judge(BEFORE.replace(b"seed: 1", b"seed: 2  # another"), BEFORE).verdict == "PROMOTE"


def test_a_limit_that_changes_is_held_with_both_values():
    outcome = judge(BEFORE.replace(b"margin: 0.01", b"margin: 0.5"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to 0.5" in outcome.reason


def test_limits_that_are_removed_are_held():
    outcome = judge(b"seed: 1\nvalidate:\n  leakage_score: 0.98\n", BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.margin from 0.01 to not set" in outcome.reason


def test_a_gate_that_is_switched_off_is_held():
    outcome = judge(BEFORE.replace(b"margin: 0.01", b"margin: 0.01\n    enabled: false"), BEFORE)
    assert outcome.verdict == "HOLD"
    assert "gates.quality.enabled from not set to False" in outcome.reason


def test_the_limits_of_the_data_checks_count_too():
    assert judge(BEFORE.replace(b"0.98", b"1.0"), BEFORE).verdict == "HOLD"


def test_of_many_changes_three_are_named():
    now = BEFORE.replace(b"0.01", b"0.02").replace(b"0.9\n", b"0.1\n").replace(b"0.98", b"0.5")
    outcome = judge(now + b"  slices:\n    margin: 1\n", BEFORE)
    assert "and 1 more" in outcome.reason


def test_code_of_the_gates_that_changes_is_held():
    outcome = judge(BEFORE, BEFORE, ["src/assay/gates/quality.py"])
    assert outcome.verdict == "HOLD"
    assert "the gates themselves changed: src/assay/gates/quality.py" in outcome.reason


def test_where_there_were_no_limits_there_is_nothing_to_compare():
    assert judge(BEFORE, None).verdict == "SKIP"
    assert judge(BEFORE, b"seed: 1\n").verdict == "SKIP"
