"""All that the gates look at: two models' answers to the same rows, which neither was trained on."""

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.base.errors import InputError
from assay.base.files import read_json
from assay.base.outcomes import Outcome
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.data.columns import Columns, columns, target
from assay.data.reading import arrow_type
from assay.data.split import SIDES, identity, row_keys
from assay.evaluation.behaviour import shaken
from assay.evaluation.metrics import Rows
from assay.gates.answers import Model
from assay.gates.retraining import Retrained, retrain
from assay.project.champion import restore, run_python
from assay.project.layout import CHECKS, METRICS, SPLIT, read_split
from assay.project.params import Params

FEWEST_ROWS = 30


@dataclass(frozen=True)
class Answers:
    """What a model answers: to the test rows, to the same rows changed a little, and to the validation rows."""

    test: Rows
    shaken: np.ndarray
    validation: Rows


@dataclass(frozen=True)
class Champion:
    """The model of the commit that the change starts from: where its files lie, its contract and its results."""

    commit: str
    folder: Path
    contract: Contract
    metrics: dict[str, Any]
    rows: pa.Table


@dataclass(frozen=True)
class Evidence:
    """What the gates judge by.

    `champion` is None for a first model. `answers` holds the candidate's and, as far as it can be compared, the
    champion's; `obstacle` says why it cannot. `test` and `validation` are the rows that were answered, `units` the
    groups of the test rows that are not independent of each other.
    """

    params: Params
    contract: Contract
    checks: list[Outcome]
    metrics: dict[str, Any]
    model: Model
    champion: Champion | None
    obstacle: str
    data: pa.Table
    split: Mapping[str, pa.Table]
    test: pa.Table
    validation: pa.Table
    units: np.ndarray | None
    candidate: Answers
    rival: Answers | None
    retrained: Retrained


def champion_of(commit: str | None) -> Champion | None:
    """Return the champion of a commit that has one; None for None. Raises InputError if it cannot be restored."""
    if commit is None:
        return None
    folder = restore(commit)
    contract = load_contract(folder / CONTRACT)
    rows = pa.concat_tables([pq.read_table(folder / SPLIT / f"{side}.parquet") for side in SIDES])
    return Champion(commit, folder, contract, read_json(folder / METRICS), rows)


def gather(params: Params, contract: Contract, data: pa.Table, champion: Champion | None, obstacle: str) -> Evidence:
    """Have both models answer the rows, and the candidate trained again; `obstacle` is known before."""
    split = {side: read_split(side) for side in SIDES}
    test, validation = split["test"], split["validation"]
    if champion is not None and not obstacle:
        obstacle = _difference(contract, champion.contract)
        test = _unseen(test, champion, ("train", "validation"), contract)
        unseen = _unseen(validation, champion, ("train",), contract)
        # They only say where to look. If the champion had another split, any will do.
        validation = unseen if unseen.num_rows >= FEWEST_ROWS else validation
        if not obstacle and not _enough(test, contract):
            obstacle = f"the champion was made with all but {test.num_rows} of the {split['test'].num_rows} test rows"
        if obstacle:
            test, validation = split["test"], split["validation"]
    changed = _table(shaken(columns(test, contract), contract, noise=params.analyse.noise, seed=params.seed), contract)
    asked = {"test": test, "shaken": changed, "validation": validation}
    with ThreadPoolExecutor() as pool:
        again = pool.submit(retrain, params.gates.reproducibility.seeds or 0)
        other = pool.submit(_ask, champion, asked) if champion is not None and not obstacle else None
        model = Model(contract)
        mine = {}
        for name, table in asked.items():
            given = model.scores(columns(table, contract))
            mine[name] = (given, model.decide(given))
        theirs = None
        if other is not None:
            try:
                theirs = other.result()
            except InputError as error:
                obstacle = f"the champion does not answer these rows: {error}"
        retrained = again.result()

    def answers(given: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Answers:
        known = {
            name: Rows(target(asked[name], contract), *given[name], contract.costs) for name in ("test", "validation")
        }
        return Answers(known["test"], given["shaken"][1], known["validation"])

    return Evidence(
        params=params,
        contract=contract,
        checks=[Outcome(**check) for check in read_json(CHECKS)],
        metrics=read_json(METRICS),
        model=model,
        champion=champion,
        obstacle=obstacle,
        data=data,
        split=split,
        test=test,
        validation=validation,
        units=dependent(test, contract),
        candidate=answers(mine),
        rival=None if theirs is None else answers(theirs),
        retrained=retrained,
    )


def _difference(contract: Contract, other: Contract) -> str:
    """Say what makes two models answers to different questions; empty if nothing does."""
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
    """Return the rows that are on no such side of the champion's split; by time those after all of them."""
    seen = pa.concat_tables([pq.read_table(champion.folder / SPLIT / f"{side}.parquet") for side in sides])
    if contract.split.by == "time" and str(contract.split.column) in seen.column_names:
        moments = seen[str(contract.split.column)].to_numpy()
        return table.filter(pa.array(table[str(contract.split.column)].to_numpy() > moments.max()))
    names = [name for name in identity(contract) if name in seen.column_names]
    known = np.isin(row_keys(table, names, "unseen"), row_keys(seen, names, "unseen"))
    return table.filter(pa.array(~known))


def _enough(test: pa.Table, contract: Contract) -> bool:
    if contract.task == "regression":
        return bool(test.num_rows >= FEWEST_ROWS)
    present = test[contract.target.name].unique()
    return bool(test.num_rows >= FEWEST_ROWS and len(present) == len(contract.classes))


def dependent(table: pa.Table, contract: Contract) -> np.ndarray | None:
    """Return the unit that each row belongs to, None where all rows are independent.

    With a split by group the unit is the group. With one by time it is a block of neighbours in time, the cube root of
    the number of rows long (block bootstrap: Carlstein 1986, Kuensch 1989).
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
    """Have the champion's own code answer the rows."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, table in asked.items():
            pq.write_table(table, folder / f"{name}.parquet")
        run_python(champion.folder, "-m", "assay.gates.answers", str(folder))
        return {name: _load(folder / f"{name}.npz") for name in asked}


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as found:
        return found["scores"], found["decision"]


def _table(data: Columns, contract: Contract) -> pa.Table:
    """Return columns as a typed table without a target."""
    arrays = {name: pa.array(values, from_pandas=True) for name, values in data.items()}
    return pa.table({name: values.cast(arrow_type(contract.columns[name])) for name, values in arrays.items()})
