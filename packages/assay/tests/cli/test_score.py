"""`assay score`: a file or folder in, predictions out, complete or not at all."""

import csv
import fcntl
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from pyarrow import dataset, feather, ipc

from assay.base.errors import InputError
from assay.base.files import sha256, write_json
from assay.base.progress import Rate
from assay.cli.score import score
from assay.data import outputs, stored
from assay.data.batches import require_columns
from assay.predictions.batch import unpublished
from assay.predictions.keys import ids_hash, log_secret
from blocks import read_in_blocks
from init.houses import write_workbook
from patients import COLUMNS, contract, patients


@pytest.fixture(autouse=True)
def there(projects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in a folder that has a link to models/."""
    (tmp_path / "models").symlink_to(projects() / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(rows: int = 30, seed: int = 1) -> pa.Table:
    data, _ = patients(rows, "binary", seed)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})


def run(source: str, output: str, *options: str) -> None:
    score.main([source, output, *options], standalone_mode=False)


def refusal(source: str, output: str, *options: str) -> str:
    with pytest.raises(InputError) as raised:
        run(source, output, *options)
    assert "\n" not in str(raised.value)
    assert not list(Path().glob(".*.unfinished"))
    return str(raised.value)


def read(path: str) -> pa.Table:
    kind = Path(path).suffix
    if kind == ".csv":
        return pacsv.read_csv(path)
    return pq.read_table(path) if kind == ".parquet" else ipc.open_file(path).read_all()


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "new/out.arrow"])
@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
def test_every_form_gives_the_same_predictions(source: str, output: str) -> None:
    pq.write_table(table(), "in.parquet")
    pacsv.write_csv(table(), "in.csv")
    run("in.parquet", "wanted.parquet")
    run(source, output)
    columns = ["row", "prediction", "decision", "probability sick"]
    assert read(output).select(columns).to_pylist() == read("wanted.parquet").select(columns).to_pylist()
    assert not Path(output).with_name("out.refused.csv").exists()


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(capsys) -> None:
    Path("parts/b").mkdir(parents=True)
    pq.write_table(table(20), "parts/b/1.parquet")
    pacsv.write_csv(table(10, seed=2), "parts/a.csv")
    Path("parts/_SUCCESS").touch()
    run("parts", "out.csv", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["refused"], said["refused_rows"]) == (30, 0, None)
    run("parts/a.csv", "a.csv")
    assert read("out.csv")["probability sick"].to_pylist()[:10] == read("a.csv")["probability sick"].to_pylist()


def broken(bad: int) -> None:
    ages = [999] * bad + [40] * (30 - bad)
    pq.write_table(table().set_column(0, "age", pa.array(ages)), "in.parquet")


def test_refused_rows_are_listed_beside_the_output_and_gone_once_all_are_right(capsys) -> None:
    broken(1)
    run("in.parquet", "out.csv")
    assert "1 row refused: out.refused.csv" in capsys.readouterr().out
    with Path("out.refused.csv").open() as file:
        assert list(csv.reader(file)) == [["row", "column", "reason"], ["1", "age", "above the range [0, 120]: 999"]]
    broken(0)
    run("in.parquet", "out.csv")
    assert not Path("out.refused.csv").exists()


def test_a_table_of_refused_rows_alone_is_refused_as_any_other() -> None:
    broken(30)
    assert "30 of 30 rows break the contract (100.0%, limit 5.0%)" in refusal("in.parquet", "out.csv")
    run("in.parquet", "out.csv", "--most-refused", "1", "--log", "log")
    assert Path("out.csv").read_text().startswith('"row","prediction"')
    assert list(Path("log/predictions").iterdir()) == []


def test_text_in_another_encoding_deep_in_a_file_is_refused_with_what_to_do() -> None:
    data = table(3000).to_pydict() | {"note": ["n"] * 2999 + ["ü"]}
    pacsv.write_csv(pa.table(data), "utf8.csv")
    Path("in.csv").write_text(Path("utf8.csv").read_text(), encoding="latin-1")
    run("in.csv", "out.csv")
    data["street"] = ["street 1"] * 2999 + ["straße"]
    pacsv.write_csv(pa.table(data), "utf8.csv")
    Path("in.csv").write_text(Path("utf8.csv").read_text(), encoding="latin-1")
    assert "name its --encoding" in refusal("in.csv", "out.csv")
    run("in.csv", "out.csv", "--encoding", "latin-1")
    assert Path("out.refused.csv").read_text().splitlines()[1].startswith('3000,"street","not one of')


def test_with_too_many_refused_rows_there_is_no_output() -> None:
    broken(3)
    assert refusal("in.parquet", "out.csv") == (
        "3 of 30 rows break the contract (10.0%, limit 5.0%): out.refused.csv has the reasons, out.csv was not "
        "written; --most-refused changes the limit"
    )
    assert Path("out.refused.csv").exists()
    assert not Path("out.csv").exists()
    run("in.parquet", "out.csv", "--most-refused", "0.1")
    assert read("out.csv").num_rows == 27


@pytest.mark.parametrize("folder", ["out.csv", "out.refused.csv"])
def test_a_folder_is_never_replaced(folder: str) -> None:
    pq.write_table(table(), "in.parquet")
    Path(folder).mkdir()
    assert refusal("in.parquet", "out.csv") == f"{folder}: this is a folder; name another output"


def test_it_ends_as_soon_as_too_many_rows_are_refused_whatever_the_others_are() -> None:
    ages = [999] * 501 + [40] * (10_000 - 501)
    pq.write_table(table(10_000).set_column(0, "age", pa.array(ages)), "in.parquet")
    pacsv.write_csv(pq.read_table("in.parquet"), "in.csv")
    for source in ("in.parquet", "in.csv"):
        assert refusal(source, "out.csv", "--processes", "1").startswith(
            "501 of the first 4,096 rows break the contract (12.2%, limit 5.0% of all rows): out.refused.csv"
        )
        assert read("out.refused.csv").num_rows == 501


def test_a_large_output_has_few_groups_of_rows() -> None:
    pq.write_table(table(10_000), "in.parquet")
    for output in ("out.parquet", "out.arrow"):
        run("in.parquet", output)
        assert read(output)["row"].to_pylist() == list(range(1, 10_001))
    assert pq.ParquetFile("out.parquet").num_row_groups == ipc.open_file("out.arrow").num_record_batches == 1


def test_a_file_that_comes_into_the_folder_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    Path("parts").mkdir()
    pq.write_table(table(5), "parts/0.parquet")
    monkeypatch.setattr(Rate, "at", lambda self, done: pq.write_table(table(5), "parts/1.parquet"))
    run("parts", "out.csv")
    assert "not predicted, because it came into parts meanwhile: parts/1.parquet" in capsys.readouterr().err
    assert read("out.csv").num_rows == 5


@pytest.mark.parametrize(
    ("make", "source", "output", "said"),
    [
        (lambda: None, "in.csv", "out.csv", "in.csv: there is no such file"),
        (lambda: Path("in.csv").touch(), "in.csv", "out.csv", "in.csv: the file is empty"),
        (lambda: Path("in").mkdir(), "in", "out.csv", "in: the folder has no files"),
        (lambda: Path("in.txt").write_text("a"), "in.txt", "out.csv", "in.txt: only one column found"),
        (lambda: pq.write_table(table(), "in.parquet"), "in.parquet", "out.txt", "out.txt: expected a .csv, .parquet"),
        (lambda: Path("in.parquet").write_bytes(b"PAR1"), "in.parquet", "out.csv", "in.parquet: not a complete"),
        (
            lambda: pq.write_table(table().rename_columns(["Age", *table().column_names[1:]]), "in.parquet"),
            "in.parquet",
            "out.csv",
            "in.parquet: there is no column 'age'; did you mean 'Age'?",
        ),
        (lambda: pq.write_table(table(0), "in.parquet"), "in.parquet", "out.csv", "in.parquet: there are no rows"),
        (
            lambda: pq.write_table(table(), "in.parquet"),
            "in.parquet",
            "in.parquet/out.csv",
            "in.parquet/out.csv: cannot",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_line(make, source: str, output: str, said: str) -> None:
    make()
    assert refusal(source, output).startswith(said)
    assert not Path(output).exists()


@pytest.mark.parametrize(
    ("source", "output"), [("in.csv", "in.csv"), ("out.refused.csv", "out.csv"), ("in.csv", "./in.csv")]
)
def test_the_input_is_never_replaced(source: str, output: str) -> None:
    pacsv.write_csv(table(), source)
    before = Path(source).read_bytes()
    assert f"this would replace the input {source}; name another output" in refusal(source, output)
    assert Path(source).read_bytes() == before


def test_the_output_is_no_part_of_the_input() -> None:
    Path("parts").mkdir()
    pq.write_table(table(), "parts/0.parquet")
    assert "it would be a part of the input parts" in refusal("parts", "parts/new/out.parquet")
    assert [path.name for path in Path("parts").iterdir()] == ["0.parquet"]


def rows_of(database: str, name: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608


def test_a_table_of_a_database_is_replaced_as_a_whole_and_keeps_its_indexes() -> None:
    pq.write_table(table(20), "in.parquet")
    run("in.parquet", "wanted.parquet")
    run("in.parquet", "sqlite:///out.db#predictions")
    with closing(sqlite3.connect("out.db")) as opened:
        opened.execute("CREATE INDEX by_row ON predictions (row)")
    run("in.parquet", "sqlite:///out.db#predictions")
    wanted = pq.read_table("wanted.parquet").drop_columns("prediction_id")
    with closing(sqlite3.connect("out.db")) as opened:
        opened.row_factory = sqlite3.Row
        found = [dict(row) for row in opened.execute("SELECT * FROM predictions")]
        names = opened.execute("SELECT name FROM sqlite_master").fetchall()
    assert [{name: row[name] for name in wanted.column_names} for row in found] == wanted.to_pylist()
    assert [tuple(name) for name in names] == [("predictions",), ("by_row",)]


@pytest.mark.parametrize("columns", ["the same", "others"])
def test_a_database_that_fails_in_the_middle_keeps_the_former_table_and_the_predictions(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    pacsv.write_csv(table(20), "in.csv")
    run("in.csv", "sqlite:///out.db#predictions")
    if columns == "others":
        with closing(sqlite3.connect("out.db")) as opened:
            opened.execute("ALTER TABLE predictions ADD COLUMN more TEXT")
    before = rows_of("out.db", "predictions")
    monkeypatch.setattr(outputs, "ROWS", 10)
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda self, rows: chain(batches(self, rows), broken_disk()))
    said = refusal("in.csv", "sqlite:///out.db#predictions")
    assert "sqlite:///out.db#predictions: cannot be written: no more; the predictions are kept in" in said
    assert rows_of("out.db", "predictions") == before
    assert pq.read_metadata("predictions.not-written.parquet").num_rows == 20


def broken_disk() -> Iterator[pa.RecordBatch]:
    raise sqlalchemy.exc.OperationalError("INSERT", {}, OSError("no more"))
    yield


def test_a_table_of_something_else_is_never_replaced() -> None:
    pq.write_table(table(20), "in.parquet")
    with closing(sqlite3.connect("patients.db")) as database:
        database.execute("CREATE TABLE patients (age INTEGER, prediction TEXT)")
        database.execute("CREATE VIEW old AS SELECT 1")
    for name in ("patients", "old"):
        output = f"sqlite:///patients.db#{name}"
        assert "is there, and holds something else; name another table" in refusal("in.parquet", output)
    assert rows_of("patients.db", "patients") == []
    assert "the database has no schema 'hospital'" in refusal("in.parquet", "sqlite:///patients.db#hospital.patients")


def test_a_table_that_somebody_makes_meanwhile_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(table(20), "in.parquet")
    required = outputs._require_table

    def make(*given: Any) -> None:
        required(*given)
        with closing(sqlite3.connect("out.db")) as database:
            database.execute("CREATE TABLE predictions (age INTEGER)")

    monkeypatch.setattr(outputs, "_require_table", make)
    assert "is there, and holds something else" in refusal("in.parquet", "sqlite:///out.db#predictions")
    assert rows_of("out.db", "predictions") == []


def test_a_zero_byte_which_postgresql_cannot_hold_is_replaced() -> None:
    batch = pa.record_batch({"row": pa.array([1, 2]), "name": pa.array(["a\0b", None])})
    assert outputs._without_zeros(batch).to_pylist() == [{"row": 1, "name": "a\ufffdb"}, {"row": 2, "name": None}]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("sqlite:///out.db", "sqlite:///out.db: name the table after it: sqlite:///out.db#TABLE"),
        ("sqlite:///out.db#../x", "sqlite:///out.db: name the table after it"),
        ("sqlite:///no/out.db#p", "sqlite:///no/out.db#p: there is no folder for this file"),
        ("mysql://me:secret@host/x#p", "mysql://me:***@host/x: expected an address"),  # pragma: allowlist secret
        ("sqlite:///:memory:#p", "sqlite:///%3Amemory%3A#p: a database in memory is lost at the end"),
        ("mysql://host/x?password=secret#p", "mysql://host/x?***: expected an address"),  # pragma: allowlist secret
        ("postgresql://me:secret@host:port/x#p", "the output is not an address"),  # pragma: allowlist secret
        ("postgresql://me:se#cret@host/x", "the output is not an address"),  # pragma: allowlist secret
        ("://#p", "the output is not an address of a database"),
    ],
)
def test_an_address_that_cannot_be_written_is_refused_before_anything_is_made(output: str, said: str) -> None:
    pq.write_table(table(20), "in.parquet")
    assert refusal("in.parquet", output).startswith(said)
    assert sorted(path.name for path in Path().iterdir()) == ["in.parquet", "models"]


def test_a_delta_table_gets_a_new_version() -> None:
    delta = pytest.importorskip("deltalake")
    pq.write_table(table(20), "in.parquet")
    for _ in range(2):
        run("in.parquet", "out.delta")
    found = delta.DeltaTable("out.delta")
    assert (found.version(), found.to_pyarrow_table()["row"].to_pylist()) == (1, list(range(1, 21)))
    delta.write_deltalake("other.delta", table(5))
    assert "holds something else" in refusal("in.parquet", "other.delta")


def test_without_the_package_for_delta_tables_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    pq.write_table(table(20), "in.parquet")
    assert "pip install -r requirements/init.txt" in refusal("in.parquet", "out.delta")


def test_a_part_without_the_ids_of_the_others_is_named() -> None:
    columns = COLUMNS | {"patient": {"kind": "id"}}
    pq.write_table(table(5), "1.parquet")
    pq.write_table(table(5).append_column("patient", pa.array(range(5))), "0.parquet")
    wanted = contract(columns=columns)
    assert require_columns([Path("0.parquet")], wanted) == require_columns([Path("1.parquet")], wanted) == ()
    with pytest.raises(InputError, match=r"1\.parquet: there is no column 'patient'"):
        require_columns([Path("0.parquet"), Path("1.parquet")], wanted)


def test_a_part_with_another_schema_is_named_before_anything_is_written() -> None:
    Path("parts").mkdir()
    for number in range(4):
        found = table(5) if number != 2 else table(5).drop_columns("ward")
        pq.write_table(found, f"parts/{number}.parquet")
    assert refusal("parts", "out.csv") == "parts/2.parquet: there is no column 'ward'"


def test_a_damaged_part_leaves_the_former_output() -> None:
    Path("parts").mkdir()
    pq.write_table(table(5), "parts/0.parquet")
    run("parts", "out.csv")
    before = Path("out.csv").read_bytes()
    text = pq.ParquetFile("parts/0.parquet")
    assert text.metadata.num_rows == 5
    content = bytearray(Path("parts/0.parquet").read_bytes())
    content[4:300] = bytes(296)
    Path("parts/1.parquet").write_bytes(content)
    assert refusal("parts", "out.csv").startswith("parts/1.parquet: cannot be read: ")
    assert Path("out.csv").read_bytes() == before


def test_a_cell_that_is_cut_off_is_refused() -> None:
    pacsv.write_csv(table(), "in.csv")
    with Path("in.csv").open("a") as file:
        file.write('40,80.0,0.1,true,"west')
    assert "in.csv: " in refusal("in.csv", "out.csv")


def test_of_two_at_once_the_second_is_refused_also_if_they_share_only_the_refused_rows() -> None:
    pq.write_table(table(), "in.parquet")
    Path(".out.unfinished").mkdir()
    opened = os.open(".out.unfinished", os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    for output in ("out.csv", "out.parquet"):
        with pytest.raises(InputError, match="another `assay score` is writing it"):
            run("in.parquet", output)
    os.close(opened)
    run("in.parquet", "out.csv")
    assert read("out.csv").num_rows == 30


def test_after_a_kill_no_process_is_left_and_the_next_run_is_complete() -> None:
    pq.write_table(pa.concat_tables([table(4000)] * 30), "in.parquet")
    # It is killed while it writes.
    kill = (
        "import os, signal, sys; import assay.base.progress as progress;"
        "progress.Rate.at = lambda self, done: os.kill(os.getpid(), signal.SIGKILL) if done > 40_000 else None;"
        "from assay.cli.score import score; score.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", kill, "in.parquet", "out.csv", "--processes", "2"]
    # It returns once every process that was started has ended, for each holds the pipe of the output.
    done = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not Path("out.csv").exists()
    run("in.parquet", "out.csv", "--processes", "1")
    assert read("out.csv")["row"].to_pylist() == list(range(1, 120_001))
    assert not Path(".out.unfinished").exists()


def test_columns_that_are_not_in_the_contract_are_named(capsys) -> None:
    pq.write_table(table().append_column("more", pa.array([1] * 30)), "in.parquet")
    run("in.parquet", "out.csv")
    assert "not used, because the contract has no such column: more" in capsys.readouterr().err


def as_workbook(path: str, made: pa.Table) -> None:
    pytest.importorskip("python_calamine")
    write_workbook(Path(path), made)


def as_lines(path: str, made: pa.Table) -> None:
    Path(path).write_text("\n".join(json.dumps(row, default=str) for row in made.to_pylist()))


def as_database(path: str, made: pa.Table) -> None:
    with sqlite3.connect(path) as database:
        made.to_pandas().to_sql("patients", database, index=False)


def written_otherwise(path: str, made: pa.Table) -> None:
    """Write semicolons, in an encoding of long ago, below a title."""
    out = io.BytesIO()
    pacsv.write_csv(made, out, pacsv.WriteOptions(delimiter=";"))
    Path(path).write_text("Patients of Zürich\n" + out.getvalue().decode(), encoding="latin-1")


@pytest.mark.parametrize(
    ("source", "make"),
    [
        ("in.csv", written_otherwise),
        ("in.txt", lambda path, made: pacsv.write_csv(made, path, pacsv.WriteOptions(delimiter="\t"))),
        ("in.csv.gz", lambda path, made: pacsv.write_csv(made, pa.CompressedOutputStream(path, "gzip"))),
        ("in.jsonl", as_lines),
        ("in.arrow", lambda path, made: feather.write_feather(made, path)),
        ("in.sqlite", as_database),
        ("in.xlsx", as_workbook),
    ],
)
def test_what_init_reads_is_predicted_alike(source: str, make, capsys) -> None:
    made = table()
    pq.write_table(made, "plain.parquet")
    run("plain.parquet", "wanted.parquet")
    make(source, made)
    run(source, "out.parquet")
    columns = ["row", "prediction", "decision", "probability sick"]
    assert read("out.parquet").select(columns).to_pylist() == read("wanted.parquet").select(columns).to_pylist()


def test_a_large_text_is_predicted_alike_and_is_not_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    written_otherwise("in.csv", table())
    run("in.csv", "wanted.parquet")
    monkeypatch.setattr(stored, "LARGE", 0)
    read_in_blocks(1000, monkeypatch)
    monkeypatch.delattr("assay.init.files.read_delimited")
    run("in.csv", "out.parquet")
    columns = ["row", "prediction", "decision", "probability sick"]
    assert read("out.parquet").select(columns).equals(read("wanted.parquet").select(columns))


def test_a_password_of_the_input_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.init.files._database", lambda *_: table(0))
    address = "postgresql://me:secret@host/x"  # pragma: allowlist secret
    assert refusal(address, "out.csv").startswith("postgresql://me:***@host/x: there are no rows")
    monkeypatch.setattr("assay.init.files._database", lambda *_: pa.table({"other": [1]}))
    assert refusal(address, "out.csv").startswith("postgresql://me:***@host/x: there is no column")


def test_a_table_of_a_database_is_chosen_by_its_name() -> None:
    with sqlite3.connect("in.sqlite") as database:
        table().to_pandas().to_sql("patients", database, index=False)
        table(3).to_pandas().to_sql("others", database, index=False)
    assert "choose one of its tables with --table: others, patients" in refusal("in.sqlite", "out.csv")
    run("sqlite:///in.sqlite", "out.csv", "--table", "others")
    assert read("out.csv").num_rows == 3


def test_the_folders_of_a_partitioned_table_hold_values() -> None:
    made = table()
    dataset.write_dataset(made, "in", format="parquet", partitioning=["street"], partitioning_flavor="hive")
    assert not (set(made.column_names) <= set(pq.read_schema(next(Path("in").rglob("*.parquet"))).names))
    run("in", "out.csv")
    assert read("out.csv").num_rows == 30


@pytest.mark.parametrize("processes", ["1", "2"])
def test_predictions_go_into_the_log_with_the_ids_of_the_output(processes: str) -> None:
    broken(1)
    run("in.parquet", "out.csv", "--log", "log", "--processes", processes)
    written = [path.read_text() for path in Path("log/predictions").iterdir()]
    lines = [json.loads(line) for text in written for line in text.splitlines()]
    ids = [one for line in lines for one in line["prediction_id"]]
    assert ids == read("out.csv")["prediction_id"].to_pylist()
    assert len(ids) == 29
    assert {line["version"] for line in lines} == {read("out.csv")["model_version"][0].as_py()}
    assert [path.stem for path in Path("log/contracts").iterdir()] == [lines[0]["contract"]]


def test_the_log_has_hashes_of_the_ids_of_rows() -> None:
    shutil.copytree("models", "own")
    packed, about = (json.loads(Path(f"own/{name}.json").read_text()) for name in ("contract", "model"))
    packed["contract"]["columns"]["patient"] = {"kind": "id"}
    write_json(Path("own/contract.json"), packed)
    about["files_sha256"]["contract.json"] = sha256(Path("own/contract.json"))
    write_json(Path("own/model.json"), about)
    broken(1)
    asked = pq.read_table("in.parquet").append_column("patient", pa.array([0, None, *range(2, 30)]))
    pq.write_table(asked, "in.parquet")
    run("in.parquet", "out.csv", "--log", "log", "--models", "own")
    written = [path.read_text() for path in Path("log/predictions").iterdir()]
    (hashes,) = [json.loads(line)["ids"] for text in written for line in text.splitlines()]
    secret = log_secret(Path("log"))
    assert hashes == [None, *(ids_hash(secret, [str(patient)]) for patient in range(2, 30))]


def test_a_batch_without_an_output_leaves_nothing_in_the_log() -> None:
    broken(3)
    refusal("in.parquet", "out.csv", "--log", "log")
    assert list(Path("log/predictions").iterdir()) == []
    run("in.parquet", "out.csv", "--log", "log", "--most-refused", "0.1")
    assert len(list(Path("log/predictions").iterdir())) == 1


def test_an_output_whose_predictions_did_not_reach_the_log_is_mended_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pq.write_table(table(), "in.parquet")
    with monkeypatch.context() as killed:
        killed.setattr("assay.predictions.batch.publish", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            run("in.parquet", "out.csv", "--log", "log")
    assert Path("out.csv").exists()
    assert list(Path("log/predictions").iterdir()) == []
    run("in.parquet", "out.csv", "--log", "log")
    (segment,) = Path("log/predictions").iterdir()
    ids = [one for line in segment.read_text().splitlines() for one in json.loads(line)["prediction_id"]]
    assert ids == read("out.csv")["prediction_id"].to_pylist()


def test_an_empty_name_is_not_the_current_folder() -> None:
    pq.write_table(table(), "in.parquet")
    assert refusal("", "out.csv") == "INPUT is empty; name a file, a folder or a URL"


def test_an_output_that_cannot_be_written_is_not_called_the_log(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), unpublished(tmp_path / "log", tmp_path / "out.csv"):
        raise OSError("full")


def test_rows_of_a_batch_that_was_killed_leave_the_log_with_the_next_one_and_those_of_a_running_one_stay(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    killed = log / "predictions/.batch-killed"
    killed.mkdir(parents=True)
    (killed / "2026-11-29T18.a.jsonl").write_text("rows")
    with unpublished(log, tmp_path / "one.csv") as one, unpublished(log, tmp_path / "two.csv") as two:
        assert set((log / "predictions").iterdir()) == {one, two}
    assert not list((log / "predictions").iterdir())


def test_a_log_that_cannot_be_written_is_named() -> None:
    broken(0)
    Path("log").write_text("a file")
    assert refusal("in.parquet", "out.csv", "--log", "log") == "log: cannot be written: Not a directory"
    assert not Path("out.csv").exists()


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """A store with addresses that begin with memory://, for this process alone."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def test_input_and_output_may_be_at_addresses_and_refused_rows_stay_here(memory) -> None:
    broken(1)
    run("in.parquet", "wanted.parquet")
    memory.put("in.parquet", "/bucket/new/out.parquet")
    run("memory://bucket/new/out.parquet", "memory://bucket/out.parquet")
    memory.get("/bucket/out.parquet", "out.parquet")
    wanted = read("wanted.parquet").drop_columns("prediction_id")
    assert read("out.parquet").drop_columns("prediction_id") == wanted
    assert Path("out.refused.csv").read_text() == Path("wanted.refused.csv").read_text()
    here = Path().resolve()
    run(f"file://{here}/in.parquet", f"file://{here}/here.csv")
    assert read("here.csv").num_rows == 29
    assert not list(Path().glob(".*.unfinished"))


def test_a_folder_at_an_address_is_read_in_the_order_of_its_names_and_its_parts_have_addresses(memory) -> None:
    pq.write_table(table(10), "a.parquet")
    pq.write_table(table(20, seed=2).drop_columns("age"), "b.parquet")
    memory.put("a.parquet", "/bucket/in/a.parquet")
    memory.put("b.parquet", "/bucket/in/day/b.parquet")
    said = refusal("memory://bucket/in", "memory://bucket/out.parquet")
    assert said == "memory://bucket/in/day/b.parquet: there is no column 'age'"
    pq.write_table(table(20, seed=2), "b.parquet")
    memory.put("b.parquet", "/bucket/in/day/b.parquet")
    run("memory://bucket/in", "out.parquet", "--engine", "dask", "--processes", "1")
    assert read("out.parquet")["row"].to_pylist() == list(range(1, 31))


@pytest.mark.parametrize(
    ("source", "output", "said"),
    [
        ("memory://bucket/none.csv", "out.csv", "memory://bucket/none.csv: there is no such file"),
        ("memory://bucket/in", "memory://bucket/in/out.csv", "memory://bucket/in/out.csv: this would replace"),
        ("memory://bucket/in.csv", "memory://bucket/in.csv", "memory://bucket/in.csv: this would replace"),
        ("in.csv", "memory://bucket/out.txt", "memory://bucket/out.txt: expected a .csv, .parquet or .arrow name"),
        ("in.csv", "sftp://host/out.csv", "sftp://host/out.csv: a file at sftp:// could be seen half written"),
        ("in.csv", "gs://bucket/out.csv", "gs://bucket/out.csv: needs an optional package; install it with `pip"),
        ("gs://bucket/in.csv", "out.csv", "gs://bucket/in.csv: needs an optional package; install it with `pip"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_a_line(
    memory, source: str, output: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    pacsv.write_csv(table(), "in.csv")
    memory.put("in.csv", "/bucket/in.csv")
    assert refusal(source, output).startswith(said)
    assert memory.find("/bucket") == ["/bucket/in.csv"]


def test_predictions_that_a_store_does_not_take_are_kept(memory, monkeypatch: pytest.MonkeyPatch) -> None:
    pacsv.write_csv(table(), "in.csv")
    monkeypatch.setattr(memory, "put_file", lambda *_: memory.cat("/none"))
    assert refusal("in.csv", "memory://bucket/out.csv") == (
        "memory://bucket/out.csv: cannot be written: /none; the predictions are kept in out.not-written.csv"
    )
    assert read("out.not-written.csv").num_rows == 30


def test_a_download_that_is_cut_off_is_no_input() -> None:
    """A real server, which closes the connection in the middle of the second answer."""
    pacsv.write_csv(table(), "in.csv")
    content = Path("in.csv").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        sends: ClassVar = [content, content[:-200]]

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(self.sends.pop(0))

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/in.csv"
        run(f"{address}?key=secret", "out.csv")
        before = Path("out.csv").read_bytes()
        said = refusal(f"{address}?key=secret", "out.csv")
        server.shutdown()
    assert read("out.csv").num_rows == 30
    assert said.startswith(f"{address}?***: cannot be fetched: ")
    assert "secret" not in said
    assert Path("out.csv").read_bytes() == before


@pytest.mark.parametrize(
    "path",
    [
        "in.csv?X-Amz-Credential=AKIA%2F2026%2Fs3&X-Amz-Signature=SECRET",
        "my file.csv?sig=SECRET",
        "in.csv?sig=a'SECRET",
        "in.csv#part?sig=SECRET",
    ],
)
def test_the_answer_of_a_server_shows_no_signature_in_another_spelling(path: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        said = refusal(f"http://TOKEN@127.0.0.1:{server.server_port}/{path}", "out.csv")
        server.shutdown()
    assert ": cannot be fetched: 403" in said
    assert not re.search("SECRET|AKIA|TOKEN", said)
