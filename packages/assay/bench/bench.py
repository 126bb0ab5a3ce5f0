"""What the pipeline costs, as ratios taken side by side: `make bench`.

Absolute seconds are those of this machine at this moment; the ratios are what carries over.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
STAGES = ("validate", "prepare", "tune", "train", "evaluate", "analyse", "export")
COLUMNS = 30

FIT = """
import time
import assay.cli.main  # for its settings, as a stage has them
from assay.project.layout import read_choice, read_split
from assay.contract.spec import load_contract
from assay.data.columns import columns, target
from assay.modelling.fitting import build, fit
contract = load_contract()
table = read_split("train")
rows, wanted = columns(table, contract), target(table, contract)
start = time.perf_counter()
fit(build(read_choice(), contract, 0), rows, wanted, contract)
print(time.perf_counter() - start)
"""
CHECK = """
import time
import pandas as pd
from assay.contract.spec import load_contract
from assay.data.check import check
from assay.data.reading import read_table
contract = load_contract()
def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
table, _ = read_table(contract.data, contract)
rounds = [(seconds(lambda: check(table, contract)), seconds(lambda: read_table(contract.data, contract)),
           seconds(lambda: pd.read_csv(contract.data))) for _ in range(3)]
print(*[sorted(column)[1] for column in zip(*rounds)])
"""
# The rows of the largest project, all of them as test rows.
BOOTSTRAP = """
import time
from assay.contract.spec import load_contract
from assay.data.columns import columns, target
from assay.data.reading import read_table
from assay.evaluation.metrics import ScoredRows, compare, metrics_for
from assay.gates.answers import JudgedModel
contract = load_contract()
table, _ = read_table(contract.data, contract)
model, data, wanted = JudgedModel(contract), columns(table, contract), target(table, contract)
start = time.perf_counter()
scores = model.scores(data)
predicting = time.perf_counter() - start
rows, other = (ScoredRows(wanted, given, model.decide(given)) for given in (scores, scores ** 1.01))
start = time.perf_counter()
compare((rows, other), metrics_for(contract)[:1], confidence=0.95, resamples=2000, seed=0)
print(predicting, time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Cost:
    """Wall seconds, peak memory (MB) and processor seconds of one process."""

    seconds: float
    peak_mb: float
    processor: float


def run(command: Sequence[str], folder: Path) -> Cost:
    """Run a command in a folder to its end and return what it cost; its failure is an error."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        # The process is reaped already; this tells its object so.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{output.read().decode()}")
    # Linux counts in kB, macOS in bytes.
    peak_mb = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Cost(seconds, peak_mb, usage.ru_utime + usage.ru_stime)


def printed(code: str, folder: Path) -> list[float]:
    """Run Python code in a folder and return the numbers that it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def clone(folder: Path) -> Path:
    """Return a clone of this repository with what is not committed yet, and its data."""
    project = folder / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    git(project, "init", "--quiet", "--initial-branch", "main")
    run(["dvc", "pull", "data.dvc"], project)
    return project


def git(project: Path, *arguments: str) -> None:
    """Run git in a project, as nobody in particular."""
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    subprocess.run(["git", *who, *arguments], cwd=project, check=True)


def pull_requests(project: Path) -> None:
    """Show what `assay pr` takes after a change of one parameter, and with nothing changed."""
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "The champion")
    # The first verdict restores the champion; what comes later finds it.
    run(["assay", "pr"], project)
    params = YAML().load((project / "params.yaml").read_text())
    params["model"]["parameters"]["C"] = 0.8
    with (project / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    changed = run(["assay", "pr"], project).seconds
    again = run(["assay", "pr"], project).seconds
    pipeline = run(["dvc", "repro", "--force"], project).seconds
    print(
        f"\nA pull request that changes one parameter: {changed:.1f} s, {changed / pipeline:.2f} of the pipeline alone"
    )
    print(f"The same with nothing changed since: {again:.1f} s")


def unchanged(project: Path, rounds: int = 5) -> None:
    """Compare `assay repro` with nothing to do against `dvc status`."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run(["assay", "repro"], project).seconds)
        theirs.append(run(["dvc", "status"], project).seconds)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"\nNothing changed: `assay repro` {statistics.median(ours):.2f} s, `dvc status` "
        f"{statistics.median(theirs):.2f} s, ratio {ratio:.2f} (median of {rounds} pairs)"
    )


def from_nothing(project: Path) -> None:
    """Show where the time of the whole pipeline on the default data goes."""
    whole = run(["assay", "repro"], project).seconds
    print(f"\nThe whole pipeline from nothing, default data: {whole:.1f} s")
    print(f"{'':<12}{'stage s':>9}{'imports s':>11}{'work s':>9}")
    total = imports = 0.0
    for stage in STAGES:
        cost = run(["assay", "stage", stage], project).seconds
        loading = run([sys.executable, "-c", f"import assay.cli.main, assay.stages.{stage}"], project).seconds
        total, imports = total + cost, imports + loading
        print(f"{stage:<12}{cost:>9.2f}{loading:>11.2f}{max(cost - loading, 0):>9.2f}")
    print(f"{'all':<12}{total:>9.2f}{imports:>11.2f}{total - imports:>9.2f}")
    print(f"DVC and the table of results: {whole - total:.1f} s; imports are {imports / whole:.0%} of the whole")


def generated(folder: Path, rows: int) -> Path:
    """Write a project with generated data: numbers, whole numbers, categories and gaps in 30 columns."""
    project = folder / f"rows{rows}"
    (project / "data").mkdir(parents=True)
    rng = np.random.default_rng(rows)
    data: dict[str, pa.Array] = {}
    columns: dict[str, dict[str, object]] = {}
    risk = np.zeros(rows)
    for i in range(COLUMNS - 6):
        values = rng.normal(size=rows).round(4)
        risk += values * rng.normal() / 4
        gaps = rng.random(rows) < (0.05 if i % 4 == 0 else 0)
        data[f"number_{i}"] = pa.array(values, mask=gaps)
        columns[f"number_{i}"] = {"kind": "number", "range": [-10, 10], "missing": "allow" if i % 4 == 0 else "refuse"}
    for i in range(3):
        counts = rng.poisson(5, rows)
        risk += counts / 10
        data[f"count_{i}"] = pa.array(counts)
        columns[f"count_{i}"] = {"kind": "integer", "range": [0, 100]}
        kinds = rng.integers(0, 8, rows)
        risk += (kinds == i) / 2
        data[f"kind_{i}"] = pa.array(np.array([f"kind {k}" for k in range(8)])[kinds])
        columns[f"kind_{i}"] = {"kind": "category", "values": [f"kind {k}" for k in range(8)]}
    data["outcome"] = pa.array(np.where(risk + rng.normal(size=rows) > np.median(risk), "yes", "no"))
    pacsv.write_csv(pa.table(data), project / "data/rows.csv")
    contract = {
        "name": "generated",
        "data": "data/rows.csv",
        "task": "binary",
        "target": {"name": "outcome", "classes": ["no", "yes"], "positive": "yes"},
        "costs": {"false_positive": 1, "false_negative": 2},
        "columns": columns,
    }
    (project / "contract.yaml").write_text(json.dumps(contract))
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    params["model"] = {"family": "gradient_boosting", "parameters": {}}
    (project / "params.yaml").write_text(json.dumps(params))
    return project


def growing(folder: Path, sizes: Sequence[int]) -> None:
    """Show time and peak memory of each stage as the data grows."""
    costs: dict[int, dict[str, Cost]] = {}
    for rows in sizes:
        project = generated(folder, rows)
        costs[rows] = {stage: run(["assay", "stage", stage], project) for stage in STAGES}
        fit = printed(FIT, project)[0]
        check, read, pandas = printed(CHECK, project)
        around = sum(costs[rows][stage].seconds for stage in ("prepare", "evaluate", "export"))
        print(f"\n{rows:,} rows x {COLUMNS} columns")
        print(f"  bare fit {fit:.1f} s; prepare + evaluate + export {around:.1f} s, ratio {around / fit:.2f}")
        print(f"  contract check {check:.2f} s, pandas.read_csv {pandas:.2f} s, ratio {check / pandas:.2f}")
        print(f"  typed reading {read:.2f} s, ratio {read / pandas:.2f}")
        predicting, drawing = printed(BOOTSTRAP, project)
        print(f"  predicting all {predicting:.1f} s, 2000 draws {drawing:.1f} s, ratio {drawing / predicting:.2f}")
        shutil.rmtree(project)
    print(f"\n{'stage':<12}" + "".join(f"{f'{rows:,} rows':>24}" for rows in sizes))
    for stage in STAGES:
        cells = (f"{cost.seconds:>12.1f} s {cost.peak_mb:>6.0f} MB" for cost in (costs[rows][stage] for rows in sizes))
        print(f"{stage:<12}" + "".join(f"{cell:>24}" for cell in cells))


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**4, 10**5, 10**6], help="sizes of generated data")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        from_nothing(project)
        run(["dvc", "repro"], project)
        unchanged(project)
        pull_requests(project)
        growing(Path(folder), arguments.rows)


if __name__ == "__main__":
    main()
