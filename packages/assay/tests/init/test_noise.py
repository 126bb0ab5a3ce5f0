"""What another seed changes of the deciding metric."""

from pathlib import Path

import pytest

from assay.init.noise import Noise, other_seeds, seed_noise
from assay.modelling.store import load_trained
from assay.project.params import Params, load_params
from assay.project.room import load_room
from stages.test_train import PARAMS, SPEC, made


def noise(params: Params) -> Noise:
    room = load_room()
    return seed_noise(other_seeds(params, SPEC, room), load_trained(), params, SPEC, room)


def test_seeds_change_a_forest_and_the_intervals_hold_more_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    found = noise(load_params())
    assert 0 < found.spread < found.difference


def test_with_many_rows_both_seeds_are_tried_on_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    params = load_params()
    few = params.model_copy(update={"tune": params.tune.model_copy(update={"max_rows": 40})})
    found = noise(few)
    assert found != noise(params)
    assert 0 < found.spread < found.difference
