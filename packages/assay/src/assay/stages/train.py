"""Fit the chosen model on the training rows, and set its threshold on the validation rows."""

from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import load_contract
from assay.data.columns import columns, target
from assay.modelling.fitting import build, constraints, fit, set_threshold
from assay.modelling.store import save_pipeline
from assay.project.layout import PIPELINE, THRESHOLD, read_choice, read_split
from assay.project.params import load_params
from assay.project.room import load_room


def main() -> None:
    """Write the fitted pipeline and the threshold."""
    params, contract, room = load_params(), load_contract(), load_room()
    train, validation = read_split("train"), read_split("validation")
    pipeline = build(read_choice(), contract, params.seed, calibrate=params.train.calibrate, room=room)
    if held := constraints(pipeline, contract, room):
        say(f"  {held}")
    fit(pipeline, columns(train, contract), target(train, contract), contract, room)
    threshold = set_threshold(pipeline, columns(validation, contract), target(validation, contract), contract, room)
    save_pipeline(pipeline, PIPELINE)
    write_json(THRESHOLD, threshold)
    say(f"  fitted on {train.num_rows} rows" + ("" if threshold is None else f"; threshold {threshold:g}"))
