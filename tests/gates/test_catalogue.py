"""Every gate is shown to bite, for the reason that it should, and harmless changes pass all of them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.gates.verdict import MODEL_GATES
from gates.catalogue import BAD, HARMLESS, Case, scores_not_a_number
from gates.changing import committed, judge, retrained
from scenario.project import Project

# What these see, they see before a model is trained; `make gate-bench` trains one all the same.
BEFORE_TRAINING = ("contract", "limits", "lock")
# Each is much like another one, and takes a training; the bench has them all.
IN_THE_BENCH = {
    *("columns_shuffled_apart", "hard_rows_removed", "rows_of_a_class_removed", "all_rows_copied_with_noise"),
    *("target_copied_with_errors", "ids_as_a_feature", "training_reads_test_rows", "test_rows_picked"),
    *("training_reads_test_rows_if_there", "slice_trained_on_wrong_labels-boosting", "learning_rate_tiny-boosting"),
    *("overfitted", "trained_on_few_rows", "noise_in_training", "ninety_five_percent_test", "split_drawn_anew"),
    *("probabilities_rounded", "classes_in_another_order", "scores_with_noise", "scores_of_the_batch", "jumpy"),
    *("served_model_of_an_earlier_run", "metric_beside_deleted", "metric_renamed", "metric_turned_round"),
    *("labels_shifted_by_a_row", "served_with_another_contract", "larger_test_share", "line_endings", "module_added"),
    *("function_pulled_out", "more_rows_and_another_order", "few_rows_removed", "few_values_corrected"),
    *("another_seed-sites", "more_rows-sites", "more_rows-boosting", "more_resamples", "descriptions", "nothing"),
}
# A few changes do for a test; on noisier champions harmless changes may ask for a person, and the bench says how often.
BAD_ONCE = [case for case in BAD if case.name not in IN_THE_BENCH]
ONCE = [case for case in HARMLESS if case.champion != "forest" and case.name not in IN_THE_BENCH]


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize("case", BAD_ONCE, ids=names(BAD_ONCE))
def test_a_bad_change_is_stopped_by_the_gate_that_looks_for_it(
    case: Case, champion: Callable[[str], Project], tmp_path: Path
):
    untrained = case.gate in BEFORE_TRAINING and case.work is retrained
    project = champion(case.champion).copy(tmp_path / "project")
    found = judge(project, case.change, 0, committed if untrained else case.work)
    assert found.status in (1, 3)
    reasons = found.stopped_by()
    assert re.search(case.reason, reasons.get(case.gate, "")), reasons


@pytest.mark.parametrize("case", ONCE, ids=names(ONCE))
def test_a_harmless_change_passes(case: Case, champion: Callable[[str], Project], tmp_path: Path):
    found = judge(champion(case.champion).copy(tmp_path / "project"), case.change, 0, case.work)
    assert found.stopped_by() == {}
    assert (found.status, found.verdict["verdict"]) == (0, "PROMOTE")


def test_a_model_that_gives_no_numbers_stops_the_pipeline_with_its_reason(
    champion: Callable[[str], Project], tmp_path: Path
):
    project = champion("linear").copy(tmp_path / "project")
    scores_not_a_number(project, 0)
    assert re.search(r"the model gives no number for \d+ of \d+ test rows", project.refused("assay", "repro"))


def test_every_gate_has_a_bad_change_that_it_stops():
    assert {case.gate for case in BAD_ONCE} == {"contract", "lock", "limits", *MODEL_GATES}
    assert {*names(BAD), *names(HARMLESS)} >= IN_THE_BENCH


def test_cases_have_names_of_their_own():
    assert len(set(names(BAD))) == len(BAD)
    assert len(set(names(HARMLESS))) == len(HARMLESS)
