"""The evidence of the gates: the change, the data, and both models' predictions for rows neither was trained on."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.base.errors import InputError, with_type
from assay.base.files import read_json
from assay.base.outcomes import Outcome
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.data.check import check, contract_outcome
from assay.data.columns import Columns, columns, target
from assay.data.reading import arrow_type, opened, typed
from assay.data.sample import sample
from assay.data.split import SIDES, identity_columns, row_keys
from assay.data.stored import Chosen, Rows, Stored, read_parquet
from assay.data.versions import Changes, Version
from assay.data.versions import changes as row_changes
from assay.evaluation.behaviour import perturbed
from assay.evaluation.metrics import ScoredRows
from assay.gates.answers import EXAMPLES, STORED_ROWS, VALIDATION, JudgedModel
from assay.gates.loadtest import LOADTEST, LoadTest, mismatch, read_loadtest
from assay.gates.obstacle import NO_CHAMPION, Obstacle, ObstacleKind
from assay.gates.repository import Repository, look
from assay.gates.retraining import Retrained, retrain
from assay.project.champion import restore, run_with_own_code
from assay.project.change import Change
from assay.project.layout import CHECKS, METRICS, SPLIT, read_split
from assay.project.packed import is_same_service
from assay.project.params import Params, load_params

FEWEST_ROWS = 30
# Floating-point results differ between machines.
SAME = 1e-6
# Rows from which the champion's fit to added rows is estimated.
SAMPLE = 10_000


class IncomparableError(Exception):
    """The champion's predictions cannot be compared; the message says why."""


@dataclass(frozen=True)
class ModelPredictions:
    """A model's predictions for the test rows, the perturbed test rows and the validation rows.

    Those for the validation rows come from the model before it was fitted on them.
    """

    test: ScoredRows
    perturbed: np.ndarray
    validation: ScoredRows


@dataclass(frozen=True)
class Answered:
    """Rows with the champion's predictions, and the unit of each row, None if all rows are independent."""

    rows: ScoredRows
    units: np.ndarray | None


@dataclass(frozen=True)
class Champion:
    """The model of the base commit: the folder of its files, its contract, metrics and rows."""

    commit: str
    folder: Path
    contract: Contract
    metrics: dict[str, Any]
    rows: Rows


@dataclass(frozen=True)
class Evidence:
    """The evidence that exists with or without a trained model.

    `held` is the outcome of checking the data against the contract. `changes` are those of the rows since the champion,
    None without one. `obstacle` is the reason why there is no comparison with the champion, None if there is one.
    `loadtest` is the load test of this service against this champion, or the reason why there is none; `same_service`
    says that none is needed. `unjudged` is the reason why there is no `ModelEvidence`; `failed` says that an error
    occurred that may not occur again.
    """

    change: Change
    params: Params
    contract: Contract
    repository: Repository
    data: Rows
    held: Outcome
    champion: Champion | None
    changes: Changes | None
    obstacle: Obstacle | None
    same_service: bool
    loadtest: LoadTest | str
    unjudged: str
    failed: bool


@dataclass(frozen=True)
class ModelEvidence(Evidence):
    """The additional evidence for gates that judge the model.

    `champion_predictions` is None if there is an obstacle. `test` and `validation` are the rows that were predicted;
    `units` assigns dependent test rows to one unit, None if all rows are independent. `added` has the champion's
    predictions for a sample of the rows that were added to its data, `champion_test` for one of its own test rows: None
    if there is an obstacle, or if hardly any row was added.
    """

    checks: list[Outcome]
    metrics: dict[str, Any]
    model: JudgedModel
    split: Mapping[str, Rows]
    test: pa.Table
    validation: pa.Table
    units: np.ndarray | None
    candidate: ModelPredictions
    champion_predictions: ModelPredictions | None
    retrained: Retrained
    added: Answered | None
    champion_test: Answered | None


@contextmanager
def gather(change: Change) -> Iterator[Evidence]:
    """Yield the evidence of a change: a `ModelEvidence` if the pipeline is complete, else an `Evidence`.

    Raises InputError if the configuration or the data file cannot be read, or git fails.
    """
    params, contract = load_params(), load_contract()
    with opened(contract.data, contract) as (rows, unread):
        held = contract_outcome(rows, [*unread, *check(rows, contract)], contract)
        yield _gathered(change, params, contract, rows, held)


def _gathered(change: Change, params: Params, contract: Contract, rows: Rows, held: Outcome) -> Evidence:
    repository = look(change)
    champion, obstacle = _champion(change.champion)
    same_service = champion is not None and is_same_service(champion.folder)
    known = Evidence(
        change=change,
        params=params,
        contract=contract,
        repository=repository,
        data=rows,
        held=held,
        champion=champion,
        changes=None
        if champion is None
        else row_changes(Version(champion.rows, champion.contract), Version(rows, contract)),
        obstacle=obstacle,
        same_service=same_service,
        loadtest="" if same_service else _loadtest(params, change.champion),
        unjudged="",
        failed=obstacle is not None and obstacle.kind is ObstacleKind.NOT_RESTORED,
    )
    if repository.stale:
        return replace(known, unjudged=f"the pipeline did not finish ({', '.join(repository.stale)})")
    try:
        return _with_models(known)
    # Missing, incomplete or foreign files raise many kinds of errors; each means that there is no evidence.
    except Exception as error:
        return replace(known, unjudged=f"the evidence could not be gathered ({with_type(error)})", failed=True)


def champion_of(commit: str) -> Champion:
    """Return the champion of a commit that has a model; raises InputError if it cannot be restored."""
    folder = restore(commit)
    contract = load_contract(folder / CONTRACT)
    return Champion(commit, folder, contract, read_json(folder / METRICS), _rows(folder, *SIDES))


def _rows(folder: Path, *sides: str) -> pa.Table | Stored:
    return read_parquet(*(folder / SPLIT / f"{side}.parquet" for side in sides))


def _champion(commit: str | None) -> tuple[Champion | None, Obstacle | None]:
    if commit is None:
        return None, NO_CHAMPION
    try:
        return champion_of(commit), None
    # A champion with other code or a broken cache may raise anything; each means HOLD, without a comparison.
    except Exception as error:
        text = f"champion {commit[:10]} could not be restored ({with_type(error)})"
        return None, Obstacle(kind=ObstacleKind.NOT_RESTORED, text=text)


def _loadtest(params: Params, commit: str | None) -> LoadTest | str:
    try:
        found = read_loadtest()
    except InputError as error:
        return str(error).partition(";")[0]
    why = mismatch(found, params.gates.service, commit)
    return f"{LOADTEST} {why}" if why else found


def _with_models(known: Evidence) -> ModelEvidence:
    """Add both models' predictions and the retrained candidate."""
    params, contract, champion, obstacle = known.params, known.contract, known.champion, known.obstacle
    whole, all_validation = read_split("test"), read_split("validation")
    split = {"train": _rows(Path(), "train"), "validation": all_validation, "test": whole}
    test, validation = whole, all_validation
    if champion is not None:
        test = _unseen(test, champion, ("train", "validation"), contract)
        unseen = _unseen(validation, champion, ("train",), contract)
        # These rows only suggest slices. If the champion had another split, all of them are used.
        validation = unseen if unseen.num_rows >= FEWEST_ROWS else validation
        if reason := incomparable_reason(contract, champion.contract, test, whole):
            obstacle = Obstacle(kind=ObstacleKind.INCOMPARABLE, text=reason)
            test, validation = whole, all_validation
    other_contract = None if champion is None else champion.contract
    moved = perturbed_rows(test, contract, other_contract, noise=params.analyse.noise, seed=params.seed)
    asked = {"test": test, "perturbed": moved, VALIDATION: validation}
    of_champion = {} if obstacle is not None else _only_of_champion(known)
    with ThreadPoolExecutor() as pool:
        again = pool.submit(retrain, params.gates.reproducibility.seeds or 0)
        other = None
        if champion is not None and obstacle is None:
            other = pool.submit(_ask, champion, asked | of_champion)
        model = JudgedModel(contract)
        mine = {}
        for name, table in asked.items():
            given = model.scores_of(name, columns(table, contract))
            mine[name] = (given, model.decide(given))
        theirs = None
        if other is not None:
            try:
                theirs = other.result()
            except IncomparableError as error:
                obstacle = Obstacle(kind=ObstacleKind.INCOMPARABLE, text=str(error))
        retrained = again.result()

    def scored(table: pa.Table, given: tuple[np.ndarray, np.ndarray]) -> ScoredRows:
        return ScoredRows(target(table, contract), *given, contract.costs)

    def answers(given: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> ModelPredictions:
        on_test, on_validation = (scored(asked[name], given[name]) for name in ("test", VALIDATION))
        return ModelPredictions(on_test, given["perturbed"][1], on_validation)

    def answered(name: str, split_of: Contract | None) -> Answered | None:
        if theirs is None or split_of is None or name not in of_champion:
            return None
        return Answered(scored(of_champion[name], theirs[name]), dependent(of_champion[name], split_of))

    return ModelEvidence(
        **{name: getattr(known, name) for name in known.__dataclass_fields__} | {"obstacle": obstacle},
        checks=[Outcome(**check) for check in read_json(CHECKS)],
        metrics=read_json(METRICS),
        model=model,
        split=split,
        test=test,
        validation=validation,
        units=dependent(test, contract),
        candidate=answers(mine),
        champion_predictions=None if theirs is None else answers(theirs),
        retrained=retrained,
        added=answered("added", contract),
        champion_test=answered("champion_test", other_contract),
    )


def _only_of_champion(known: Evidence) -> dict[str, pa.Table]:
    """Return samples of the rows added to the champion's data, and of its own test rows; empty if there are too few."""
    if known.champion is None or known.changes is None:
        return {}
    added = Chosen(known.data, np.flatnonzero(known.changes.added))
    champion_test = _rows(known.champion.folder, "test")
    if min(added.num_rows, champion_test.num_rows) < FEWEST_ROWS:
        return {}
    return {"added": sample(added, SAMPLE, seed=0), "champion_test": sample(champion_test, SAMPLE, seed=0)}


def incomparable_reason(contract: Contract, other: Contract, test: pa.Table, all_rows: Rows) -> str:
    """Return why two models cannot be compared (another target, or too few rows new to the champion), else ""."""
    if reason := _difference(contract, other):
        return reason
    if _enough(test, contract):
        return ""
    text = f"only {test.num_rows} of the {all_rows.num_rows} test rows are new to the champion"
    kept = identity_columns(contract)
    for name in identity_columns(other):
        if name in contract.columns and name not in kept:
            kind = other.columns[name].kind
            return (
                f"{text}: {name!r} no longer identifies rows, so the split changed; "
                f"add `identifies: {kind}` to it in contract.yaml"
            )
    return text


def _difference(contract: Contract, other: Contract) -> str:
    """Return the first difference in task, target or classes, else ""."""
    for what, mine, theirs in (
        ("task", contract.task, other.task),
        ("target", contract.target.name, other.target.name),
        ("classes", contract.classes, other.classes),
    ):
        if mine != theirs:
            return f"the {what} changed from {_words(theirs)} to {_words(mine)}"
    return ""


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _unseen(table: pa.Table, champion: Champion, sides: tuple[str, ...], contract: Contract) -> pa.Table:
    """Return the rows that are not on these sides of the champion's split; for a split by time, only later rows."""
    seen = _rows(champion.folder, *sides)
    if contract.split.by == "time" and str(contract.split.column) in seen.column_names:
        moments = seen[str(contract.split.column)].to_numpy()
        return table.filter(pa.array(table[str(contract.split.column)].to_numpy() > moments.max()))
    names = [name for name in identity_columns(contract) if name in seen.column_names]
    known = np.isin(row_keys(table, names, "unseen"), row_keys(seen, names, "unseen"))
    return table.filter(pa.array(~known))


def _enough(test: pa.Table, contract: Contract) -> bool:
    if contract.task == "regression":
        return bool(test.num_rows >= FEWEST_ROWS)
    present = test[contract.target.name].unique()
    return bool(test.num_rows >= FEWEST_ROWS and len(present) == len(contract.classes))


def dependent(table: pa.Table, contract: Contract) -> np.ndarray | None:
    """Return the unit of each row, shape (rows,), or None if all rows are independent.

    For a split by group the unit is the group. For a split by time it is a block of consecutive rows; the block length
    is the cube root of the number of rows (block bootstrap: Carlstein 1986, Kuensch 1989).
    """
    if contract.split.by == "group":
        return row_keys(table, [str(contract.split.column)], "units")
    if contract.split.by == "time":
        order = np.argsort(table[str(contract.split.column)].to_numpy(), kind="stable")
        block = np.empty(len(order), dtype=np.int64)
        block[order] = np.arange(len(order)) // max(1, round(len(order) ** (1 / 3)))
        return block
    return None


def _ask(champion: Champion, asked: Mapping[str, pa.Table]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the champion's predictions, from its own src/model and artifacts with the installed Assay and libraries.

    Raises IncomparableError if it fails, or if its predictions for its stored examples changed.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, table in asked.items():
            pq.write_table(table, folder / f"{name}.parquet")
        try:
            run_with_own_code(champion.folder, "-m", "assay.gates.answers", str(folder))
            stored = read_json(champion.folder / EXAMPLES)["scores"]
        except InputError as error:
            raise IncomparableError(f"the champion cannot predict these rows: {error}") from None
        if reason := changed_predictions(np.load(folder / STORED_ROWS, allow_pickle=False), stored):
            raise IncomparableError(reason)
        return {name: _load(folder / f"{name}.npz") for name in asked}


def changed_predictions(scores: np.ndarray, stored: Sequence[Any]) -> str:
    """Return by how much a model's predictions for its stored examples changed, "" if they did not."""
    before = np.array(stored, dtype=np.float64)
    if before.shape != scores.shape:
        apart = np.inf
    else:
        # Numbers are compared relative to their standard deviation, as the service does when it starts.
        scale = (float(before.std()) or 1.0) if before.ndim == 1 else 1.0
        apart = float(np.abs(scores - before).max()) / scale
    # Written so that NaN counts as a change.
    if apart <= SAME:
        return ""
    return (
        "the champion's stored predictions changed with this version of Assay or its libraries: "
        f"by {apart:.3g} (limit {SAME:g})"
    )


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as found:
        return found["scores"], found["decision"]


def perturbed_rows(table: pa.Table, contract: Contract, other: Contract | None, *, noise: float, seed: int) -> pa.Table:
    """Return rows with the features of both contracts perturbed, as far as they are in the table.

    A column that the contract no longer uses is still in the file, and the champion may need it.
    """
    moved = _table(perturbed(columns(table, contract), contract, noise=noise, seed=seed), contract)
    if other is None:
        return moved
    more = [name for name in other.features if name in table.column_names and name not in contract.features]
    if more:
        # Another seed, so that the noise is not that of the first features.
        theirs = columns(typed(table, other)[0], other, more)
        added = _table(perturbed(theirs, other, noise=noise, seed=seed + 1), other)
        for name in more:
            moved = moved.append_column(name, added[name])
    return moved


def _table(data: Columns, contract: Contract) -> pa.Table:
    """Return columns as a typed table without a target."""
    arrays = {name: pa.array(values, from_pandas=True) for name, values in data.items()}
    return pa.table({name: values.cast(arrow_type(contract.columns[name])) for name, values in arrays.items()})
