"""Files that arrive are predicted as `assay score` does, each one once, whatever happens to the process.

Here Spark is played by a few lines; tests/inference/test_spark.py has the real one.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.base.files import locked
from assay.cli.score import score
from assay.inference import stream
from patients import patients


class Killed(BaseException):
    """The process has ended."""


class Arrivals:
    """What Spark does with a folder: a batch that was not done is there again, empty and missing files never are."""

    def __init__(self) -> None:
        self.batches: list[list[Path]] = []
        self.done = 0

    def each(self, folder: Path, _names: str, checkpoint: Path, take: Callable, *_: object, **__: object) -> None:
        while True:
            seen = {file for batch in self.batches for file in batch}
            if new := sorted(file for file in folder.rglob("*.[cp]*") if file.is_file() and file not in seen):
                self.batches.append(new)
            if self.done == len(self.batches):
                return
            take(self.done, [file for file in self.batches[self.done] if file.exists() and file.stat().st_size])
            # It may end before it knows that the batch is done.
            checkpoint.mkdir(exist_ok=True)
            self.done += 1


@pytest.fixture(autouse=True)
def there(projects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in a folder with a model, and with two files of which one has a row that breaks the contract."""
    (tmp_path / "models").symlink_to(projects() / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "each_arrival", Arrivals().each)
    monkeypatch.setattr(stream, "map_write", lambda work, names, *_: map(work, names))
    Path("in/day").mkdir(parents=True)
    pacsv.write_csv(table(30, bad=1), "in/a.csv")
    pq.write_table(table(20, seed=2), "in/day/b.parquet")
    return tmp_path


def table(rows: int, seed: int = 1, bad: int = 0) -> pa.Table:
    data, _ = patients(rows, "binary", seed)
    made = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
    return made.set_column(0, "age", pa.array([999] * bad + [40] * (rows - bad)))


def run(*options: str, output: str = "out", checkpoint: str = "ck") -> None:
    command = ["in", output, "--engine", "spark", "--stream", checkpoint, "--available-now", *options]
    score.main(command, standalone_mode=False)


def refusal(*options: str, **names: str) -> str:
    with pytest.raises(InputError) as raised:
        run(*options, **names)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def outputs() -> dict[str, bytes]:
    """Return what a reader of the output finds: each file without what differs from one run to the next."""
    found = {}
    for file in Path("out").rglob("*"):
        name = file.relative_to("out").as_posix()
        if file.is_file() and not name.startswith("_unfinished"):
            found[name] = without_ids(file) if file.suffix == ".parquet" else file.read_bytes()
    return found


def without_ids(file: Path) -> bytes:
    return json.dumps(pq.read_table(file).drop_columns("prediction_id").to_pylist()).encode()


def wanted(*names: str) -> dict[str, bytes]:
    """Return what `assay score` makes of each file by itself."""
    found = {}
    for name in names:
        score.main([f"in/{name}", "local.parquet"], standalone_mode=False)
        found[f"{name}.parquet"] = without_ids(Path("local.parquet"))
        if Path("local.refused.csv").exists():
            found[f"_refused/{name}.csv"] = Path("local.refused.csv").read_bytes()
    return found


def test_a_file_that_arrives_is_predicted_as_by_itself_and_once(capsys) -> None:
    run()
    assert outputs() == wanted("a.csv", "day/b.parquet")
    before = {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")}
    pq.write_table(table(10, seed=3), "in/c.parquet")
    capsys.readouterr()
    run("--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["rows"], said["refused"]) == (1, 10, 0)
    assert outputs() == wanted("a.csv", "day/b.parquet", "c.parquet")
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_killed_at_any_step_and_run_again_each_output_appears_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader takes each file away as soon as it is there, so the output does not tell what was done."""
    complete = wanted("a.csv", "day/b.parquet")
    steps = Counter[str]()
    for number in range(1000):
        shutil.rmtree("out", ignore_errors=True)
        shutil.rmtree("ck", ignore_errors=True)
        arrivals, left = Arrivals(), iter(range(number))
        with monkeypatch.context() as patched:
            patched.setattr(stream, "each_arrival", arrivals.each)
            for owner, name in ((Path, "replace"), (Path, "rename"), (Path, "mkdir"), (shutil, "rmtree")):
                patched.setattr(owner, name, fatal(getattr(owner, name), left, steps))
            try:
                run()
            except Killed:
                is_killed = True
            else:
                is_killed = False
        taken = take_away()
        with monkeypatch.context() as patched:
            patched.setattr(stream, "each_arrival", arrivals.each)
            run()
        again = take_away()
        assert not taken.keys() & again.keys(), f"twice, after {number} steps"
        assert taken | again == complete, f"a gap, after {number} steps"
        if not is_killed:
            break
    assert {"replace", "rename", "mkdir", "rmtree"} <= steps.keys()


def fatal(do: Callable, left: object, steps: Counter[str]) -> Callable:
    """Return a function that ends the process once no step is left."""

    def step(*given: object, **named: object) -> object:
        if next(left, None) is None:
            raise Killed
        steps[do.__name__] += 1
        return do(*given, **named)

    return step


def take_away() -> dict[str, bytes]:
    found = outputs() if Path("out").exists() else {}
    for name in found:
        Path("out", name).unlink()
    return found


@pytest.mark.parametrize("remedy", ["corrected", "moved away"])
def test_a_file_of_another_schema_holds_its_batch_until_it_is_corrected_or_gone(remedy: str) -> None:
    run()
    pq.write_table(table(10, seed=4), "in/c.parquet")
    pq.write_table(table(10).drop_columns("ward"), "in/d.parquet")
    for _ in range(2):
        assert refusal() == (
            f"{Path('in/d.parquet').resolve()}: there is no column 'ward'; "
            "correct the file, or move it away for good, and run it again"
        )
        assert outputs() == wanted("a.csv", "day/b.parquet")
    if remedy == "corrected":
        pq.write_table(table(10), "in/d.parquet")
    else:
        Path("in/d.parquet").unlink()
    run()
    rest = ("d.parquet",) if remedy == "corrected" else ()
    assert outputs() == wanted("a.csv", "day/b.parquet", "c.parquet", *rest)


def test_too_many_refused_rows_stop_it_and_their_reasons_are_there_until_the_file_is_corrected() -> None:
    pacsv.write_csv(table(30, bad=3), "in/a.csv")
    file, reasons = Path("in/a.csv").resolve(), Path("out/_refused/a.csv.csv").resolve()
    assert refusal() == (
        f"{file}: 3 of 30 rows break the contract (10.0%, limit 5.0%): {reasons} has the reasons; "
        "correct the file, or move it away for good, and run it again, or change the limit with --most-refused"
    )
    assert [*outputs()] == ["_refused/a.csv.csv"]
    assert reasons.read_text().splitlines()[1] == '1,"age","above the range [0, 120]: 999"'
    pacsv.write_csv(table(30), "in/a.csv")
    run()
    assert outputs() == wanted("a.csv", "day/b.parquet")
    assert not reasons.exists()


def test_an_empty_file_which_spark_leaves_out_is_named() -> None:
    Path("in/c.csv").touch()
    assert refusal().startswith(f"{Path('in/c.csv').resolve()}: the file is empty; correct the file, or move")
    assert outputs() == {}
    pacsv.write_csv(table(10), "in/c.csv")
    run()
    assert outputs() == wanted("a.csv", "c.csv", "day/b.parquet")


def test_a_file_of_another_form_is_named(capsys) -> None:
    Path("in/day/notes.txt").write_text("mine")
    run()
    said = f"not predicted, because they are no .csv or .parquet files: {Path('in/day/notes.txt').resolve()}"
    assert said in capsys.readouterr().err
    assert outputs() == wanted("a.csv", "day/b.parquet")


def test_a_file_without_rows_gives_no_output() -> None:
    pq.write_table(table(0), "in/c.parquet")
    run()
    assert outputs() == wanted("a.csv", "day/b.parquet")


def test_a_checkpoint_belongs_to_one_model_and_output(projects) -> None:
    run()
    before = outputs()
    version = json.loads(Path("ck/assay.json").read_text())["model_version"]
    said = refusal("--models", str(projects(seed=1) / "models"))
    assert f"ck: this checkpoint belongs to the model version {version}, and not to" in said
    assert f"belongs to the output {Path('out').resolve()}, and not to" in refusal(output="other")
    assert "out: this folder is not empty, and" in refusal(checkpoint="new")
    Path("full").mkdir()
    Path("full/mine.txt").touch()
    assert "full: this folder is not empty, and" in refusal(output="other", checkpoint="full")
    assert outputs() == before


def test_of_two_at_once_the_second_is_refused() -> None:
    Path("out").mkdir()
    with locked(Path("out")):
        assert refusal().endswith("out: another `assay score` is writing it; wait until it has ended")
    run()
    assert outputs() == wanted("a.csv", "day/b.parquet")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"output": "in/out"}, "in/out: it would be a part of"),
        ({"output": "in"}, "in: it would be a part of"),
        ({"checkpoint": "out/ck"}, "out/ck: it would be a part of"),
        ({"output": "in/a.csv"}, "in/a.csv: this is a file; name a folder"),
        ({"output": ""}, "OUTPUT is empty; name a folder"),
        (
            {"output": "s3://b/out?sig=secret"},
            "s3://b/out?***: OUTPUT of a stream cannot be at an address; name a folder",
        ),
        ({"checkpoint": "s3://b/ck"}, "s3://b/ck: CHECKPOINT of a stream cannot be at an address; name a folder"),
    ],
)
def test_folders_that_cannot_be_are_refused_before_anything_is_made(names: dict[str, str], said: str) -> None:
    assert said in refusal(**names)
    assert sorted(path.name for path in Path().iterdir()) == ["in", "models"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["in", "out", "--available-now"], "--available-now: only with --stream CHECKPOINT"),
        (["in", "out", "--stream", "ck"], "--stream: only with --engine spark"),
        (["in", "out", "--stream", "ck", "--engine", "spark", "--log", "log"], "--log: not with --stream"),
        (["no", "out", "--stream", "ck", "--engine", "spark"], "no: there is no such folder; a stream reads the files"),
    ],
)
def test_options_that_do_not_go_together_are_refused(command: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        score.main(command, standalone_mode=False)
    assert sorted(path.name for path in Path().iterdir()) == ["in", "models"]
