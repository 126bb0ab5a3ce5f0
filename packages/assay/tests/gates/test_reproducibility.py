from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from assay.data.columns import columns, target
from assay.gates.reproducibility import judge
from assay.gates.retraining import Retrained
from assay.modelling.fitting import build, fit, scores
from assay.project.params import ModelChoice
from assay.project.room import NO_ROOM
from judged import answers, evidence, params, table
from patients import contract

SPEC = contract()
TRAIN, TEST = table(300, seed=1), table(200, seed=2)
LIMITS = {"seeds": 1, "spread": 0.02}


def trained(seed: int, rows: int = 300, **parameters: int):
    choice = ModelChoice(family="random_forest", parameters={"n_estimators": 30, **parameters})
    part = TRAIN.slice(0, rows)
    return fit(build(choice, SPEC, seed), columns(part, SPEC), target(part, SPEC), SPEC)


MODEL = trained(0)
GIVEN = answers(scores(MODEL, columns(TEST, SPEC), SPEC), target(TEST, SPEC))


def judged(*models: object, given=GIVEN, **limits: float):
    again, limited = Retrained([(model, 0.5) for model in models], ""), params(reproducibility=LIMITS | limits)
    stored = SimpleNamespace(room=NO_ROOM)
    return judge(evidence(given, None, rows=TEST, model=stored, retrained=again, params=limited))


def test_the_same_model_again_passes():
    outcome = judged(trained(0), trained(1), spread=0.2)
    assert outcome.verdict == "PROMOTE"
    assert "retraining gives the same model" in outcome.reason


@pytest.mark.parametrize("other", [trained(1), trained(0, rows=299)], ids=["chance", "rows"])
def test_another_model_from_the_same_seed_holds(other):
    outcome = judged(other, trained(1))
    assert outcome.verdict == "HOLD"
    assert "depends on chance, or on data that training must not see" in outcome.reason


def test_a_model_that_depends_on_its_seed_holds():
    outcome = judged(trained(0), trained(1, n_estimators=1), spread=0.001)
    assert outcome.verdict == "HOLD"
    assert "the model's quality depends on the seed" in outcome.reason


def test_training_that_fails_holds_with_what_it_said():
    made = evidence(GIVEN, None, rows=TEST, retrained=Retrained([], "no such file"))
    outcome = judge(made)
    assert outcome.verdict == "HOLD"
    assert "no such file" in outcome.reason


def test_the_last_digits_may_differ():
    nudged = replace(GIVEN, test=replace(GIVEN.test, scores=GIVEN.test.scores + np.float64(1e-9)))
    assert judged(MODEL, given=nudged, seeds=0).verdict == "PROMOTE"
