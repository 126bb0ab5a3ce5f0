from typing import Any

from assay.base.outcomes import Outcome
from assay.project.results import fitted_on, summary

METRICS: dict[str, Any] = {
    "test": {"roc_auc": {"value": 0.91234, "low": 0.8, "high": 0.95}},
    "train": {"roc_auc": 0.99},
    "validation": {"roc_auc": 0.9},
    "dummy": {"roc_auc": 0.5},
    "rows": {"train": 60, "validation": 15, "test": 25},
}
ABOUT: dict[str, Any] = {"name": "ward", "choice": {"family": "random_forest"}, "served": "onnx", "reason": ""}


def test_a_metric_stands_with_its_interval_between_the_rows_it_saw_and_the_dummy() -> None:
    lines = summary(METRICS, [], ABOUT).splitlines()
    assert lines[0] == "ward: random forest, tested on 25 unseen rows (trained on 60)"
    assert [line.split() for line in lines if line.startswith("roc_auc")] == [
        ["roc_auc", "0.9123", "0.8000", "to", "0.9500", "0.9900", "0.5000"]
    ]
    assert lines[-1] == "served as onnx; card: models/card.md"


def test_large_numbers_do_not_run_together() -> None:
    large = {"test": {"mae": {"value": 1234567.8, "low": 999.5, "high": 12345678.9}}}
    lines = summary(METRICS | large | {"train": {"mae": 1e9}, "dummy": {"mae": 2e9}}, [], ABOUT).splitlines()
    assert lines[3].split() == ["mae", "1,234,568", "999.5000", "to", "12,345,679", "1,000,000,000", "2,000,000,000"]
    assert len(lines[2]) == len(lines[3])


def test_what_a_check_held_or_rejected_is_told_and_what_passed_is_not() -> None:
    checks = [
        Outcome("contract", "PROMOTE", "all is well"),
        Outcome("leakage", "HOLD", "a says too much"),
        Outcome("duplicates", "REJECT", "all are"),
    ]
    shown = summary(METRICS, [check.as_dict() for check in checks], ABOUT)
    assert "HOLD leakage: a says too much\nREJECT duplicates: all are\n" in shown
    assert "all is well" not in shown


def test_why_the_pipeline_itself_is_served_is_told() -> None:
    shown = summary(METRICS, [], ABOUT | {"served": "skops", "reason": "the export failed"})
    assert shown.endswith("served as skops: the export failed; card: models/card.md")


def test_one_sentence_says_which_rows_the_model_was_fitted_on() -> None:
    rows = METRICS["rows"]
    assert fitted_on(rows) == "The model is fitted on 60 train rows, without the 15 validation and 25 test rows."
    assert fitted_on(rows | {"fitted": 75}) == (
        "The model is fitted on 60 train and 15 validation rows, with boosting rounds in proportion, if it has any; "
        "whatever is set or measured on validation rows comes from the same model fitted on the train rows alone; none "
        "of the 25 test rows was used."
    )
    refitted = summary(METRICS | {"rows": rows | {"fitted": 75}}, [], ABOUT)
    assert refitted.splitlines()[0].endswith("(trained on 75)")
