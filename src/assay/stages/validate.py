"""Hold the data to the contract, and look for duplicates, rare classes and leakage."""

from assay.artifacts import CHECKS
from assay.contract.spec import CONTRACT, load_contract
from assay.data.check import check
from assay.data.leakage import class_shares, duplicates, leakage, overlap
from assay.data.reading import read_table
from assay.errors import InputError
from assay.files import write_json
from assay.outcomes import Outcome
from assay.params import load_params
from assay.progress import say


def main() -> None:
    """Read the data; stop at a violation of the contract, else write the outcomes."""
    params, contract = load_params(), load_contract()
    table, violations = read_table(contract.data, contract)
    violations = violations + check(table, contract)
    if violations:
        more = f" (and {len(violations) - 1} more; `assay check` lists all)" if len(violations) > 1 else ""
        raise InputError(f"{contract.data} breaks {CONTRACT}: {violations[0]}{more}")
    held = Outcome("contract", "PROMOTE", f"{table.num_rows} rows keep to all of {CONTRACT}", {"rows": table.num_rows})
    limits = params.validate_
    outcomes = [held, *(look(table, contract, limits) for look in (duplicates, class_shares, leakage))]
    outcomes.append(overlap(table, contract, params.prepare, limits))
    for outcome in outcomes:
        say(f"  {outcome.gate}: {outcome.verdict}: {outcome.reason}")
    write_json(CHECKS, [outcome.as_dict() for outcome in outcomes])
