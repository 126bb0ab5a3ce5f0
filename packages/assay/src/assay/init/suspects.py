"""Columns that reveal what is unknown when the target is predicted."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.data.leakage import share_explained

SURE = 0.98
SURE_OF_MISSING = 0.6
# How closely a sum has to match the target not to be by chance.
EXACT = 1e-6
# The largest rounding unit of the target that counts as fine, as a share of its standard deviation.
FINE = 0.05
AFTERWARDS = {
    *(
        "outcome result resolution resolved closed cancelled canceled settled settlement refund refunded paid payout"
    ).split(),
    *("recovered recoveries discharge discharged death died deceased duration final ended").split(),
    *("collection chargeoff writeoff terminated termination exit").split(),
}


def alone(values: pa.ChunkedArray, target: pa.ChunkedArray, *, is_number: bool) -> float | None:
    """Return the share of the target that a column explains, if it is so large that the column must be a copy."""
    share = share_explained(_array(values), *_goal(target, is_number))
    return share if share >= SURE else None


def missing_alone(values: pa.ChunkedArray, target: pa.ChunkedArray, is_number: bool) -> float | None:
    """Return the share of the target explained by whether a value is missing, if it is large."""
    share = share_explained(values.is_null().cast(pa.float64()).to_numpy(), *_goal(target, is_number))
    return share if share >= SURE_OF_MISSING else None


def parts_of_sum(numbers: Mapping[str, pa.ChunkedArray], target: pa.ChunkedArray) -> list[str]:
    """Return the columns whose linear combination is the target up to rounding, found by least squares; else none."""
    if len(numbers) < 2:
        return []
    matrix = np.column_stack(
        [np.nan_to_num(v.cast(pa.float64()).to_numpy(zero_copy_only=False)) for v in numbers.values()]
    )
    goal = target.to_numpy()
    spread = float(goal.std())
    scale = matrix.std(axis=0)
    usable = scale > 0
    if not spread or len(goal) < 3 * matrix.shape[1]:
        return []
    scaled = (matrix[:, usable] - matrix[:, usable].mean(axis=0)) / scale[usable]
    found, *_ = np.linalg.lstsq(scaled, goal - goal.mean(), rcond=None)
    rest = goal - goal.mean() - scaled @ found
    exact = EXACT * max(spread, float(np.abs(goal).max()))
    unit = next((10.0**-digits for digits in range(4) if np.abs(goal - goal.round(digits)).max() <= exact), 0.0)
    # A good model legitimately comes within a coarse rounding unit.
    near = max(exact, unit if unit < FINE * spread else 0.0)
    if float(np.abs(rest).max()) > near:
        return []
    names = [name for name, there in zip(numbers, usable, strict=True) if there]
    return [name for name, weight in zip(names, found, strict=True) if abs(weight) > max(1e-3 * spread, near)]


def after_the_fact(words: Sequence[str]) -> bool:
    """Say whether a name suggests something that is known only after the target."""
    return bool(AFTERWARDS & set(words))


def _goal(target: pa.ChunkedArray, is_number: bool) -> tuple[np.ndarray, int]:
    if is_number:
        return target.to_numpy(), 0
    codes = target.combine_chunks().dictionary_encode()
    return np.asarray(codes.indices), len(codes.dictionary)


def _array(values: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(values.type):
        codes = values.combine_chunks().dictionary_encode(null_encoding="encode")
        return np.asarray(codes.indices).astype(str).astype(object)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False))
