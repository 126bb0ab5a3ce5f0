"""A real Spark predicts as this machine does: a folder as a whole, and files that arrive, over a kill and a restart."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from assay.cli.score import score
from machine import lacks
from patients import patients
from places import PACKAGE, ROOT

pytestmark = pytest.mark.nightly
BIN = Path(sys.executable).parent
LOCK = PACKAGE / "requirements/spark.txt"
ROWS = 500


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with Spark, or none where it is installed."""
    if not shutil.which("java"):
        lacks("java, which Spark needs, is not here")
    if find_spec("pyspark"):
        return os.environ.get("PYTHONPATH", "")
    folder = tmp_path_factory.mktemp("spark")
    command = [BIN / "uv", "pip", "install", "--quiet", "--require-hashes", "--target", folder, "-r", LOCK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lacks(f"{LOCK.relative_to(ROOT)} cannot be installed here: {' '.join(done.stderr.split())[:300]}")
    return str(folder)


@pytest.fixture(autouse=True)
def there(projects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder with a model and with files of both forms, some of them with names that are unusual."""
    (tmp_path / "models").symlink_to(projects() / "models")
    monkeypatch.chdir(tmp_path)
    # A cluster whose own file system is another one, and away.
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))
    Path("conf").mkdir()
    Path("conf/spark-defaults.conf").write_text("spark.hadoop.fs.defaultFS hdfs://127.0.0.1:1\n")
    Path("in [1]/day").mkdir(parents=True)
    for number, name in enumerate(["a b.csv", "c%20d.parquet", "é#1?.CSV", "day/e.parquet", "f.csv", "g.parquet"]):
        data, _ = patients(ROWS, "binary", number)
        table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
        table = table.set_column(0, "age", pa.array([999] + [40] * (ROWS - 1)))
        file = Path("in [1]", name)
        if file.suffix == ".parquet":
            pq.write_table(table, file, row_group_size=200)
        else:
            pacsv.write_csv(table, file)
    # The time of writing does not say when a file arrived.
    os.utime("in [1]/f.csv", (10**9, 10**9))


def command(output: str, *options: str) -> list[str]:
    return [str(BIN / "assay"), "score", "in [1]", output, "--engine", "spark", "--address", "local[2]", *options]


def run(packages: str, *arguments: str) -> None:
    done = subprocess.run(
        command(*arguments), env=os.environ | {"PYTHONPATH": packages}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def here(source: str | Path) -> tuple[pa.Table, str]:
    """Return the predictions and the refused rows that this machine has for a file or folder."""
    score.main([str(source), "local.parquet"], standalone_mode=False)
    return pq.read_table("local.parquet").drop_columns("prediction_id"), Path("local.refused.csv").read_text()


def test_a_folder_is_predicted_as_by_this_machine(packages: str) -> None:
    run(packages, "whole.parquet")
    made = pq.read_table("whole.parquet").drop_columns("prediction_id")
    predictions, refused = here("in [1]")
    assert made.equals(predictions)
    assert Path("whole.refused.csv").read_text() == refused


def test_files_that_arrive_are_predicted_once_although_the_driver_is_killed(packages: str) -> None:
    stream = ("out", "--stream", "checkpoint")
    with Path("log").open("w") as log:
        driver = subprocess.Popen(command(*stream), env=os.environ | {"PYTHONPATH": packages}, stdout=log, stderr=log)
    until = time.monotonic() + 300
    # In the middle of the first batch.
    while not list(Path("out").glob("_unfinished/*/done/*.parquet")):
        assert driver.poll() is None, Path("log").read_text()
        assert time.monotonic() < until, Path("log").read_text()
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    run(packages, *stream, "--available-now")
    files = [file for file in Path("in [1]").rglob("*.*") if file.is_file()]
    for file in files:
        name = file.relative_to("in [1]")
        predictions, refused = here(file)
        assert pq.read_table(f"out/{name}.parquet").drop_columns("prediction_id").equals(predictions), name
        assert Path(f"out/_refused/{name}.csv").read_text() == refused, name
    assert len(list(Path("out").rglob("*.parquet"))) == len(files) == 6
    before = {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")}
    run(packages, *stream, "--available-now")
    assert {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")} == before
