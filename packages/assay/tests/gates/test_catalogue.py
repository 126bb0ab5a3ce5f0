"""Every gate is shown to bite, for the reason that it should, and harmless changes pass all of them."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from assay.gates.gate import GATES
from gates.catalogue import BAD, HARMLESS, Case, scores_not_a_number
from gates.changing import DATA, Judged, judge, recorded, retrained
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


# On every push one bad change for each gate. Those of a line are the business of different gates, and are made in one
# pull request; at night each is made by itself.
AT_ONCE = [
    ["unit_changed", "limit_loosened", "lock_stale-committed"],
    ["test_rows_copied", "metric_deleted", "served_with_rounded_coefficients"],
    ["one_label_for_everything", "model_of_chance"],
    ["family_that_calls_extremes_benign", "slice_answered_without_a_feature"],
    ["family_that_calls_a_site_benign-sites", "derived_features_that_jump"],
    ["family_that_squares_probabilities"],
]
HARMLESS_AT_ONCE = ["comments_in_assay", "more_rows"]
# Serves all of them: in it there is one more column.
CHAMPION = "sites"


def named(cases: list[Case], names: list[str]) -> list[Case]:
    """Return the cases of these names."""
    return [next(case for case in cases if case.name == name) for name in names]


def made_at_once(champion: Callable[[str], Project], folder: Path, cases: list[Case]) -> Judged:
    """Make several changes to one project, and return the verdict on all of them."""

    def change(project: Project, seed: int) -> None:
        for case in cases:
            case.change(project, seed)

    untrained = all(case.gate in BEFORE_TRAINING for case in cases)
    return judge(champion(CHAMPION).copy(folder / "project"), change, 0, recorded if untrained else retrained)


def require_stopped(found: Judged, cases: list[Case]) -> None:
    """Hold the verdict to the reasons that it has to give."""
    assert found.status in (1, 3)
    reasons = found.stopped_by()
    for case in cases:
        assert re.search(case.reason, reasons.get(case.gate, "")), f"{case.name}: {reasons}"


def require_passed(found: Judged) -> None:
    assert found.stopped_by() == {}
    assert (found.status, found.verdict["verdict"]) == (0, "PROMOTE")


@pytest.mark.parametrize("names", AT_ONCE, ids=" and ".join)
def test_bad_changes_are_stopped_by_the_gates_that_look_for_them(
    names: list[str], champion: Callable[[str], Project], tmp_path: Path
):
    cases = named(BAD, names)
    require_stopped(made_at_once(champion, tmp_path, cases), cases)


def test_harmless_changes_pass(champion: Callable[[str], Project], tmp_path: Path):
    require_passed(made_at_once(champion, tmp_path, named(HARMLESS, HARMLESS_AT_ONCE)))


@pytest.mark.nightly
@pytest.mark.parametrize("case", BAD_ONCE, ids=lambda case: case.name)
def test_a_bad_change_is_stopped_by_the_gate_that_looks_for_it(
    case: Case, champion: Callable[[str], Project], tmp_path: Path
):
    untrained = case.gate in BEFORE_TRAINING and case.work is retrained
    project = champion(case.champion).copy(tmp_path / "project")
    require_stopped(judge(project, case.change, 0, recorded if untrained else case.work), [case])


@pytest.mark.nightly
@pytest.mark.parametrize("case", ONCE, ids=lambda case: case.name)
def test_a_harmless_change_passes(case: Case, champion: Callable[[str], Project], tmp_path: Path):
    require_passed(judge(champion(case.champion).copy(tmp_path / "project"), case.change, 0, case.work))


def test_what_the_changes_of_the_bench_replace_is_still_there(champion: Callable[[str], Project], tmp_path: Path):
    project = champion(CHAMPION).copy(tmp_path / "project")
    data = (project.root / DATA).read_bytes()
    gone = {}
    for case in [*BAD, *HARMLESS]:
        if case.champion in ("linear", CHAMPION):
            # Some changes of the data do not fit the column more that this champion has.
            with suppress(TypeError, ValueError):
                try:
                    case.change(project, 0)
                except AssertionError as error:
                    gone[case.name] = str(error)
            project.ok("git", "reset", "--quiet", "--hard")
            project.ok("git", "clean", "--quiet", "-d", "--force")
            (project.root / DATA).write_bytes(data)
    assert gone == {}


def test_a_model_that_gives_no_numbers_stops_the_pipeline_with_its_reason(
    champion: Callable[[str], Project], tmp_path: Path
):
    project = champion(CHAMPION).copy(tmp_path / "project")
    scores_not_a_number(project, 0)
    assert re.search(r"the model gives no finite score for \d+ of \d+ test rows", project.refused("assay", "repro"))


def test_every_gate_has_a_bad_change_that_it_stops():
    always = [name for names in AT_ONCE for name in names]
    gates = [case.gate for case in named(BAD, always)]
    assert sorted(gates) == sorted({gate.name for gate in GATES} - {"service"})
    assert {*names_of(BAD), *names_of(HARMLESS)} >= IN_THE_BENCH


def test_cases_have_names_of_their_own():
    assert len(set(names_of(BAD))) == len(BAD)
    assert len(set(names_of(HARMLESS))) == len(HARMLESS)


def names_of(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]
