import pytest

from assay.report.data import Curves
from assay.report.figures import figures
from reports import CURVES


def made(task="binary", **changes):
    text = Curves.model_validate(CURVES[task] | changes, strict=False)
    return {figure["name"]: figure for figure in figures(text)}


def test_only_curves_with_points_are_shown():
    assert list(made()) == ["roc", "precision_recall", "reliability", "classes", "confusion", "learning"]
    assert list(made("regression")) == ["residuals"]
    empty = {"candidate": [], "champion": None}
    assert made(roc=empty, precision_recall=None, reliability=empty, classes=None, confusion=None, learning=None) == {}


def test_the_roc_curve_is_read_at_low_false_positive_rates():
    figure = made()["roc"]
    assert figure["head"] == ["false positive rate", "true positive rate, champion", "true positive rate, candidate"]
    assert figure["rows"] == [
        ["1%", "0%", "80%"],
        ["5%", "70%", "80%"],
        ["10%", "70%", "80%"],
        ["20%", "70%", "80%"],
    ]


def test_precision_is_the_best_at_that_recall_or_more():
    assert made()["precision_recall"]["rows"] == [["50%", "80%"], ["80%", "80%"], ["90%", "80%"], ["95%", "30%"]]


def test_reliability_has_what_was_said_beside_what_was_so():
    assert made()["reliability"]["rows"] == [["20%", "30%", "10%", "5%"], ["-", "-", "90%", "100%"]]


def test_each_class_has_its_figures_with_the_champions_in_brackets():
    assert made()["classes"]["rows"] == [
        ["no", "52", "96% (was 94%)", "94% (was 94%)", "95% (was 94%)"],
        ["yes", "48", "94%", "96%", "95%"],
    ]


def test_confusion_of_few_classes_is_a_matrix_with_the_champion_in_brackets():
    assert made()["confusion"]["rows"] == [["no", "50 (was 49)", "2 (was 3)"], ["yes", "3 (was 3)", "45 (was 45)"]]


def test_confusion_of_many_classes_names_the_wrong_answers_only():
    assert made("multiclass")["confusion"]["rows"] == [["grade 2", "grade 7", "1"]]


def test_a_matrix_smaller_than_its_labels_is_filled_with_zeros():
    figure = made(confusion={"labels": ["a", "b"], "candidate": [[1]], "champion": None})["confusion"]
    assert figure["rows"] == [["a", "1", "0"], ["b", "0", "0"]]


def test_residuals_are_the_errors_that_shares_of_the_rows_stay_below():
    assert made("regression")["residuals"]["rows"] == [
        ["50%", "3", "1"],
        ["80%", "4", "2"],
        ["95%", "4", "2"],
        ["100%", "4", "2"],
    ]


@pytest.mark.parametrize("errors", [[2.0], [0.0, 0.0], [1e300, -1e300]])
def test_residuals_without_a_spread_or_with_a_huge_one_are_still_a_table(errors):
    figure = made("regression", residuals={"candidate": [[0, error] for error in errors]})["residuals"]
    assert len(figure["rows"]) == 4


def test_the_learning_curve_has_the_sizes_that_both_sides_have():
    figure = made(learning={"train": [[100, 0.1], [200, 0.2]], "validation": [[200, 0.3], [400, 0.2]]})["learning"]
    assert figure["rows"] == [["200", "0.2", "0.3"]]


@pytest.mark.parametrize("scores", [["sick"], ["sick", "well"]])
def test_what_a_feature_does_is_a_table_and_for_one_score_a_chart(scores):
    points = [{"value": value, "effects": [effect] * len(scores)} for value, effect in (("20", -0.5), ("missing", 1))]
    shape = {"feature": "age", "of": "log-odds", "scores": scores, "points": points}
    figure = made(shapes=[shape])["shape 1"]
    assert figure["title"] == "What age does"
    assert figure["head"] == ["value", *(["effect"] if len(scores) == 1 else scores)]
    assert figure["rows"] == [["20", *["-0.5"] * len(scores)], ["missing", *["+1"] * len(scores)]]
    assert ('x-axis ["20", "missing"]' in figure["chart"]) == (len(scores) == 1)
