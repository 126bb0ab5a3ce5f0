"""What is fitted on which rows: the served model on train and validation rows, what is measured there not."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.base.files import read_json, write_json
from assay.data.columns import Columns, columns, target
from assay.data.sample import drawn
from assay.data.split import stored
from assay.gates.answers import JudgedModel
from assay.modelling.fitting import (
    FEWEST_DRAWN,
    build,
    cheapest_threshold,
    fit,
    megabytes_for,
    rows_that_fit,
    scores,
)
from assay.modelling.store import Drawn, Trained, load_trained
from assay.project.layout import CHOICE, METRICS, PLOTS, SPLIT, TRAIN_ONLY
from assay.project.params import ModelChoice
from assay.project.results import fitted_on
from assay.project.room import load_room
from assay.stages import evaluate, train
from assay.stages.export import _reference
from assay.statistics.losses import row_losses
from patients import COLUMNS, TARGETS, contract, patients
from places import ROOT

SIDES = {"train": 120, "validation": 40, "test": 40}
COSTS = {"false_positive": 1, "false_negative": 3, "unit": "letter"}
CONTRACT = {"name": "patients", "data": "data/x.csv", "task": "binary", "target": TARGETS["binary"]}
SPEC = contract(costs=COSTS)
# With leaves of one row it answers rows that it has seen as they are.
CHOICE_MADE = ModelChoice(family="random_forest", parameters={"n_estimators": 10, "min_samples_leaf": 1})
SEED = 20


@dataclass(frozen=True)
class Made:
    """A project whose stage train has run, and its rows."""

    trained: Trained
    rows: dict[str, tuple[Columns, np.ndarray]]

    def fitted(self, *sides: str) -> Any:
        data = {name: np.concatenate([self.rows[side][0][name] for side in sides]) for name in COLUMNS}
        target = np.concatenate([self.rows[side][1] for side in sides])
        return fit(build(CHOICE_MADE, SPEC, SEED), data, target, SPEC)


def made(folder: Path, monkeypatch: pytest.MonkeyPatch, params: str, sides: Mapping[str, int] = SIDES) -> Made:
    monkeypatch.chdir(folder)
    (folder / "contract.yaml").write_text(json.dumps(CONTRACT | {"columns": COLUMNS, "costs": COSTS}))
    (folder / "params.yaml").write_text(params)
    write_json(folder / CHOICE, CHOICE_MADE.model_dump())
    (folder / SPLIT).mkdir(parents=True)
    rows = {side: patients(number, seed=seed) for seed, (side, number) in enumerate(sides.items())}
    for side, (data, truth) in rows.items():
        labels = [SPEC.classes[index] for index in truth]
        table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
        pq.write_table(table.append_column("outcome", pa.array(labels)), folder / SPLIT / f"{side}.parquet")
    train.main()
    return Made(load_trained(), rows)


def same(one: Any, other: Any, data: Columns) -> bool:
    return bool((scores(one, data, SPEC) == scores(other, data, SPEC)).all())


PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")
WITHOUT = PARAMS.replace("  calibrate: false\n", "  calibrate: false\n  refit: false\n")


def test_the_served_model_saw_train_and_validation_rows_and_its_threshold_was_set_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(tmp_path, monkeypatch, PARAMS)
    asked, (data, target) = found.rows["test"][0], found.rows["validation"]
    assert same(found.trained.pipeline, found.fitted("train", "validation"), asked)
    assert same(found.trained.train_only, found.fitted("train"), asked)
    before = scores(found.trained.train_only, data, SPEC)[:, 1]
    assert found.trained.threshold == cheapest_threshold(before, target, SPEC.costs)
    assert found.trained.sides == ("train", "validation")
    # The gates ask each model about rows that it has not seen.
    judged = JudgedModel(SPEC)
    assert (judged.scores_of("validation", data)[:, 1] == before).all()
    assert (judged.scores_of("test", asked) == judged.scores(asked)).all()
    # And the monitor compares production with such scores.
    assert _reference(found.trained, SPEC, load_room(), SEED)["rows"]["scores"] == SIDES["test"]
    evaluate.main()
    metrics = read_json(METRICS)
    assert metrics["rows"] == SIDES | {"fitted": SIDES["train"] + SIDES["validation"]}
    loss = row_losses(target, scores(found.trained.train_only, data, SPEC)).mean()
    assert metrics["validation"]["log_loss"] == pytest.approx(loss, rel=1e-3)
    assert metrics["train"]["log_loss"] < loss
    # The dummy has the shares of the rows that the served model saw.
    shares = np.bincount(np.concatenate([found.rows[side][1] for side in ("train", "validation")])) / 160
    truth = found.rows["test"][1]
    assert metrics["dummy"]["log_loss"] == pytest.approx(
        row_losses(truth, np.tile(shares, (len(truth), 1))).mean(), rel=1e-3
    )


def test_without_a_refit_one_model_is_served_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(tmp_path, monkeypatch, WITHOUT)
    assert not TRAIN_ONLY.exists()
    assert not found.trained.saw_validation
    assert same(found.trained.pipeline, found.fitted("train"), found.rows["test"][0])
    assert found.trained.sides == ("train",)
    unseen = SIDES["validation"] + SIDES["test"]
    assert _reference(found.trained, SPEC, load_room(), SEED)["rows"]["scores"] == unseen


def test_as_many_rows_are_fitted_on_as_memory_allows_and_the_results_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    megabytes = megabytes_for(2000, SPEC)
    params = PARAMS.replace("  calibrate: false\n", f"  calibrate: false\n  max_memory: {megabytes}\n")
    found = made(tmp_path, monkeypatch, params, {"train": 4000, "validation": 1000, "test": 40})
    share = rows_that_fit(megabytes, SPEC) / 5000
    rows = drawn(stored("train", "validation"), share, SPEC)
    asked = found.rows["test"][0]
    assert 0 < rows.num_rows < 5000
    assert found.trained.drawn == Drawn(rows.num_rows, share)
    seen = fit(build(CHOICE_MADE, SPEC, SEED), columns(rows, SPEC), target(rows, SPEC), SPEC)
    assert same(found.trained.pipeline, seen, asked)
    assert f"train.max_memory leaves {rows.num_rows} of 5000 rows, drawn by a hash" in capsys.readouterr().err
    evaluate.main()
    counted = read_json(METRICS)["rows"]
    assert counted["fitted"] == rows.num_rows
    assert f"fitted on {rows.num_rows:,} of the 4,000 train and 1,000 validation rows" in fitted_on(counted)
    # Without the limit, nothing of it remains; and memory that will hardly do is named before it runs out.
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.setattr(train, "free_megabytes", lambda: 200)
    train.main()
    assert load_trained().drawn is None
    assert "MB, and 200 MB are free: train.max_memory in params.yaml limits it" in capsys.readouterr().err


def test_each_point_of_the_learning_curve_is_a_model_of_as_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, monkeypatch, PARAMS)
    # As with more train rows than are compared.
    monkeypatch.setattr(evaluate, "COMPARED_ROWS", 100)
    fitted = []

    def counted(model: Any, data: Columns, truth: np.ndarray, *about: Any) -> Any:
        fitted.append(len(truth))
        return fit(model, data, truth, *about)

    monkeypatch.setattr(evaluate, "fit", counted)
    evaluate.main()
    points = [int(line["rows"]) for line in csv.DictReader((PLOTS / "learning.csv").read_text().splitlines())]
    dummy, *curve = fitted
    assert (dummy, curve) == (100, points)


@pytest.mark.parametrize(("limit", "is_less"), [("max", False), ("300000000", True), ("1000000000000000", False)])
def test_what_is_free_in_a_container_counts(tmp_path: Path, limit: str, is_less: bool) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("100000000\n")
    assert (train.free_megabytes(tmp_path) == 200) == is_less
    assert train.free_megabytes(tmp_path / "another system") > 200


def test_more_memory_holds_more_rows() -> None:
    assert rows_that_fit(4000, SPEC) > 2 * rows_that_fit(2000, SPEC) > 4 * FEWEST_DRAWN
    with pytest.raises(InputError, match=r"train.max_memory: 4 MB are too few .* at least \d+ are needed") as refused:
        rows_that_fit(4, SPEC)
    assert rows_that_fit(int(str(refused.value).split()[-3]), SPEC) >= FEWEST_DRAWN
    assert megabytes_for(rows_that_fit(4000, SPEC), SPEC) == pytest.approx(4000, abs=1)
