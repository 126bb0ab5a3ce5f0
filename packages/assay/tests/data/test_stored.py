"""A table that is read in parts is the table that is read as a whole."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data import reading, stored
from assay.data.check import check
from assay.data.reading import opened, read_table
from assay.data.sample import drawn, sample
from assay.data.stored import Chosen, Joined, Stored
from assay.project.layout import ANALYSIS, CHECKS, METRICS, PIPELINE, SPLIT, THRESHOLD
from assay.stages import analyse, evaluate, prepare, train, validate
from examples import small
from patients import write_project
from stages.test_train import PARAMS
from stages.test_train import made as trained

NUMBER, TEXT = {"kind": "number", "missing": "allow"}, {"kind": "text", "missing": "allow"}
COMMA = {"kind": "number", "missing": "allow", "cleaning": {"decimal": ","}}
MADE = small(
    {
        "x": {"kind": "number", "range": [-5, 5], "missing": "allow"},
        "whole": {"kind": "integer"},
        "ward": {"kind": "category", "values": ["north", "south"], "missing": "allow"},
        "seen": {"kind": "time", "missing": "allow"},
        "note": {"kind": "text", "max_length": 3, "missing": "allow"},
    }
)
CELLS = {
    "x": ["1.5", "-0", "9", "", "nan", "inf", "one"],
    "whole": ["1", "2", "1.0", "", "x"],
    "ward": ["north", "south", "", "west"],
    "seen": ["2024-01-01", "2024-01-01T10:00:00", "", "soon"],
    "note": ["a", "", "long", '"b,c"'],
    "sick": ["no", "yes", "", "perhaps"],
}
LINES = st.lists(st.tuples(*map(st.sampled_from, CELLS.values())), max_size=12)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every file in parts, a few rows at a time."""
    monkeypatch.setattr(stored, "LARGE", 0)
    monkeypatch.setattr(stored, "CELLS", 40)


def both(path: Path, made: Contract) -> None:
    """Read a file as a whole and in parts, and expect the same."""
    whole, violations = read_table(path, made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "LARGE", 0)
        patch.setattr(stored, "CELLS", 12)
        patch.setattr(reading, "TEXTS", 2)
        with opened(path, made) as (rows, found):
            assert not isinstance(rows, pa.Table)
            assert (rows.num_rows, rows.column_names) == (whole.num_rows, whole.column_names)
            assert found == violations
            assert check(rows, made) == check(whole, made)
            assert rows.whole().equals(whole)
            if not violations:
                assert pa.concat_tables([whole.slice(0, 0), *rows.batches()]).equals(whole)
            index = pa.array(np.arange(whole.num_rows)[::-2])
            assert rows.take(index).equals(whole.take(index))


@given(lines=LINES, spoilt=st.booleans())
def test_a_csv_file_in_parts_is_the_file_as_a_whole(tmp_path_factory: Any, lines: list[Any], spoilt: bool) -> None:
    # The last of the cells of a column is of another type.
    others = {cells[-1] for cells in CELLS.values()}
    kept = lines if spoilt else [line for line in lines if others.isdisjoint(line)]
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_text("\n".join([",".join(CELLS), *(",".join(line) for line in kept)]) + "\n")
    both(path, MADE)
    texts = dict.fromkeys(CELLS, pa.string())
    table = pacsv.read_csv(path, convert_options=pacsv.ConvertOptions(column_types=texts))
    pq.write_table(table, path.with_suffix(".parquet"), row_group_size=5)
    both(path.with_suffix(".parquet"), MADE)


@pytest.mark.parametrize("last", ["2.5", "2,5"])
def test_whether_numbers_have_a_decimal_comma_is_decided_by_all_rows(tmp_path: Path, last: str) -> None:
    made = small({"x": COMMA, "y": COMMA})
    table = pa.table({"x": ["1.234"] * 15 + [last] * 5, "y": ["2"] * 20, "sick": ["no", "yes"] * 10})
    pq.write_table(table, tmp_path / "rows.parquet")
    both(tmp_path / "rows.parquet", made)


def test_rows_are_counted_over_all_parts(tmp_path: Path) -> None:
    made = small({"number": {"kind": "id", "counted": True}, "x": NUMBER})
    pq.write_table(pa.table({"x": np.arange(20.0), "sick": ["no", "yes"] * 10}), tmp_path / "rows.parquet")
    both(tmp_path / "rows.parquet", made)


def test_a_column_of_another_type_or_too_many_or_too_few_are_found_in_parts_too(tmp_path: Path) -> None:
    table = pa.table({"x": [[1.0]] * 20, "y": ["a"] * 20, "sick": ["no", "yes"] * 10})
    pq.write_table(table, tmp_path / "rows.parquet")
    both(tmp_path / "rows.parquet", small({"x": NUMBER, "z": TEXT}))


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(1000)}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(2900)
    path.write_bytes(bytes(content[:4]) + bytes(60) + bytes(content[64:]))
    rows = Stored(path)
    for read in (lambda: rows["x"], lambda: list(rows.batches())):
        with pytest.raises(InputError, match=r"rows\.parquet: not a complete Parquet file: "):
            read()


def test_rows_of_several_files_are_one_table(tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(30.0), "y": [f"t{number}" for number in range(30)]})
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        pq.write_table(table.slice(10 * number, 10), file, row_group_size=4)
    rows = Stored(*files)
    assert rows.whole().equals(table)
    assert sample(rows, 7, seed=1).equals(sample(table, 7, seed=1))
    joined = Joined(Stored(files[0]), Chosen(rows, np.arange(10, 30)))
    places = np.random.default_rng(0).integers(0, 30, 300)
    for one in (rows, joined):
        assert (one.num_rows, one.column_names) == (30, ["x", "y"])
        assert one.take(pa.array(places)).to_pydict() == table.take(pa.array(places)).to_pydict()
    chosen = Chosen(rows, np.array([29, 0, 12]))
    assert chosen["y"].to_pylist() == ["t29", "t0", "t12"]
    assert chosen.take(pa.array([2, 0]))["x"].to_pylist() == [12.0, 29.0]
    assert Chosen(rows, np.array([], int))["y"].to_pylist() == []


def as_raw() -> None:
    """Write the data of the project as people do: with semicolons, in another encoding, and a note below."""
    made = json.loads(Path("contract.yaml").read_text())
    out = io.BytesIO()
    pacsv.write_csv(pq.read_table(made["data"]), out, pacsv.WriteOptions(delimiter=";"))
    Path("data/x.csv").write_text(out.getvalue().decode() + "* checked in Zürich\n", encoding="cp1252")
    Path("contract.yaml").write_text(json.dumps({**made, "data": "data/x.csv", "clean": True}))


@pytest.mark.parametrize(
    ("split", "write"),
    [
        ({"by": "hash"}, None),
        ({"by": "group", "column": "street"}, None),
        ({"by": "time", "column": "admitted"}, None),
        ({"by": "hash"}, as_raw),
    ],
)
def test_the_stages_find_and_write_the_same_in_parts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: dict[str, str],
    write: Callable[[], None] | None,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(150, split)
    if write:
        write()

    def results() -> tuple[str, list[pa.Table]]:
        validate.main()
        prepare.main()
        return CHECKS.read_text(), [pq.read_table(path) for path in sorted(SPLIT.iterdir())]

    checks, sides = results()
    request.getfixturevalue("in_parts")
    again, others = results()
    assert again == checks
    assert all(one.equals(other) for one, other in zip(sides, others, strict=True))
    assert sum(side.num_rows for side in sides) == 400


def test_the_later_stages_find_the_same_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    trained(tmp_path, monkeypatch, PARAMS)

    def results() -> list[bytes]:
        train.main()
        evaluate.main()
        analyse.main()
        return [path.read_bytes() for path in (PIPELINE, THRESHOLD, METRICS, ANALYSIS)]

    whole = results()
    request.getfixturevalue("in_parts")
    assert results() == whole


def test_what_is_drawn_stays_drawn_and_groups_however_few_are_drawn_from(tmp_path: Path) -> None:
    streets = [f"s{number % 3}" for number in range(3000)]
    table = pa.table({"street": streets, "x": np.arange(3000.0), "sick": ["no", "yes"] * 1500})
    made = small({"street": {"kind": "id"}, "x": NUMBER}, split={"by": "group", "column": "street"})

    def of(share: float, rows: pa.Table) -> set[float]:
        pq.write_table(rows, tmp_path / "rows.parquet")
        return set(drawn(Stored(tmp_path / "rows.parquet"), share, made)["x"].to_pylist())

    half, third = of(0.5, table), of(1 / 3, table)
    assert third < half < of(1.0, table)
    assert len(half) == pytest.approx(1500, abs=150)
    assert [sum(x % 3 == street for x in half) for street in range(3)] == pytest.approx([500] * 3, abs=100)
    assert of(0.5, table.slice(1000)) == {x for x in half if x >= 1000}
