"""Whatever is wrong in what a person gives: one line that says what and where, exit status 2, nothing half written."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.cli.main import main
from assay.project.layout import CHECKS
from scenario.project import Done, Project, stages_run

DATA = "data/breast_cancer.csv"
Rows = list[list[str]]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk(first_run: tuple[Project, Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a stage reads, and without git and DVC; the current one."""
    project, folder = first_run[0].root, tmp_path / "desk"
    for name in ("data", "build"):
        shutil.copytree(project / name, folder / name)
    for name in ("contract.yaml", "params.yaml"):
        shutil.copy(project / name, folder / name)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run `assay` in this process, for the start of another takes longer than most of what it refuses."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["assay", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def refused(desk: Path, assay: Call) -> Callable[..., str]:
    """Run `assay` where it has to refuse: exit status 2, one line, and no file made, changed or lost.

    But for one: where data break the contract, the gates are told so.
    """

    def call(*arguments: str) -> str:
        before = _contents(desk)
        status, out, said = assay(*arguments)
        assert (status, out) == (2, "")
        assert said.startswith("assay: ")
        assert said.count("\n") == 1
        assert said.endswith("\n")
        said = said.removeprefix("assay: ").rstrip()
        after = _contents(desk)
        if " breaks contract.yaml: " in said:
            (found,) = json.loads(after.pop(desk / CHECKS))
            assert (found["gate"], found["verdict"], found["reason"]) == ("contract", "REJECT", said)
        assert after == before
        return said

    return call


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _set_column(rows: Rows, name: str, values: Callable[[str], str]) -> Rows:
    at = rows[0].index(name)
    return [rows[0], *([*row[:at], values(row[at]), *row[at + 1 :]] for row in rows[1:])]


def _set_cell(rows: Rows, name: str, value: str) -> Rows:
    """Set one cell, in row 7 as counted from 0 below the header."""
    rows[8][rows[0].index(name)] = value
    return rows


def _rename(rows: Rows, old: str, new: str) -> Rows:
    return [[new if name == old else name for name in rows[0]], *rows[1:]]


def _without(rows: Rows, name: str) -> Rows:
    at = rows[0].index(name)
    return [row[:at] + row[at + 1 :] for row in rows]


BAD_TABLES: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "a column missing": (lambda rows: _without(rows, "worst_area"), "'worst_area': missing column"),
    "the target missing": (lambda rows: _without(rows, "diagnosis"), "'diagnosis': missing column"),
    "a column too many": (
        lambda rows: [[*rows[0], "age"], *([*row, "50"] for row in rows[1:])],
        "'age': unknown column: not in the contract",
    ),
    "a column misspelt": (
        lambda rows: _rename(rows, "mean_texture", "mean_textur"),
        r"'mean_textur': unknown column: .*did you mean 'mean_texture'\?",
    ),
    "a column of words": (
        lambda rows: _set_column(rows, "mean_area", lambda _: "large"),
        "'mean_area' .*: not a number: large, large, large; 569 rows",
    ),
    "a word among numbers": (
        lambda rows: _set_cell(rows, "mean_area", "large"),
        r"'mean_area' \(row 7\): not a number: large; 1 row",
    ),
    "a decimal comma": (lambda rows: _set_cell(rows, "mean_area", "10,5"), "'mean_area' .*: not a number: 10,5; 1 row"),
    "a category that is not known": (
        lambda rows: _set_cell(rows, "diagnosis", "Benign"),
        r"'diagnosis' \(row 7\): not one of .*: Benign; 1 row",
    ),
    "a value out of range": (
        lambda rows: _set_cell(rows, "mean_area", "-1"),
        r"'mean_area' \(row 7\): below the range \[0.*, 6000.*\]: -1.0; 1 row",
    ),
    "a value that is missing": (
        lambda rows: _set_cell(rows, "mean_area", ""),
        r"'mean_area' \(row 7\): missing value: .*; 1 row",
    ),
    "a column without any value": (
        lambda rows: _set_column(rows, "mean_area", lambda _: ""),
        "'mean_area': all values are missing: .*; 569 rows",
    ),
    "one class only": (
        lambda rows: _set_column(rows, "diagnosis", lambda _: "benign"),
        "'diagnosis': one class only: benign; 569 rows",
    ),
    "a header and no row": (lambda rows: rows[:1], "no rows"),
}
BAD_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "an empty file": (lambda _: b"", "the file is empty"),
    "a file cut off in a row": (
        lambda content: content[: content.index(b"\n", len(content) // 2) + 90],
        "Expected 31 col",
    ),
    "a file cut off in its last cell": (lambda content: content[:-4], "'diagnosis' .*not one of"),
    "a column twice": (
        lambda content: content.replace(b"mean_texture", b"mean_area", 1),
        "column 'mean_area' occurs twice",
    ),
    "UTF-16": (lambda content: content.decode().encode("utf-16"), "not UTF-8 text"),
    "UTF-16 without a mark": (lambda content: content.decode().encode("utf-16-le"), "not UTF-8 text"),
    "Latin-1 in the header": (lambda content: content.replace(b"mean_area", b"mean_ar\xe9a"), "not UTF-8 text"),
    "Latin-1 in a cell": (lambda content: content.replace(b"malignant", b"m\xe9chant", 1), "UTF-?8"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_data_that_break_the_contract_are_refused(desk: Path, refused: Callable[..., str], case: str) -> None:
    change, message = BAD_TABLES[case]
    with (desk / DATA).open(newline="") as file:
        rows = change(list(csv.reader(file)))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    (desk / DATA).write_text(text.getvalue())
    said = refused("stage", "validate")
    assert said.startswith(f"{DATA} breaks contract.yaml: column ")
    assert re.search(message, said), said


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_whole_table_is_refused(desk: Path, refused: Callable[..., str], case: str) -> None:
    change, message = BAD_FILES[case]
    (desk / DATA).write_bytes(change((desk / DATA).read_bytes()))
    said = refused("stage", "validate")
    assert said.startswith(DATA)
    assert re.search(message, said), said


def test_data_that_are_not_there_are_named(desk: Path, refused: Callable[..., str]) -> None:
    (desk / DATA).unlink()
    assert refused("stage", "validate") == f"{DATA}: there is no such file"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  trials:", "  trails:", "unknown key 'tune.trails'; did you mean 'trials'?"),
        ("seed:", "seed: twenty #", "seed: should be a valid integer, found 'twenty'"),
        ("  test:", "  test: 1.5 #", "prepare.test: should be less than 1, found 1.5"),
        ("  validation:", "  validation: 0.9 #", "prepare: test "),
        ("seed:", "seed: [", "not valid YAML"),
        ("seed:", "seed: 1\nseed:", 'found duplicate key "seed"'),
    ],
)
def test_params_that_cannot_be_meant_are_refused(
    desk: Path, refused: Callable[..., str], old: str, new: str, message: str
) -> None:
    text = (desk / "params.yaml").read_text()
    assert old in text
    (desk / "params.yaml").write_text(text.replace(old, new, 1))
    for stage in ("validate", "tune", "export"):
        said = refused("stage", stage)
        assert said.startswith("params.yaml: ")
        assert message in said


Changes = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slices": [{"column": "mean_raduis"}]}, "slices: there is no column 'mean_raduis'"),
        ({"sensitive": ["age"]}, "sensitive: there is no column 'age'"),
        ({"split": {"by": "time", "column": "taken"}}, "split: there is no column 'taken'"),
        ({"columns": {"age": {"kind": "integer"}}}, "column 'age': missing column: not in the data"),
        ({"target": {"positive": "yes"}}, "target.positive 'yes' is not one of"),
        ({"target": {"name": "mean_area"}}, "'mean_area' is the target and also listed under columns"),
        ({"task": "regression"}, "a regression target has neither classes nor a positive class"),
        ({"columns": {"mean_area": {"kind": "number", "range": [5, 1]}}}, "range [5.0, 1.0]"),
        ({"columns": {"mean_area": {"kind": "numer"}}}, "'numer' is not one of"),
        ({"colums": {}}, "unknown key 'colums'; did you mean 'columns'?"),
        ({"data": "data"}, "data: is a folder"),
    ],
)
def test_a_contract_that_contradicts_itself_or_the_data_is_refused(
    desk: Path, refused: Callable[..., str], change: Changes, message: str
) -> None:
    yaml = YAML(typ="safe")
    contract = yaml.load((desk / "contract.yaml").read_text())
    for key, value in change.items():
        contract[key] = contract[key] | value if isinstance(contract.get(key), dict) else value
    with (desk / "contract.yaml").open("w") as file:
        yaml.dump(contract, file)
    said = refused("stage", "validate")
    assert said.startswith(("contract.yaml: ", f"{DATA} breaks contract.yaml: ", "data: is a folder"))
    assert message in said


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"family": "liner", "parameters": {}}, "model.family: unknown 'liner'; did you mean 'linear'?"),
        ({"family": "xyz", "parameters": {}}, "choose from additive, gradient_boosting, lightgbm, linear, "),
        (
            {"family": "random_forest", "parameters": {"max_dept": 3}},
            "model.parameters: unknown 'max_dept'; did you mean 'max_depth'?",
        ),
        ({"family": "linear", "parameters": {"C": -1}}, "The 'C' parameter of LogisticRegression must be"),
        ({"family": "linear", "parameters": {"C": "much"}}, "The 'C' parameter of LogisticRegression must be"),
        ({"family": "linear", "parameters": [1]}, "model.parameters: should be "),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(
    desk: Path, assay: Call, refused: Callable[..., str], model: dict[str, Any], message: str
) -> None:
    project = Project(desk, desk)
    project.set_params(model=model)
    if "should be" not in message:
        assert assay("stage", "tune")[0] == 0
    said = refused("stage", "train")
    assert said.startswith("params.yaml: model.")
    assert message in said


def test_every_violation_is_listed_and_told_to_programs(desk: Path, assay: Call) -> None:
    with (desk / DATA).open(newline="") as file:
        rows = _set_cell(_set_cell(_without(list(csv.reader(file)), "worst_area"), "mean_area", "-1"), "diagnosis", "?")
    with Path("new.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)

    status, listed, _ = assay("check", "new.csv")
    assert status == 2
    assert sorted(line.split("'")[1] for line in listed.splitlines()) == ["diagnosis", "mean_area", "worst_area"]

    status, printed, _ = assay("check", "new.csv", "--json")
    assert status == 2
    found = {one["column"]: one for one in json.loads(printed)}
    assert set(found) == {"diagnosis", "mean_area", "worst_area"}
    assert found["mean_area"] == {
        "column": "mean_area",
        "rule": found["mean_area"]["rule"],
        "count": 1,
        "examples": ["-1.0"],
        "row": 7,
    }


def test_data_that_keep_to_the_contract_are_said_to(desk: Path, assay: Call) -> None:
    assert assay("check") == (0, f"{DATA}: all 569 rows satisfy the contract\n", "")
    assert assay("check", str(desk / DATA), "--json") == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("show", "metrics.json: no results yet; run `make repro`"),
        ("check nothing.csv", "nothing.csv: there is no such file"),
        ("check params.yaml", "params.yaml: expected a .csv or .parquet file"),
        ("repor", "No such command 'repor'"),
        ("show --jsn", "--jsn"),
        ("show all", "unexpected extra argument (all)"),
        ("stage tran", "'tran' is not one of 'validate', 'prepare', 'tune', 'train', 'evaluate', 'analyse', 'export'"),
        ("stage", "Missing argument 'STAGE'"),
        ("remote use", "Missing argument 'URL'"),
        ("remote use ftp://host/folder", "ftp://host/folder: expected s3://"),
        ("repro", "dvc.yaml: there is no such file"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused(
    desk: Path, refused: Callable[..., str], command: str, message: str
) -> None:
    assert message in refused(*command.split())


def test_a_command_without_a_choice_shows_what_there_is(assay: Call) -> None:
    for arguments in ((), ("remote",)):
        status, out, said = assay(*arguments)
        assert (status, out) == (2, "")
        assert "Commands:\n" in said


def test_the_pipeline_stops_at_bad_data_with_one_line_and_keeps_what_it_had(finished: Project) -> None:
    wanted = (finished.root / "models/model.json").read_bytes()
    file = finished.root / DATA
    good = file.read_bytes()
    file.write_bytes(good.replace(b"malignant", b"malignent", 1))
    done = finished.run("assay", "repro")
    assert done.returncode == 2
    assert stages_run(done.stdout) == ["validate"]
    ours = [line for line in done.stderr.splitlines() if not line.startswith("ERROR: failed to reproduce 'validate'")]
    assert [line.split(": ")[0] for line in ours] == ["data", "assay", "assay"]
    assert "malignent" in ours[1]
    assert (finished.root / "models/model.json").read_bytes() == wanted
    assert finished.leftovers() == []

    file.write_bytes(good)
    assert finished.run("assay", "repro").returncode == 0


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("params.yaml", "  trials:", "  trails:", "params.yaml: unknown key 'tune.trails'; did you mean 'trials'?"),
        ("contract.yaml", "task: binary", "task: ternary", "contract.yaml: task: should be"),
        ("dvc.yaml", "stages:", "stagse:", "dvc: './dvc.yaml' validation failed"),
        ("dvc.lock", "schema:", "\tschema:", "dvc: "),
    ],
)
def test_the_pipeline_does_not_start_on_a_broken_file(
    project: Project, path: str, old: str, new: str, message: str
) -> None:
    project.edit(path, old, new)
    said = project.refused("assay", "repro")
    assert message in said


def test_data_that_the_remote_has_lost_are_said_to_be(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/embedded")
    done = project.run("assay", "repro")
    assert done.returncode == 2
    assert done.stderr.endswith("cannot fetch the data from the DVC remote; `dvc pull data.dvc -v` shows why\n")
    assert "Traceback" not in done.stderr
