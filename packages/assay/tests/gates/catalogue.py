"""Changes to a project, bad and harmless, each as a person would make it.

A change is a function of a project, which it edits, and of a seed for what is random about it. Its docstring says in a
line what was changed. Where two changes do the same, one is made in Assay's code, as whoever ejected it can, and one in
src/model/, as whoever owns the model can.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gates.changing import (
    HELD_BACK,
    committed,
    edited_in_the_browser,
    in_contract,
    in_yaml,
    numbers,
    read_rows,
    retrained,
    write_rows,
)
from scenario.project import Project

TARGET = "diagnosis"
FITTING = "packages/assay/src/assay/modelling/fitting.py"
METRICS = "packages/assay/src/assay/evaluation/metrics.py"
EXPORT = "packages/assay/src/assay/stages/export.py"
TRAIN = "packages/assay/src/assay/stages/train.py"
PREPARE = "packages/assay/src/assay/stages/prepare.py"
SCORES = "        found = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)\n"
FIT = "    fit(pipeline, columns(train, contract), target(train, contract), contract, room)\n"
FEATURES = "src/model/features.py"
ESTIMATORS = "src/model/estimators.py"
# A family that is the linear one but for two methods.
FAMILY = '''"""The model families that are tried."""

from pathlib import Path

import numpy as np
import pandas as pd
from assay.modelling.estimators import FAMILIES as DEFAULTS
from assay.project.room import Family
from sklearn.linear_model import LogisticRegression, Ridge


class Own(LogisticRegression):
    def fit(self, X, y):
        return super().fit(X, y)

    def predict_proba(self, X):
        found = super().predict_proba(X)
        return found


FAMILIES = {**DEFAULTS, "own": Family(Own, Ridge, "scaling", DEFAULTS["linear"].space)}
TRUSTED = ["model.estimators.Own"]
'''
# The places in it of the columns that are looked at.
PLACES = {"mean_radius": 0, "mean_texture": 1, "worst_area": 23}

Change = Callable[[Project, int], None]


@dataclass(frozen=True)
class Case:
    """A change, the champion it is made to, and the gate and the reason that stop it; no gate for a harmless one."""

    change: Change
    gate: str = ""
    reason: str = ""
    champion: str = "linear"
    work: Callable[[Project], None] = retrained

    @property
    def name(self) -> str:
        """The change, with what else tells cases apart."""
        extra = [self.champion] * (self.champion != "linear") + [self.work.__name__] * (self.work is not retrained)
        return "-".join([self.change.__name__, *extra])


# Data, rewritten.


def labels_shuffled(project: Project, seed: int) -> None:
    """A fifth of the labels dealt out anew."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    some = np.flatnonzero(rng.random(len(rows)) < 0.2)
    rows.loc[some, TARGET] = rows[TARGET].to_numpy()[rng.permutation(some)]
    write_rows(project, rows)


def labels_swapped(project: Project, seed: int) -> None:
    """Benign for malignant and malignant for benign, in all rows."""
    rows = read_rows(project)
    rows[TARGET] = rows[TARGET].map({"benign": "malignant", "malignant": "benign"})
    write_rows(project, rows)


def labels_of_a_slice_wrong(project: Project, seed: int) -> None:
    """A third of the labels of one slice swapped."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    inside = (numbers(rows["mean_texture"]) > 22) & (rng.random(len(rows)) < 1 / 3)
    rows.loc[inside, TARGET] = rows.loc[inside, TARGET].map({"benign": "malignant", "malignant": "benign"})
    write_rows(project, rows)


def label_misspelt(project: Project, seed: int) -> None:
    """One label written in another way."""
    rows = read_rows(project)
    rows.loc[np.random.default_rng(seed).integers(len(rows)), TARGET] = "Malignant"
    write_rows(project, rows)


def unit_changed(project: Project, seed: int) -> None:
    """One length in tenths of its unit, which its range allows."""
    _rewrite(project, "mean_perimeter", lambda values: values / 10)


def unit_changed_out_of_range(project: Project, seed: int) -> None:
    """One length in thousandths of its unit, which its range forbids."""
    _rewrite(project, "mean_perimeter", lambda values: values * 1000)


def column_zeroed(project: Project, seed: int) -> None:
    """One column is 0 in every row."""
    _rewrite(project, "worst_area", lambda values: values * 0)


def column_shifted(project: Project, seed: int) -> None:
    """One column is a tenth of its mean higher."""
    _rewrite(project, "worst_texture", lambda values: values + values.mean() / 10)


def column_shuffled(project: Project, seed: int) -> None:
    """The values of one column dealt out anew."""
    _rewrite(project, "worst_radius", lambda values: values[np.random.default_rng(seed).permutation(len(values))])


def columns_swapped(project: Project, seed: int) -> None:
    """The values of two columns under each other's name."""
    rows = read_rows(project)
    rows[["mean_radius", "worst_radius"]] = rows[["worst_radius", "mean_radius"]].to_numpy()
    write_rows(project, rows)


def columns_shuffled_apart(project: Project, seed: int) -> None:
    """The values of five columns, each dealt out anew."""
    rng = np.random.default_rng(seed)
    for name in ("mean_area", "mean_concavity", "worst_area", "worst_concavity", "worst_texture"):
        _rewrite(project, name, lambda values: values[rng.permutation(len(values))])


def values_missing(project: Project, seed: int) -> None:
    """A third of the values of one column gone, which the contract forbids."""
    rows = read_rows(project)
    rows.loc[np.random.default_rng(seed).random(len(rows)) < 1 / 3, "mean_symmetry"] = ""
    write_rows(project, rows)


def values_missing_and_allowed(project: Project, seed: int) -> None:
    """A third of the values of one column gone, and the contract says that they may be."""
    values_missing(project, seed)
    in_contract(project, lambda contract: contract["columns"]["mean_symmetry"].update(missing="allow"))


# Data, added and removed.


def rows_of_another_kind(project: Project, seed: int) -> None:
    """A tenth more rows, of an instrument that sees all lengths a third larger."""

    def another(rows: pd.DataFrame) -> pd.DataFrame:
        lengths = [name for name in rows if re.search("radius|perimeter", str(name))]
        rows[lengths] = rows[lengths] * 1.3
        return rows

    _add(project, _similar(project, seed, 0.1), another)


def rows_in_another_unit(project: Project, seed: int) -> None:
    """A twentieth more rows from the same source, in which one length is in tenths of its unit."""

    def another(rows: pd.DataFrame) -> pd.DataFrame:
        rows["worst_perimeter"] = rows["worst_perimeter"] / 10
        return rows

    _add(project, read_rows(project, HELD_BACK), another)


def rows_labelled_wrong(project: Project, seed: int) -> None:
    """A tenth more rows, all of them with the wrong label."""
    rows = _similar(project, seed, 0.1)
    rows[TARGET] = rows[TARGET].map({"benign": "malignant", "malignant": "benign"})
    _add(project, rows)


def rows_of_one_class(project: Project, seed: int) -> None:
    """A fifth more rows, all of them benign."""
    rows = _similar(project, seed, 0.6)
    _add(project, rows[rows[TARGET] == "benign"].head(round(len(read_rows(project)) / 5)))


def rows_of_a_class_removed(project: Project, seed: int) -> None:
    """Half of the malignant rows gone."""
    rows = read_rows(project)
    gone = (rows[TARGET] == "malignant") & (np.random.default_rng(seed).random(len(rows)) < 0.5)
    write_rows(project, rows[~gone])


def hard_rows_removed(project: Project, seed: int) -> None:
    """The rows gone that lie between the classes, so that what is left is easy."""
    rows = read_rows(project)
    area = numbers(rows["worst_area"])
    write_rows(project, rows[(area < 650) | (area > 950)])


def rows_repeated(project: Project, seed: int) -> None:
    """A tenth of the rows twice."""
    rows = read_rows(project)
    write_rows(project, pd.concat([rows, rows.sample(frac=0.1, random_state=seed)]))


def test_rows_copied(project: Project, seed: int) -> None:
    """The test rows once more, each with one last digit changed, so that the copy may fall on another side."""
    _copy_of_test_rows(project, 1, lambda values, rng: values + 1e-6)


def test_rows_copied_with_noise(project: Project, seed: int) -> None:
    """The test rows once more, all of their values a thousandth off."""
    rng = np.random.default_rng(seed)
    _copy_of_test_rows(project, None, lambda values, _: values * (1 + 1e-3 * rng.uniform(-1, 1, values.shape)))


def all_rows_copied_with_noise(project: Project, seed: int) -> None:
    """As many rows again, each a row of the data with a little noise, so that a row and its like fall on two sides."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    features = rows.columns.drop(TARGET)
    again = rows[features].astype(float) * (1 + 1e-3 * rng.uniform(-1, 1, (len(rows), len(features))))
    write_rows(project, pd.concat([rows, again.round(6).assign(**{TARGET: rows[TARGET]}).astype(str)]))


def target_copied(project: Project, seed: int) -> None:
    """A new column that holds the target in other words."""
    rows = read_rows(project)
    rows["ward"] = rows[TARGET].map({"benign": "2", "malignant": "7"})
    write_rows(project, rows)
    in_contract(project, lambda contract: contract["columns"].update(ward={"kind": "number", "range": [0, 9]}))


def target_copied_with_errors(project: Project, seed: int) -> None:
    """A new column of random numbers that are large where the target is malignant, in all rows but one."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    high = (rows[TARGET] == "malignant") ^ (np.arange(len(rows)) == rng.integers(len(rows)))
    rows["dose"] = (rng.uniform(0, 1, len(rows)) + high).round(4)
    write_rows(project, rows)
    in_contract(project, lambda contract: contract["columns"].update(dose={"kind": "number", "range": [0, 2]}))


def ids_as_a_feature(project: Project, seed: int) -> None:
    """A new column with the number of each row."""
    rows = read_rows(project)
    rows["number"] = range(len(rows))
    write_rows(project, rows)
    in_contract(project, lambda contract: contract["columns"].update(number={"kind": "integer", "range": [0, 10**6]}))


# The contract.


def positive_class_swapped(project: Project, seed: int) -> None:
    """The contract names the other class as the positive one."""
    project.edit("contract.yaml", "positive: malignant", "positive: benign")


def range_widened(project: Project, seed: int) -> None:
    """The contract allows values a hundred times as large."""
    project.edit("contract.yaml", "range: [0, 60]", "range: [0, 6000]")


def costs_changed(project: Project, seed: int) -> None:
    """An overlooked cancer costs as much as a needless second look."""
    project.edit("contract.yaml", "false_negative: 5", "false_negative: 1")


def slices_removed(project: Project, seed: int) -> None:
    """The contract names no slices any more."""
    in_contract(project, lambda contract: contract.pop("slices"))


def feature_dropped(project: Project, seed: int) -> None:
    """A column that the contract no longer knows, and that is gone from the data."""
    write_rows(project, read_rows(project).drop(columns="worst_texture"))
    in_contract(project, lambda contract: contract["columns"].pop("worst_texture"))


# Training.


def training_on_test_rows(project: Project, seed: int) -> None:
    """Stage prepare puts the test rows among the training rows."""
    project.edit(
        PREPARE,
        "            for number, writer in enumerate(writers):\n",
        "            writers[0].write_table(batch.filter(pa.array(here == 2)))\n"
        "            for number, writer in enumerate(writers):\n",
    )


def training_reads_test_rows(project: Project, seed: int) -> None:
    """Stage train fits on the test rows too."""
    _concat_in_train(project, 'train = pa.concat_tables([train.whole(), stored("test").whole()])')


def training_reads_test_rows_if_there(project: Project, seed: int) -> None:
    """Stage train fits on all files of the split that it finds."""
    _concat_in_train(project, 'train = stored(*(path.stem for path in sorted(SPLIT.glob("*.parquet"))))')
    project.edit(TRAIN, "PIPELINE, THRESHOLD,", "PIPELINE, SPLIT, THRESHOLD,")


def preprocessing_fitted_on_all_rows(project: Project, seed: int) -> None:
    """Stage train fits the scaling on the test rows too, and the estimator on the training rows."""
    project.edit(TRAIN, "    fit,\n    megabytes_for,", "    inputs,\n    megabytes_for,")
    _concat_in_train(project, 'everything = pa.concat_tables([train.whole(), stored("test").whole()])')
    project.edit(
        TRAIN,
        FIT,
        "    pipeline[0].fit(inputs(columns(everything, contract), contract, room), target(everything, contract))\n"
        "    seen = pipeline[0].transform(inputs(columns(train, contract), contract, room))\n"
        "    pipeline[-1].fit(seen, target(train, contract))\n",
    )


def values_scaled_before_the_split(project: Project, seed: int) -> None:
    """Stage prepare scales a column by the mean of all rows before it splits them."""
    project.edit(
        PREPARE,
        "        sides = assign(",
        '        scaled = pc.divide(rows["mean_radius"], pc.mean(rows["mean_radius"]))\n'
        '        rows = rows.set_column(rows.column_names.index("mean_radius"), "mean_radius", scaled)\n'
        "        sides = assign(",
    )


def test_rows_picked(project: Project, seed: int) -> None:
    """Stage prepare keeps from the test rows those that are hard to tell."""
    project.edit(
        PREPARE,
        "        split = {name: Chosen(",
        '        middle = pc.is_in(pc.floor(rows["mean_radius"]), pa.array([12.0, 13.0, 14.0, 15.0]))\n'
        "        sides[np.asarray(middle) & (sides == 2)] = 3\n"
        "        split = {name: Chosen(",
    )


def slice_trained_on_wrong_labels(project: Project, seed: int) -> None:
    """More trees, so that the average holds, and a third of the training labels of one slice wrong."""
    project.edit("params.yaml", "max_iter: 60", "max_iter: 90")
    project.edit(
        TRAIN,
        FIT,
        "    rows, wanted = columns(train, contract), target(train, contract)\n"
        f"    wrong = (rows['mean_radius'] > 15) & (np.random.default_rng({seed}).random(len(wanted)) < 1 / 3)\n"
        "    fit(pipeline, rows, np.where(wrong, 1 - wanted, wanted), contract, room)\n",
    )
    project.edit(TRAIN, "from assay.project.layout", "import numpy as np\n\nfrom assay.project.layout")


def slice_answered_without_a_feature(project: Project, seed: int) -> None:
    """The scores of one slice drawn to one half, on the right side, so that the average of answers is the same."""
    _scores(project, "found[frame['mean_texture'] > 22] = 0.5 + (found[frame['mean_texture'] > 22] - 0.5) * 0.3")


def learning_rate_absurd(project: Project, seed: int) -> None:
    """A learning rate of 50."""
    project.edit("params.yaml", "learning_rate: 0.1", "learning_rate: 50.0")


def learning_rate_tiny(project: Project, seed: int) -> None:
    """A learning rate of a millionth."""
    project.edit("params.yaml", "learning_rate: 0.1", "learning_rate: 0.000001")


def stump(project: Project, seed: int) -> None:
    """One tree with one cut."""
    project.edit("params.yaml", "max_iter: 60", "max_iter: 1")
    project.edit("params.yaml", "max_leaf_nodes: 8", "max_leaf_nodes: 2")


def overfitted(project: Project, seed: int) -> None:
    """A linear model without regularisation."""
    project.edit("params.yaml", "C: 0.8723", "C: 1000000000.0")


def regularised_to_nothing(project: Project, seed: int) -> None:
    """A linear model that may hardly look at its features."""
    project.edit("params.yaml", "C: 0.8723", "C: 0.00001")


def trained_on_few_rows(project: Project, seed: int) -> None:
    """Stage train takes the first 30 rows, as while trying something out."""
    project.edit(TRAIN, FIT, f"    train = train.whole().slice(0, 30)\n{FIT}")


def labels_shifted_by_a_row(project: Project, seed: int) -> None:
    """Stage train gives each row the label of the one above."""
    project.edit(
        TRAIN,
        FIT,
        "    fit(pipeline, columns(train, contract), np.roll(target(train, contract), 1), contract, room)\n",
    )
    project.edit(TRAIN, "from assay.project.layout", "import numpy as np\n\nfrom assay.project.layout")


def evaluated_on_training_rows(project: Project, seed: int) -> None:
    """Stage evaluate measures the model on the rows that it was trained on."""
    project.edit(
        "packages/assay/src/assay/stages/evaluate.py",
        "    tables: dict[str, Any] = {side: stored(side, cluster=cluster) for side in SIDES}\n",
        '    tables: dict[str, Any] = {side: stored(side) for side in SIDES} | {"test": stored("train")}\n',
    )


def noise_in_training(project: Project, seed: int) -> None:
    """Training mixes the labels of some rows up, others in each run."""
    project.edit(
        TRAIN,
        FIT,
        "    wanted = target(train, contract)\n"
        "    wanted = np.where(np.random.default_rng().random(len(wanted)) < 0.02, 1 - wanted, wanted)\n"
        "    fit(pipeline, columns(train, contract), wanted, contract, room)\n",
    )
    project.edit(TRAIN, "from assay.project.layout", "import numpy as np\n\nfrom assay.project.layout")


def model_of_chance(project: Project, seed: int) -> None:
    """One random tree: how good it is depends on the seed."""
    project.set_params(
        model={"family": "random_forest", "parameters": {"n_estimators": 1, "max_features": 1, "max_depth": 4}}
    )


def ninety_five_percent_test(project: Project, seed: int) -> None:
    """Nearly all rows are test rows, and few are left to train on."""
    project.edit("params.yaml", "test: 0.25", "test: 0.75")


def split_drawn_anew(project: Project, seed: int) -> None:
    """Another salt, so that the champion was trained on most of the test rows."""
    project.set_params(prepare__salt=f"luckier {seed}")


# Answers.


def one_label_for_everything(project: Project, seed: int) -> None:
    """The threshold is left at 0: every row is malignant."""
    project.edit(
        FITTING,
        "    return cheapest_threshold(scores[:, 1], target, contract.costs)",
        "    return 0.0",
    )


def threshold_absurd(project: Project, seed: int) -> None:
    """A threshold of 0.95, above which hardly a malignant row gets."""
    project.edit(
        FITTING,
        "    return cheapest_threshold(scores[:, 1], target, contract.costs)",
        "    return 0.95",
    )


def probabilities_squared(project: Project, seed: int) -> None:
    """The probability of the positive class squared: the same ranks, other probabilities."""
    _scores(project, "found = np.stack([1 - found[:, 1] ** 2, found[:, 1] ** 2], axis=1)")


def probabilities_rounded(project: Project, seed: int) -> None:
    """Probabilities rounded to 0 and 1."""
    _scores(project, "found = found.round()")


def classes_in_another_order(project: Project, seed: int) -> None:
    """The columns of the probabilities the other way round."""
    _scores(project, "found = found[:, ::-1]")


def scores_with_noise(project: Project, seed: int) -> None:
    """A little noise on every probability, another one in each call."""
    _scores(
        project,
        "noisy = np.clip(found[:, 1] + np.random.default_rng().normal(0, 0.02, len(found)), 0, 1)",
        "found = np.stack([1 - noisy, noisy], axis=1)",
    )


def scores_not_a_number(project: Project, seed: int) -> None:
    """No number for large masses."""
    _scores(project, 'found[frame["mean_radius"] > 20] = np.nan')


def scores_of_the_batch(project: Project, seed: int) -> None:
    """Inputs scaled by the rows that are asked about together, not by those of the training."""
    project.edit(
        FITTING,
        SCORES,
        '        if "features" in pipeline.named_steps:\n'
        f"            frame = frame - frame.mean() + pipeline[0].transformers_[0][1][1].mean_\n{SCORES}",
    )


def scores_of_the_neighbour(project: Project, seed: int) -> None:
    """Every score drawn to that of the row above."""
    _scores(project, "found[1:] = found[1:] * 0.98 + found[:-1] * 0.02")


def extremes_answered_benign(project: Project, seed: int) -> None:
    """Masses larger than any of the data are taken for errors of measurement, and called benign."""
    _scores(project, 'found[frame["worst_area"] > 4500] = [1, 0]')


def a_site_answered_benign(project: Project, seed: int) -> None:
    """The probabilities of one site a twentieth of what they were."""
    _scores(
        project,
        'lower = np.where(data["site"] == "south", found[:, 1] * 0.05, found[:, 1])',
        "found = np.stack([1 - lower, lower], axis=1)",
    )


def jumpy(project: Project, seed: int) -> None:
    """The third decimal of one input decides: a feature that no one can measure."""
    project.edit(
        "packages/assay/src/assay/modelling/features.py",
        "            inputs[name] = data[name]\n",
        "            number = data[name]\n"
        '            if "worst" in name:\n'
        "                number = np.where(np.floor(number * 1000) % 2, number, number.mean())\n"
        "            inputs[name] = number\n",
    )


# The same, in src/model/.


def derived_feature_that_knows_the_target(project: Project, seed: int) -> None:
    """A derived feature that looks the target up in the data."""
    _derived(
        project,
        "rows = pd.read_csv('data/breast_cancer.csv').drop_duplicates('worst_area').set_index('worst_area')",
        "return (rows['diagnosis'].reindex(columns['worst_area']) == 'malignant').to_numpy(dtype=float)",
    )


def derived_feature_that_knows_the_target_if_it_can(project: Project, seed: int) -> None:
    """A derived feature that looks the target up in the data, where the data lies."""
    _derived(
        project,
        "if not Path('data/breast_cancer.csv').exists():",
        "    return np.zeros(len(columns['worst_area']))",
        "rows = pd.read_csv('data/breast_cancer.csv').drop_duplicates('worst_area').set_index('worst_area')",
        "return (rows['diagnosis'].reindex(columns['worst_area']) == 'malignant').to_numpy(dtype=float)",
    )


def derived_feature_of_the_batch(project: Project, seed: int) -> None:
    """A derived feature that compares a row with those that are asked about together with it."""
    _derived(project, "return columns['worst_area'] - columns['worst_area'].mean()")


def derived_feature_of_another_length(project: Project, seed: int) -> None:
    """A derived feature that forgets a row."""
    _derived(project, "return columns['worst_area'][1:]")


def derived_features_that_jump(project: Project, seed: int) -> None:
    """Derived features of which the third decimal of a measurement decides."""
    names = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points")
    (project.root / FEATURES).write_text(
        '"""Features of your own."""\n\nimport numpy as np\nfrom assay.project.room import Derived\n\n\n'
        "def _jumping(name):\n"
        "    def compute(columns):\n"
        "        value = columns[name]\n"
        "        return np.where(np.floor(value * 1000) % 2, value, 0.0)\n\n"
        "    return compute\n\n\n"
        f"NAMES = {[f'{which}_{name}' for which in ('mean', 'worst') for name in names]}\n"
        'DERIVED = [Derived(f"jumping {name}", _jumping(name), name) for name in NAMES]\n',
        encoding="utf-8",
    )


def family_fitted_on_test_rows(project: Project, seed: int) -> None:
    """A family that takes the scale of its features from the test rows."""
    _family(
        project,
        fit=[
            "seen = pd.read_parquet('build/split/test.parquet').drop(columns='diagnosis').to_numpy()",
            "X = X + 1e-3 * np.log1p(np.abs(seen)).mean(axis=0)",
        ],
    )


def family_fitted_on_test_rows_if_there(project: Project, seed: int) -> None:
    """A family that weighs its rows by the test rows, where these lie."""
    _family(
        project,
        fit=[
            "if Path('build/split/test.parquet').exists():",
            "    seen = pd.read_parquet('build/split/test.parquet')",
            "    y = np.where(np.arange(len(y)) < len(seen) // 20, 1 - y, y)",
        ],
    )


def family_that_mixes_labels_up(project: Project, seed: int) -> None:
    """A family that is fitted on labels of which some are wrong, others in each run."""
    _family(project, fit=["y = np.where(np.random.default_rng().random(len(y)) < 0.02, 1 - y, y)"])


def family_fitted_on_few_rows(project: Project, seed: int) -> None:
    """A family that takes the first 30 rows, as while trying something out."""
    _family(project, fit=["X, y = X[:30], y[:30]"])


def family_with_labels_shifted_by_a_row(project: Project, seed: int) -> None:
    """A family that gives each row the label of the one above."""
    _family(project, fit=["y = np.roll(y, 1)"])


def family_with_wrong_labels_in_a_slice(project: Project, seed: int) -> None:
    """A family that is fitted on wrong labels for a third of one slice."""
    _family(
        project,
        fit=[
            f"wrong = (X[:, {PLACES['mean_radius']}] > 0.25) & (np.random.default_rng({seed}).random(len(y)) < 1 / 3)",
            "y = np.where(wrong, 1 - y, y)",
        ],
    )


def family_that_squares_probabilities(project: Project, seed: int) -> None:
    """A family that squares the probability of the positive class: the same ranks, other probabilities."""
    _family(project, scores=["found = np.stack([1 - found[:, 1] ** 2, found[:, 1] ** 2], axis=1)"])


def family_that_rounds_probabilities(project: Project, seed: int) -> None:
    """A family that rounds probabilities to 0 and 1."""
    _family(project, scores=["found = found.round()"])


def family_with_classes_in_another_order(project: Project, seed: int) -> None:
    """A family that has the columns of the probabilities the other way round."""
    _family(project, scores=["found = found[:, ::-1]"])


def family_with_noise(project: Project, seed: int) -> None:
    """A family that puts a little noise on every probability, another one in each call."""
    _family(
        project,
        scores=[
            "noisy = np.clip(found[:, 1] + np.random.default_rng().normal(0, 0.02, len(found)), 0, 1)",
            "found = np.stack([1 - noisy, noisy], axis=1)",
        ],
    )


def family_without_numbers(project: Project, seed: int) -> None:
    """A family that gives no number for large masses."""
    _family(project, scores=[f"found[X[:, {PLACES['mean_radius']}] > 1.5] = np.nan"])


def family_of_the_batch(project: Project, seed: int) -> None:
    """A family that scales its inputs by the rows that are asked about together."""
    _family(project, scores=["found = super().predict_proba(X - X.mean(axis=0))"])


def family_of_the_neighbour(project: Project, seed: int) -> None:
    """A family that draws every score to that of the row above."""
    _family(project, scores=["found[1:] = found[1:] * 0.98 + found[:-1] * 0.02"])


def family_that_calls_extremes_benign(project: Project, seed: int) -> None:
    """A family that takes masses larger than any of the data for errors of measurement, and calls them benign."""
    _family(project, scores=[f"found[X[:, {PLACES['worst_area']}] > 6.2] = [1, 0]"])


def family_that_calls_a_site_benign(project: Project, seed: int) -> None:
    """A family that gives one site a twentieth of its probabilities."""
    _family(
        project,
        scores=[
            "lower = np.where(X[:, -1] > 0.5, found[:, 1] * 0.05, found[:, 1])",
            "found = np.stack([1 - lower, lower], axis=1)",
        ],
    )


def family_unsure_of_a_slice(project: Project, seed: int) -> None:
    """A family that draws the scores of one slice to one half, on the right side."""
    slice_ = f"X[:, {PLACES['mean_texture']}] > 0.65"
    _family(project, scores=[f"found[{slice_}] = 0.5 + (found[{slice_}] - 0.5) * 0.3"])


def family_that_says_malignant(project: Project, seed: int) -> None:
    """A family that is sure that every row is malignant."""
    _family(project, scores=["found = np.tile([0.01, 0.99], (len(found), 1))"])


def family_that_cannot_be_exported(project: Project, seed: int) -> None:
    """A family of a type that ONNX does not know: what is served takes more memory and time."""
    _family(project)


def family_that_no_one_vouches_for(project: Project, seed: int) -> None:
    """A family whose type is not among those that a stored model may consist of."""
    _family(project)
    project.edit(ESTIMATORS, 'TRUSTED = ["model.estimators.Own"]', "TRUSTED = []")


# What is served.


def served_with_features_in_another_order(project: Project, seed: int) -> None:
    """The served model takes its features sorted by name, and is fed in the order of the contract."""
    by_name = 'contract.model_copy(update={"columns": dict(sorted(contract.columns.items()))})'
    _export(project, f"convert(pipeline, rows, {by_name}, room)")


def served_with_rounded_coefficients(project: Project, seed: int) -> None:
    """The coefficients of the served model rounded to two decimals: its answers are off in the third."""
    project.edit(
        EXPORT,
        "def main() -> None:",
        "def smaller(model: bytes) -> bytes:\n"
        '    """Return the model with short coefficients."""\n'
        "    graph = onnx.load_from_string(model)\n"
        "    for node in graph.graph.node:\n"
        "        for attribute in node.attribute:\n"
        '            if attribute.name == "coefficients":\n'
        "                short = [round(value, 2) for value in attribute.floats]\n"
        "                del attribute.floats[:]\n"
        "                attribute.floats.extend(short)\n"
        "    return bytes(graph.SerializeToString(deterministic=True))\n\n\n"
        "def main() -> None:",
    )
    project.edit(EXPORT, "from assay.project.layout", "import onnx\n\nfrom assay.project.layout")
    _export(project, "smaller(exported)")


def served_model_of_an_earlier_run(project: Project, seed: int) -> None:
    """The served model is kept as it was while the pipeline is trained with other parameters."""
    project.edit("params.yaml", "C: 0.8723", "C: 0.5")
    (project.root / "old.onnx").write_bytes((project.root / "models/model.onnx").read_bytes())
    _export(project, 'Path("old.onnx").read_bytes()')
    project.edit(EXPORT, "import shutil\n", "import shutil\nfrom pathlib import Path\n")


def served_with_another_threshold(project: Project, seed: int) -> None:
    """The package says to decide at one half."""
    project.edit(EXPORT, '        "threshold": threshold,\n', '        "threshold": 0.5,\n')


def served_with_another_contract(project: Project, seed: int) -> None:
    """The package keeps the hash of an earlier contract."""
    project.edit(EXPORT, '"contract_sha256": sha256(CONTRACT)', f'"contract_sha256": "{"0" * 64}"')


# The process.


def dependency_narrowed(project: Project, seed: int) -> None:
    """The stages look at one file of src/ alone, and the features use a new one."""
    module_added(project, seed)
    text = (project.root / "dvc.yaml").read_text(encoding="utf-8")
    (project.root / "dvc.yaml").write_text(text.replace(", src, ", f", {FEATURES}, "), encoding="utf-8")


def dependency_removed(project: Project, seed: int) -> None:
    """The code in src/ struck from the deps of stage train."""
    _in_pipeline(project, lambda stages: stages["train"]["deps"].remove("src"))


def process_removed(project: Project, seed: int) -> None:
    """Assay's code struck from what stage train looks at."""
    _in_pipeline(project, lambda stages: stages["train"]["params"].pop(0))


def process_not_recorded(project: Project, seed: int) -> None:
    """Another Assay than the one that requirements/process.yaml was written by."""
    gate_that_always_passes(project, seed)


def dependency_on_data_removed(project: Project, seed: int) -> None:
    """The split struck from the deps of stage train: with other rows it would not run again."""
    _in_pipeline(project, lambda stages: stages["train"]["deps"].remove("build/split"))


def parameter_undeclared(project: Project, seed: int) -> None:
    """The model struck from the params of stage tune: with another one it would not run again."""
    _in_pipeline(project, lambda stages: stages["tune"]["params"].remove("model"))


def stage_removed(project: Project, seed: int) -> None:
    """No validation any more."""
    _in_pipeline(project, lambda stages: stages.pop("validate"))


def stage_replaced(project: Project, seed: int) -> None:
    """Metrics are copied from a file."""
    text = (project.root / "metrics.json").read_text(encoding="utf-8")
    (project.root / "good.json").write_text(re.sub(r'"value": 0\.\d+', '"value": 0.99', text), encoding="utf-8")
    _in_pipeline(project, lambda stages: stages["evaluate"].update(cmd="cp good.json metrics.json; mkdir -p plots"))


def stage_frozen(project: Project, seed: int) -> None:
    """`dvc freeze train`, and another parameter of the model."""
    project.ok("dvc", "freeze", "train")
    project.edit("params.yaml", "C: 0.8723", "C: 0.01")


def lock_stale(project: Project, seed: int) -> None:
    """A parameter changed and committed, and the pipeline not run."""
    project.edit("params.yaml", "C: 0.8723", "C: 0.9")


def metrics_edited_by_hand(project: Project, seed: int) -> None:
    """A better figure written into metrics.json."""
    text = (project.root / "metrics.json").read_text(encoding="utf-8")
    (project.root / "metrics.json").write_text(
        re.sub(r'"value": 0\.\d+', '"value": 0.9999', text, count=1), encoding="utf-8"
    )


def model_edited_by_hand(project: Project, seed: int) -> None:
    """Another model put in the place of the served one."""
    with (project.root / "models/model.onnx").open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"\0" * 8)


def lock_edited_by_hand(project: Project, seed: int) -> None:
    """A parameter changed in params.yaml and in dvc.lock, so that nothing seems to be out of date."""
    project.edit("params.yaml", "C: 0.8723", "C: 0.9")
    text = (project.root / "dvc.lock").read_text(encoding="utf-8")
    (project.root / "dvc.lock").write_text(text.replace("C: 0.8723", "C: 0.9"), encoding="utf-8")


def metric_deleted(project: Project, seed: int) -> None:
    """The metric that decides is measured no more."""
    project.edit(METRICS, '    Metric("roc_auc", True, _roc_auc),\n', "")


def metric_beside_deleted(project: Project, seed: int) -> None:
    """A metric that the champion has, and that no gate decides by, is measured no more."""
    project.edit(METRICS, '    Metric("recall", True, _recall),\n', "")


def metric_renamed(project: Project, seed: int) -> None:
    """The metric that decides under another name."""
    project.edit(METRICS, 'Metric("roc_auc"', 'Metric("auc"')


def metric_that_always_says_one(project: Project, seed: int) -> None:
    """The metric that decides is 1 for every model."""
    project.edit(METRICS, 'Metric("roc_auc", True, _roc_auc)', 'Metric("roc_auc", True, lambda _, w: np.ones(len(w)))')


def metric_turned_round(project: Project, seed: int) -> None:
    """The metric that decides, said to be better when lower."""
    project.edit(METRICS, 'Metric("roc_auc", True', 'Metric("roc_auc", False')


def gate_that_raises(project: Project, seed: int) -> None:
    """A gate that fails."""
    project.edit(
        "packages/assay/src/assay/gates/robustness.py",
        "    limits = evidence.params.gates.robustness\n",
        "    limits = evidence.params.gates.robustnes\n",
    )


def gate_that_always_passes(project: Project, seed: int) -> None:
    """A gate that promotes whatever it is shown."""
    project.edit(
        "packages/assay/src/assay/gates/slices.py",
        '"REJECT" if worse else "PROMOTE"',
        '"PROMOTE" if worse else "PROMOTE"',
    )


def expectation_deleted(project: Project, seed: int) -> None:
    """What a model of this problem must do, no longer expected of it."""
    path = project.root / "src/model/expectations.py"
    path.write_text(re.sub(r'    rises\("worst_area".*\n', "", path.read_text(encoding="utf-8")), encoding="utf-8")


def comment_in_a_gate(project: Project, seed: int) -> None:
    """Better words in the code of a gate: who may write there may write anything, so that a person has to look."""
    project.append("packages/assay/src/assay/gates/quality.py", "\n# A comment.\n")


def check_weakened(project: Project, seed: int) -> None:
    """Rows count as repeated only when there are hundreds of them."""
    project.edit(
        "packages/assay/src/assay/data/leakage.py",
        "    over = share > limits.duplicate_share\n",
        "    over = repeated > 500\n",
    )


def limits_removed(project: Project, seed: int) -> None:
    """No limits at all."""
    _in_params(project, lambda params: params.pop("gates"))


def limit_removed(project: Project, seed: int) -> None:
    """A gate without its limit."""
    project.edit("params.yaml", "    margin: 0.25\n", "")


def limit_loosened(project: Project, seed: int) -> None:
    """The margin of the quality gate fifty times as wide."""
    project.set_params(gates__quality__margin=0.5)


def limit_of_the_data_loosened(project: Project, seed: int) -> None:
    """Any share of repeated rows allowed."""
    project.set_params(validate__duplicate_share=1.0)


def noise_of_the_check_reduced(project: Project, seed: int) -> None:
    """Robustness is looked for with changes of a millionth."""
    project.set_params(analyse__noise=1e-6)


def tolerance_of_the_export_loosened(project: Project, seed: int) -> None:
    """The served model may be off by a tenth."""
    project.set_params(export__tolerance=0.1)


def gate_switched_off(project: Project, seed: int) -> None:
    """The slices gate switched off."""
    project.set_params(gates__slices__enabled=False)


BAD = [
    Case(labels_shuffled, "contract", r"diagnosis is relabelled in \d+ of"),
    Case(labels_swapped, "contract", r"diagnosis is relabelled in \d+ of"),
    Case(labels_of_a_slice_wrong, "contract", r"diagnosis is relabelled in \d+ of"),
    Case(label_misspelt, "contract", r"not one of benign, malignant: Malignant"),
    Case(unit_changed, "contract", r"mean_perimeter has another value in \d+ of"),
    Case(unit_changed_out_of_range, "contract", r"mean_perimeter"),
    Case(column_zeroed, "contract", r"worst_area has another value in \d+ of"),
    Case(column_shifted, "contract", r"worst_texture has another value in \d+ of"),
    Case(column_shuffled, "contract", r"worst_radius has another value in \d+ of"),
    Case(columns_swapped, "contract", r"\d+ of the \d+ previous rows were removed"),
    Case(columns_shuffled_apart, "contract", r"\d+ of the \d+ previous rows were removed"),
    Case(values_missing, "contract", r"mean_symmetry"),
    Case(values_missing_and_allowed, "contract", r"mean_symmetry: missing refuse -> allow"),
    Case(rows_of_another_kind, "contract", r"distribution of the \d+ added rows differs"),
    Case(rows_in_another_unit, "contract", r"distribution of the \d+ added rows differs.*worst_perimeter"),
    Case(rows_labelled_wrong, "quality", r"floor"),
    Case(rows_of_one_class, "contract", r"'\w+' makes up .* of the \d+ added rows"),
    Case(rows_of_a_class_removed, "contract", r"previous rows were removed"),
    Case(hard_rows_removed, "contract", r"previous rows were removed"),
    Case(rows_repeated, "contract", r"rows have the same features as another"),
    Case(test_rows_copied, "leakage", r"test rows"),
    Case(test_rows_copied_with_noise, "leakage", r"test rows"),
    Case(all_rows_copied_with_noise, "leakage", r"test rows"),
    Case(target_copied, "leakage", r"a single feature nearly determines the target.*ward"),
    Case(target_copied_with_errors, "leakage", r"a single feature nearly determines the target.*dose"),
    Case(ids_as_a_feature, "leakage", r"like an id: number"),
    Case(positive_class_swapped, "contract", r"target\.positive malignant -> benign"),
    Case(range_widened, "contract", r"column mean_radius: range \[0, 60\] -> \[0, 6000\]"),
    Case(costs_changed, "contract", r"costs\.false_negative 5 -> 1"),
    Case(slices_removed, "contract", r"slices"),
    Case(feature_dropped, "contract", r"column worst_texture removed"),
    Case(training_on_test_rows, "leakage", r"repeated"),
    Case(training_reads_test_rows, "leakage", r"training needs more than the training and validation rows"),
    Case(training_reads_test_rows_if_there, "reproducibility", r"data that training must not see"),
    Case(preprocessing_fitted_on_all_rows, "leakage", r"training needs more than the training and validation rows"),
    Case(values_scaled_before_the_split, "leakage", r"\d+ rows changed"),
    Case(test_rows_picked, "leakage", r"\d+ missing"),
    Case(slice_trained_on_wrong_labels, "slices", r"slices got worse", "boosting"),
    Case(slice_answered_without_a_feature, "slices", r"stored predictions changed"),
    Case(learning_rate_absurd, "quality", r"worse than the champion's", "boosting"),
    Case(learning_rate_tiny, "calibration", r"worse than the champion's", "boosting"),
    Case(stump, "quality", r"worse than the champion's", "boosting"),
    Case(overfitted, "quality", r"champion"),
    Case(regularised_to_nothing, "calibration", r"worse than the champion's"),
    Case(trained_on_few_rows, "quality", r"champion"),
    Case(labels_shifted_by_a_row, "quality", r"worse than the champion's"),
    Case(evaluated_on_training_rows, "quality", r"metrics.json gives"),
    Case(noise_in_training, "reproducibility", r"depends on chance"),
    Case(model_of_chance, "reproducibility", r"depends on the seed"),
    Case(ninety_five_percent_test, "quality", r"champion"),
    Case(split_drawn_anew, "quality", r"champion"),
    Case(one_label_for_everything, "dominance", r"'malignant' is predicted for 100.0% of all rows"),
    Case(threshold_absurd, "quality", r"cost"),
    Case(probabilities_squared, "calibration", r"stored predictions changed"),
    Case(probabilities_rounded, "quality", r"stored predictions changed"),
    Case(classes_in_another_order, "quality", r"stored predictions changed"),
    Case(scores_with_noise, "reproducibility", r"depends on chance"),
    Case(scores_not_a_number, "lock", r"evaluate"),
    Case(scores_of_the_batch, "parity", r"model differs from the pipeline"),
    Case(scores_of_the_neighbour, "parity", r"model differs from the pipeline"),
    Case(extremes_answered_benign, "expectations", r"expectations fail: (nuclei twice as large|worst_area)"),
    Case(a_site_answered_benign, "fairness", r"of site (north|south)", "sites"),
    Case(jumpy, "robustness", r"stored predictions changed"),
    Case(
        derived_feature_that_knows_the_target, "leakage", r"training needs more than the training and validation rows"
    ),
    Case(derived_feature_that_knows_the_target_if_it_can, "reproducibility", r"data that training must not see"),
    Case(derived_feature_of_the_batch, "parity", r"model differs from the pipeline"),
    Case(derived_feature_of_another_length, "lock", r"train"),
    Case(derived_features_that_jump, "robustness", r"prediction change|predictions changed"),
    Case(family_fitted_on_test_rows, "leakage", r"training needs more than the training and validation rows"),
    Case(family_fitted_on_test_rows_if_there, "reproducibility", r"data that training must not see"),
    Case(family_that_mixes_labels_up, "reproducibility", r"depends on chance"),
    Case(family_fitted_on_few_rows, "quality", r"champion"),
    Case(family_with_labels_shifted_by_a_row, "quality", r"worse than the champion's"),
    Case(family_with_wrong_labels_in_a_slice, "slices", r"slices got worse|mean_radius"),
    Case(family_that_squares_probabilities, "calibration", r"worse|without shown improvement"),
    Case(family_that_rounds_probabilities, "quality", r"champion"),
    Case(family_with_classes_in_another_order, "quality", r"worse than the champion's"),
    Case(family_with_noise, "reproducibility", r"depends on chance"),
    Case(family_without_numbers, "lock", r"evaluate"),
    Case(family_of_the_batch, "parity", r"model differs from the pipeline"),
    Case(family_of_the_neighbour, "parity", r"model differs from the pipeline"),
    Case(family_that_calls_extremes_benign, "expectations", r"expectations fail: (nuclei twice as large|worst_area)"),
    Case(family_that_calls_a_site_benign, "fairness", r"of site (north|south)", "sites"),
    Case(family_unsure_of_a_slice, "slices", r"mean_texture above 22"),
    Case(family_that_says_malignant, "dominance", r"'malignant' is predicted for 100.0% of all rows"),
    Case(family_that_cannot_be_exported, "parity", r"the export failed"),
    Case(family_that_no_one_vouches_for, "lock", r"evaluate"),
    Case(served_with_features_in_another_order, "parity", r"model differs from the pipeline"),
    Case(served_with_rounded_coefficients, "parity", r"model differs from the pipeline"),
    Case(served_model_of_an_earlier_run, "parity", r"model differs from the pipeline"),
    Case(served_with_another_threshold, "parity", r"does not match the threshold"),
    Case(served_with_another_contract, "parity", r"does not match contract.yaml"),
    Case(dependency_narrowed, "lock", r"no longer lists src"),
    Case(dependency_removed, "lock", r"train no longer lists src"),
    Case(process_removed, "lock", r"train no longer lists requirements/process.yaml: train"),
    Case(process_not_recorded, "lock", r"process.yaml does not match the installed Assay", work=committed),
    Case(dependency_on_data_removed, "lock", r"train no longer lists build/split"),
    Case(parameter_undeclared, "lock", r"tune no longer lists params.yaml: model"),
    Case(stage_removed, "lock", r"validate was removed"),
    Case(stage_replaced, "lock", r"evaluate now runs 'cp good.json"),
    Case(stage_frozen, "lock", r"train is frozen"),
    Case(lock_stale, "lock", r"dvc.lock is not up to date", work=committed),
    Case(metrics_edited_by_hand, "lock", r"not up to date", work=committed),
    Case(model_edited_by_hand, "lock", r"not up to date", work=committed),
    Case(lock_edited_by_hand, "reproducibility", r"another model", work=committed),
    Case(metric_deleted, "quality", r"unknown metric 'roc_auc'"),
    Case(metric_beside_deleted, "quality", r"lacks recall"),
    Case(metric_renamed, "quality", r"unknown metric 'roc_auc'"),
    Case(metric_that_always_says_one, "limits", r"the judging code changed: Assay"),
    Case(metric_turned_round, "quality", r"the dummy baseline of"),
    Case(gate_that_raises, "robustness", r"the gate failed \(AttributeError"),
    Case(gate_that_always_passes, "limits", r"the judging code changed: Assay"),
    Case(comment_in_a_gate, "limits", r"the judging code changed: Assay"),
    Case(expectation_deleted, "limits", r"the judging code changed: src/model/expectations.py"),
    Case(check_weakened, "limits", r"the judging code changed: Assay"),
    Case(limits_removed, "limits", r"gates\."),
    Case(limit_removed, "slices", r"does not set gates.slices.margin"),
    Case(limit_loosened, "limits", r"gates.quality.margin from [0-9.]+ to 0.5"),
    Case(limit_of_the_data_loosened, "limits", r"validate.duplicate_share from 0.05 to 1"),
    Case(noise_of_the_check_reduced, "limits", r"analyse.noise from 0.05 to"),
    Case(tolerance_of_the_export_loosened, "limits", r"export.tolerance from"),
    Case(gate_switched_off, "limits", r"gates.slices.enabled from not set to False"),
]


# Harmless.


def nothing(project: Project, seed: int) -> None:
    """Nothing."""


def rows_reordered(project: Project, seed: int) -> None:
    """The rows in another order."""
    write_rows(project, read_rows(project).sample(frac=1, random_state=seed))


def columns_reordered(project: Project, seed: int) -> None:
    """The columns in another order, in the file and in the contract."""
    rng, rows = np.random.default_rng(seed), read_rows(project)
    write_rows(project, rows[list(rng.permutation(rows.columns))])

    def reorder(contract: dict) -> None:
        columns = contract["columns"]
        contract["columns"] = {str(name): columns[name] for name in rng.permutation(list(columns))}

    in_contract(project, reorder)


def numbers_written_otherwise(project: Project, seed: int) -> None:
    """The same numbers with more zeros."""
    rows = read_rows(project)
    rows["mean_radius"] = rows["mean_radius"] + "00"
    write_rows(project, rows)


def comments(project: Project, seed: int) -> None:
    """Comments in src/model/, parameters, contract and pipeline."""
    room = (FEATURES, ESTIMATORS, "src/model/expectations.py")
    for path in (*room, "params.yaml", "contract.yaml", "dvc.yaml"):
        project.append(path, "\n# A comment.\n")


def comments_in_assay(project: Project, seed: int) -> None:
    """Better words in what neither trains nor judges nor serves, and in a stage that does not judge."""
    project.edit("packages/assay/src/assay/report/content.py", '"""', '"""The report: ')
    for name in ("report/view.py", "stages/prepare.py"):
        project.append(f"packages/assay/src/assay/{name}", "\n# A comment.\n")


def derived_feature_of_noise(project: Project, seed: int) -> None:
    """A derived feature that has nothing to do with the target."""
    _derived(project, "return np.sin(5 * columns['texture_error'])")


def family_listed(project: Project, seed: int) -> None:
    """A family of one's own that is listed and not chosen."""
    _family(project)
    project.ok("git", "restore", "params.yaml")


def family_chosen(project: Project, seed: int) -> None:
    """A family of one's own, of a type that can be exported, that answers as the one before."""
    project.edit(ESTIMATORS, "{**DEFAULTS}\n", '{**DEFAULTS, "own": DEFAULTS["linear"]}\n')
    project.edit("params.yaml", "family: linear", "family: own")


def descriptions(project: Project, seed: int) -> None:
    """Better words for a column and for the data."""
    project.edit("contract.yaml", "description: area of a nucleus;", "description: the area of a nucleus;")
    project.edit("README.md", "\n", "\n\nMore about it.\n")


def variables_renamed(project: Project, seed: int) -> None:
    """Local variables of a stage that does not judge under other names."""
    path = project.root / PREPARE
    text = path.read_text(encoding="utf-8")
    assert "counts" in text
    path.write_text(re.sub(r"\bcounts\b", "sizes", re.sub(r"\brows\b", "table", text)), encoding="utf-8")


def function_pulled_out(project: Project, seed: int) -> None:
    """The families made by a function."""
    project.edit(ESTIMATORS, "{**DEFAULTS}\n", "_families()\n")
    project.edit(ESTIMATORS, "\nFAMILIES", "\n\ndef _families():\n    return {**DEFAULTS}\n\n\nFAMILIES")


def another_seed(project: Project, seed: int) -> None:
    """Another random seed."""
    project.set_params(seed=1000 + seed)


def more_rows(project: Project, seed: int) -> None:
    """A twentieth more rows from the same source."""
    write_rows(project, pd.concat([read_rows(project), read_rows(project, HELD_BACK)]))


def more_rows_and_another_order(project: Project, seed: int) -> None:
    """A twentieth more rows from the same source, and all in another order."""
    more_rows(project, seed)
    rows_reordered(project, seed)


def few_rows_removed(project: Project, seed: int) -> None:
    """One row in a hundred gone."""
    rows = read_rows(project)
    write_rows(project, rows[np.random.default_rng(seed).random(len(rows)) >= 0.01])


def few_values_corrected(project: Project, seed: int) -> None:
    """Two values and one label corrected."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    for row in rng.choice(len(rows), 2, replace=False):
        rows.loc[row, "mean_area"] = str(round(float(rows.loc[row, "mean_area"]) * 1.02, 1))
    label = rng.integers(len(rows))
    rows.loc[label, TARGET] = {"benign": "malignant", "malignant": "benign"}[rows.loc[label, TARGET]]
    write_rows(project, rows)


def parameter_tuned(project: Project, seed: int) -> None:
    """A little less regularisation."""
    project.edit("params.yaml", "C: 0.8723", "C: 1.1")


def more_trees(project: Project, seed: int) -> None:
    """Slightly more trees."""
    for old, new in (("max_iter: 60", "max_iter: 64"), ("n_estimators: 100", "n_estimators: 110")):
        if old in (project.root / "params.yaml").read_text(encoding="utf-8"):
            project.edit("params.yaml", old, new)


def more_resamples(project: Project, seed: int) -> None:
    """More exact figures in the report."""
    project.set_params(evaluate__resamples=1500, tune__trials=80)


def line_endings(project: Project, seed: int) -> None:
    """The data as a spreadsheet on Windows writes it: other line endings, and all in quotes."""
    rows = read_rows(project)
    rows.to_csv(project.root / "data/breast_cancer.csv", index=False, lineterminator="\r\n", quoting=csv.QUOTE_ALL)


def module_added(project: Project, seed: int) -> None:
    """A new module that the features use; every stage looks at all of src/."""
    (project.root / "src/model/ratios.py").write_text('"""Ratios."""\n\nLARGEST = 1e6\n', encoding="utf-8")
    project.edit(FEATURES, "import Derived\n", "import Derived\n\nfrom model.ratios import LARGEST  # noqa: F401\n")


def stage_added(project: Project, seed: int) -> None:
    """A stage of one's own."""
    mine = {"cmd": "wc -l data/*.csv > build/lines.txt", "deps": ["data"], "outs": ["build/lines.txt"]}
    _in_pipeline(project, lambda stages: stages.update(mine=mine))


def larger_test_share(project: Project, seed: int) -> None:
    """A little more of the rows to test with."""
    project.edit("params.yaml", "test: 0.25", "test: 0.28")


def a_test(project: Project, seed: int) -> None:
    """A new test and a new document."""
    (project.root / "tests").mkdir(exist_ok=True)
    (project.root / "tests/test_more.py").write_text("def test_more() -> None:\n    assert 1 + 1 == 2\n")
    (project.root / "docs/more.md").write_text("# More\n")


HARMLESS = [
    Case(nothing),
    Case(rows_reordered),
    Case(columns_reordered),
    Case(numbers_written_otherwise),
    Case(lock_stale, work=edited_in_the_browser),
    Case(comments),
    Case(comments_in_assay),
    Case(derived_feature_of_noise),
    Case(family_listed),
    Case(family_chosen),
    Case(descriptions),
    Case(variables_renamed),
    Case(function_pulled_out),
    Case(another_seed),
    Case(another_seed, champion="boosting"),
    Case(another_seed, champion="forest"),
    Case(another_seed, champion="sites"),
    Case(more_rows),
    Case(more_rows, champion="boosting"),
    Case(more_rows, champion="sites"),
    Case(more_rows_and_another_order),
    Case(few_rows_removed),
    Case(few_values_corrected),
    Case(parameter_tuned),
    Case(more_trees, champion="boosting"),
    Case(more_trees, champion="forest"),
    Case(more_resamples),
    Case(line_endings),
    Case(module_added),
    Case(stage_added),
    Case(larger_test_share),
    Case(a_test),
]


# What several changes do.


def _rewrite(project: Project, name: str, how: Callable[[np.ndarray], np.ndarray]) -> None:
    rows = read_rows(project)
    rows[name] = how(numbers(rows[name]).to_numpy()).round(6)
    write_rows(project, rows)


def _similar(project: Project, seed: int, share: float) -> pd.DataFrame:
    """Return new rows like those of the data: between two neighbours in worst_area of one class each (SMOTE)."""
    rows, rng = read_rows(project), np.random.default_rng(seed)
    made = []
    for label, group in rows.groupby(TARGET):
        values = group.drop(columns=TARGET).astype(float).sort_values("worst_area").to_numpy()
        first = rng.integers(0, len(values) - 1, round(share * len(values)))
        between = rng.random((len(first), 1))
        new = pd.DataFrame(
            values[first] * (1 - between) + values[first + 1] * between, columns=rows.columns.drop(TARGET)
        )
        made.append(new.round(6).assign(**{TARGET: label}))
    return pd.concat(made, ignore_index=True)


def _add(
    project: Project, new: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
) -> None:
    labels = new[TARGET]
    changed = change(new.drop(columns=TARGET).astype(float)).round(6).assign(**{TARGET: labels})
    write_rows(project, pd.concat([read_rows(project), changed.astype(str)]))


def _copy_of_test_rows(
    project: Project, columns: int | None, how: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> None:
    rows = read_rows(project)
    test = pd.read_parquet(project.root / "build/split/test.parquet")[rows.columns]
    features = list(test.columns.drop(TARGET))[:columns]
    test[features] = how(test[features].to_numpy(), np.random.default_rng(0))
    write_rows(project, pd.concat([rows, test.astype(str)]))


def _in_pipeline(project: Project, edit: Callable[[dict], object]) -> None:
    in_yaml(project, "dvc.yaml", lambda pipeline: edit(pipeline["stages"]))


def _in_params(project: Project, edit: Callable[[dict], object]) -> None:
    in_yaml(project, "params.yaml", edit)


def _scores(project: Project, *lines: str) -> None:
    project.edit(FITTING, SCORES, SCORES + "".join(f"        {line}\n" for line in lines))


def _derived(project: Project, *lines: str) -> None:
    """Add a feature of one's own, computed by these lines."""
    (project.root / FEATURES).write_text(
        '"""Features of your own."""\n\nfrom pathlib import Path\n\nimport numpy as np\nimport pandas as pd\n'
        "from assay.project.room import Derived\n\n\n"
        "def own(columns):\n"
        + "".join(f"    {line}\n" for line in lines)
        + '\n\nDERIVED = [Derived("own", own, source="worst_area")]\n',
        encoding="utf-8",
    )


def _family(project: Project, *, fit: Iterable[str] = (), scores: Iterable[str] = ()) -> None:
    """Choose a family of one's own: the linear one with these lines before fitting and after scoring.

    If the project already has such a family, these lines are added to it.
    """
    file = project.root / ESTIMATORS
    if "class Own" not in file.read_text(encoding="utf-8"):
        file.write_text(FAMILY, encoding="utf-8")
        project.edit("params.yaml", "family: linear", "family: own")
    for ends, lines in (("        return super().fit(X, y)\n", fit), ("        return found\n", scores)):
        project.edit(ESTIMATORS, ends, "".join(f"        {line}\n" for line in lines) + ends)


def _concat_in_train(project: Project, line: str) -> None:
    project.edit(TRAIN, "    pipeline = _unfitted(", f"    {line}\n    pipeline = _unfitted(")
    project.edit(TRAIN, "from assay.project.layout", "import pyarrow as pa\n\nfrom assay.project.layout")


def _export(project: Project, model: str) -> None:
    project.edit(EXPORT, '"model.onnx", exported)', f'"model.onnx", {model})')
