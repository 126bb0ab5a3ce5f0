from copy import deepcopy

import numpy as np
import pytest

from assay.evaluation.behaviour import dominance, fairness, perturbed, sensitivity
from assay.evaluation.metrics import ScoredRows
from examples import small
from patients import contract, patients


def test_a_model_that_looks_at_one_feature_is_sensitive_to_that_one_only():
    data, _ = patients(300)
    found = sensitivity(data, contract(), lambda d: (d["noise"] > 0).astype(int), noise=0.2, seed=1)
    assert found["features"].pop("noise") > 0
    assert set(found["features"].values()) == {0.0}
    assert found["all"] > 0


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_model_that_looks_at_nothing_is_not_sensitive(task):
    data, _ = patients(50)
    found = sensitivity(data, contract(task), lambda d: np.ones(len(d["age"])), noise=0.5, seed=1)
    assert found["all"] == 0


def test_changes_really_change_the_rows_stay_in_range_and_leave_the_input_alone():
    data, _ = patients(300)
    before, seen = deepcopy(data), []
    sensitivity(data, contract(), lambda d: seen.append(d) or np.ones(300), noise=0.5, seed=1)
    moved = seen[-1]
    for name in data:
        np.testing.assert_array_equal(data[name], before[name])
        assert (moved[name] != data[name]).any(), name
    assert np.nanmin(moved["heart-rate"]) >= 30
    assert set(moved["ward"]) <= {"north", "south", "west", None}


def test_more_noise_changes_more_answers():
    data, _ = patients(500)
    effects = [
        sensitivity(data, contract(), lambda d: (d["age"] > 55).astype(int), noise=noise, seed=1)["all"]
        for noise in (0.01, 0.1, 1.0)
    ]
    assert effects == sorted(effects)
    assert effects[0] < effects[-1]


def test_dominance_shows_the_label_said_most_beside_its_true_share():
    target, decision = np.array([0, 0, 1, 1]), np.array([1, 1, 1, 0])
    rows = ScoredRows(target, np.full((4, 2), 0.5), decision)
    whole, part = dominance(rows, contract(), {"first half": np.array([True, True, False, False])})
    assert whole == {"part": "all rows", "rows": 4, "label": "sick", "predicted_share": 0.75, "true_share": 0.5}
    assert part == {"part": "first half", "rows": 2, "label": "sick", "predicted_share": 1.0, "true_share": 0.0}


def test_fairness_is_what_one_counts_by_hand():
    groups = np.array(["a"] * 80 + ["b"] * 80, dtype=object)
    target = np.tile([0, 1], 80)
    decision = np.concatenate([np.tile([0, 1], 40), np.ones(80, dtype=int)])
    found = fairness(ScoredRows(target, np.full((160, 2), 0.5), decision), contract(), {"ward": groups})["ward"]
    assert found["groups"]["a"]["selection_rate"] == 0.5
    assert found["groups"]["b"]["false_positive_rate"] == 1
    assert found["difference"] == {
        "accuracy": 0.5,
        "selection_rate": 0.5,
        "true_positive_rate": 0,
        "false_positive_rate": 1,
    }


def test_missing_groups_are_a_group_and_small_ones_make_no_difference():
    groups = np.array(["a"] * 40 + ["missing"] * 40 + ["rare"] * 3, dtype=object)
    target = np.arange(83) % 2
    found = fairness(ScoredRows(target, np.full((83, 2), 0.5), target), contract(), {"ward": groups})["ward"]
    assert set(found["groups"]) == {"a", "missing", "rare"}
    assert found["groups"]["rare"]["rows"] == 3
    assert set(found["difference"].values()) == {0}


def test_fairness_of_numbers_is_about_errors():
    groups = np.array(["a"] * 30 + ["b"] * 30, dtype=object)
    truth = np.zeros(60)
    guess = np.concatenate([np.zeros(30), np.full(30, 2.0)])
    found = fairness(ScoredRows(truth, guess, guess), contract("regression"), {"ward": groups})["ward"]
    assert found["difference"] == {"mae": 2.0, "bias": 2.0}


def test_a_rate_over_no_row_is_none_and_makes_no_difference():
    groups = np.array(["a"] * 40 + ["b"] * 40, dtype=object)
    target = np.concatenate([np.tile([0, 1], 20), np.zeros(40, dtype=int)])
    found = fairness(ScoredRows(target, np.full((80, 2), 0.5), target), contract(), {"ward": groups})["ward"]
    assert found["groups"]["b"]["true_positive_rate"] is None
    assert "true_positive_rate" not in found["difference"]


def test_a_boolean_is_flipped_and_a_whole_number_stays_whole():
    data, _ = patients(300)
    seen = []
    sensitivity(data, contract(), lambda d: seen.append(d) or np.ones(300), noise=0.3, seed=1)
    moved = seen[-1]
    known = ~np.isnan(data["smoker"])
    assert set(moved["smoker"][known]) == {0.0, 1.0}
    assert 0.2 < (moved["smoker"] != data["smoker"])[known].mean() < 0.4
    assert (moved["age"] % 1 == 0).all()
    assert 0.2 < (moved["age"] != data["age"]).mean() < 0.4


def test_a_time_keeps_its_hour_and_its_day_of_the_week():
    made = small({"at": {"kind": "time"}})
    at = np.datetime64("2023-01-01", "us") + np.arange(300 * 24) * np.timedelta64(1, "h")
    moved = perturbed({"at": at}, made, noise=0.1, seed=1)["at"]
    weeks = (moved - at) / np.timedelta64(7, "D")
    np.testing.assert_array_equal(weeks, weeks.round())
    assert {-1.0, 0.0, 1.0} < set(weeks)
