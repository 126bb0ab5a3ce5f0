"""What gates will find of a first model."""

from pathlib import Path

import pytest

from assay.init.noise import GateNumbers, gate_numbers, other_fits
from assay.modelling.store import load_trained
from assay.project.params import Params, load_params
from assay.project.room import load_room
from stages.test_train import PARAMS, SIDES, SPEC, made


def noise(params: Params) -> GateNumbers:
    room = load_room()
    return gate_numbers(other_fits(params, SPEC, room), load_trained(), params, SPEC, room)


def test_other_fits_change_a_forest_and_the_intervals_hold_more_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    found = noise(load_params())
    assert 0 < found.spread < found.difference


def test_the_other_fit_lacks_one_row_in_twenty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    [fitted] = other_fits(load_params(), SPEC, load_room())
    seen = {tree.tree_.weighted_n_node_samples[0] for tree in fitted[-1].estimators_}
    assert seen == {0.95 * SIDES["train"]}


def test_with_many_rows_both_fits_are_made_on_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    params = load_params()
    few = params.model_copy(update={"tune": params.tune.model_copy(update={"max_rows": 40})})
    found = noise(few)
    assert found != noise(params)
    assert 0 < found.spread < found.difference


def test_what_perturbations_change_comes_with_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    changed = noise(load_params()).changed
    assert 0 <= changed.low < changed.value < changed.high < 1
