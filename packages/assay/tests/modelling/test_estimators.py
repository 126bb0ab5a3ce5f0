import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from assay.modelling import estimators
from assay.modelling.estimators import FAMILIES, LogBoosting, LogTarget, SingleScaler, families
from patients import contract


def sales(rows: int = 600, growth: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return days and a season, and amounts that depend on the season and grow with the days."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(0, 1000, rows)).astype(float) + 19000
    season = rng.integers(0, 4, rows).astype(float)
    mean = 50 * (1 + season) * np.exp(growth * (days - 19000) / 365)
    return np.column_stack([days, season]), rng.poisson(mean).astype(float)


def test_growth_is_followed_past_the_rows_that_were_seen():
    rows, amounts = sales(growth=0.5)
    seen = rows[:, 0] < 19700
    model = LogBoosting(follow_time=True, random_state=0).fit(rows[seen], amounts[seen])
    plain = LogBoosting(random_state=0).fit(rows[seen], amounts[seen])
    followed, stayed = (np.abs(m.predict(rows[~seen]) - amounts[~seen]).mean() for m in (model, plain))
    assert followed < 0.7 * stayed


def test_without_growth_time_changes_little():
    rows, amounts = sales()
    model = LogBoosting(follow_time=True, random_state=0).fit(rows, amounts)
    later = rows + np.array([300.0, 0.0])
    np.testing.assert_allclose(model.predict(later), model.predict(rows), rtol=0.1)


def test_growth_ends_half_as_far_past_the_rows_as_they_reach():
    rows, amounts = sales(growth=0.5)
    model = LogBoosting(follow_time=True, random_state=0).fit(rows, amounts)
    far, farther = (model.predict(np.array([[19000.0 + days, 1.0]])) for days in (1600, 90_000))
    np.testing.assert_array_equal(far, farther)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), follow=st.booleans())
def test_an_amount_is_never_negative_and_a_row_stands_for_itself(seed, follow):
    rows, amounts = sales(60, 0.3, seed)
    model = LogBoosting(max_iter=20, follow_time=follow, random_state=0).fit(rows, amounts)
    together = model.predict(rows)
    assert (together >= 0).all()
    np.testing.assert_allclose([model.predict(row[None])[0] for row in rows[:5]], together[:5])


def test_fitting_does_not_change_the_rows_and_bears_gaps():
    rows, amounts = sales(200)
    rows[::7, 1] = np.nan
    before = rows.copy()
    assert np.isfinite(LogBoosting(follow_time=True, random_state=0).fit(rows, amounts).predict(rows)).all()
    np.testing.assert_array_equal(rows, before)


def test_one_enormous_amount_makes_no_answer_infinite():
    rows, amounts = sales(200)
    amounts[[3, 50]] = 1e7
    quick = LogBoosting(max_iter=40, learning_rate=0.3, min_samples_leaf=2, max_features=1.0, random_state=0)
    answers = quick.fit(rows, amounts).predict(rows)
    assert answers.max() <= 1e7


OWN = [
    LogBoosting(max_iter=50, learning_rate=0.1, max_features=1.0, random_state=0),
    LogTarget(Ridge()),
    SingleScaler(),
]
LIGHTGBM = FAMILIES["lightgbm"]
QUICK = [make().set_params(n_estimators=50) for make in (LIGHTGBM.classifier, LIGHTGBM.regressor) if make]
# What the library does otherwise, and nothing here relies on.
LEFT = {
    "check_no_attributes_set_in_init": "it takes parameters that are not in its signature",
    "check_all_zero_sample_weights_error": "it fits to rows that all weigh nothing",
}


@parametrize_with_checks(OWN[1:])
def test_it_is_an_estimator_as_scikit_learn_defines_one(estimator, check):
    check(estimator)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [OWN[0], *QUICK], expected_failed_checks=lambda estimator: {} if isinstance(estimator, LogBoosting) else LEFT
)
def test_so_are_those_that_boost(estimator, check):
    check(estimator)


def test_every_estimator_of_assay_is_checked():
    classes = {one for one in vars(estimators).values() if isinstance(one, type) and issubclass(one, BaseEstimator)}
    assert {one for one in classes if one.__module__ == estimators.__name__} == set(map(type, OWN))


def test_what_is_no_amount_is_refused_and_what_is_not_fitted_says_so():
    rows, amounts = sales(30)
    with pytest.raises(ValueError, match="must not be negative"):
        LogBoosting().fit(rows, -amounts)
    with pytest.raises(NotFittedError):
        LogBoosting().predict(rows)


def test_growth_can_be_learned_from_the_time_alone():
    rows, amounts = sales(growth=0.5)
    assert LogBoosting(follow_time=True, max_iter=20, random_state=0).fit(rows[:, :1], amounts).slope_ > 0


@pytest.mark.parametrize(
    ("task", "limits", "there"),
    [
        ("binary", None, False),
        ("regression", None, False),
        ("regression", [-1, 5], False),
        ("regression", [0, 5], True),
    ],
)
def test_boosting_of_amounts_is_tried_where_the_target_cannot_be_negative(task, limits, there):
    changes = {"target": {"name": "outcome", "range": limits}} if limits else {}
    assert ("log_boosting" in families(contract(task, **changes))) == there


def test_all_other_families_suit_every_contract():
    for task in ("binary", "multiclass", "regression"):
        assert set(families(contract(task))) == set(FAMILIES) - {"log_boosting"}
