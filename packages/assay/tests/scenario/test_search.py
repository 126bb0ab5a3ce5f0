"""A search for a model: the same on every run, beside a dummy, and frozen into params.yaml."""

import csv
import json

import pytest
from ruamel.yaml import YAML

from scenario.project import Project


@pytest.mark.nightly
def test_a_search_is_the_same_on_every_run_and_can_be_frozen(finished: Project) -> None:
    finished.set_params(tune__search=True, tune__trials=6)
    choice, table = finished.root / "build/choice.json", finished.root / "reports/trials.csv"
    finished.cold.ok("assay", "stage", "tune", PYTHONHASHSEED="1")
    found, trials = choice.read_bytes(), table.read_bytes()
    finished.cold.ok("assay", "stage", "tune", PYTHONHASHSEED="2")
    assert (choice.read_bytes(), table.read_bytes()) == (found, trials)

    rows = list(csv.DictReader(trials.decode().splitlines()))
    assert [row["family"] for row in rows[:1]] == ["dummy"]
    families = {"additive", "gradient_boosting", "lightgbm", "linear", "random_forest", "mean"}
    assert {row["family"] for row in rows[1:]} == families
    # The dummy, the model that stands, six trials and the mean.
    assert len(rows) == 9
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    whole = [row for row in rows[1:] if row["state"] == "complete"]
    chosen = json.loads(found)
    same = [
        row
        for row in whole
        if (chosen["family"], chosen["parameters"]) == (row["family"], json.loads(row["parameters"]))
    ]
    # What stands in params.yaml is tried first, and the search that found it, of the same seed, may come to it again.
    best = same[0]
    assert len({row["score"] for row in same}) == 1
    assert float(best["score"]) < float(rows[0]["score"])

    comments = [line for line in (finished.root / "params.yaml").read_text().splitlines() if line.startswith("#")]
    assert comments
    assert best["family"] in finished.ok("assay", "freeze")
    frozen = (finished.root / "params.yaml").read_text().splitlines()
    assert "  search: false" in frozen
    assert [line for line in frozen if line.startswith("#")] == comments
    choice.unlink()
    finished.ok("assay", "stage", "tune")
    assert choice.read_bytes() == found


@pytest.mark.nightly
def test_one_command_searches_on_a_fresh_clone_and_keeps_the_evidence(project: Project) -> None:
    project.set_params(tune__trials=3)
    said = project.ok("assay", "tune")
    choice = json.loads((project.root / "build/choice.json").read_text())
    assert choice["family"] in said
    params = YAML(typ="safe").load((project.root / "params.yaml").read_text())
    assert {"members": [], **params["model"]} == choice
    assert params["tune"]["search"] is False
    assert len((project.root / "trials.csv").read_text().splitlines()) == 1 + 1 + 1 + 3 + 1


def test_a_search_that_fails_leaves_the_parameters_as_they_were(project: Project) -> None:
    project.set_params(tune__folds=300)
    before = (project.root / "params.yaml").read_text()
    said = project.refused("assay", "tune")
    assert "tune.folds is 300" in said
    assert (project.root / "params.yaml").read_text() == before


def test_data_under_another_name_is_pointed_out_and_not_overwritten(project: Project) -> None:
    (project.root / "data").mkdir()
    (project.root / "data/mine.csv").write_text("a,b\n1,2\n")
    said = project.refused("assay", "repro")
    assert said == "data/breast_cancer.csv: there is no such file; data/ contains mine.csv"
    assert (project.root / "data/mine.csv").exists()
