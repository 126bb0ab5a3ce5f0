import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from assay.base.errors import InputError
from assay.modelling import store
from assay.modelling.estimators import FAMILIES as DEFAULTS
from assay.modelling.fitting import build, fit, scores
from assay.modelling.store import libraries, load_pipeline, save_pipeline
from assay.project.params import ModelChoice
from assay.project.room import Family
from patients import COLUMNS, contract, patients
from rooms import room

TASKS = ["binary", "multiclass", "regression"]
FAMILIES = {"gradient_boosting": {"max_iter": 20}, "linear": {}, "random_forest": {"n_estimators": 10}}


def fitted(family: str, task: str, calibrate: bool = False) -> Pipeline:
    made = contract(task)
    data, target = patients(200, task)
    choice = ModelChoice(family=family, parameters=FAMILIES[family])
    return fit(build(choice, made, 1, calibrate=calibrate), data, target, made)


# Calibration is wrapped round any family alike.
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("family", "calibrate"),
    [
        *((name, False) for name in FAMILIES),
        ("linear", True),
        *(pytest.param(name, True, marks=pytest.mark.nightly) for name in FAMILIES if name != "linear"),
    ],
)
def test_a_model_comes_back_from_disk_as_it_was(tmp_path, family, task, calibrate):
    model = fitted(family, task, calibrate)
    save_pipeline(model, tmp_path / "model.skops")
    data, _ = patients(100, task, seed=9)
    back = load_pipeline(tmp_path / "model.skops")
    np.testing.assert_array_equal(scores(back, data, contract(task)), scores(model, data, contract(task)))


def test_the_libraries_of_a_stored_model_are_known_whatever_the_name_of_its_family(tmp_path):
    def booster():
        return CalibratedClassifierCV(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1), ensemble=False, cv=2)

    own = room(families={"own": Family(booster, None, "nothing", dict), "linear": DEFAULTS["linear"]})
    data, target = patients(100)
    for family, there in (("own", True), ("linear", False)):
        made = build(ModelChoice(family=family, parameters={}), contract(), 1, room=own)
        save_pipeline(fit(made, data, target, contract(), own), tmp_path / "model.skops")
        assert ("lightgbm" in libraries(tmp_path / "model.skops")) == there


# The store asks private functions of skops, because `skops.io.dumps` takes minutes for ten thousand trees.
@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_what_skops_writes_but_for_addresses_and_times(family):
    model, names = fitted(family, "multiclass"), {}
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as theirs:
        schema = json.loads(theirs.read("schema.json"))
        store._renumber(schema, {}, names, set(theirs.namelist()))
        files = {new: theirs.read(old) for old, new in names.items()}
    with zipfile.ZipFile(io.BytesIO(store.dumped(model))) as ours:
        assert json.loads(ours.read("schema.json")) == schema
        assert {name: ours.read(name) for name in ours.namelist() if name != "schema.json"} == files


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_model_fitted_again_has_the_same_bytes(tmp_path, family):
    for name in ("one", "two"):
        save_pipeline(fitted(family, "binary"), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_boosting_of_amounts_comes_back_from_disk_too(tmp_path):
    made = contract("regression", target={"name": "outcome", "range": [0, 100]})
    data, target = patients(200, "regression")
    model = fit(build(ModelChoice(family="log_boosting", parameters={"max_iter": 20}), made, 1), data, target**2, made)
    save_pipeline(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(
        scores(load_pipeline(tmp_path / "model.skops"), data, made), scores(model, data, made)
    )


# How texts are encoded depends on the task and not on the family.
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "family", ["linear", *(pytest.param(name, marks=pytest.mark.nightly) for name in FAMILIES if name != "linear")]
)
def test_so_does_a_model_that_reads_texts(tmp_path, family, task):
    """Of a few different words, fewer than a tree would be given, as of many."""
    made = contract(task, columns={**COLUMNS, "note": {"kind": "text"}})
    data, target = patients(200, task)
    for words in (5, 500):
        drawn = np.random.default_rng(1).integers(0, words, (200, 8))
        texts = np.array([" ".join(f"word{number}" for number in row) for row in drawn], dtype=object)
        choice = ModelChoice(family=family, parameters=FAMILIES[family])
        model = fit(build(choice, made, 1), {**data, "note": texts}, target, made)
        save_pipeline(model, tmp_path / "model.skops")
        back = load_pipeline(tmp_path / "model.skops")
        given = {**data, "note": texts[::-1]}
        np.testing.assert_array_equal(scores(back, given, made), scores(model, given, made))


class Stranger(BaseEstimator):
    """Some estimator that this project knows nothing of."""


STRANGER = f"{Stranger.__module__}.{Stranger.__qualname__}"


def test_a_type_that_is_not_known_to_be_harmless_is_refused_by_name(tmp_path):
    skops.io.dump(Pipeline([("stranger", Stranger())]), tmp_path / "model.skops")
    with pytest.raises(InputError) as caught:
        load_pipeline(tmp_path / "model.skops")
    said = str(caught.value)
    assert f"contains the type {STRANGER}, which could run code, so it is not loaded" in said
    assert said.endswith("if it is yours, add it to TRUSTED in src/model/estimators.py")


def test_a_type_that_the_user_trusts_is_loaded_and_no_other(tmp_path):
    skops.io.dump(Pipeline([("stranger", Stranger())]), tmp_path / "model.skops")
    back = load_pipeline(tmp_path / "model.skops", room(trusted=(STRANGER,)))
    assert isinstance(back[0], Stranger)
    with pytest.raises(InputError, match=r"contains the type \S*Stranger"):
        load_pipeline(tmp_path / "model.skops", room(trusted=("another.Stranger",)))


class Blob(BaseEstimator):
    """An estimator that keeps bytes, as those of XGBoost and CatBoost do."""

    def fit(self) -> "Blob":
        self.trees_ = bytearray(b"trees")
        return self


def test_an_estimator_that_keeps_bytes_is_stored_and_the_same_one_again_as_the_same_file(tmp_path):
    for name in ("one", "two"):
        save_pipeline(Pipeline([("blob", Blob().fit())]), tmp_path / name)
    own = room(trusted=(f"{Blob.__module__}.{Blob.__qualname__}",))
    assert load_pipeline(tmp_path / "one", own)[0].trees_ == b"trees"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_pickle_is_not_loaded(tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (marker.touch, ())

    (tmp_path / "model.skops").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(zipfile.BadZipFile):
        load_pipeline(tmp_path / "model.skops")
    assert not marker.exists()


def test_a_stored_model_holds_arrays_and_json_and_nothing_else(tmp_path):
    save_pipeline(fitted("gradient_boosting", "binary"), tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        kinds = {name.rpartition(".")[2] for name in archive.namelist()}
        arrays = [np.load(archive.open(n), allow_pickle=False) for n in archive.namelist() if n.endswith(".npy")]
    assert kinds <= {"npy", "json"}
    assert arrays
