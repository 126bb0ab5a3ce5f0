"""`assay feedback collect`: due outcomes become rows of the data, once and within bounds."""

import csv
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data.reading import read_table
from assay.predictions.collected import COLLECTED, alone, read_record
from assay.production import collect as collecting
from assay.production.collect import collect, told
from assay.project.params import Collect
from patients import COLUMNS, contract
from production.collecting import DUE, logged, table, with_outcomes

WARD = contract()
BOUNDS = Collect()
CLIENTS = [f"client {number}" for number in range(8)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of 400 patients."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write(table(400, 1))
    return tmp_path


def write(rows: pa.Table, path: Path = WARD.data) -> None:
    path.parent.mkdir(exist_ok=True)
    pacsv.write_csv(rows, path, pacsv.WriteOptions(quoting_style="needed"))


def run(*batches: pa.RecordBatch, made: Contract = WARD, bounds: Collect = BOUNDS, **changes: Any) -> dict[str, Any]:
    given = {"duplicates": 0.05, "due": DUE} | changes
    return collect(batches, made, bounds, given.pop("due"), **given)


def honest(rows: int = 64, seed: int = 2, start: int = 0, **changes: Any) -> pa.RecordBatch:
    return logged(table(rows, seed), [CLIENTS[row % 8] for row in range(rows)], start=start, **changes)


def data(made: Contract = WARD) -> pa.Table:
    found, violations = read_table(made.data, made)
    assert not violations
    return found


def left_out(result: dict[str, Any]) -> dict[str, int]:
    return {why: about["rows"] for why, about in result["left_out"].items()}


def test_due_outcomes_become_rows_as_they_were_asked_and_came_true(project: Path):
    before = WARD.data.read_bytes()
    result = run(honest())
    assert (result["added"], result["rows_before"], left_out(result)) == (64, 400, {})
    assert WARD.data.read_bytes().startswith(before)
    assert data().slice(400).equals(table(64, 2))
    assert told(result) == [
        "data/x.csv: 64 rows added to 400; 0 were collected before; outcomes due by 2026-11-29 00:00 UTC"
    ]


def test_a_prediction_that_is_in_the_log_twice_is_one_row(project: Path):
    other = honest(arm="challenger")
    assert run(honest(), other, honest())["added"] == 64


def test_very_many_predictions_are_taken_in_bounded_memory_and_no_client_pushes_out_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(collecting, "MOST", 250)
    monkeypatch.setattr(collecting, "SPARE", 2)
    flood = [logged(table(100, 20 + n), ["eve"] * 100, start=1000 + 100 * n) for n in range(9)]
    result = run(honest(), *flood)
    (made,) = json.loads(COLLECTED.read_text())["collections"]
    clients = [row["client"] for row in made["rows"]]
    assert (result["added"], clients.count("eve")) == (80, 20)


def test_a_file_of_a_form_that_rows_cannot_be_added_to_is_refused_and_stays(project: Path):
    made = contract(clean=True)
    WARD.data.write_text(WARD.data.read_text().replace(",", ";"))
    before = WARD.data.read_bytes()
    with pytest.raises(InputError, match=r"^data/x\.csv: rows cannot be added"):
        run(logged(table(64, 2), CLIENTS * 8, made), made=made)
    assert WARD.data.read_bytes() == before
    assert not COLLECTED.exists()


def test_again_adds_nothing(project: Path):
    run(honest())
    before = {path: path.read_bytes() for path in Path("data").iterdir()}
    result = run(honest(), honest(arm="shadow", start=500))
    assert (result["added"], result["collected_before"]) == (0, 64)
    assert {path: path.read_bytes() for path in Path("data").iterdir()} == before


def test_what_is_above_the_limits_is_not_added_by_running_again(project: Path):
    first = run(honest(200))
    assert (first["added"], left_out(first)) == (80, {collecting.CLIENT: 40, collecting.LIMIT: 80})
    again = run(honest(200))
    assert (again["added"], again["limit"]["rows"]) == (0, 0)


@pytest.mark.parametrize(
    "batch",
    [
        lambda: honest(arm="shadow"),
        # Not due yet.
        lambda: honest(time=DUE + timedelta(seconds=1)),
        lambda: honest().set_column(6, "outcome", pa.nulls(64, pa.string())),
    ],
)
def test_shadows_and_what_is_not_due_or_not_known_stay_out(project: Path, batch: Any):
    before = WARD.data.read_bytes()
    assert run(batch())["added"] == 0
    assert WARD.data.read_bytes() == before
    assert not COLLECTED.exists()


def test_a_correction_reaches_the_row_that_was_collected(project: Path):
    rows = table(64, 2)
    run(honest())
    outcomes = rows["outcome"].to_pylist()
    outcomes[5] = {"sick": "well", "well": "sick"}[outcomes[5]]
    before = WARD.data.read_text().splitlines()
    corrected = logged(with_outcomes(rows, outcomes), [CLIENTS[row % 8] for row in range(64)])
    result = run(corrected)
    assert (result["added"], result["corrected"]) == (0, 1)
    changed = [row for row, (a, b) in enumerate(zip(before, WARD.data.read_text().splitlines(), strict=True)) if a != b]
    assert changed == [1 + 400 + 5]
    assert data()["outcome"].to_pylist()[405] == outcomes[5]
    assert run(corrected)["corrected"] == 0


def test_each_prediction_is_recorded_with_its_client_and_no_other_value(project: Path):
    run(honest())
    (made,) = json.loads(COLLECTED.read_text())["collections"]
    assert [set(row) for row in made["rows"]] == [{"id", "client", "outcome", "row"}] * 64
    assert [row["client"] for row in made["rows"][:8]] == CLIENTS


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("at", ["append", "write_record", "sha256", "replacing"])
def test_a_run_that_is_killed_loses_nothing_and_the_next_one_does_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, at: str
):
    before = WARD.data.read_bytes()

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(collecting, at, killed)
        with pytest.raises(Killed):
            run(honest())
    assert WARD.data.read_bytes() == before
    assert run(honest())["added"] == 64
    assert (run(honest())["added"], data().num_rows) == (0, 464)
    assert len(read_record(WARD.data).rows()) == 64


# SIGKILL ends each process before its next file operation: the first, the second, and so on, until one ends by itself.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from production.test_collect import data, honest, run

CHANGES = {{"os.rename", "os.remove", "os.mkdir", "os.chmod", "os.link", "os.truncate"}}

def started(last):
    child = os.fork()
    if not child:
        done = 0
        def count(event, given):
            nonlocal done
            if event in CHANGES or event == "open" and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR):
                done += 1
                if done == last:
                    os.kill(os.getpid(), signal.SIGKILL)
        batch = honest()
        sys.addaudithook(count)
        run(batch)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def kept():
    return {{str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}}

shutil.copytree(".", "../before")
whole, at = Path("data/x.csv").read_bytes(), 0
assert started(None) == 0
wanted = kept()
ended = None
while ended != 0:
    at += 1
    shutil.rmtree("data")
    shutil.rmtree(".assay")
    shutil.rmtree("reports")
    shutil.copytree("../before", ".", dirs_exist_ok=True)
    ended, _ = started(at), started(at)
    assert Path("data/x.csv").read_bytes() in (whole, wanted["data/x.csv"]), at
    assert started(None) == 0
    left = kept()
    # Only that the rows were there before is said.
    assert left.pop("reports/collect.json")
    assert left == {{name: content for name, content in wanted.items() if name != "reports/collect.json"}}, at
print(at)
"""


@pytest.mark.nightly
def test_whatever_file_operation_a_run_is_killed_before_the_next_one_adds_every_row_once(project: Path):
    code = KILLED.format(tests=str(Path(__file__).parents[1]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # There is a number: else nobody was killed.
    assert int(done.stdout) > 10


def test_only_one_runs_at_a_time(project: Path):
    with alone(), pytest.raises(InputError, match="another `assay feedback collect` or `assay forget` is running"):
        run(honest())


# What a file holds that is its own.
FORMS = {
    "without an end of line": lambda text: text.rstrip("\n"),
    "lines of Windows": lambda text: text.replace("\n", "\r\n"),
    "a mark of the order of bytes": lambda text: "\ufeff" + text,
    "quotes": lambda text: text,
    "columns in another order": lambda text: text,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_csv_file_keeps_its_form(project: Path, form: str):
    write(table(400, 1).select(sorted(table(1, 1).column_names)) if "order" in form else table(400, 1))
    text = FORMS[form](WARD.data.read_text())
    WARD.data.write_bytes(text.encode())
    run(honest())
    now = WARD.data.read_bytes().decode()
    assert now.startswith(text)
    assert now.count("\r\n") in (0, 465)
    assert data().slice(400).equals(table(64, 2))
    assert len(next(csv.reader(now[len(text) :].strip().splitlines()))) == 8


def test_a_parquet_file_keeps_its_schema(project: Path):
    made = WARD.model_copy(update={"data": Path("data/x.parquet")})
    rows = table(400, 1)
    kept = rows.set_column(0, "age", rows["age"].cast(pa.int32()))
    pq.write_table(kept, made.data)
    run(honest(), made=made)
    assert pq.read_schema(made.data).equals(kept.schema)
    assert data(made).slice(400).equals(table(64, 2))


def test_numbers_with_a_decimal_comma_times_and_markers_are_written_as_the_file_has_them(project: Path):
    columns = COLUMNS | {
        "noise": {"kind": "number", "range": [-10, 10], "cleaning": {"decimal": ","}},
        "admitted": {"kind": "time", "format": "%d.%m.%Y %H:%M:%S.%f"},
    }
    made = contract(columns=columns, missing_markers=["?"])
    rows = [[_own(value) for value in row.values()] for row in table(400, 1).to_pylist()]
    with made.data.open("w", newline="") as file:
        csv.writer(file).writerows([table(1, 1).column_names, *rows])
    run(logged(table(64, 2), CLIENTS * 8, made), made=made)
    assert data(made).slice(400).equals(table(64, 2, made))


def test_numbers_stay_plain_where_the_data_were_cleaned_of_decimal_commas(project: Path):
    noise = {"kind": "number", "range": [-10, 10], "cleaning": {"decimal": ","}}
    made = contract(columns=COLUMNS | {"noise": noise}, clean=True)
    run(logged(table(64, 2), CLIENTS * 8, made), made=made)
    assert data(made).slice(400).equals(table(64, 2))


def test_lines_that_are_no_rows_are_refused_in_the_name_of_the_data(project: Path):
    made = contract(clean=True)
    made.data.write_text(made.data.read_text() + "\nSource: the hospital\n")
    with pytest.raises(InputError, match=r"^data/x\.csv: rows cannot be added"):
        run(honest(), made=made)


def test_a_share_without_bounds_is_all_that_came(project: Path):
    assert run(honest(), bounds=Collect(share=float("inf"), client_share=1))["added"] == 64


def _own(value: Any) -> str:
    if value is None:
        return "?"
    if isinstance(value, float):
        return str(value).replace(".", ",") if abs(value) < 20 else str(value)
    return value.strftime("%d.%m.%Y %H:%M:%S.%f") if hasattr(value, "year") else str(value)


def test_an_id_is_that_of_the_prediction_and_what_is_ignored_stays_empty(project: Path):
    columns = {"patient": {"kind": "id"}, "note": {"kind": "ignored", "reason": "free text"}} | COLUMNS
    made = contract(columns=columns)
    rows = table(400, 1)
    more = {"patient": [f"p{n}" for n in range(400)], "note": ["x"] * 400}
    write(pa.table(more | {name: rows[name] for name in rows.column_names}))
    run(logged(table(64, 2), CLIENTS * 8, made), made=made)
    added = data(made).slice(400)
    assert added["patient"].to_pylist() == [row.id for row in read_record(WARD.data).rows().values()]
    assert added["note"].null_count == 64


def test_numbers_are_collected_too(project: Path):
    made = contract("regression")
    write(table(400, 1, made))
    run(logged(table(64, 2, made), CLIENTS * 8, made), made=made)
    assert data(made).slice(400).equals(table(64, 2, made))


@pytest.mark.parametrize(
    ("column", "change"), [("age", {"log": "hash"}), ("ward", {"log": "omit", "missing": "refuse"})]
)
def test_what_the_log_does_not_hold_and_a_row_needs_is_refused(project: Path, column: str, change: dict[str, str]):
    made = contract(columns=COLUMNS | {column: {**COLUMNS[column], **change}})
    with pytest.raises(InputError, match=rf"{column} has `log: {change['log']}`, so the log does not hold its values"):
        run(made=made)


def test_what_the_log_does_not_hold_and_may_be_missing_stays_empty_and_is_named(project: Path):
    made = contract(columns=COLUMNS | {"ward": {**COLUMNS["ward"], "log": "omit"}})
    result = run(logged(table(64, 2), CLIENTS * 8, made), made=made)
    assert data().slice(400)["ward"].null_count == 64
    assert told(result)[-1] == "left empty, because the log does not hold them: ward"


def test_a_split_that_the_log_knows_nothing_of_is_refused(project: Path):
    columns = {"patient": {"kind": "id"}} | COLUMNS
    made = contract(columns=columns, split={"by": "group", "column": "patient"})
    with pytest.raises(InputError, match="the split by group needs patient, which is not a feature"):
        run(made=made)


def test_imported_data_and_data_that_break_the_contract_are_refused(project: Path):
    WARD.data.write_text(WARD.data.read_text().replace("north", "nowhere", 1) + "1,2\n")
    with pytest.raises(InputError, match=r"data/x\.csv"):
        run(honest())
    Path("data.dvc").write_text("deps:\n- path: x\nouts:\n- md5: y\n")
    with pytest.raises(InputError, match=r"data\.dvc: the data is imported from elsewhere"):
        run(honest())


def bad_age(rows: pa.Table) -> pa.Table:
    ages = rows["age"].to_pylist()
    return rows.set_column(0, "age", pa.array([130, *ages[1:]], pa.int64()))


def test_rows_of_an_earlier_contract_that_break_todays_are_left_out_with_the_reason(project: Path):
    result = run(logged(bad_age(table(64, 2)), CLIENTS * 8))
    assert (result["added"], left_out(result)) == (63, {collecting.NO_CONTRACT: 1})
    assert "left out: 1 break the contract, such as age: above the range [0, 120]" in told(result)
    assert "130" not in collecting.REPORT.read_text()


def test_a_column_that_an_earlier_contract_lacked_or_had_in_another_type_is_missing_or_empty_and_named(project: Path):
    batch = honest()
    inputs = batch["inputs"]
    names = [field.name for field in inputs.type if field.name != "ward"]
    columns = [inputs.field(name) if name != "noise" else pa.array(["1.5"] + ["loud"] * 63) for name in names]
    other = batch.set_column(4, "inputs", pa.StructArray.from_arrays(columns, names))
    result = run(honest(seed=3, start=100), other, bounds=Collect(share=1))
    # The row with a value that is a number today as well.
    assert (left_out(result), result["lost"]) == ({collecting.NO_CONTRACT: 63}, {"ward": 1})
    assert result["left_out"][collecting.NO_CONTRACT]["reasons"][0].startswith("noise: missing value")
    made = contract(columns=COLUMNS | {"noise": {"kind": "number", "missing": "allow"}})
    result = run(honest(seed=3, start=100), other, made=made, bounds=Collect(share=1))
    assert (result["added"], result["lost"]) == (63, {"noise": 63, "ward": 63})
    said = (
        "left empty, because contract.yaml has changed since these rows were asked: noise in 63 rows, ward in 63 rows"
    )
    assert said in told(result)


@pytest.mark.parametrize("then", ["multiclass", "regression"])
def test_an_outcome_that_the_target_could_have_under_an_earlier_contract_only_is_left_out(project: Path, then: str):
    earlier = contract(then)
    rows = table(64, 2, earlier)
    wrong = sum(one not in WARD.classes for one in rows["outcome"].to_pylist())
    result = run(logged(rows, CLIENTS * 8, earlier))
    assert (result["added"], left_out(result)) == (64 - wrong, {collecting.NO_CONTRACT: wrong})
    assert set(data()["outcome"].to_pylist()) == set(WARD.classes)


def test_labels_that_were_logged_for_what_is_a_number_now_are_left_out(project: Path):
    made = contract("regression")
    write(table(400, 1, made))
    assert left_out(run(honest(), made=made)) == {collecting.NO_CONTRACT: 64}


def test_hashes_that_an_earlier_contract_asked_for_are_no_values(project: Path):
    note = {"kind": "text", "missing": "allow"}
    earlier, made = (contract(columns=COLUMNS | {"note": note | more}) for more in ({"log": "hash"}, {}))
    write(table(400, 1).append_column("note", pa.array(["fine"] * 400)))
    run(
        logged(table(64, 2).append_column("note", pa.array(["0123456789abcdef"] * 64)), CLIENTS * 8, earlier), made=made
    )
    assert data(made).slice(400)["note"].null_count == 64


def test_where_the_data_repeats_rows_other_outcomes_of_equal_rows_count(project: Path):
    rows = table(100, 1)
    write(pa.concat_tables([rows] * 4))
    both = pa.concat_tables([rows.slice(0, 32), with_outcomes(rows.slice(0, 32), ["sick"] * 32)])
    assert run(logged(both, CLIENTS * 8), bounds=Collect(share=1))["added"] == 64


def test_a_correction_of_a_row_that_is_no_longer_there_is_named(project: Path):
    run(honest())
    write(table(300, 1))
    rows = table(64, 2)
    other = {"sick": "well", "well": "sick"}
    outcomes = [other[one] if row == 5 else one for row, one in enumerate(rows["outcome"].to_pylist())]
    result = run(logged(with_outcomes(rows, outcomes), CLIENTS * 8))
    assert (result["corrected"], left_out(result)) == (0, {collecting.GONE: 1})


def test_an_id_that_is_a_number_in_parquet_is_refused_with_what_to_do(project: Path):
    made = contract(columns={"patient": {"kind": "id"}} | COLUMNS, data="data/x.parquet")
    pq.write_table(table(400, 1).append_column("patient", pa.array(range(400))), made.data)
    with pytest.raises(InputError, match=r"^data/x\.parquet: patient has no texts, .* make it text$"):
        run(honest(), made=made)


def test_a_column_of_parquet_that_may_not_be_empty_is_refused_in_one_line(project: Path):
    made = contract(columns={"note": {"kind": "ignored", "reason": "x"}} | COLUMNS, data="data/x.parquet")
    note = pa.field("note", pa.string(), nullable=False)
    pq.write_table(table(400, 1).append_column(note, pa.array(["x"] * 400)), made.data)
    with pytest.raises(InputError, match=r"^data/x\.parquet: rows cannot be added: Column 'note' is declared"):
        run(honest(), made=made)


@pytest.mark.parametrize("kind", [pa.int8(), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_classes_are_added_and_corrected_in_the_type_of_a_parquet_file(project: Path, kind: pa.DataType):
    target = {"name": "outcome", "classes": ["0", "1"], "positive": "1"}
    made = contract(target=target, data="data/x.parquet")
    rows = table(400, 1, made)
    at = rows.column_names.index("outcome")
    pq.write_table(rows.set_column(at, "outcome", rows["outcome"].cast(kind)), made.data)
    asked = table(64, 2, made)
    assert run(logged(asked, CLIENTS * 8, made), made=made)["added"] == 64
    outcomes = asked["outcome"].to_pylist()
    outcomes[5] = {"0": "1", "1": "0"}[outcomes[5]]
    assert run(logged(with_outcomes(asked, outcomes), CLIENTS * 8, made), made=made)["corrected"] == 1
    assert data(made)["outcome"].to_pylist()[400:] == outcomes
    assert pq.read_schema(made.data).field("outcome").type == kind


def narrow(task: str, kind: pa.DataType, name: str) -> Contract:
    """Write the data as Parquet with a narrow type for a column."""
    made = contract(task, data="data/x.parquet", columns=COLUMNS | {"age": {"kind": "integer"}})
    rows = table(400, 1, made)
    at = rows.column_names.index(name)
    pq.write_table(rows.set_column(at, name, rows[name].cast(kind)), made.data)
    return made


def test_numbers_are_rounded_as_a_parquet_file_does(project: Path):
    made = narrow("regression", pa.float32(), "noise")
    whole = table(64, 2, made)
    assert run(logged(whole, CLIENTS * 8, made), made=made)["added"] == 64
    assert data(made).slice(400)["noise"].to_pylist() == whole["noise"].cast(pa.float32()).to_pylist()


def test_a_target_that_is_rounded_is_no_correction_and_can_be_corrected(project: Path):
    made = narrow("regression", pa.float32(), "outcome")
    rows = table(64, 2, made)
    run(logged(rows, CLIENTS * 8, made), made=made)
    assert run(logged(rows, CLIENTS * 8, made), made=made)["corrected"] == 0
    other = with_outcomes(rows, [1.1, *rows["outcome"].to_pylist()[1:]])
    assert run(logged(other, CLIENTS * 8, made), made=made)["corrected"] == 1
    assert data(made)["outcome"].to_pylist()[400] == pytest.approx(1.1)


def test_a_number_that_a_parquet_file_cannot_hold_keeps_no_other_row_out(project: Path):
    made = narrow("binary", pa.int8(), "age")
    rows = table(64, 2, made)
    rows = rows.set_column(0, "age", pa.array([2**40, *rows["age"].to_pylist()[1:]]))
    result = run(logged(rows, CLIENTS * 8, made), made=made)
    assert (result["added"], left_out(result)) == (63, {collecting.WRITTEN: 1})


def test_a_time_that_no_clock_of_the_zone_showed_keeps_no_other_row_out(project: Path):
    made = contract(columns=COLUMNS | {"admitted": {"kind": "time", "zone": "Europe/Berlin"}}, data="data/x.parquet")
    rows = table(400, 1)
    at = rows.column_names.index("admitted")
    zoned = pc.assume_timezone(rows["admitted"], "Europe/Berlin", ambiguous="earliest", nonexistent="latest")
    pq.write_table(rows.set_column(at, "admitted", zoned), made.data)
    moments = [datetime(2024, 3, 31, 2, 30), *table(64, 2)["admitted"].to_pylist()[1:]]
    asked = table(64, 2).set_column(at, "admitted", pa.array(moments, pa.timestamp("us")))
    result = run(logged(asked, CLIENTS * 8, made), made=made)
    assert left_out(result) == {collecting.WRITTEN: 1}


def test_times_of_a_zone_stay_in_that_of_the_parquet_file(project: Path):
    made = contract(columns=COLUMNS | {"admitted": {"kind": "time", "zone": "Europe/Berlin"}}, data="data/x.parquet")
    rows = table(400, 1)
    moments = pc.assume_timezone(rows["admitted"], "Europe/Berlin", ambiguous="earliest", nonexistent="latest")
    at = rows.column_names.index("admitted")
    pq.write_table(rows.set_column(at, "admitted", moments.cast(pa.timestamp("ms", "UTC"), safe=False)), made.data)
    whole = table(64, 2)
    seconds = pc.floor_temporal(whole["admitted"], unit="second")
    run(logged(whole.set_column(at, "admitted", seconds), CLIENTS * 8, made), made=made)
    assert data(made).slice(400)["admitted"].to_pylist() == seconds.to_pylist()


def test_the_git_history_says_which_data_and_releases_learnt_from_a_client(project: Path):
    from assay.predictions.collected import learnt

    def git(*arguments: str) -> str:
        who = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=os.environ | who)
        return done.stdout.strip()

    def commit(md5: str) -> str:
        Path("data.dvc").write_text(f"outs:\n- md5: {md5}\n  path: data\n")
        git("add", "data.dvc")
        git("commit", "--quiet", "--message", "x")
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    assert learnt("client 1") is None
    commit("one.dir")
    run(honest())
    assert learnt("nobody") == []
    pending = {"data": "data", "rows": 8, "commit": None, "releases": []}
    assert learnt("client 1") == [pending]
    second = commit("two.dir")
    git("tag", "--annotate", "v1.3.0", "--message", "x")
    git("tag", "other")
    known = {"data": "two.dir", "rows": 8, "commit": second, "releases": ["v1.3.0"]}
    assert learnt("client 1") == [pending, known]
    # On new data there is new room.
    assert run(honest(start=1000, seed=9))["added"] == 64
