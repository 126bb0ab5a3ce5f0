"""Fit one tool on the train rows and write what it predicts for the test rows: `automl.py TOOL FOLDER SECONDS`.

The folder has train.parquet and test.parquet, with the target as `target`: a number, or the index of a class.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

tool, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
train, test = (pd.read_parquet(folder / f"{side}.parquet") for side in ("train", "test"))
wanted = train.pop("target")
test = test.drop(columns="target", errors="ignore")
is_number = wanted.dtype.kind == "f"
for frame in (train, test):
    for name in list(frame):
        if frame[name].dtype.kind == "M":
            times = frame.pop(name)
            frame[f"{name} days"] = (times - pd.Timestamp(0)) / pd.Timedelta(days=1)
            for part in ("year", "month", "weekday", "hour"):
                frame[f"{name} {part}"] = getattr(times.dt, part).astype(float)
texts = [name for name in train if train[name].dtype.kind not in "fiub"]
for name in texts:
    known = sorted(train[name].dropna().unique())
    for frame in (train, test):
        frame[name] = pd.Categorical(frame[name], categories=known)


def catboost() -> Any:
    """CatBoost with its defaults."""
    import catboost

    for frame in (train, test):
        for name in texts:
            frame[name] = frame[name].cat.add_categories("missing").fillna("missing").astype(str)
    kind = catboost.CatBoostRegressor if is_number else catboost.CatBoostClassifier
    return kind(verbose=0, allow_writing_files=False, cat_features=texts, random_seed=0).fit(train, wanted)


def flaml(*families: str) -> Any:
    """FLAML, over all that it has or these families."""
    from flaml import AutoML

    kind = {"task": "regression", "metric": "rmse"} if is_number else {"task": "classification", "metric": "log_loss"}
    some = {"estimator_list": list(families)} if families else {}
    made = AutoML()
    made.fit(train, wanted, time_budget=seconds, verbose=0, seed=0, **kind, **some)
    return made


class AutoGluon:
    """AutoGluon's best quality without neural nets."""

    def fit(self) -> "AutoGluon":
        """Fit to the train rows."""
        from autogluon.tabular import TabularPredictor

        metric = "root_mean_squared_error" if is_number else "log_loss"
        made = TabularPredictor("target", eval_metric=metric, path=tempfile.mkdtemp(dir=folder), verbosity=0)
        self.made = made.fit(
            train.assign(target=wanted),
            presets="best_quality",
            time_limit=seconds,
            excluded_model_types=["NN_TORCH", "FASTAI"],
            dynamic_stacking=False,
        )
        self.classes_ = self.made.class_labels
        return self

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return numbers."""
        return self.made.predict(rows).to_numpy()

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Return probabilities, in the order of `classes_`."""
        return self.made.predict_proba(rows)[self.classes_].to_numpy()


TOOLS = {
    "LightGBM tuned": lambda: flaml("lgbm"),
    "CatBoost": catboost,
    "FLAML": flaml,
    "AutoGluon": lambda: AutoGluon().fit(),
}
start = time.perf_counter()
model = TOOLS[tool]()
took = time.perf_counter() - start
if is_number:
    given = np.asarray(model.predict(test), dtype=float)
else:
    found = np.asarray(model.predict_proba(test), dtype=float)
    given = np.zeros((len(test), int(wanted.max()) + 1))
    given[:, [int(label) for label in model.classes_]] = found
# Whoever is stopped in writing leaves nothing that looks whole.
unfinished = folder / f"{tool}.unfinished.npz"
np.savez(unfinished, scores=given, seconds=took)
unfinished.replace(folder / f"{tool}.npz")
