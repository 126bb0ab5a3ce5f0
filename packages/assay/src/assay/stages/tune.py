"""Choose the model family and its parameters: by search, or as params.yaml says."""

import hashlib
import shutil
from importlib import import_module
from importlib.metadata import distributions
from threading import Thread

from assay.base.files import sha256, write_json, write_text
from assay.base.progress import say
from assay.contract.spec import CONTRACT, load_contract
from assay.project.fingerprint import fingerprints
from assay.project.layout import CHOICE, SEARCHED, SOURCE, SPLIT, TRIALS
from assay.project.params import Params, load_params
from assay.project.room import load_room
from assay.project.trials import HEADER, cost_of_additive, read_trials


def main() -> None:
    """Write the choice and the table of trials (empty without a search)."""
    params, contract, room = load_params(), load_contract(), load_room()
    if params.tune.search:
        # Imported here: an ordinary run does not search and need not wait for scikit-learn.
        workers = _start_workers()
        from assay.data.columns import columns, target
        from assay.data.sample import sample
        from assay.data.split import identity_columns, row_keys, stored
        from assay.modelling.search import as_csv, search

        table = sample(stored("train"), params.tune.max_rows, params.seed)
        by_hash = contract.split.by == "hash"
        units = (
            row_keys(table, identity_columns(contract), "units")
            if by_hash
            else table[str(contract.split.column)].to_numpy()
        )
        rows, wanted = columns(table, contract), target(table, contract)
        metric = params.gates.quality.metric
        kept = SEARCHED / _key(params)
        for other in set(SEARCHED.glob("*")) - {kept}:
            shutil.rmtree(other)
        workers.join()
        choice, trials = search(
            rows, wanted, units, contract, params.tune, params.seed, params.model, room, metric=metric, kept=kept
        )
        text = HEADER + as_csv(trials)
        write_text(TRIALS, text)
        if said := cost_of_additive(read_trials(text)):
            say(f"  {said}")
    else:
        choice = params.model
        write_text(TRIALS, HEADER)
    how = "found" if params.tune.search else "from params.yaml"
    say(f"  {how}: {choice.words}")
    write_json(CHOICE, choice.model_dump())
    shutil.rmtree(SEARCHED, ignore_errors=True)


def _start_workers() -> Thread:
    """Let the processes of the search import its libraries while this one does; return the thread that waits for them.

    That takes seconds.
    """
    from joblib import Parallel, cpu_count, delayed

    number = cpu_count()
    # A single worker would be this process itself.
    tasks = [delayed(_import_search)() for _ in range(number if number > 1 else 0)]
    waiting = Thread(target=Parallel(n_jobs=number), args=(tasks,))
    waiting.start()
    return waiting


def _import_search() -> None:
    import_module("assay.modelling.search")


def _key(params: Params) -> str:
    """Return a hash of what decides the scores of a model on a fold: data, settings, code, and installed packages."""
    own = sorted(path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    files = [path for path in (CONTRACT, SPLIT / "train.parquet", *own) if path.exists()]
    how = params.tune
    packages = sorted({f"{one.name} {one.version}" for one in distributions()})
    parts = [fingerprints(parts=["tune"]), params.seed, how.folds, how.max_rows, params.gates.quality.metric]
    told = "\n".join([*(f"{path} {sha256(path)}" for path in files), *map(str, parts), *packages])
    return hashlib.sha256(told.encode()).hexdigest()[:16]
