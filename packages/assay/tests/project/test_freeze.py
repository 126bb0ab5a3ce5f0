from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.base.errors import InputError
from assay.cli.pipeline import freeze
from assay.project.freeze import with_choice
from assay.project.params import ModelChoice, load_params
from places import ROOT

OWN = (ROOT / "params.yaml").read_text(encoding="utf-8")
CHOICE = ModelChoice(family="random_forest", parameters={"n_estimators": 50, "max_features": 0.3, "bootstrap": True})


def test_the_choice_is_written_and_the_search_is_over(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(with_choice(OWN.replace("search: false", "search: true"), CHOICE))
    params = load_params(tmp_path / "params.yaml")
    assert params.model == CHOICE
    assert params.tune.search is False


def test_all_else_stays_as_it_was_written() -> None:
    before, after = OWN.splitlines(), with_choice(OWN, CHOICE).splitlines()
    start = before.index("model:") + 1
    rest = before[before.index("", start) :]
    assert after[:start] == before[:start]
    assert after[-len(rest) :] == rest
    block = ["  family: random_forest", "  parameters:", "    n_estimators: 50", "    max_features: 0.3"]
    assert after[start : -len(rest)] == [*block, "    bootstrap: true"]


@pytest.mark.parametrize(
    "model",
    [
        "model:\n  family: linear\n  parameters:\n    C: 1  # by hand\n    max_iter: 9  # by hand",
        "model:\n  family: linear\n  parameters: {C: 1}  # mine",
        "model:\n  family: linear\n  parameters: {}",
        "model:\n  parameters: {C: 1}\n  family: linear  # mine",
    ],
)
def test_comments_stay_but_for_those_on_what_is_replaced(tmp_path: Path, model: str) -> None:
    rest = "\n\n# About training.\ntrain:  # and so on\n  calibrate: false\n"
    text = f"# About the search.\ntune:\n  search: true  # slow\n\n# About the model.\n{model}{rest}"
    after = with_choice(text, CHOICE)
    assert after.startswith("# About the search.\ntune:\n  search: false # slow\n\n# About the model.\nmodel:\n")
    assert after.endswith(rest)
    assert "by hand" not in after
    assert after.count("# mine") == model.count("# mine")


def test_freezing_twice_changes_nothing_more() -> None:
    once = with_choice(OWN, CHOICE)
    assert with_choice(once, CHOICE) == once


@pytest.mark.parametrize("value", [0.1, 1e-05, 12345678.9, 1e22, 3, True, "l2", "on", "1e5", None])
def test_a_parameter_is_read_again_as_the_value_it_was(tmp_path: Path, value: float | bool | str | None) -> None:
    choice = ModelChoice(family="linear", parameters={"C": value})
    (tmp_path / "params.yaml").write_text(with_choice(OWN, choice))
    read = load_params(tmp_path / "params.yaml").model.parameters["C"]
    assert (read, type(read)) == (value, type(value))


def test_the_best_model_of_a_family_is_taken_from_the_trials_that_git_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(OWN)
    Path("trials.csv").write_text(
        "trial,family,score,state,parameters\n0,dummy,0.7,complete,{}\n"
        '1,additive,0.5,complete,"{""max_iter"": 75}"\n2,additive,0.4,complete,"{""max_iter"": 50}"\n'
    )
    assert "additive (max_iter 50)" in CliRunner().invoke(freeze, ["--family", "additive"]).output
    assert load_params(Path("params.yaml")).model == ModelChoice(family="additive", parameters={"max_iter": 50})
    wrong = CliRunner().invoke(freeze, ["--family", "linear"])
    assert isinstance(wrong.exception, InputError)
