import pytest

from assay.outcomes import Outcome, Verdict, overall


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        ([], "HOLD"),
        (["SKIP"], "HOLD"),
        (["PROMOTE"], "PROMOTE"),
        (["PROMOTE", "SKIP"], "PROMOTE"),
        (["PROMOTE", "HOLD"], "HOLD"),
        (["PROMOTE", "HOLD", "REJECT"], "REJECT"),
        (["REJECT", "PROMOTE"], "REJECT"),
    ],
)
def test_one_outcome_rejects_all_one_holds_the_rest_and_nothing_is_no_pass(
    verdicts: list[Verdict], wanted: Verdict
) -> None:
    assert overall(Outcome("gate", verdict, "because") for verdict in verdicts) == wanted


def test_an_outcome_as_plain_data_makes_the_same_outcome_again() -> None:
    outcome = Outcome("leakage", "HOLD", "a says too much", {"score": 0.99}, {"score": 0.98})
    assert Outcome(**outcome.as_dict()) == outcome
    assert set(outcome.as_dict()) == {"gate", "verdict", "reason", "measured", "limit"}
