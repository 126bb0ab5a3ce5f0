"""LightGBM's trees as a node of ONNX. Importing this module makes skl2onnx know them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import lightgbm
import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from assay.export.onnx import round_down

# Those whose prediction is the sum of the trees, or its logistic function or softmax.
OBJECTIVES = (
    *("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
    *("binary sigmoid:1", "cross_entropy", "multiclass"),
)
Node = dict[str, Any]


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """Write LightGBM's trees as one node of ONNX."""
    estimator = operator.raw_operator
    dump = estimator.booster_.dump_model()
    objective = re.sub(r" num_class:\d+$", "", dump.get("objective") or "of the user")
    if objective not in OBJECTIVES:
        raise ValueError(f"LightGBM's objective {objective!r} is not exported")
    if dump["average_output"]:
        raise ValueError("LightGBM's mean of trees is not exported")
    outputs = dump["num_tree_per_iteration"]
    is_classifier = isinstance(estimator, lightgbm.LGBMClassifier)
    # Calibration wants the scores before that.
    is_raw = is_classifier and container.get_options(estimator, {"raw_scores": False})["raw_scores"]
    leaf = "class" if is_classifier else "target"
    # The first tree of a regressor has the mean of the target in its leaves. The runtime adds the trees in single
    # precision, and the base at the end: a mean that is large beside the steps of the trees would make each sum coarse.
    base = 0.0 if is_classifier else float(np.float32(_first_leaf(dump["tree_info"][0]["tree_structure"])))
    attributes: dict[str, list[Any]] = {}
    for index, tree in enumerate(dump["tree_info"]):
        for number, (node, children) in enumerate(_numbered(tree["tree_structure"])):
            is_leaf = children is None
            yes, no = children or (0, 0)
            threshold = 0.0 if is_leaf else float(round_down(np.array(node["threshold"])))
            row = {
                "treeids": index,
                "nodeids": number,
                "featureids": 0 if is_leaf else node["split_feature"],
                "modes": "LEAF" if is_leaf else "BRANCH_LEQ",
                "values": threshold,
                "truenodeids": yes,
                "falsenodeids": no,
                "missing_value_tracks_true": int(not is_leaf and _goes_left(node, threshold)),
            }
            for name, value in row.items():
                attributes.setdefault(f"nodes_{name}", []).append(value)
            if is_leaf:
                weight = node["leaf_value"] - (base if index == 0 else 0.0)
                row = {"treeids": index, "nodeids": number, "ids": index % outputs, "weights": weight}
                for name, value in row.items():
                    attributes.setdefault(f"{leaf}_{name}", []).append(value)
    if is_classifier:
        kind: str = "TreeEnsembleClassifier"
        rest: dict[str, Any] = {"classlabels_int64s": [int(label) for label in estimator.classes_]}
        after = "NONE" if is_raw else "LOGISTIC" if outputs == 1 else "SOFTMAX"
    else:
        kind, rest, after = "TreeEnsembleRegressor", {"n_targets": 1, "base_values": [base]}, "NONE"
    container.add_node(
        kind,
        operator.input_full_names,
        [output.full_name for output in operator.outputs],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name("LightGBM"),
        post_transform=after,
        **rest,
        **attributes,
    )


def _numbered(root: Node) -> Iterator[tuple[Node, tuple[int, int] | None]]:
    """Yield the nodes of a tree with the numbers of their children, which are the places at which these come."""
    waiting, made = [root], 1
    for node in waiting:
        if "split_feature" not in node:
            if "leaf_coeff" in node:
                raise ValueError("a tree has linear functions in its leaves, which are not exported")
            yield node, None
            continue
        if node["decision_type"] != "<=":
            raise ValueError(f"a tree splits by {node['decision_type']!r}, which is not exported")
        if node["missing_type"] == "Zero":
            raise ValueError("a tree counts 0 as missing, which is not exported")
        waiting += [node["left_child"], node["right_child"]]
        yield node, (made, made + 1)
        made += 2


def _first_leaf(node: Node) -> float:
    while "left_child" in node:
        node = node["left_child"]
    return float(node["leaf_value"])


def _goes_left(node: Mapping[str, Any], threshold: float) -> bool:
    """Say where a missing value goes: where training found, or if there was none in training, where 0 goes."""
    return bool(node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0)


def _one_number(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, 1])


update_registered_converter(
    lightgbm.LGBMClassifier,
    "LightGBMClassifier",
    calculate_linear_classifier_output_shapes,
    _convert_lightgbm,
    options={"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]},
)
update_registered_converter(lightgbm.LGBMRegressor, "LightGBMRegressor", _one_number, _convert_lightgbm)
