"""Every gate is shown to bite, for the reason that it should, and harmless changes pass all of them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.gates.gate import GATES
from gates.catalogue import BAD, HARMLESS, Case, scores_not_a_number
from gates.changing import judge, recorded, retrained
from scenario.project import Project

# What these see, they see before a model is trained; `make gate-bench` trains one all the same.
BEFORE_TRAINING = ("contract", "limits", "lock")
# Each is much like another one, which is tried here; the bench has them all.
IN_THE_BENCH = {
    *("labels_swapped", "label_misspelt", "labels_shifted_by_a_row", "slice_trained_on_wrong_labels-boosting"),
    *("unit_changed_out_of_range", "columns_swapped", "columns_shuffled_apart", "values_missing"),
    *("hard_rows_removed", "rows_of_a_class_removed", "rows_in_another_unit", "rows_labelled_wrong", "rows_repeated"),
    *("test_rows_copied_with_noise", "all_rows_copied_with_noise", "training_reads_test_rows", "test_rows_picked"),
    *("training_reads_test_rows_if_there", "values_scaled_before_the_split", "evaluated_on_training_rows"),
    *("target_copied_with_errors", "ids_as_a_feature", "split_drawn_anew", "ninety_five_percent_test"),
    *("range_widened", "costs_changed", "slices_removed", "feature_dropped", "served_with_another_contract"),
    *("learning_rate_tiny-boosting", "overfitted", "regularised_to_nothing", "trained_on_few_rows"),
    *(
        "noise_in_training",
        "scores_with_noise",
        "scores_not_a_number",
        "scores_of_the_batch",
        "scores_of_the_neighbour",
    ),
    *("probabilities_rounded", "classes_in_another_order", "threshold_absurd", "jumpy"),
    *("served_model_of_an_earlier_run", "served_with_another_threshold", "lock_edited_by_hand-committed"),
    *("metric_beside_deleted", "metric_renamed", "metric_turned_round", "metric_that_always_says_one"),
    *(
        "dependency_removed",
        "process_removed",
        "dependency_on_data_removed",
        "parameter_undeclared",
        "stage_removed",
        "stage_replaced",
    ),
    *("stage_frozen", "lock_stale-edited_in_the_browser", "metrics_edited_by_hand-committed"),
    *("expectation_deleted", "check_weakened", "gate_switched_off", "limit_removed", "limit_of_the_data_loosened"),
    *("noise_of_the_check_reduced", "tolerance_of_the_export_loosened"),
    *("nothing", "line_endings", "numbers_written_otherwise", "descriptions", "function_pulled_out", "module_added"),
    *("stage_added", "a_test", "parameter_tuned", "more_resamples", "larger_test_share"),
    *("another_seed", "another_seed-sites", "more_rows-sites", "more_rows-boosting", "more_rows_and_another_order"),
    *("few_rows_removed", "few_values_corrected", "comment_in_a_gate", "family_chosen", "family_listed"),
    *("derived_feature_that_knows_the_target_if_it_can", "derived_feature_of_another_length"),
    *("family_fitted_on_test_rows_if_there", "family_that_mixes_labels_up", "family_fitted_on_few_rows"),
    *("family_with_labels_shifted_by_a_row", "family_with_wrong_labels_in_a_slice"),
    *("family_that_rounds_probabilities", "family_with_classes_in_another_order", "family_with_noise"),
    *("probabilities_squared", "one_label_for_everything", "extremes_answered_benign", "a_site_answered_benign-sites"),
    *(
        "family_without_numbers",
        "family_of_the_batch",
        "family_of_the_neighbour",
        "family_that_cannot_be_exported",
        "family_that_no_one_vouches_for",
    ),
    *("learning_rate_absurd-boosting", "another_seed-boosting", "more_trees-boosting"),
    *("labels_of_a_slice_wrong", "column_shifted", "column_shuffled", "rows_of_one_class", "family_unsure_of_a_slice"),
    *("training_on_test_rows", "derived_feature_that_knows_the_target", "derived_feature_of_the_batch"),
    *("limits_removed", "rows_reordered", "comments"),
}
# A few changes do for a test; on noisier champions harmless changes may ask for a person, and the bench says how often.
BAD_ONCE = [case for case in BAD if case.name not in IN_THE_BENCH]
ONCE = [case for case in HARMLESS if case.champion != "forest" and case.name not in IN_THE_BENCH]


# On every push one bad change for each gate; at night all of these.
ON_EVERY_PUSH = {
    *("unit_changed", "lock_stale-committed", "limit_loosened", "test_rows_copied", "model_of_chance"),
    *("metric_deleted", "slice_answered_without_a_feature", "family_that_squares_probabilities"),
    *("derived_features_that_jump", "family_that_says_malignant", "family_that_calls_a_site_benign-sites"),
    *("family_that_calls_extremes_benign", "served_with_rounded_coefficients", "comments_in_assay", "more_rows"),
}


def params(cases: list[Case]) -> list[Any]:
    """Return cases as parameters of a test; most are tried at night only."""
    return [
        pytest.param(case, id=case.name, marks=[] if case.name in ON_EVERY_PUSH else pytest.mark.nightly)
        for case in cases
    ]


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize("case", params(BAD_ONCE))
def test_a_bad_change_is_stopped_by_the_gate_that_looks_for_it(
    case: Case, champion: Callable[[str], Project], tmp_path: Path
):
    untrained = case.gate in BEFORE_TRAINING and case.work is retrained
    project = champion(case.champion).copy(tmp_path / "project")
    found = judge(project, case.change, 0, recorded if untrained else case.work)
    assert found.status in (1, 3)
    reasons = found.stopped_by()
    assert re.search(case.reason, reasons.get(case.gate, "")), reasons


@pytest.mark.parametrize("case", params(ONCE))
def test_a_harmless_change_passes(case: Case, champion: Callable[[str], Project], tmp_path: Path):
    found = judge(champion(case.champion).copy(tmp_path / "project"), case.change, 0, case.work)
    assert found.stopped_by() == {}
    assert (found.status, found.verdict["verdict"]) == (0, "PROMOTE")


def test_a_model_that_gives_no_numbers_stops_the_pipeline_with_its_reason(
    champion: Callable[[str], Project], tmp_path: Path
):
    project = champion("linear").copy(tmp_path / "project")
    scores_not_a_number(project, 0)
    assert re.search(r"the model gives no finite score for \d+ of \d+ test rows", project.refused("assay", "repro"))


def test_every_gate_has_a_bad_change_that_it_stops():
    always = {case.gate for case in BAD_ONCE if case.name in ON_EVERY_PUSH}
    assert always == {gate.name for gate in GATES} - {"service"}
    assert set(names([*BAD_ONCE, *ONCE])) >= ON_EVERY_PUSH
    assert {*names(BAD), *names(HARMLESS)} >= IN_THE_BENCH


def test_cases_have_names_of_their_own():
    assert len(set(names(BAD))) == len(BAD)
    assert len(set(names(HARMLESS))) == len(HARMLESS)
