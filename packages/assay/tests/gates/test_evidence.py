"""What both models are asked, where the contract no longer uses a column that the champion needs."""

import numpy as np
import pyarrow as pa
import pytest

from assay.contract.spec import Contract
from assay.gates.evidence import incomparable_reason, perturbed_rows
from examples import small

NUMBER = {"kind": "number"}
BEFORE = small({"x": NUMBER, "y": NUMBER})
ROWS = pa.table({"x": [float(value) for value in range(50)], "y": [str(value / 7) for value in range(50)]})


def without_y(**more: str) -> Contract:
    return small({"x": NUMBER, "y": {"kind": "ignored", "reason": "too expensive", **more}})


def test_the_champion_gets_a_column_that_only_it_uses_perturbed_like_the_others() -> None:
    alone = perturbed_rows(ROWS, without_y(), None, noise=0.1, seed=3)
    asked = perturbed_rows(ROWS, without_y(), BEFORE, noise=0.1, seed=3)
    assert alone.column_names == ["x"]
    assert asked.column_names == ["x", "y"]
    assert asked["x"] == alone["x"]
    given, of_x, of_y = (np.array(column.to_pylist(), float) for column in (ROWS["x"], asked["x"], asked["y"]))
    moved = of_y - given / 7
    assert ((moved != 0) & (abs(moved) < 5)).all()
    # Not the same noise as that of the other column.
    assert moved != pytest.approx((of_x - given) / 7)


def test_a_column_that_is_gone_from_the_file_is_not_made_up() -> None:
    assert perturbed_rows(ROWS.drop_columns("y"), small({"x": NUMBER}), BEFORE, noise=0.1, seed=3).column_names == ["x"]


def test_a_split_that_changed_with_an_ignored_column_says_how_to_keep_it() -> None:
    few = pa.table({"x": [1.0, 2.0], "sick": ["yes", "no"]})
    assert incomparable_reason(without_y(), BEFORE, few, few) == (
        "only 2 of the 2 test rows are new to the champion: 'y' no longer identifies rows, so the split changed; "
        "add `identifies: number` to it in contract.yaml"
    )
    assert incomparable_reason(without_y(identifies="number"), BEFORE, few, few).endswith("new to the champion")
