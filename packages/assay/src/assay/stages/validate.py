"""Check the data against the contract, and look for duplicates, rare classes and leakage."""

import pyarrow as pa

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.data.check import check, contract_outcome
from assay.data.leakage import class_shares, duplicates, leakage, overlap
from assay.data.reading import read_table
from assay.data.split import parts
from assay.project.layout import CHECKS
from assay.project.params import load_params


def main() -> None:
    """Read the data and write the outcomes; stop at a violation of the contract."""
    params, contract = load_params(), load_contract()
    table, violations = read_table(contract.data, contract)
    violations = violations + check(table, contract)
    held = contract_outcome(table, violations, contract)
    outcomes = [held]
    if held.verdict == "PROMOTE":
        limits = params.validate_
        outcomes += [look(table, contract, limits) for look in (duplicates, class_shares, leakage)]
        split = parts(table, contract, params.prepare)
        fitted = pa.concat_tables([split[side] for side in params.train.sides])
        outcomes.append(overlap(fitted, split["test"], contract, limits))
    write_json(CHECKS, [outcome.as_dict() for outcome in outcomes])
    if held.verdict != "PROMOTE":
        raise InputError(held.reason)
    for outcome in outcomes:
        say(f"  {outcome.gate}: {outcome.verdict}: {outcome.reason}")
