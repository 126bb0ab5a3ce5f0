"""Projects about other tables than the sample, set up by `assay init`, and changes that fit any of them.

What a change needs to know, the target, a numeric feature, a category, it takes from the contract.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from gates.catalogue import Case, another_seed, nothing
from gates.changing import HELD_BACK, HELD_BACK_SHARE, copy_of, in_contract, in_yaml
from scenario.project import SHORT, Project, clone

# Enough trials for a sensible model; with more, only the set-up of each project would take longer.
TRIALS = 12


class Table(NamedTuple):
    """A table with its target; `ordered` if its rows are in the order of time, so that new rows come last."""

    target: str
    rows: Callable[[np.random.Generator], pd.DataFrame]
    ordered: bool = False


def people(rng: np.random.Generator, count: int = 6000) -> pd.DataFrame:
    """Return a census: people of groups of very unlike sizes, and whether they earn much."""
    education = rng.choice(6, count, p=[0.1, 0.3, 0.25, 0.2, 0.1, 0.05])
    age = np.clip(rng.gamma(6, 7, count), 17, 90).round()
    sex = rng.choice(["Female", "Male"], count, p=[0.4, 0.6])
    race = rng.choice(["White", "Black", "Asian", "Indigenous", "Other"], count, p=[0.8, 0.12, 0.05, 0.015, 0.015])
    job = rng.choice(["clerk", "craft", "farming", "manager", "sales", "service", "specialist"], count)
    hours = np.clip(rng.normal(40, 10, count), 1, 99).round()
    gain = np.where(rng.random(count) < 0.08, rng.gamma(2, 3000, count).round(), 0)
    paid = {"manager": 1.0, "specialist": 0.8, "sales": 0.3, "farming": -0.8, "service": -0.9}
    score = (
        0.75 * education
        - ((age - 50) / 20) ** 2
        + 0.04 * (hours - 40)
        + gain / 4000
        + pd.Series(job).map(paid).fillna(0).to_numpy()
        + 0.5 * (sex == "Male")
    )
    much = score + rng.logistic(0, 0.8, count) > 2.6
    levels = np.array(["primary", "secondary", "college", "bachelor", "master", "doctorate"])
    return pd.DataFrame(
        {
            "age": age.astype(int),
            "sex": sex,
            "race": race,
            "education": levels[education],
            "job": job,
            "hours": hours.astype(int),
            "gain": gain.astype(int),
            "region": rng.choice(["east", "north", "south", "west"], count),
            "income": np.where(much, "high", "low"),
        }
    )


def hours(rng: np.random.Generator, days: int = 300) -> pd.DataFrame:
    """Return the hires of bicycles by the hour, with a season, weather and a rising trend."""
    at = pd.date_range("2023-01-01", periods=days * 24, freq="h")
    hour, day = at.hour.to_numpy(), np.arange(len(at)) / 24
    warmth = 12 - 10 * np.cos(2 * np.pi * day / 365) + 4 * np.sin(2 * np.pi * (hour - 9) / 24)
    warmth = warmth + np.repeat(rng.normal(0, 3, days), 24)
    rain = np.repeat(rng.random(days) < 0.25, 24) & (rng.random(len(at)) < 0.5)
    working = at.day_of_week.to_numpy() < 5
    rush = np.exp(-((hour - 8) ** 2) / 4) + np.exp(-((hour - 18) ** 2) / 6)
    leisure = np.exp(-((hour - 14) ** 2) / 30)
    rate = 20 + 3 * np.clip(warmth, 0, 28) + np.where(working, 160 * rush, 110 * leisure)
    rate = rate * np.where(rain, 0.55, 1) * (1 + 0.3 * day / days)
    hired = rng.poisson(rate * rng.gamma(20, 1 / 20, len(at)))
    return pd.DataFrame(
        {
            "time": at.strftime("%Y-%m-%d %H:%M:%S"),
            "hour": hour,
            "weekday": at.day_of_week.to_numpy(),
            "working": np.where(working, "yes", "no"),
            "warmth": warmth.round(1),
            "humidity": np.clip(rng.normal(60 + 15 * rain, 12, len(at)), 10, 100).round(),
            "wind": rng.gamma(2, 6, len(at)).round(1),
            "weather": np.where(rain, "rain", np.where(rng.random(len(at)) < 0.5, "clear", "clouds")),
            "hired": hired,
        }
    )


def visits(rng: np.random.Generator, patients: int = 700) -> pd.DataFrame:
    """Return the visits of patients, each of whom comes several times and is much like before."""
    counts = rng.integers(3, 9, patients)
    who = np.repeat(np.arange(patients), counts)
    age, frail = rng.normal(62, 12, patients), rng.normal(0, 0.7, patients)
    pressure = (135 + 0.4 * (age - 62))[who] + 6 * frail[who] + rng.normal(0, 9, len(who))
    sugar = np.exp(rng.normal(1.75, 0.15, patients))[who] + 0.8 * frail[who] + rng.normal(0, 0.6, len(who))
    pain = np.clip(rng.poisson(np.exp(0.6 + 0.4 * frail)[who]), 0, 10)
    score = 0.05 * (pressure - 140) + 0.5 * (sugar - 6) + 0.35 * (pain - 2) + 0.5 * frail[who]
    return pd.DataFrame(
        {
            "patient": [f"p{number:04d}" for number in who],
            "age": age[who].round(),
            "pressure": pressure.round(),
            "sugar": sugar.round(2),
            "pain": pain,
            "ward": rng.choice(["a", "b", "c"], patients)[who],
            "treatment": rng.choice(["none", "old", "new"], len(who), p=[0.3, 0.4, 0.3]),
            "relapse": np.where(score + rng.logistic(0, 0.7, len(who)) > 0.8, "yes", "no"),
        }
    )


TABLES = {
    "people": Table("income", people),
    "hours": Table("hired", hours, ordered=True),
    "visits": Table("relapse", visits),
}


def from_file(path: Path, target: str, *, ordered: bool) -> Table:
    """Return a table of somebody's file."""
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    return Table(target, lambda _: text, ordered=ordered)


def make_table_champion(
    template: Project, root: Path, name: str, table: Table, seed: int, params: Mapping[str, object]
) -> None:
    """Make a clone of the template that `assay init` set up for a table, with its champion on `origin`.

    The seed draws the rows of a generated table, the split, and the twentieth of the rows that the champion does not
    see: the last ones of an ordered table, whole groups where a group is repeated.
    """
    rows = table.rows(np.random.default_rng([seed, 1])).astype(str)
    origin = clone(template, root.with_name(f"{root.name}-origin"))
    origin.set_params(prepare__salt=f"assay {seed}", tune__trials=TRIALS, **SHORT)
    # Which rows are held back depends on what init finds, so it sees all of them first.
    file = origin.home / f"{root.name}.csv"
    rows.to_csv(file, index=False)
    init = ("assay", "init", str(file), "--target", table.target, "--yes", "--no-adopt")
    origin.ok(*init, "--no-run")
    held_back = _held_back(rows, _contract(origin), table, np.random.default_rng([seed, 0]))
    origin.ok("git", "checkout", "--quiet", "--", ".")
    origin.ok("git", "clean", "--quiet", "-d", "--force")
    origin.set_params(prepare__salt=f"assay {seed}", tune__trials=TRIALS, **SHORT)
    file = file.with_name(f"{name}.csv")
    rows[~held_back].to_csv(file, index=False)
    origin.ok("assay", "init", str(file), *init[3:])
    origin.set_params(**params)
    origin.ok("assay", "repro")
    origin.ok("git", "add", "--all")
    origin.ok("git", "commit", "--quiet", "--message", "Champion")
    made = copy_of(origin, root)
    rows[held_back].to_csv(made.root / HELD_BACK, index=False)


def _held_back(
    rows: pd.DataFrame, contract: Mapping[str, Any], table: Table, rng: np.random.Generator
) -> "pd.Series[bool]":
    split = contract.get("split", {})
    if table.ordered:
        return pd.Series(np.arange(len(rows)) >= (1 - HELD_BACK_SHARE) * len(rows))
    if split.get("by") == "group":
        groups = rows[split["column"]]
        return groups.isin(rng.permutation(groups.unique())[: round(HELD_BACK_SHARE * groups.nunique())])
    return pd.Series(rng.random(len(rows)) < HELD_BACK_SHARE)


# What a change needs to know of a project.


def _contract(project: Project) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((project.root / "contract.yaml").read_text(encoding="utf-8"))
    return loaded


def _read(project: Project, path: Path | None = None) -> pd.DataFrame:
    path = path or Path(_contract(project)["data"])
    return pd.read_csv(project.root / path, dtype=str, keep_default_na=False)


def _write(project: Project, rows: pd.DataFrame) -> None:
    rows.to_csv(project.root / _contract(project)["data"], index=False)


def _target(project: Project) -> tuple[str, list[str]]:
    """Return the target, and its classes; none for a number."""
    target = _contract(project)["target"]
    return target["name"], [str(label) for label in target.get("classes", [])]


def _strongest(project: Project, kinds: tuple[str, ...]) -> str:
    """Return the feature of these kinds that goes best with the target: what happens to it matters."""
    rows, contract = _read(project), _contract(project)
    name, _ = _target(project)
    target = _ranks(rows[name])
    found = {
        column: abs(np.corrcoef(_by_group(rows[column], target, spec["kind"]), target)[0, 1])
        for column, spec in contract["columns"].items()
        if spec["kind"] in kinds and column not in contract.get("sensitive", []) and rows[column].nunique() > 1
    }
    return max(found, key=lambda column: found[column])


def _by_group(values: "pd.Series[str]", target: "pd.Series[float]", kind: str) -> "pd.Series[float]":
    if kind in ("number", "integer"):
        numbers = pd.to_numeric(values, errors="coerce")
        return numbers.fillna(numbers.median())
    return target.groupby(values).transform("mean")


def _ranks(values: "pd.Series[str]") -> "pd.Series[float]":
    numbers = pd.to_numeric(values, errors="coerce")
    return values.rank(method="dense") if numbers.isna().any() else numbers.rank()


def _one_slice(project: Project, share: float) -> "pd.Series[bool]":
    """Return rows of one value of a category, about this share of all."""
    rows, contract = _read(project), _contract(project)
    sizes = {
        (column, value): count / len(rows)
        for column, spec in contract["columns"].items()
        if spec["kind"] in ("category", "boolean") and column not in contract.get("sensitive", [])
        for value, count in rows[column].value_counts().items()
    }
    column, value = min(sizes, key=lambda key: abs(sizes[key] - share))
    return rows[column] == value


NUMBERS = ("number", "integer")


# Bad changes.


def labels_of_a_slice_raised(project: Project, seed: int) -> None:
    """Rows of one slice, 0.9 % of all, get the last class, or half as much again: one direction, one place."""
    rows, rng = _read(project), np.random.default_rng(seed)
    name, classes = _target(project)
    inside = _one_slice(project, 0.15)
    could = np.flatnonzero(inside & (rows[name] != classes[-1] if classes else True))
    some = rng.choice(could, min(len(could), round(0.009 * len(rows))), replace=False)
    rows.loc[some, name] = classes[-1] if classes else _scaled(rows.loc[some, name], 1.5)
    _write(project, rows)


def rows_of_a_slice_gone(project: Project, seed: int) -> None:
    """A third of the rows of one slice gone, less than the share that may go."""
    rows = _read(project)
    inside = _one_slice(project, 0.1)
    _write(project, rows[~(inside & (np.random.default_rng(seed).random(len(rows)) < 1 / 3))])


def column_zero_in_a_slice(project: Project, seed: int) -> None:
    """The strongest number is 0 in all rows of one slice."""
    rows, column = _read(project), _strongest(project, NUMBERS)
    rows.loc[_one_slice(project, 0.1), column] = "0"
    _write(project, rows)


def target_shuffled_in_part(project: Project, seed: int) -> None:
    """A fifth of the targets dealt out at random."""
    rows, rng = _read(project), np.random.default_rng(seed)
    name, _ = _target(project)
    some = np.flatnonzero(rng.random(len(rows)) < 0.2)
    rows.loc[some, name] = rows[name].to_numpy()[rng.permutation(some)]
    _write(project, rows)


def strongest_column_shuffled(project: Project, seed: int) -> None:
    """The values of the strongest number dealt out at random."""
    rows, column = _read(project), _strongest(project, NUMBERS)
    rows[column] = np.random.default_rng(seed).permutation(rows[column].to_numpy())
    _write(project, rows)


def target_given_away(project: Project, seed: int) -> None:
    """A new column that is the target with a little noise."""
    rows, rng = _read(project), np.random.default_rng(seed)
    name, classes = _target(project)
    known = rows[name].map({label: place for place, label in enumerate(classes)}) if classes else rows[name]
    numbers = known.astype(float)
    rows["follow_up"] = (numbers + rng.normal(0, 0.05 * numbers.std(), len(rows))).round(3).astype(str)
    _write(project, rows)
    in_contract(project, lambda contract: contract["columns"].update(follow_up={"kind": "number"}))


def new_rows_labelled_wrong(project: Project, seed: int) -> None:
    """The new rows, a twentieth more, with targets that belong to other rows of another class."""
    new, rng = _read(project, HELD_BACK), np.random.default_rng(seed)
    name, classes = _target(project)
    if classes:
        new[name] = new[name].map(dict(zip(classes, [*classes[1:], classes[0]], strict=True)))
    else:
        new[name] = rng.permutation(new[name].to_numpy())
    _write(project, pd.concat([_read(project), new]))


def new_rows_labelled_at_random(project: Project, seed: int) -> None:
    """The new rows, a twentieth more, with each other's targets: as many of each as there should be."""
    new, rng = _read(project, HELD_BACK), np.random.default_rng(seed)
    name, _ = _target(project)
    new[name] = rng.permutation(new[name].to_numpy())
    _write(project, pd.concat([_read(project), new]))


def hardly_trained(project: Project, seed: int) -> None:
    """A model that learns next to nothing: one shallow tree, taken at a hundredth."""
    in_yaml(project, "params.yaml", _set_model)


def _set_model(params: dict[str, Any]) -> None:
    tree = {"max_iter": 1, "learning_rate": 0.01, "max_leaf_nodes": 4}
    params["model"] = {"family": "gradient_boosting", "parameters": tree}


def test_rows_among_the_rest(project: Project, seed: int) -> None:
    """The split no longer by group or time, but at random; or, where it is random, the test rows copied with noise."""
    if _contract(project).get("split", {}).get("by") in ("group", "time"):
        in_contract(project, lambda contract: contract.update(split={"by": "hash"}))
        return
    rows, rng = _read(project), np.random.default_rng(seed)
    test = pd.read_parquet(project.root / "build/split/test.parquet")
    column = _strongest(project, NUMBERS)
    copied = rows.merge(test[[column]].drop_duplicates().astype(str), on=column).sample(
        len(test), random_state=seed, replace=True
    )
    numbers = copied[column].astype(float)
    copied[column] = (numbers * (1 + 0.01 * rng.choice([-1, 1], len(copied)))).round().astype(int).astype(str)
    _write(project, pd.concat([rows, copied]))


def a_class_thinned(project: Project, seed: int) -> None:
    """Half of the rows of one class, or of the upper half of the target, gone."""
    rows, rng = _read(project), np.random.default_rng(seed)
    name, classes = _target(project)
    numbers = None if classes else rows[name].astype(float)
    which = rows[name] == classes[-1] if numbers is None else numbers > numbers.median()
    _write(project, rows[~(which & (rng.random(len(rows)) < 0.5))])


# Harmless changes.


def rows_in_another_order(project: Project, seed: int) -> None:
    """The same rows in another order."""
    _write(project, _read(project).sample(frac=1, random_state=seed))


def new_rows(project: Project, seed: int) -> None:
    """A twentieth more rows from the same source."""
    _write(project, pd.concat([_read(project), _read(project, HELD_BACK)]))


def few_rows_gone(project: Project, seed: int) -> None:
    """One row in a hundred gone."""
    rows = _read(project)
    _write(project, rows[np.random.default_rng(seed).random(len(rows)) >= 0.01])


def few_targets_corrected(project: Project, seed: int) -> None:
    """Three targets in a thousand corrected, wherever they are and whatever they were."""
    rows, rng = _read(project), np.random.default_rng(seed)
    name, classes = _target(project)
    some = rng.choice(len(rows), max(3, round(0.003 * len(rows))), replace=False)
    if classes:
        # As frequent as they were: of every two, one is corrected to each class.
        rows.loc[some, name] = rows[name].to_numpy()[rng.permutation(len(rows))[: len(some)]]
    else:
        factors = rng.choice([0.95, 1 / 0.95], len(some))
        rows.loc[some, name] = _scaled(rows.loc[some, name], factors)
    _write(project, rows)


def few_cells_corrected(project: Project, seed: int) -> None:
    """Thirty values of features replaced by those of other rows."""
    rows, rng = _read(project), np.random.default_rng(seed)
    kinds = (*NUMBERS, "category")
    names = [name for name, spec in _contract(project)["columns"].items() if spec["kind"] in kinds]
    for name in rng.choice(names, 30):
        to, source = rng.choice(len(rows), 2, replace=False)
        rows.loc[to, name] = rows.loc[source, name]
    _write(project, rows)


def another_validation_share(project: Project, seed: int) -> None:
    """Another validation share: the threshold and the calibration are set on other rows."""
    project.set_params(prepare__validation=0.17)


def feature_of_noise(project: Project, seed: int) -> None:
    """A derived feature that has nothing to do with the target."""
    column = _strongest(project, NUMBERS)
    (project.root / "src/model/features.py").write_text(
        '"""Features of your own."""\n\nimport numpy as np\nfrom assay.project.room import Derived\n\n\n'
        "def noise(columns):\n"
        f'    return np.sin(1000 * columns["{column}"])\n\n\n'
        f'DERIVED = [Derived("noise", noise, source="{column}")]\n',
        encoding="utf-8",
    )


BAD = [
    Case(labels_of_a_slice_raised, "contract", "rewritten"),
    Case(rows_of_a_slice_gone, "contract", "removed"),
    Case(column_zero_in_a_slice, "contract"),
    Case(target_shuffled_in_part, "contract"),
    Case(strongest_column_shuffled, "contract"),
    Case(target_given_away, "leakage"),
    Case(new_rows_labelled_wrong, "contract"),
    Case(new_rows_labelled_at_random, "contract", "added rows"),
    Case(hardly_trained, "quality"),
    Case(test_rows_among_the_rest, "contract"),
    Case(a_class_thinned, "contract"),
]
HARMLESS = [
    Case(nothing),
    Case(another_seed),
    Case(rows_in_another_order),
    Case(new_rows),
    Case(few_rows_gone),
    Case(few_targets_corrected),
    Case(few_cells_corrected),
    Case(another_validation_share),
    Case(feature_of_noise),
]


# What several changes do.


def _scaled(values: "pd.Series[str]", factor: "float | np.ndarray") -> "pd.Series[str]":
    """Return numbers times a factor, as whole as they were."""
    numbers = values.astype(float) * factor
    is_whole = not values.str.contains(".", regex=False).any()
    return numbers.round().astype(int).astype(str) if is_whole else numbers.round(4).astype(str)
