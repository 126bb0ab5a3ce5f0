"""From the columns of the contract to the input of an estimator, in two steps.

`encode` treats each row by itself and learns nothing; training and service both call it. `transformer` learns from the
training rows and is exported with the model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.base.errors import InputError, one_line
from assay.contract.spec import Category, Contract, Text, Time
from assay.data.columns import Columns, codes, stacked
from assay.project.room import NO_ROOM, Derived, Needs, Room

if TYPE_CHECKING:
    # The service encodes rows without scikit-learn.
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import SelectFromModel

MISSING = "missing"
MANY_VALUES = 20
BEST_WORDS = 50


def encode(data: Columns, contract: Contract, room: Room = NO_ROOM) -> dict[str, np.ndarray]:
    """Return the inputs of the model: float64 columns with NaN for missing values, and object columns of str for texts.

    A number that may be missing gets an extra indicator column, a time becomes its parts, and a category the index of
    its value in the contract (a missing value: the number of values; an unknown one: -1).
    """
    inputs: dict[str, np.ndarray] = {}
    may_be_missing: list[str] = []
    made = 0
    for name, column in contract.features.items():
        if column.kind == "time":
            parts = _time_parts(data[name])
            inputs |= {f"{name}:{part}": number for part, number in zip(TIME_PARTS, parts, strict=True)}
            made += len(parts)
        elif column.kind == "category":
            inputs[name] = codes(data, name, column)
            made += 1
        elif column.kind == "text":
            inputs[name] = np.array([MISSING if value is None else value for value in data[name]], dtype=object)
            made += 1
        else:
            inputs[name] = data[name]
            made += 1
            if column.missing == "allow":
                may_be_missing.append(name)
    if may_be_missing:
        # All columns at once: the service encodes one row at a time, and a call costs more than its work.
        missing = np.isnan(stacked([data[name] for name in may_be_missing])).astype(np.float64)
        inputs |= {f"{name}:missing": values for name, values in zip(may_be_missing, missing, strict=True)}
    if len(inputs) != made + len(may_be_missing):
        raise InputError(f"contract.yaml: {_twice(contract)}: rename one")
    if room.derived:
        columns = {name: _read_only(values) for name, values in data.items()}
        for feature in room.derived:
            inputs[feature.name] = _derived(feature, columns, inputs)
    return inputs


def _derived(feature: Derived, data: Columns, inputs: Columns) -> np.ndarray:
    """Return a user's derived feature; raises InputError unless it is one number per row."""
    where = f"src/model/features.py: derived feature {feature.name!r}"
    if feature.name in inputs:
        raise InputError(f"{where} has the name of another input; rename it")
    if feature.source not in data:
        raise InputError(f"{where}: its source {feature.source!r} is not a feature of contract.yaml")
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = np.asarray(feature.compute(data), dtype=np.float64)
    # The user's function may raise anything.
    except Exception as error:
        raise InputError(f"{where} raised {type(error).__name__}: {one_line(error)}") from error
    rows = len(data[feature.source])
    if found.shape != (rows,):
        raise InputError(f"{where} returned shape {found.shape} for {rows} rows; it needs one number for each row")
    # Estimators reject infinities, for instance from a division by zero: count them as missing.
    return np.where(np.isfinite(found), found, np.nan)


def _read_only(values: np.ndarray) -> np.ndarray:
    """Return a read-only view of a column."""
    view = values.view()
    view.flags.writeable = False
    return view


def _twice(contract: Contract) -> str:
    """Name two columns that make the same input."""
    made = {f"{name}:{part}": name for name in contract.features for part in (*TIME_PARTS, "missing")}
    name = next(name for name in made if name in contract.features)
    return f"column {name!r} and another, {made[name]!r}, both make the input {name!r}"


def transformer(contract: Contract, *, needs: Needs, seed: int, room: Room = NO_ROOM) -> "ColumnTransformer":
    """Return the preprocessing for the inputs that `encode` makes.

    `needs` says what the estimator requires of numbers: no missing values, or also equal scales, or the time of a split
    by time in the first column. Categories with few values are one-hot encoded, those with many by the mean of the
    target, computed out of fold (Micci-Barreca 2001).
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.feature_selection import SelectKBest, f_classif, f_regression
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, TargetEncoder

    from assay.modelling.estimators import SingleScaler

    numbers: list[str] = []
    few: list[str] = []
    many: list[str] = []
    texts: list[str] = []
    for name, column in contract.features.items():
        match column:
            case Time():
                numbers += [f"{name}:{part}" for part in TIME_PARTS]
            case Text():
                texts.append(name)
            case Category():
                # Target means of more than two classes cannot be exported.
                (few if len(column.values) <= MANY_VALUES or contract.task == "multiclass" else many).append(name)
            case _:
                numbers.append(name)
                if needs in ("imputing", "scaling") and column.missing == "allow":
                    numbers.append(f"{name}:missing")
    numbers += [feature.name for feature in room.derived]
    if first := time_input(contract):
        if needs == "time first":
            numbers = [first, *(name for name in numbers if name != first)]
        elif needs != "scaling" and first not in contract.features:
            # Trees would memorise past days and cannot tell later ones apart; the other parts of the time remain.
            numbers.remove(first)
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    number: Any = {"imputing": imputer, "scaling": make_pipeline(imputer, SingleScaler())}.get(needs, "passthrough")
    means = TargetEncoder(
        target_type="continuous" if contract.task == "regression" else contract.task,
        cv=KFold(5, shuffle=True, random_state=seed),
    )
    # Trees search every column in every node, so they get only the most predictive words.
    best = SelectKBest(f_regression if contract.task == "regression" else f_classif, k=BEST_WORDS)
    words = [TfidfVectorizer(max_features=2000), *([] if needs == "scaling" else [best])]
    parts = [
        ("number", number, numbers),
        (
            "category",
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            few,
        ),
        ("mean", make_pipeline(means, SingleScaler()) if needs == "scaling" else means, many),
        *((f"text {index}", make_pipeline(*words), name) for index, name in enumerate(texts)),
    ]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0)


def selection(contract: Contract, threshold: str, seed: int) -> "SelectFromModel":
    """Return a step that keeps columns whose importance in a small forest is at least `threshold`: mean or median."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.feature_selection import SelectFromModel

    kind = ExtraTreesRegressor if contract.task == "regression" else ExtraTreesClassifier
    forest = kind(n_estimators=50, max_depth=8, min_samples_leaf=5, random_state=seed)
    return SelectFromModel(forest, threshold=threshold)


TIME_PARTS = ("days", "year", "month", "weekday", "hour")


def _time_parts(values: np.ndarray) -> list[np.ndarray]:
    """Return days since 1970 (with the part of the day), year, month (1 to 12), weekday (Monday 0) and hour."""
    days, months = values.astype("datetime64[D]"), values.astype("datetime64[M]")
    unknown = np.isnat(values)
    parts = (
        (values - np.datetime64(0, "us")) / np.timedelta64(1, "D"),
        values.astype("datetime64[Y]").astype(np.float64) + 1970,
        (months - values.astype("datetime64[Y]")).astype(np.float64) + 1,
        (days.astype(np.int64) + 3.0) % 7,
        (values - days) / np.timedelta64(1, "h"),
    )
    return [np.where(unknown, np.nan, part) for part in parts]


def time_input(contract: Contract) -> str | None:
    """Return the input with the time of a split by time, if it is a feature; else None."""
    name = contract.split.column
    column = contract.features.get(name) if contract.split.by == "time" and name else None
    if column is None:
        return None
    return f"{name}:days" if isinstance(column, Time) else name


def width(contract: Contract) -> int:
    """Return about how many columns `transformer` makes of the columns of a contract."""
    found = 0
    for column in contract.features.values():
        match column:
            case Time():
                found += len(TIME_PARTS)
            case Category():
                found += len(column.values) + 1 if len(column.values) <= MANY_VALUES else 1
            case Text():
                found += BEST_WORDS
            case _:
                found += 1 + (column.missing == "allow")
    return found


def sources(fitted: "ColumnTransformer", contract: Contract, room: Room = NO_ROOM) -> list[str]:
    """Return, for each output column of a fitted `transformer`, its source column in the contract."""
    found: list[str] = []
    derived = {feature.name: feature.source for feature in room.derived}
    for part, transform, names in fitted.transformers_:
        if part == "number":
            found += [derived.get(name) or origin(name, contract) for name in names]
        elif part == "category":
            found += [name for name, values in zip(names, transform.categories_, strict=True) for _ in values]
        else:
            # A target mean has one column per class, all classes of a source column together; each text is a part.
            width = fitted.output_indices_[part]
            origins = [names] if isinstance(names, str) else list(names)
            each = (width.stop - width.start) // len(origins)
            found += [name for name in origins for _ in range(each)]
    return found


def origin(name: str, contract: Contract) -> str:
    """Return the feature of the contract that an input comes from; the input is not a derived feature."""
    return name if name in contract.features else name.rpartition(":")[0]
