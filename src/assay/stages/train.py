"""Fit the chosen model on the training rows, and set its threshold on the validation rows."""

from assay.artifacts import PIPELINE, THRESHOLD, read_choice, read_split
from assay.contract.spec import load_contract
from assay.data.columns import columns, target
from assay.files import write_json
from assay.params import load_params
from assay.progress import say
from assay.training.fitting import build, fit, set_threshold
from assay.training.store import save_pipeline


def main() -> None:
    """Write the fitted pipeline and the threshold."""
    params, contract = load_params(), load_contract()
    train, validation = read_split("train"), read_split("validation")
    pipeline = build(read_choice(), contract, params.seed, calibrate=params.train.calibrate)
    fit(pipeline, columns(train, contract), target(train, contract), contract)
    threshold = set_threshold(pipeline, columns(validation, contract), target(validation, contract), contract)
    save_pipeline(pipeline, PIPELINE)
    write_json(THRESHOLD, threshold)
    say(f"  fitted on {train.num_rows} rows" + ("" if threshold is None else f"; threshold {threshold:g}"))
