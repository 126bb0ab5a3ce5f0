"""What another seed changes of the deciding metric."""

from pathlib import Path

import pytest

from assay.init.noise import seed_noise
from assay.modelling.store import load_trained
from assay.project.params import load_params
from assay.project.room import load_room
from stages.test_train import PARAMS, SPEC, made


def test_seeds_change_a_forest_and_the_intervals_hold_more_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    found = seed_noise(load_trained(), load_params(), SPEC, load_room())
    assert 0 < found.spread < found.difference


def test_with_many_rows_both_seeds_are_tried_on_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    params = load_params()
    few = params.model_copy(update={"tune": params.tune.model_copy(update={"max_rows": 40})})
    found = seed_noise(load_trained(), few, SPEC, load_room())
    assert found != seed_noise(load_trained(), params, SPEC, load_room())
    assert 0 < found.spread < found.difference
