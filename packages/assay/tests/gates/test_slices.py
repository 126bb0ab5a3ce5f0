from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assay.evaluation.metrics import ScoredRows
from assay.gates.evidence import dependent
from assay.gates.findings import Slices, read
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.gates.slices import Increase, _increase, _judged, _too_few, judge
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
    alone, together = (_increase(added, np.ones(240), units) for units in (np.arange(240), unit))
    assert together.p_above(0.0) > 10 * alone.p_above(0.0)
    assert together.error > 3 * alone.error
    assert together.mean == alone.mean


def test_the_interval_of_a_slice_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(40), 5)
    made = [_increase(rng.normal(0, 1, 40)[unit] + rng.normal(0, 1, 200), np.ones(200), unit) for _ in range(300)]
    covered = sum(low <= 0 <= high for low, high in (one.interval(0.025) for one in made))
    # 285 expected, standard deviation 4.
    assert 268 <= covered <= 298


@given(
    increases=st.lists(
        st.builds(Increase, st.just(50), st.just(1.0), st.floats(-1, 1), st.floats(0.001, 1), st.integers(4, 100)),
        min_size=1,
        max_size=20,
    ),
    margin=st.floats(0, 0.5),
    rate=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_a_slice_is_worse_exactly_where_its_interval_lies_above_the_margin(increases, margin, rate):
    rows = _judged({str(number): one for number, one in enumerate(increases)}, margin, rate)
    for row in rows:
        # Figures are rounded to six digits.
        assume(abs(row.low - margin) > 1e-5)
        assert row.worse == (row.low > margin)


def test_a_slice_of_few_units_is_not_judged():
    compared = evidence(answers(worse_in(WEST), TARGET), answers(BASE, TARGET), spec=SPEC)
    assert judge(replace(compared, units=np.arange(ROWS) % 4)).verdict == "SKIP"
    assert judge(replace(compared, units=np.arange(ROWS) % 40)).verdict == "REJECT"


FLOORS = {"ward is west": 0.8}


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(
    ("floors", "candidate", "verdict", "reason"),
    [
        (FLOORS, BASE, "PROMOTE", ""),
        (FLOORS, worse_in(WEST), "REJECT", "ward is west: roc_auc is"),
        ({"ward is west": 0.95}, scores(TARGET, 1.2), "HOLD", "not conclusively above its floor of 0.95"),
        ({"ward is vest": 0.8}, BASE, "HOLD", "is no declared slice of the test rows; did you mean 'ward is west'?"),
    ],
)
def test_a_declared_slice_keeps_its_floor(is_first, floors, candidate, verdict, reason):
    limits = params(slices={"floors": floors})
    same = answers(candidate, TARGET)
    outcome = judge(evidence(same, None if is_first else same, spec=SPEC, params=limits))
    assert outcome.verdict == verdict
    assert reason in outcome.reason
    assert [name for name in outcome.limit if " is " in name] == [name for name in floors if "west" in name]


@pytest.mark.parametrize("is_first", [False, True])
def test_what_was_compared_with_a_floor_is_measured(is_first):
    same = answers(BASE, TARGET)
    limits = params(slices={"floors": FLOORS})
    found = read(Slices, judge(evidence(same, None if is_first else same, spec=SPEC, params=limits)).measured)
    (floor,) = found.floors
    assert (floor.slice, floor.rows, floor.metric, floor.floor) == ("ward is west", WEST.sum(), "roc_auc", 0.8)
    assert floor.low <= floor.value <= floor.high
    assert bool(found.slices) is not is_first


def test_a_slice_of_one_class_cannot_be_compared_with_a_floor():
    one_class = np.where(WEST, 1, TARGET)
    limits = params(slices={"floors": FLOORS})
    outcome = judge(evidence(answers(BASE, one_class), None, spec=SPEC, params=limits))
    assert outcome.verdict == "HOLD"
    assert "test rows of one class, too few" in outcome.reason


def test_a_slice_of_few_units_cannot_be_compared_with_a_floor():
    limits = params(slices={"floors": FLOORS})
    judged = evidence(answers(BASE, TARGET), None, spec=SPEC, params=limits)
    few = judge(replace(judged, units=np.where(WEST, 0, np.arange(ROWS))))
    assert few.verdict == "HOLD"
    assert "of 1 independent unit, too few" in few.reason
    assert judge(replace(judged, units=np.arange(ROWS) % 40)).verdict == "PROMOTE"


def test_a_slice_with_many_rare_classes_cannot_be_compared_with_a_floor():
    target = np.concatenate([np.arange(20), np.full(60, 20)])
    spec = contract("multiclass")
    rows = ScoredRows(target, np.full((80, 21), 1 / 21), target)
    assert _too_few(rows, None, spec, 5) == "80 test rows with hardly any of some classes"
    assert _too_few(rows, np.arange(80) % 3, spec, 5) == "80 test rows of 3 independent units"
    common = ScoredRows(np.arange(80) % 8, rows.scores, rows.decision)
    assert not _too_few(common, None, spec, 5)


@pytest.mark.parametrize(("split", "units"), [("group", 3), ("time", 50), ("hash", None)])
def test_rows_depend_on_each_other_by_group_or_in_time(split, units):
    column = {"group": "ward", "time": "admitted", "hash": None}[split]
    columns = {**{name: c.model_dump(mode="json") for name, c in contract().columns.items()}}
    columns["ward"]["missing"] = "refuse"
    spec = contract(split={"by": split, "column": column}, columns=columns)
    rows = table().drop_null() if split == "group" else table()
    found = dependent(rows, spec)
    assert (found is None) if units is None else len(np.unique(found)) in range(units, units + 10)
