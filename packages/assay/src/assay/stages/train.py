"""Fit the chosen model on the train rows, set its threshold on the validation rows, and fit it again on both."""

import pyarrow as pa
from sklearn.pipeline import Pipeline

from assay.base.files import write_json
from assay.base.progress import say
from assay.contract.spec import Contract, load_contract
from assay.data.columns import columns, target
from assay.modelling.fitting import build, constraints, fit, set_threshold, with_rounds
from assay.modelling.store import save_pipeline
from assay.project.layout import PIPELINE, THRESHOLD, TRAIN_ONLY, read_choice, read_split
from assay.project.params import ModelChoice, Params, load_params
from assay.project.room import Room, load_room


def main() -> None:
    """Write the pipeline that is served, its threshold, and the pipeline fitted on the train rows alone."""
    params, contract, room, choice = load_params(), load_contract(), load_room(), read_choice()
    train, validation = read_split("train"), read_split("validation")
    if held := constraints(_unfitted(choice, params, contract, room), contract, room):
        say(f"  {held}")
    fitted_on, pipeline = train, _fitted(train, choice, params, contract, room)
    threshold = set_threshold(pipeline, columns(validation, contract), target(validation, contract), contract, room)
    if params.train.refit:
        save_pipeline(pipeline, TRAIN_ONLY)
        fitted_on = pa.concat_tables([train, validation])
        choice = with_rounds(choice, fitted_on.num_rows / train.num_rows, contract, room)
        pipeline = _fitted(fitted_on, choice, params, contract, room)
    else:
        TRAIN_ONLY.unlink(missing_ok=True)
    save_pipeline(pipeline, PIPELINE)
    write_json(THRESHOLD, threshold)
    rows = f"{fitted_on.num_rows} rows ({' and '.join(params.train.sides)})"
    say(f"  fitted on {rows}" + ("" if threshold is None else f"; threshold {threshold:g}"))


def _unfitted(choice: ModelChoice, params: Params, contract: Contract, room: Room) -> Pipeline:
    return build(choice, contract, params.seed, calibrate=params.train.calibrate, room=room)


def _fitted(train: pa.Table, choice: ModelChoice, params: Params, contract: Contract, room: Room) -> Pipeline:
    pipeline = _unfitted(choice, params, contract, room)
    fit(pipeline, columns(train, contract), target(train, contract), contract, room)
    return pipeline
