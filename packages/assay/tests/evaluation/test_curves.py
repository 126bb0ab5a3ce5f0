import numpy as np
import pytest

from assay.evaluation.curves import curves, learning_curve, learning_sizes
from assay.evaluation.metrics import ScoredRows
from patients import contract


def rows_of(n: int) -> ScoredRows:
    rng = np.random.default_rng(0)
    target = np.arange(n) % 2
    positive = (0.3 + 0.4 * target + rng.uniform(-0.3, 0.3, n)).clip(0, 1)
    return ScoredRows(target, np.stack([1 - positive, positive], axis=1), (positive >= 0.5).astype(int))


def test_each_task_has_its_curves():
    numbers = ScoredRows(np.arange(5.0), np.arange(5.0), np.arange(5.0))
    classes = ScoredRows(np.arange(6) % 3, np.eye(3)[np.arange(6) % 3], np.arange(6) % 3)
    assert set(curves(rows_of(10), contract())) == {"roc", "precision_recall", "confusion", "reliability"}
    assert set(curves(classes, contract("multiclass"))) == {"confusion", "reliability"}
    assert set(curves(numbers, contract("regression"))) == {"residuals"}


def test_a_line_keeps_its_ends_and_has_at_most_200_points():
    roc = curves(rows_of(5000), contract())["roc"]
    assert len(roc) <= 200
    assert roc[0] == {"false_positive_rate": 0.0, "true_positive_rate": 0.0}
    assert roc[-1] == {"false_positive_rate": 1.0, "true_positive_rate": 1.0}


def test_reliability_shows_every_row_once():
    table = curves(rows_of(101), contract())["reliability"]
    assert sum(point["rows"] for point in table) == 101
    assert len(table) == 10


def test_reliability_of_a_calibrated_model_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    positive = rng.random(100_000)
    target = (rng.random(100_000) < positive).astype(int)
    table = curves(ScoredRows(target, np.stack([1 - positive, positive], 1), target), contract())["reliability"]
    assert all(abs(point["predicted"] - point["observed"]) < 0.02 for point in table)


def test_confusion_names_the_labels_and_shows_each_row():
    table = curves(rows_of(40), contract())["confusion"]
    assert len(table) == 40
    assert {point["actual"] for point in table} == {"sick", "well"}


def test_residuals_are_truth_minus_prediction():
    rows = ScoredRows(np.array([1.0, 2.0]), np.array([0.5, 3.0]), np.array([0.5, 3.0]))
    residuals = curves(rows, contract("regression"))["residuals"]
    assert [point["residual"] for point in residuals] == [0.5, -1.0]


@pytest.mark.parametrize(
    ("rows", "points", "most", "sizes"),
    [(341, 5, 20_000, [21, 42, 85, 170, 341]), (10**6, 3, 1000, [250, 500, 1000]), (10, 3, 100, [10])],
)
def test_learning_sizes_double_up_to_what_there_is(rows, points, most, sizes):
    assert learning_sizes(rows, points, most) == sizes


def test_a_learning_curve_has_a_point_a_size():
    table = learning_curve([10, 20], lambda size: (1 / size, 2 / size))
    assert table == [
        {"rows": 10, "train": 0.1, "validation": 0.2},
        {"rows": 20, "train": 0.05, "validation": 0.1},
    ]
