"""A few values may be corrected; not in one direction, or in one place, without somebody who looks."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay.contract.spec import Contract
from assay.data.one_sided import OneSided, one_sided, one_sided_removal
from assay.data.versions import Version, changes
from examples import small

ROWS = 2000
FEW = 18
RNG = np.random.default_rng(1)
PLACES = RNG.choice(["north", "south", "west"], ROWS, p=[0.6, 0.3, 0.1])
SICK = RNG.choice(["yes", "no"], ROWS, p=[0.3, 0.7])
DATA: dict[str, Any] = {"x": RNG.normal(size=ROWS), "y": RNG.normal(size=ROWS), "ward": PLACES, "sick": SICK}
MADE = small(
    {
        "x": {"kind": "number"},
        "y": {"kind": "number"},
        "ward": {"kind": "category", "values": ["north", "south", "west"]},
    }
)
IDS = small({"key": {"kind": "id"}, **{name: column.model_dump(mode="json") for name, column in MADE.columns.items()}})


def chosen(among: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the mask of a few rows among some."""
    mask = np.zeros(ROWS, dtype=bool)
    mask[np.random.default_rng(seed).permutation(np.flatnonzero(among))[:FEW]] = True
    return mask


def look(with_ids: bool = False, **changed: np.ndarray) -> list[OneSided]:
    """Return what is found one-sided after columns changed; the rows are in another order."""
    keys = {"key": [f"k{i}" for i in range(ROWS)]} if with_ids else {}
    before, now = pa.table({**keys, **DATA}), pa.table({**keys, **DATA, **changed})
    now = now.take(pa.array(np.random.default_rng(2).permutation(ROWS)))
    made = IDS if with_ids else MADE
    versions = Version(before, made), Version(now, made)
    return one_sided(*versions, changes(*versions), limit=0.01, significance=0.01)


def flipped(rows: np.ndarray) -> np.ndarray:
    return np.where(rows, np.where(SICK == "yes", "no", "yes"), SICK)


EVERYWHERE = np.ones(ROWS, dtype=bool)


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sick": flipped(chosen(SICK == "yes"))}, "18 of 18 from 'yes' to 'no'"),
        ({"sick": flipped(chosen(PLACES == "west"))}, "100% of them where ward is 'west', which is so in 1"),
        ({"sick": flipped(chosen(DATA["x"] > 1.8))}, "of x"),
        ({"x": np.where(chosen(EVERYWHERE), DATA["x"] + 1, DATA["x"])}, "18 of 18 up"),
        ({"x": np.where(chosen(PLACES == "west"), 0.0, DATA["x"])}, "where ward is 'west'"),
    ],
)
def test_what_is_rewritten_in_one_direction_or_place_is_found(with_ids, changed, said):
    (sign,) = look(with_ids, **changed)
    assert sign.rows == FEW
    assert said in sign.what


@pytest.mark.parametrize("with_ids", [False, True])
def test_corrections_at_random_are_not(with_ids):
    assert sum(bool(look(with_ids, sick=flipped(chosen(EVERYWHERE, seed)))) for seed in range(12)) == 0


def test_hardly_any_and_nothing_are_not():
    some = chosen(SICK == "yes") & (np.cumsum(chosen(SICK == "yes")) <= 5)
    assert look(sick=flipped(some)) == look() == []


def look_at_removed(gone: np.ndarray, spec: Contract = MADE) -> OneSided | None:
    """Return what is found one-sided after rows were removed."""
    before = pa.table(DATA)
    versions = Version(before, spec), Version(before.filter(pa.array(~gone)), spec)
    return one_sided_removal(*versions, changes(*versions), significance=0.01)


@pytest.mark.parametrize(
    ("among", "said"),
    [
        (SICK == "yes", "100% of them where sick is 'yes', which is so in 31% of all rows before"),
        (PLACES == "west", "100% of them where ward is 'west'"),
        (DATA["x"] > 1.8, "half of them in the highest 1% of x of all rows before"),
    ],
)
def test_what_is_removed_in_one_place_is_found(among: np.ndarray, said: str):
    sign = look_at_removed(chosen(among))
    assert sign is not None
    assert sign.rows == FEW
    assert said in sign.what


def test_what_is_removed_at_random_is_not():
    assert not [seed for seed in range(20) if look_at_removed(chosen(EVERYWHERE, seed))]


def test_the_oldest_rows_may_go_and_no_others_at_one_end():
    by_time = Contract.model_validate(MADE.model_dump(exclude_unset=True) | {"split": {"by": "time", "column": "x"}})
    order = np.argsort(DATA["x"])
    oldest, newest = (np.isin(np.arange(ROWS), rows) for rows in (order[:50], order[-50:]))
    assert look_at_removed(oldest, by_time) is None
    assert look_at_removed(newest, by_time) is not None
