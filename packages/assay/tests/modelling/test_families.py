"""Model families of the user's own are built, searched, fitted, stored and exported as Assay's are."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR

from assay.base.errors import InputError
from assay.export.onnx import agrees, convert, hard_rows, parity
from assay.inference.scorer import scorer
from assay.modelling import search as module
from assay.modelling.estimators import families
from assay.modelling.fitting import build, build_dummy, fit, scores
from assay.modelling.search import search
from assay.modelling.store import load_pipeline, save_pipeline
from assay.project.params import Export, ModelChoice, Tune
from assay.project.room import Family
from patients import contract, patients
from rooms import room

TASKS = ["binary", "multiclass", "regression"]


class Shares(ClassifierMixin, BaseEstimator):
    """An estimator of one's own that does not say what its parameters may be."""

    def __init__(self, smoothing: float = 1.0) -> None:
        self.smoothing = smoothing

    def fit(self, X: Any, y: np.ndarray) -> "Shares":  # noqa: ARG002, N803
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = (counts + self.smoothing) / (counts + self.smoothing).sum()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        return np.tile(self.shares_, (len(X), 1))


def few(trial: Any, task: str) -> dict[str, Any]:
    return {"n_neighbors": trial.suggest_int("n_neighbors", 1, 30)}


def nothing(trial: Any, task: str) -> dict[str, Any]:
    return {}


# Few nodes, large steps and a coarse end, so that it is quick.
NET = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.05, "tol": 1e-2, "max_iter": 500}
OWN = {
    "neighbours": Family(KNeighborsClassifier, KNeighborsRegressor, "scaling", few),
    "svm": Family(lambda: CalibratedClassifierCV(SVC(), ensemble=False), SVR, "scaling", nothing),
    "net": Family(partial(MLPClassifier, **NET), partial(MLPRegressor, **NET), "scaling", nothing),
}
ROOM = room(families=OWN)


def choice(family: str, **parameters: Any) -> ModelChoice:
    return ModelChoice(family=family, parameters=parameters)


# The converter looks at an attribute of SVC that scikit-learn will remove.
@pytest.mark.filterwarnings("ignore:Attribute .prob._. was deprecated:FutureWarning")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", OWN)
def test_a_family_of_ones_own_learns_and_is_stored_and_exported(tmp_path, family, task):
    made = contract(task)
    (data, target), (unseen, truth) = patients(300, task, 1), patients(200, task, 2)
    model = fit(build(choice(family), made, 1, room=ROOM), data, target, made, ROOM)
    dummy = fit(build_dummy(made), data, target, made)
    if task == "regression":
        error, dummy_error = (np.abs(scores(m, unseen, made) - truth).mean() for m in (model, dummy))
        assert error < 0.9 * dummy_error
    else:
        right, dummy_right = ((scores(m, unseen, made).argmax(axis=1) == truth).mean() for m in (model, dummy))
        assert right > dummy_right + 0.05
    save_pipeline(model, tmp_path / "model.skops")
    back = load_pipeline(tmp_path / "model.skops", ROOM)
    np.testing.assert_array_equal(scores(back, unseen, made), scores(model, unseen, made))
    rows = hard_rows(unseen, made, 1)
    found = parity(
        lambda given: scores(model, given, made),
        scorer(convert(model, rows, made), made),
        rows,
        made,
        threshold=0.5 if task == "binary" else None,
        limits=Export(tolerance=1e-4, parity_rows=20),
    )
    assert agrees(found, 1e-4), found


def test_a_search_looks_among_the_families_of_the_room_alone(monkeypatch):
    # In this process, as the room has no files from which others could load it.
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    data, target = patients(120)
    given = room(families={"neighbours": OWN["neighbours"]})
    how = Tune(search=True, trials=3, folds=2, batch=2, max_rows=1000)
    found, trials = search(data, target, None, contract(), how, 1, room=given)
    singles = [trial.choice for trial in trials[1:-1]]
    assert {single.family for single in singles} == {"neighbours"}
    assert {name for single in singles for name in single.parameters} == {"n_neighbors"}
    assert found in [*singles, trials[-1].choice]
    assert all(member in singles for member in trials[-1].choice.singles)


def test_a_family_that_the_room_leaves_out_is_unknown():
    with pytest.raises(
        InputError, match=r"^params\.yaml: model\.family: unknown 'linear'; choose from neighbours, net"
    ):
        build(choice("linear"), contract(), 1, room=ROOM)


def test_without_families_of_ones_own_there_are_those_of_assay():
    known = {"gradient_boosting", "lightgbm", "linear", "random_forest", "additive"}
    assert set(families(contract(), room())) == known


@pytest.mark.parametrize(
    "given",
    [{}, {"other": Family(SVC, SVR, "scaling", nothing, lambda made: False)}, {"a": Family(None, SVR, "scaling", few)}],
    ids=["none", "none that suits", "none for classes"],
)
def test_where_no_family_suits_that_is_an_error_in_one_line(given):
    with pytest.raises(InputError, match=r"^src/model/estimators\.py: no family in FAMILIES suits contract\.yaml"):
        families(contract(), room(families=given))


def test_a_family_for_one_kind_of_target_is_tried_for_that_alone():
    given = room(families=OWN | {"classes": Family(SVC, None, "scaling", nothing)})
    assert "classes" in families(contract(), given)
    assert "classes" not in families(contract("regression"), given)


def test_an_estimator_that_does_not_say_what_its_parameters_may_be_is_built():
    given = room(families={"shares": Family(Shares, None, "nothing", nothing)})
    data, target = patients(100)
    model = fit(build(choice("shares", smoothing=2.0), contract(), 1, room=given), data, target, contract(), given)
    assert scores(model, data, contract(), given)[0, 1] == pytest.approx((target.sum() + 2) / 104)
    with pytest.raises(InputError, match="unknown 'smothing'; did you mean 'smoothing'"):
        build(choice("shares", smothing=2.0), contract(), 1, room=given)


def test_a_classifier_without_probabilities_is_refused_unless_it_is_calibrated():
    given = room(families={"svm": Family(SVC, SVR, "scaling", nothing)})
    with pytest.raises(InputError, match=r"^src/model/estimators\.py: family 'svm' gives no probabilities; .*ensemble"):
        build(choice("svm"), contract(), 1, room=given)
    data, target = patients(100)
    model = fit(build(choice("svm"), contract(), 1, calibrate=True, room=given), data, target, contract(), given)
    assert scores(model, data, contract(), given).shape == (100, 2)
    build(choice("svm"), contract("regression"), 1, room=given)
