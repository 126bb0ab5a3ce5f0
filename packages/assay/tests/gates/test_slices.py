import numpy as np
import pytest

from assay.gates.evidence import dependent
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.gates.slices import _compared, judge
from judged import ROWS, answers, evidence, params, scores, table
from patients import contract, patients

DATA, TARGET = patients(ROWS)
BASE = scores(TARGET, 0.7)
SPEC = contract(slices=[{"column": "ward"}, {"column": "age", "edges": [40, 70]}])
WEST = DATA["ward"] == "west"


def worse_in(inside: np.ndarray, elsewhere: float = 0.0) -> np.ndarray:
    """Return scores whose answers are turned round in a part, and nearer to the truth elsewhere."""
    made = BASE.copy()
    made[inside] = made[inside][:, ::-1]
    truth = np.eye(2)[TARGET]
    made[~inside] = made[~inside] * (1 - elsewhere) + truth[~inside] * elsewhere
    return made


def test_the_same_model_is_worse_nowhere():
    outcome = judge(evidence(answers(BASE, TARGET), answers(BASE, TARGET), spec=SPEC))
    assert outcome.verdict == "PROMOTE"
    assert "none of" in outcome.reason


def test_a_slice_that_falls_while_the_average_rises_is_named_with_its_rows():
    inside = WEST & (DATA["age"] > 70)
    better = worse_in(inside, elsewhere=0.9)
    outcome = judge(evidence(answers(better, TARGET), answers(BASE, TARGET), spec=SPEC))
    assert outcome.verdict == "REJECT"
    assert "rows: loss" in outcome.reason


def test_a_declared_slice_that_got_worse_is_found():
    outcome = judge(evidence(answers(worse_in(WEST, 0.5), TARGET), answers(BASE, TARGET), spec=SPEC))
    assert outcome.verdict == "REJECT"
    west = next(row for row in outcome.measured["slices"] if row["slice"] == "ward is west")
    assert west["worse"]
    assert west["rows"] == WEST.sum()
    assert west["low"] > 0


def test_a_slice_that_nobody_named_is_found():
    plain = contract()
    outcome = judge(evidence(answers(worse_in(WEST), TARGET), answers(BASE, TARGET), spec=plain))
    assert outcome.verdict == "REJECT"
    assert "ward is west" in outcome.reason


def test_small_slices_are_not_judged_and_counted():
    few = params(slices={"min_rows": ROWS - 1})
    outcome = judge(evidence(answers(BASE, TARGET), answers(BASE, TARGET), spec=SPEC, params=few))
    assert outcome.verdict == "SKIP"
    assert f"{ROWS - 1} test rows" in outcome.reason


def test_without_a_champion_there_is_nothing_to_compare():
    assert judge(evidence(answers(BASE, TARGET), None)).verdict == "SKIP"
    gone = Obstacle(kind=ObstacleKind.NOT_RESTORED, text="it is gone")
    assert judge(evidence(answers(BASE, TARGET), None, obstacle=gone)).verdict == "HOLD"


@pytest.mark.nightly
def test_an_equally_good_model_is_rarely_worse_somewhere():
    stopped = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        noisy = np.clip(BASE[:, 1] + rng.normal(0, 0.02, ROWS), 1e-4, 1 - 1e-4)
        other = answers(np.stack([1 - noisy, noisy], axis=1), TARGET)
        stopped += judge(evidence(other, answers(BASE, TARGET), spec=SPEC)).verdict != "PROMOTE"
    assert stopped <= 2


def test_rows_of_one_unit_count_as_one():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(12), 20)
    added = rng.normal(0.2, 0.4, 12)[unit]
    alone = _compared(added, np.ones(240), np.arange(240), 0.0)
    together = _compared(added, np.ones(240), unit, 0.0)
    assert together["p"] > 10 * alone["p"]
    assert together["high"] - together["low"] > 3 * (alone["high"] - alone["low"])
    assert together["difference"] == alone["difference"]


def test_the_interval_of_a_slice_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(40), 5)
    made = [_compared(rng.normal(0, 1, 40)[unit] + rng.normal(0, 1, 200), np.ones(200), unit, 0.0) for _ in range(300)]
    covered = sum(row["low"] <= 0 <= row["high"] for row in made)
    # 285 expected, standard deviation 4.
    assert 268 <= covered <= 298


@pytest.mark.parametrize(("split", "units"), [("group", 3), ("time", 50), ("hash", None)])
def test_rows_depend_on_each_other_by_group_or_in_time(split, units):
    column = {"group": "ward", "time": "admitted", "hash": None}[split]
    columns = {**{name: c.model_dump(mode="json") for name, c in contract().columns.items()}}
    columns["ward"]["missing"] = "refuse"
    spec = contract(split={"by": split, "column": column}, columns=columns)
    rows = table().drop_null() if split == "group" else table()
    found = dependent(rows, spec)
    assert (found is None) if units is None else len(np.unique(found)) in range(units, units + 10)
