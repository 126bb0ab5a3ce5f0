import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import metrics as sk

from assay.contract.spec import Costs
from assay.evaluation.metrics import (
    BINARY,
    CLASSES,
    REGRESSION,
    ScoredRows,
    by_class,
    compare,
    estimate,
    measure,
    metrics_for,
    resample_weights,
    row_losses,
)
from fewer import fewer
from patients import contract


def binary_rows(seed: int, rows: int = 60) -> ScoredRows:
    rng = np.random.default_rng(seed)
    # Few distinct scores, so that ties are the rule.
    positive = rng.integers(1, 12, rows) / 12
    target = rng.permutation(np.arange(rows) % 2)
    return ScoredRows(target, np.stack([1 - positive, positive], axis=1), (positive >= 0.4).astype(int), None)


def class_rows(seed: int, rows: int = 60) -> ScoredRows:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([1, 1, 1], rows)
    return ScoredRows(rng.permutation(np.arange(rows) % 3), scores, scores.argmax(axis=1))


def number_rows(seed: int, rows: int = 60) -> ScoredRows:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=rows)
    guess = target + rng.normal(size=rows)
    return ScoredRows(target, guess, guess)


def weights_for(rows: ScoredRows, seed: int) -> np.ndarray:
    classes = rows.target if rows.scores.ndim == 2 else np.zeros(len(rows.target), dtype=int)
    return resample_weights(classes, np.arange(len(classes)), 3, np.random.default_rng(seed))


BINARY_ORACLES = {
    "roc_auc": lambda r, w: sk.roc_auc_score(r.target, r.scores[:, 1], sample_weight=w),
    "average_precision": lambda r, w: sk.average_precision_score(r.target, r.scores[:, 1], sample_weight=w),
    "brier": lambda r, w: sk.brier_score_loss(r.target, r.scores[:, 1], sample_weight=w),
    "precision": lambda r, w: sk.precision_score(r.target, r.decision, sample_weight=w, zero_division=0),
    "recall": lambda r, w: sk.recall_score(r.target, r.decision, sample_weight=w),
}
CLASS_ORACLES = {
    "accuracy": lambda r, w: sk.accuracy_score(r.target, r.decision, sample_weight=w),
    "balanced_accuracy": lambda r, w: sk.balanced_accuracy_score(r.target, r.decision, sample_weight=w),
    "log_loss": lambda r, w: sk.log_loss(r.target, r.scores, sample_weight=w),
}
NUMBER_ORACLES = {
    "mae": lambda r, w: sk.mean_absolute_error(r.target, r.scores, sample_weight=w),
    "rmse": lambda r, w: sk.root_mean_squared_error(r.target, r.scores, sample_weight=w),
    "r2": lambda r, w: sk.r2_score(r.target, r.scores, sample_weight=w),
}


@pytest.mark.parametrize(
    ("make", "metrics", "oracles"),
    [
        (binary_rows, BINARY, BINARY_ORACLES | CLASS_ORACLES),
        (class_rows, CLASSES, CLASS_ORACLES),
        (number_rows, REGRESSION, NUMBER_ORACLES),
    ],
)
@fewer(3)
@given(seed=st.integers(0, 10**6))
def test_every_metric_is_the_one_of_scikit_learn_on_any_resample(make, metrics, oracles, seed):
    rows = make(seed)
    weights = weights_for(rows, seed)
    by_name = {metric.name: metric for metric in metrics}
    for name, oracle in oracles.items():
        assert_allclose(by_name[name].compute(rows, weights), [oracle(rows, w) for w in weights], err_msg=name)


def test_calibration_error_is_zero_for_shares_that_come_true_and_large_for_sure_mistakes():
    target = np.array([0, 0, 0, 1] * 5)
    honest = np.tile([0.75, 0.25], (20, 1))
    boastful = np.tile([0.0, 1.0], (20, 1))
    decision = np.ones(20, dtype=int)
    assert measure(ScoredRows(target, honest, decision), CLASSES)["calibration_error"] == 0
    assert measure(ScoredRows(target, boastful, decision), CLASSES)["calibration_error"] == pytest.approx(0.75)


def test_cost_counts_both_errors_at_their_price():
    costly = contract(costs={"false_positive": 1, "false_negative": 5})
    rows = ScoredRows(np.array([0, 0, 1, 1]), np.full((4, 2), 0.5), np.array([0, 1, 0, 1]), costly.costs)
    assert measure(rows, metrics_for(costly))["cost"] == pytest.approx((1 + 5) / 4)


def test_cost_without_costs_is_an_error_and_not_a_number():
    cost = next(m for m in metrics_for(contract(costs={"false_positive": 1, "false_negative": 5})) if m.name == "cost")
    with pytest.raises(ValueError, match="no costs"):
        measure(binary_rows(0), [cost])


def test_each_task_has_its_metrics():
    assert metrics_for(contract())[0].name == "roc_auc"
    assert "cost" not in {metric.name for metric in metrics_for(contract())}
    assert metrics_for(contract("multiclass")) == CLASSES
    assert metrics_for(contract("regression")) == REGRESSION


@given(seed=st.integers(0, 10**6))
def test_an_interval_holds_the_value_and_grows_with_the_confidence(seed):
    rows = binary_rows(seed)
    narrow = estimate(rows, BINARY, confidence=0.6, resamples=200, seed=seed)
    wide = estimate(rows, BINARY, confidence=0.99, resamples=200, seed=seed)
    for name in ("roc_auc", "accuracy", "log_loss"):
        assert wide[name].low <= narrow[name].low <= narrow[name].high <= wide[name].high
        assert wide[name].low <= wide[name].value <= wide[name].high


def test_intervals_of_the_mean_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(200):
        target = np.random.default_rng(seed).normal(size=100)
        rows = ScoredRows(target, np.zeros(100), np.zeros(100))
        found = estimate(rows, [REGRESSION[0]], confidence=0.9, resamples=200, seed=seed)["mae"]
        hits += found.low <= np.sqrt(2 / np.pi) <= found.high
    # 180 expected, standard deviation 4.2; percentile intervals of 100 rows fall a little short.
    assert 160 <= hits <= 195


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    rows = class_rows(1)
    how = {"confidence": 0.95, "resamples": 100}
    assert estimate(rows, CLASSES, seed=1, **how) == estimate(rows, CLASSES, seed=1, **how)
    assert estimate(rows, CLASSES, seed=1, **how) != estimate(rows, CLASSES, seed=2, **how)


@given(seed=st.integers(0, 10**6), rows=st.integers(4, 40), resamples=st.integers(1, 20))
def test_resampling_draws_as_many_rows_and_loses_no_class(seed, rows, resamples):
    classes = np.random.default_rng(seed).integers(0, 3, rows)
    weights = resample_weights(classes, np.arange(rows), resamples, np.random.default_rng(seed))
    assert weights.shape == (resamples, rows)
    assert (weights.sum(axis=1) == rows).all()
    for label in np.unique(classes):
        assert (weights[:, classes == label].sum(axis=1) > 0).all()


@given(seed=st.integers(0, 10**6))
def test_resamples_that_are_drawn_at_once_are_those_that_are_drawn_one_by_one(seed):
    classes, units = np.random.default_rng(seed).integers(0, 3, 12), np.arange(12) // 2
    rng = np.random.default_rng(seed)
    one_by_one = [resample_weights(classes, units, 1, rng)[0] for _ in range(10)]
    np.testing.assert_array_equal(resample_weights(classes, units, 10, np.random.default_rng(seed)), one_by_one)


@given(seed=st.integers(0, 10**6))
def test_resampling_groups_draws_whole_groups(seed):
    groups = np.random.default_rng(seed).integers(0, 8, 30)
    weights = resample_weights(np.zeros(30), groups, 10, np.random.default_rng(seed))
    for group in np.unique(groups):
        assert (np.ptp(weights[:, groups == group], axis=1) == 0).all()


def test_rows_that_come_in_groups_give_a_wider_interval():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    target = rng.normal(size=20)[groups]
    rows = ScoredRows(target, np.zeros(200), np.zeros(200))
    how = {"confidence": 0.9, "resamples": 400, "seed": 1}
    alone = estimate(rows, REGRESSION, **how)["mae"]
    grouped = estimate(rows, REGRESSION, **how, units=groups)["mae"]
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_the_interval_of_precision_allows_for_another_prevalence():
    hits = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        target = (rng.random(148) < 0.37).astype(int)
        said = (rng.random(148) < np.where(target == 1, 0.9, 0.1)).astype(int)
        rows = ScoredRows(target, np.stack([1 - said, said], axis=1).astype(float), said)
        precision = next(metric for metric in BINARY if metric.name == "precision")
        found = estimate(rows, [precision], confidence=0.95, resamples=200, seed=seed)["precision"]
        hits += found.low <= 0.37 * 0.9 / (0.37 * 0.9 + 0.63 * 0.1) <= found.high
    # 142 expected, standard deviation 2.7.
    assert hits >= 134


def test_very_many_rows_are_resampled_in_parts_and_the_interval_is_as_sharp():
    rng = np.random.default_rng(0)
    target = rng.exponential(size=200_000)
    rows = ScoredRows(target, np.zeros(200_000), np.zeros(200_000))
    found = estimate(rows, REGRESSION, confidence=0.95, resamples=2000, seed=0)["mae"]
    half_width = 1.96 * target.std() / np.sqrt(200_000)
    assert found.high - found.value == pytest.approx(half_width, rel=0.1)
    assert found.value - found.low == pytest.approx(half_width, rel=0.1)


def test_a_rare_class_is_in_every_resample_of_very_many_rows():
    target = np.zeros(100_000, dtype=int)
    target[:3] = 1
    chance = np.random.default_rng(0).random(100_000)
    rows = ScoredRows(target, np.stack([1 - chance, chance], axis=1), (chance > 0.5).astype(int))
    found = estimate(rows, BINARY[:1], confidence=0.9, resamples=100, seed=0)["roc_auc"]
    assert 0 <= found.low < found.value < found.high <= 1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_model_compared_with_itself_differs_by_nothing(seed):
    rows = binary_rows(seed)
    found = compare((rows, rows), BINARY, confidence=0.9, resamples=100, seed=seed)
    assert {(e.value, e.low, e.high) for e in found.values()} == {(0.0, 0.0, 0.0)}


def test_a_pair_is_told_apart_where_its_intervals_overlap():
    rng = np.random.default_rng(0)
    target = rng.normal(size=200)
    noise = rng.normal(size=200)
    better, worse = (ScoredRows(target, target + noise * size, np.zeros(200)) for size in (1.0, 1.05))
    how = {"confidence": 0.95, "resamples": 500, "seed": 1}
    alone = [estimate(rows, REGRESSION, **how)["mae"] for rows in (better, worse)]
    assert alone[0].high > alone[1].low
    assert compare((better, worse), REGRESSION, **how)["mae"].high < 0


def test_the_loss_of_a_sure_mistake_is_large_and_finite():
    rows = ScoredRows(np.array([1]), np.array([[1.0, 0.0]]), np.array([0]), Costs(false_positive=1, false_negative=1))
    assert np.isfinite(row_losses(rows.target, rows.scores)).all()
    assert row_losses(rows.target, rows.scores)[0] > 30


def test_each_class_has_recall_precision_and_f1():
    rows = ScoredRows(np.array([0, 0, 0, 1, 1, 2]), np.eye(3)[[0, 0, 1, 1, 1, 0]], np.array([0, 0, 1, 1, 1, 0]))
    assert by_class(rows, ("a", "b", "c", "d")) == {
        "a": {"rows": 3, "recall": 0.666667, "precision": 0.666667, "f1": 0.666667},
        "b": {"rows": 2, "recall": 1.0, "precision": 0.666667, "f1": 0.8},
        "c": {"rows": 1, "recall": 0.0, "precision": 0.0, "f1": 0.0},
        "d": {"rows": 0, "recall": 0.0, "precision": 0.0, "f1": 0.0},
    }
