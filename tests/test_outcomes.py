from assay.outcomes import Outcome


def test_an_outcome_as_plain_data_makes_the_same_outcome_again() -> None:
    outcome = Outcome("leakage", "HOLD", "a says too much", {"score": 0.99}, {"score": 0.98})
    assert Outcome(**outcome.as_dict()) == outcome
    assert set(outcome.as_dict()) == {"gate", "verdict", "reason", "measured", "limit"}
