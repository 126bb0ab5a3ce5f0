"""The exported model: an ONNX graph of the whole pipeline, and a check that it predicts the same."""

import copy
from typing import Any

import numpy as np
import onnx
from onnx import compose
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.operator_converters.one_hot_encoder import convert_sklearn_one_hot_encoder
from skl2onnx.operator_converters.scaler_op import convert_sklearn_scaler
from skl2onnx.shape_calculators.feature_selection import calculate_sklearn_select
from skl2onnx.shape_calculators.one_hot_encoder import calculate_sklearn_one_hot_encoder_output_shapes
from skl2onnx.shape_calculators.scaler import calculate_sklearn_scaler_output_shapes
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from assay.base.rounding import significant
from assay.contract.spec import Boolean, Category, Contract, Integer, Number, Text, Time
from assay.data.columns import Columns, length, take
from assay.inference.scorer import NUMBERS, Score
from assay.modelling.estimators import LogBoosting, LogTarget, SingleScaler, is_lightgbm
from assay.modelling.features import encode, time_input
from assay.modelling.fitting import decide, members, uncalibrated, weights
from assay.project.room import NO_ROOM, Room
from assay.project.settings import Export

OPSET = {"": 21, "ai.onnx.ml": 3}
# The name of what a graph gives before more nodes are appended.
LAST = "trees"
UNSEEN = "a value that was never seen"


def convert(pipeline: Pipeline, example: Columns, contract: Contract, room: Room = NO_ROOM) -> bytes:
    """Return the pipeline as an ONNX model that takes `assay.inference.scorer.matrix`.

    Raises ValueError for a pipeline with text inputs, and the converter's own error for one it cannot convert.
    """
    inputs = encode(example, contract, room)
    for name, values in inputs.items():
        if values.dtype == object:
            # How ONNX splits words depends on the locale of the machine, which the runtime may not even find.
            raise ValueError(f"the input {name!r} is text, which ONNX splits into words differently")
    graphs = [_convert(member, list(inputs), contract) for member in members(pipeline)]
    model = graphs[0] if len(graphs) == 1 else _mean(graphs, weights(pipeline), contract)
    return bytes(model.SerializeToString(deterministic=True))


def _convert(pipeline: Pipeline, inputs: list[str], contract: Contract) -> onnx.ModelProto:
    kinds = [(name, FloatTensorType([None, 1])) for name in inputs]
    pipeline = _in_single_precision(pipeline)
    last = pipeline[-1]
    if is_lightgbm(uncalibrated(last)):
        # Imported here: the library takes seconds to load, and few models need it.
        import assay.export.lightgbm_trees  # noqa: F401
    if isinstance(last, LogBoosting | LogTarget):
        pipeline.steps[-1] = ("estimator", uncalibrated(last))
    options = {} if contract.task == "regression" else {id(pipeline): {"zipmap": False}}
    model: onnx.ModelProto = to_onnx(
        pipeline, initial_types=kinds, options=options, target_opset=OPSET, name=contract.name
    )
    if isinstance(last, LogBoosting):
        first = time_input(contract)
        index = inputs.index(first) if first else 0
        _append_growth(model.graph, last, model.graph.input[index].name)
    if isinstance(last, LogTarget):
        _append_amount(model.graph, last)
    _pack_inputs(model.graph)
    # The converter keeps the domains in a set, whose order differs from process to process.
    domains = sorted(model.opset_import, key=lambda entry: entry.domain)
    del model.opset_import[:]
    model.opset_import.extend(domains)
    return model


def _mean(models: list[onnx.ModelProto], weights: np.ndarray, contract: Contract) -> onnx.ModelProto:
    """Return one graph that runs all of these on the same input, and takes the weighted mean of their last outputs."""
    parts = [
        compose.add_prefix_graph(model.graph, f"{number} ", rename_inputs=False)
        for number, model in enumerate(models, 1)
    ]
    given = [part.output[-1].name for part in parts]
    shares = [
        onnx.numpy_helper.from_array(np.array(weight, dtype=np.float32), f"{number} weight")
        for number, weight in enumerate(weights, 1)
    ]
    if len(set(weights)) == 1:
        nodes, shares = [onnx.helper.make_node("Mean", given, ["mean"], name="mean")], []
    else:
        nodes = [
            onnx.helper.make_node("Mul", [name, share.name], [f"{share.name}ed"], name=f"{share.name}ing")
            for name, share in zip(given, shares, strict=True)
        ]
        nodes.append(onnx.helper.make_node("Sum", [f"{share.name}ed" for share in shares], ["mean"], name="mean"))
    answer = parts[0].output[-1]
    answer.name = "mean"
    made = models[0]
    made.graph.CopyFrom(
        onnx.helper.make_graph(
            [*(node for part in parts for node in part.node), *nodes],
            contract.name,
            made.graph.input,
            [answer],
            [*(values for part in parts for values in part.initializer), *shares],
        )
    )
    return made


def _convert_one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Encode all columns at once: repeat each column for its values, and compare it with them.

    The library's converter makes three nodes per column, which take longer for one row than a tree model itself. No
    column may contain NaN, which the multiplication would spread over the whole row.
    """
    encoder: OneHotEncoder = operator.raw_operator
    kinds = {values.dtype.kind for values in encoder.categories_}
    others = (encoder.drop, encoder.min_frequency, encoder.max_categories)
    if kinds != {"f"} or encoder.handle_unknown != "ignore" or others != (None, None, None):
        convert_sklearn_one_hot_encoder(scope, operator, container)
        return
    columns, values, repeat, repeated, equal = map(
        scope.get_unique_variable_name, ("columns", "values", "repeat", "repeated", "equal")
    )
    sizes = [len(known) for known in encoder.categories_]
    container.add_initializer(values, onnx.TensorProto.FLOAT, [sum(sizes)], np.concatenate(encoder.categories_))
    indices = np.repeat(np.eye(len(sizes)), sizes, axis=1)
    container.add_initializer(repeat, onnx.TensorProto.FLOAT, indices.shape, indices.ravel())
    steps: list[tuple[str, list[str], str, dict[str, int]]] = [
        ("Concat", [column.full_name for column in operator.inputs], columns, {"axis": 1}),
        ("MatMul", [columns, repeat], repeated, {}),
        ("Equal", [repeated, values], equal, {}),
        ("Cast", [equal], operator.outputs[0].full_name, {"to": onnx.TensorProto.FLOAT}),
    ]
    for kind, given, made, how in steps:
        container.add_node(kind, given, made, name=scope.get_unique_operator_name(kind), **how)


update_registered_converter(
    OneHotEncoder,
    "SklearnOneHotEncoder",
    calculate_sklearn_one_hot_encoder_output_shapes,
    _convert_one_hot,
    overwrite=True,
)


def _convert_selection(scope: Any, operator: Any, container: Any) -> None:
    """Keep the selected columns; the library's converter gives zeros where only the first column is kept."""
    kept = scope.get_unique_variable_name("kept")
    places = operator.raw_operator.get_support(indices=True)
    container.add_initializer(kept, onnx.TensorProto.INT64, [len(places)], places)
    given, made = operator.inputs[0].full_name, operator.outputs[0].full_name
    container.add_node("Gather", [given, kept], made, name=scope.get_unique_operator_name("Gather"), axis=1)


update_registered_converter(
    SingleScaler,
    "SingleScaler",
    calculate_sklearn_scaler_output_shapes,
    convert_sklearn_scaler,
    options={"div": ["std", "div", "div_cast"]},
)
update_registered_converter(
    SelectFromModel,
    "SklearnSelectFromModel",
    calculate_sklearn_select,
    _convert_selection,
    overwrite=True,
)


def _pack_inputs(graph: onnx.GraphProto) -> None:
    """Make a graph take its columns as one matrix: a request is then one Python object.

    Columns that the graph concatenates are taken from the matrix together.
    """
    columns = [column.name for column in graph.input]
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info(NUMBERS, onnx.TensorProto.FLOAT, [None, len(columns)]))
    joining = [node for node in graph.node if node.op_type == "Concat" and set(node.input) <= set(columns)]
    for node in joining:
        indices = [columns.index(name) for name in node.input]
        kind: str
        how: dict[str, Any]
        if indices == list(range(indices[0], indices[-1] + 1)):
            # Much faster than gathering them one by one.
            kind, given, how = "Slice", [[indices[0]], [indices[-1] + 1], [1]], {}
        else:
            kind, given, how = "Gather", [indices], {"axis": 1}
        numbers = {f"{node.output[0]} {number}": np.array(one) for number, one in enumerate(given)}
        graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in numbers.items())
        node.CopyFrom(onnx.helper.make_node(kind, [NUMBERS, *numbers], node.output, name=node.name, **how))
    if any(name in columns for node in graph.node for name in node.input):
        split = onnx.helper.make_node("Split", [NUMBERS], columns, name="Split", axis=1, num_outputs=len(columns))
        graph.node.insert(0, split)


def _append_growth(graph: onnx.GraphProto, estimator: LogBoosting, time: str) -> None:
    """Make a graph of the trees predict as the estimator does: the exponential of their sum and the growth."""
    if estimator.slope_:
        number = {"end": estimator.end_, "start": estimator.start_, "slope": estimator.slope_}
        steps = [
            ("Min", [time, "growth_end"], "growth_until"),
            ("Sub", ["growth_until", "growth_start"], "growth_time"),
        ]
        steps += [("Mul", ["growth_time", "growth_slope"], "growth"), ("Add", ["limited", "growth"], "logarithm")]
    else:
        # The runtime warns about constants that no node uses.
        number, steps = {}, [("Identity", ["limited"], "logarithm")]
    number["limit"] = float(np.log(estimator.limit_)) if estimator.limit_ > 0 else -np.inf
    steps.insert(0, ("Min", [LAST, "growth_limit"], "limited"))
    _append(graph, [*steps, ("Exp", ["logarithm"], "")], {f"growth_{name}": value for name, value in number.items()})


def _append_amount(graph: onnx.GraphProto, estimator: LogTarget) -> None:
    """Make a graph of logarithms predict amounts, as the estimator does."""
    numbers = {"highest": estimator.highest_, "scale": estimator.scale_, "one": 1.0, "zero": 0.0}
    steps = [
        ("Min", [LAST, "amount_highest"], "amount_logarithm"),
        ("Exp", ["amount_logarithm"], "amount_share"),
        ("Mul", ["amount_share", "amount_scale"], "amount_and_one"),
        ("Sub", ["amount_and_one", "amount_one"], "amount_any"),
        ("Max", ["amount_any", "amount_zero"], ""),
    ]
    _append(graph, steps, {f"amount_{name}": value for name, value in numbers.items()})


def _append(graph: onnx.GraphProto, steps: list[tuple[str, list[str], str]], numbers: dict[str, float]) -> None:
    """Append nodes, each its kind, inputs and output; LAST is what the graph gave before, and the last has no name."""
    answer = graph.output[0].name
    for node in graph.node:
        node.output[:] = [LAST if name == answer else name for name in node.output]
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in numbers.items()
    )
    graph.node.extend(
        onnx.helper.make_node(kind, given, [made or answer], name=f"{kind}_{made or answer}")
        for kind, given, made in steps
    )


def _in_single_precision(pipeline: Pipeline) -> Pipeline:
    """Return a copy whose trees have thresholds in single precision.

    A single-precision x is at most t exactly when it is at most the largest single-precision number not above t. The
    converter rounds t to the nearest instead, which may be above t and equal to x.
    """
    copied = copy.deepcopy(pipeline)
    estimator = uncalibrated(copied[-1])
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        for trees in estimator._predictors:
            for tree in trees:
                tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])
    elif isinstance(estimator, RandomForestClassifier | RandomForestRegressor):
        for member in estimator.estimators_:
            member.tree_.threshold[:] = round_down(member.tree_.threshold)
    return copied


def round_down(values: np.ndarray) -> np.ndarray:
    """Return the largest single-precision numbers that are not above these, as double."""
    # LightGBM splits missing values from all others at the largest double.
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


def parity(
    reference: Score, exported: Score, data: Columns, contract: Contract, *, threshold: float | None, limits: Export
) -> dict[str, Any]:
    """Compare two ways to score the same rows, all at once and one by one.

    Differences are absolute for probabilities, and relative to the standard deviation of the predictions for
    regression. `other_answers` counts rows with a different decision, except rows so close to the boundary that a
    difference within the tolerance can change it.
    """
    expected, together = reference(data), exported(data)
    alone_index = np.unique(np.linspace(0, length(data) - 1, min(limits.parity_rows, length(data))).astype(int))
    alone = np.concatenate([exported(take(data, np.array([i]))) for i in alone_index])
    scale = 1.0 if contract.task != "regression" else float(expected.std()) or 1.0

    def compare(given: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
        found = {
            "rows": len(wanted),
            "largest_difference": significant(np.max(np.abs(given - wanted)) / scale, 3),
            "other_answers": 0,
        }
        if contract.task != "regression":
            other = decide(given, contract, threshold) != decide(wanted, contract, threshold)
            found["other_answers"] = int((other & ~_on_edge(wanted, threshold, limits.tolerance)).sum())
        return found

    return {"batch": compare(together, expected), "single": compare(alone, expected[alone_index])}


def _on_edge(scores: np.ndarray, threshold: float | None, tolerance: float) -> np.ndarray:
    if threshold is not None:
        return np.asarray(np.abs(scores[:, 1] - threshold) <= tolerance)
    highest = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0] <= 2 * tolerance)


def agrees(found: dict[str, Any], tolerance: float) -> bool:
    """Say whether a parity report is good enough to serve the exported model."""
    return all(part["largest_difference"] <= tolerance and not part["other_answers"] for part in found.values())


def hard_rows(data: Columns, contract: Contract, seed: int) -> dict[str, np.ndarray]:
    """Return the rows, followed by a copy of them in which half of the cells are replaced.

    A replacement is a value from the whole declared range or its ends, another category, an unseen category, or a
    missing value if the contract allows it.
    """
    rng = np.random.default_rng(seed)
    return {
        name: np.concatenate(
            [values, np.where(rng.random(len(values)) < 0.5, _other(values, contract, name, rng), values)]
        )
        for name, values in data.items()
    }


def _other(values: np.ndarray, contract: Contract, name: str, rng: np.random.Generator) -> np.ndarray:
    column, n = contract.features[name], len(values)
    gap: Any
    match column:
        case Category():
            choices = np.array([*column.values, UNSEEN], dtype=object)
            other, gap = choices[rng.integers(0, len(choices), n)], None
        case Text():
            other, gap = rng.permutation(values), None
            other[rng.random(n) < 0.2] = UNSEEN
        case Boolean():
            other, gap = rng.integers(0, 2, n).astype(np.float64), np.nan
        case Time():
            known = values[~np.isnat(values)]
            low, high = column.range or ((known.min(), known.max()) if len(known) else ("1970", "1970"))
            start, end = (float(np.datetime64(moment, "us").astype(np.int64)) for moment in (low, high))
            other, gap = _between(start, end, n, rng).astype("datetime64[us]"), np.datetime64("NaT")
        case Number() | Integer():
            known = values[~np.isnan(values)]
            seen = (known.min(), known.max()) if len(known) else (0.0, 1.0)
            low, high = (
                limit if np.isfinite(limit) else beyond
                for limit, beyond in zip(column.range or seen, seen, strict=True)
            )
            other, gap = _between(low, high, n, rng), np.nan
            other = np.round(other) if isinstance(column, Integer) else other
    if column.missing == "allow":
        other = np.where(rng.random(n) < 0.2, gap, other)
    return other


def _between(low: float, high: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return numbers from low to high, one in ten of them at either end."""
    ends = rng.random(n)
    return np.asarray(np.where(ends < 0.1, low, np.where(ends > 0.9, high, low + rng.random(n) * (high - low))))
