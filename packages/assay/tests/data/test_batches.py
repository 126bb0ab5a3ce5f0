"""Data is read batch by batch; a file that changes or vanishes meanwhile is named."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.data.batches import batches, most_rows, parts, require_columns, states
from patients import contract


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_file_that_vanishes_is_named(tmp_path: Path, when: str) -> None:
    files = [tmp_path / f"{name}.csv" for name in "ab"]
    for file in files:
        file.write_text("age\n40\n")
    read = batches(files, ["age"])
    assert next(read).to_pylist() == [{"age": "40"}]
    if when == "while":
        files[0].unlink()
    files[1].unlink()
    with pytest.raises(InputError, match=r"[ab]\.csv: cannot be read: .*No such file"):
        list(read)


def test_a_file_that_changed_since_it_was_looked_at_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("age\n40\n")
    before = states([file])
    file.write_text("age\n40\n41\n")
    with pytest.raises(InputError, match=r"a\.csv: changed while it was read"):
        list(batches([file], ["age"], before))


def test_a_link_that_leads_nowhere_and_a_linked_folder_are_no_silent_gaps(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("age\n40\n")
    assert parts(tmp_path / "in") == [tmp_path / "in/a.csv"]
    (tmp_path / "in/b.csv").symlink_to("nothing")
    with pytest.raises(InputError, match=r"b\.csv: this link leads to no file"):
        parts(tmp_path / "in")
    (tmp_path / "other").mkdir()
    (tmp_path / "in/c").symlink_to("../other")
    with pytest.raises(InputError, match="in/c: a link to a folder is not followed"):
        parts(tmp_path / "in")


def test_a_column_that_occurs_twice_in_a_part_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["age", "age"]), file)
    with pytest.raises(InputError, match=r"a\.parquet: column 'age' occurs twice"):
        require_columns([file], contract())


@pytest.mark.parametrize("text", ["age\n1\n2\n", "age\n1\n2", "age\r\n1\r\n2\r\n", "age\r1\r2"])
def test_a_file_has_at_least_the_rows_that_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert most_rows([tmp_path / "a.csv"]) >= 2
