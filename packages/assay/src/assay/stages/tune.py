"""Choose the model family and its parameters: by search, or as params.yaml says."""

from assay.base.files import write_json, write_text
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.project.layout import CHOICE, TRIALS, read_split
from assay.project.params import load_params
from assay.project.room import load_room

HEADER = "trial,family,score,best,folds,state,parameters\n"


def main() -> None:
    """Write the choice and the table of trials (empty without a search)."""
    params, contract, room = load_params(), load_contract(), load_room()
    if params.tune.search:
        # Imported here: an ordinary run does not search and need not wait for scikit-learn.
        from assay.data.columns import columns, target
        from assay.data.sample import sample
        from assay.data.split import identity_columns, row_keys
        from assay.modelling.search import as_csv, search

        table = sample(read_split("train"), params.tune.max_rows, params.seed)
        by_hash = contract.split.by == "hash"
        units = (
            row_keys(table, identity_columns(contract), "units")
            if by_hash
            else table[str(contract.split.column)].to_numpy()
        )
        rows, wanted = columns(table, contract), target(table, contract)
        metric = params.gates.quality.metric
        choice, trials = search(
            rows, wanted, units, contract, params.tune, params.seed, params.model, room, metric=metric
        )
        write_text(TRIALS, HEADER + as_csv(trials))
    else:
        choice = params.model
        write_text(TRIALS, HEADER)
    how = "found" if params.tune.search else "from params.yaml"
    say(f"  {how}: {choice.words}")
    write_json(CHOICE, choice.model_dump())
