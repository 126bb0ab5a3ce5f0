"""The table of trials that a search writes, and what it says of them."""

import csv
import io
import json
import math

from assay.base.errors import InputError
from assay.project.params import MEAN, ModelChoice

# `worse_by` is how much larger the loss is than that of the chosen model on the same held-out rows, with the ends of
# its interval; `alone` says whether each feature acts alone in the model. The parameters of a mean are its members.
HEADER = "trial,family,score,best,folds,state,worse_by,low,high,alone,parameters\n"

Row = dict[str, str]


def read_trials(text: str) -> list[Row]:
    """Return the rows of a table of trials; one of an earlier Assay lacks some columns."""
    return list(csv.DictReader(io.StringIO(text)))


def choice_of(row: Row) -> ModelChoice:
    """Return the model of a trial."""
    parameters = json.loads(row["parameters"])
    made = {"members": parameters, "parameters": {}} if row["family"] == MEAN else {"parameters": parameters}
    # As JSON, where a list stands for a tuple.
    return ModelChoice.model_validate_json(json.dumps({"family": row["family"], **made}))


def best_of(family: str, rows: list[Row]) -> ModelChoice:
    """Return the best model of a family, of those that ran over all folds if any did; InputError if there is none."""
    found = [row for row in rows[1:] if row["family"] == family and row["state"] != "failed" and _is_whole(row)]
    if not found:
        raise InputError(f"trials.csv: the last search found no model of the family {family!r}; run `assay tune`")
    return choice_of(min(found, key=_order))


def cost_of_additive(rows: list[Row]) -> str:
    """Say what the best model in which each feature acts alone costs in loss; "" if there is none.

    The best of many looks better than it is on the folds that chose it, and the interval does not count that.
    """
    found = [row for row in rows[1:] if row.get("alone") == "yes" and row["worse_by"]]
    if not found:
        return ""
    best = min(found, key=_order)
    more, low, high = (float(best[name]) for name in ("worse_by", "low", "high"))
    if not more:
        return f"Each feature acts alone in the best model of the search, {best['family']}."
    interval = f" ({low:.4g} to {high:.4g})" if math.isfinite(low) else ""
    return (
        f"With {best['family']}, in which each feature acts alone, the loss on the folds is {abs(more):.4g} "
        f"{'higher' if more > 0 else 'lower'}{interval} than with the model that these folds chose; "
        "on new rows it may differ."
    )


def cost_beside(choice: ModelChoice, rows: list[Row]) -> str:
    """Return `cost_of_additive` if a choice is a model of these trials; "" if it has another origin."""
    said = cost_of_additive(rows)
    return said if said and any(choice_of(row) == choice for row in rows[1:]) else ""


def _is_whole(row: Row) -> bool:
    """Say whether a row says which model it is of: an earlier Assay left out the members of a mean."""
    return row["family"] != MEAN or row["parameters"] != "{}"


def _order(row: Row) -> tuple[bool, float]:
    return row["state"] != "complete", float(row["score"])
