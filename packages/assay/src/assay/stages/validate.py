"""Check the data against the contract, and look for duplicates, rare classes and leakage."""

import numpy as np

from assay.base.errors import InputError
from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.data.check import check, contract_outcome
from assay.data.engine import cluster_at
from assay.data.leakage import class_shares, duplicates, feature_keys, leakage, overlap
from assay.data.reading import opened
from assay.data.split import assign, places
from assay.data.stored import Chosen
from assay.predictions.outcomes import meant
from assay.project.layout import CHECKS
from assay.project.params import load_params


def main() -> None:
    """Read the data and write the outcomes; stop at a violation of the contract."""
    params, contract = load_params(), load_contract()
    if params.outcomes.missing is not None:
        meant(params.outcomes.missing, contract.target)
    with opened(contract.data, contract, cluster_at(params.engine.address)) as (rows, unread):
        held = contract_outcome(rows, [*unread, *check(rows, contract)], contract)
        outcomes = [held]
        if held.verdict == "PROMOTE":
            limits, keys = params.validate_, feature_keys(rows, contract)
            outcomes.append(duplicates(rows, contract, limits, keys))
            outcomes += [look(rows, contract, limits) for look in (class_shares, leakage)]
            sides = places(assign(rows, contract, params.prepare))
            pair = np.concatenate([sides[side] for side in params.train.sides]), sides["test"]
            fitted, test = (Chosen(rows, index) for index in pair)
            outcomes.append(overlap(fitted, test, contract, limits, (keys[pair[0]], keys[pair[1]])))
    write_json(CHECKS, [outcome.as_dict() for outcome in outcomes])
    if held.verdict != "PROMOTE":
        raise InputError(held.reason)
    for outcome in outcomes:
        say(f"  {outcome.gate}: {outcome.verdict}: {outcome.reason}")
