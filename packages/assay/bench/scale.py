"""What `assay score` and the stages cost as rows grow, and whether scoring survives being killed: `make bench-scale`.

A model of gradient boosting on 30 columns of generated data predicts Parquet files of several sizes. It is compared
with reading the same file and running the same ONNX session, and with pandas and the pipeline of scikit-learn. Each
number is the median of rounds that are taken in turns.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from bench import COLUMNS, STAGES, Cost, generated, run

from assay.load.bento import free_port
from assay.project import layout

TRAINED_ON = 20_000
# The limit of training, with which every stage keeps within 4 GB.
MEGABYTES = 2500
DASK = "assay score --engine dask, two workers"
ENGINES = ("local", "dask", "spark", "ray")
# Reads the file and runs the session on batches of the same size: no check, no cleaning, no ids, no output.
SESSION = """
import sys
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
from assay.contract.spec import Category, load_contract
from assay.inference.scorer import scorer
from assay.project.room import NO_ROOM
contract = load_contract()
score = scorer(Path("models/model.onnx"), contract, NO_ROOM)
rows = 0
for batch in pq.ParquetFile(sys.argv[1]).iter_batches(batch_size=4096, columns=list(contract.features)):
    rows += len(score({
        name: batch[name].to_numpy(zero_copy_only=False).astype(object if isinstance(column, Category) else np.float64)
        for name, column in contract.features.items()
    }))
print(rows)
"""
PIPELINE = """
import sys
from pathlib import Path
import numpy as np
import pandas as pd
from assay.contract.spec import load_contract
from assay.data.columns import columns
from assay.modelling.store import load_pipeline
from assay.modelling.fitting import scores
from assay.project.layout import PIPELINE
import pyarrow as pa
contract, pipeline = load_contract(), load_pipeline(PIPELINE)
frame = pd.read_parquet(sys.argv[1])
rows = 0
for start in range(0, len(frame), 1000):
    data = columns(pa.Table.from_pandas(frame.iloc[start : start + 1000], preserve_index=False), contract)
    rows += len(scores(pipeline, data, contract))
print(rows)
"""
# The contract check and the split of the stages, without what the stages look for besides.
CHECKED = """
import sys
from pathlib import Path
from assay.contract.spec import load_contract
from assay.data.check import check, contract_outcome
from assay.data.reading import opened
from assay.data.split import assign
from assay.project.params import load_params
from assay.stages.prepare import write_sides
contract = load_contract()
with opened(Path(sys.argv[1]), contract) as (rows, unread):
    assert contract_outcome(rows, [*unread, *check(rows, contract)], contract).verdict == "PROMOTE"
    sides = assign(rows, contract, load_params().prepare)
    write_sides([Path(f"{side}.parquet") for side in ("train", "validation", "test")], rows, sides)
"""
DUCKDB = """
import sys
import duckdb
names = [row[0] for row in duckdb.sql(f"DESCRIBE FROM '{sys.argv[1]}'").fetchall()]
wanted = ", ".join(
    f'min("{name}"), max("{name}"), count(*) - count("{name}"), ' + sys.argv[2].format(f'"{name}"') for name in names
)
duckdb.sql(f"SET threads = {sys.argv[3]}")
duckdb.sql(f"SELECT {wanted} FROM '{sys.argv[1]}'").fetchall()
"""
DISTINCT = {"exact": "count(DISTINCT {})", "approximate": "approx_count_distinct({})"}


def rate(command: list[str], project: Path, rows: int, idle: float) -> float:
    """Return the rows a second of a command, without the seconds that it takes for one row."""
    return rows / (run(command, project).seconds - idle)


def repeated(source: pa.Table, path: Path, rows: int) -> None:
    """Write a Parquet file of `rows` rows by repeating those of a table."""
    with pq.ParquetWriter(path, source.schema) as writer:
        while rows:
            part = source.slice(0, rows)
            writer.write_table(part)
            rows -= part.num_rows


def compared(project: Path, rounds: int, rows: int) -> None:
    """Show the rows a second of `assay score` beside others'."""
    repeated(pacsv.read_csv(project / "data/rows.csv"), project / "in.parquet", rows)
    repeated(pacsv.read_csv(project / "data/rows.csv"), project / "one.parquet", 1)

    def score(source: str, processes: int) -> list[str]:
        return ["assay", "score", source, "out.parquet", "--processes", str(processes)]

    commands = {
        "assay score, one process": lambda source: score(source, 1),
        "assay score, two processes": lambda source: score(source, 2),
        **({DASK: lambda source: [*score(source, 2), "--engine", "dask"]} if find_spec("distributed") else {}),
        "pyarrow and the ONNX session": lambda source: [sys.executable, "-c", SESSION, source],
        "pandas and the pipeline, 1,000 rows a time": lambda source: [sys.executable, "-c", PIPELINE, source],
    }
    idle = {name: run(made("one.parquet"), project).seconds for name, made in commands.items()}
    # The second process starts while the first one predicts, so its start counts.
    idle["assay score, two processes"] = idle["assay score, one process"]
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, made in commands.items():
            found[name].append(rate(made("in.parquet"), project, rows, idle[name]))
    print(f"\n{rows:,} rows x {COLUMNS} columns, median of {rounds} rounds, without the start of each command")
    print(f"{'':<44}{'rows/s':>12}{'ratio of `assay score, one process` to it':>44}")
    first = found["assay score, one process"]
    for name, rates in found.items():
        ratio = statistics.median(a / b for a, b in zip(first, rates, strict=True))
        print(f"{name:<44}{statistics.median(rates):>12,.0f}{ratio:>44.2f}")


def of_tree(command: list[str], project: Path, packages: Path) -> tuple[float, float]:
    """Run a command and return its seconds, and the processor seconds of it and of all processes that it starts.

    The processes are looked at now and then, since an engine leaves some of them to end by themselves.
    """
    spent: dict[tuple[int, float], float] = {}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        environment = os.environ | {"PYTHONPATH": str(packages)}
        root = psutil.Popen(command, cwd=project, env=environment, stdout=output, stderr=output)
        while root.poll() is None:
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    spent[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        if root.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)}: exit {root.returncode}\n{output.read().decode()}")
    return seconds, sum(spent.values())


def engines(project: Path, packages: Path, rounds: int, rows: int, names: Sequence[str]) -> None:
    """Compare this machine with two workers of each engine, on the same work."""
    source = pacsv.read_csv(project / "data/rows.csv")
    repeated(source, project / "in.parquet", rows)
    repeated(source, project / "one.parquet", 1)
    for what in ("score", "check"):
        costs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        start = dict.fromkeys(names, 0.0)
        for number in range(rounds + 1):
            for name, found in costs.items():
                command = [sys.executable, str(Path(__file__).with_name("engines.py")), name, what]
                if number:
                    found.append(of_tree([*command, "in.parquet"], project, packages))
                else:
                    start[name] = of_tree([*command, "one.parquet"], project, packages)[0]
        print(f"\n{what}: {rows:,} rows x {COLUMNS} columns, median of {rounds} rounds that are taken in turns")
        print(
            f"{'':<8}{'seconds':>10}{'of processors':>16}{'for one row':>14}{'ratio to local':>18}{'of processors':>16}"
        )
        for name, found in costs.items():
            middle = [statistics.median(cost[i] for cost in found) for i in (0, 1)]
            ratios = [
                statistics.median(a[i] / b[i] for a, b in zip(found, costs["local"], strict=True)) for i in (0, 1)
            ]
            print(
                f"{name:<8}{middle[0]:>10.1f}{middle[1]:>16.1f}{start[name]:>14.1f}{ratios[0]:>18.2f}{ratios[1]:>16.2f}"
            )


def growing(project: Path, sizes: list[int]) -> None:
    """Show time and peak memory of `assay score` as the input grows; one process, so that its memory is all of it."""
    source = pacsv.read_csv(project / "data/rows.csv")
    print(f"\n{'rows':>14}{'seconds':>10}{'peak MB':>10}")
    for rows in sizes:
        repeated(source, project / "in.parquet", rows)
        cost = run(["assay", "score", "in.parquet", "out.parquet", "--processes", "1"], project)
        print(f"{rows:>14,}{cost.seconds:>10.1f}{cost.peak_mb:>10.0f}")


def moved(source: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Yield tables of `rows` rows in all, which are those of a table with a little noise: no two are equal."""
    rng = np.random.default_rng(0)
    while rows:
        part = source.slice(0, rows)
        for number, name in enumerate(part.column_names):
            if pa.types.is_floating(part.schema.field(name).type):
                part = part.set_column(number, name, pc.add(part[name], rng.normal(0, 0.01, part.num_rows)))
        yield part
        rows -= part.num_rows


def stages(project: Path, sizes: list[int]) -> None:
    """Show processor time, time and peak memory of each stage as the data grows, with a limit for training."""
    source, file = pacsv.read_csv(project / "data/rows.csv"), project / "data/rows.parquet"
    contract, params = (json.loads((project / name).read_text()) for name in ("contract.yaml", "params.yaml"))
    (project / "contract.yaml").write_text(json.dumps({**contract, "data": "data/rows.parquet"}))
    params["train"]["max_memory"] = MEGABYTES
    (project / "params.yaml").write_text(json.dumps(params))
    costs: dict[int, dict[str, Cost]] = {}
    for rows in sizes:
        with pq.ParquetWriter(file, source.schema) as writer:
            for part in moved(source, rows):
                writer.write_table(part)
        costs[rows] = {stage: run(["assay", "stage", stage], project) for stage in STAGES}
    columns = {f"{rows:,} rows": of_stage for rows, of_stage in costs.items()}
    made = [project / name for name in (layout.PIPELINE, layout.METRICS)]
    here = [path.read_bytes() for path in made]
    with cluster(project) as address:
        engine = {"engine": {"kind": "dask", "address": address}}
        (project / "params.yaml").write_text(json.dumps(params | engine))
        columns["the last, on Dask"] = {stage: run(["assay", "stage", stage], project) for stage in STAGES}
    print(f"\nStages, with train.max_memory: {MEGABYTES}; seconds of processors and of the clock\n{'':<12}", end="")
    print("".join(f"{name:>32}" for name in columns))
    for stage in STAGES:
        of_stages = (of_stage[stage] for of_stage in columns.values())
        cells = (f"{cost.processor:.1f} s, {cost.seconds:.1f} s, {cost.peak_mb:,.0f} MB" for cost in of_stages)
        print(f"{stage:<12}" + "".join(f"{cell:>32}" for cell in cells))
    same = here == [path.read_bytes() for path in made]
    print(
        f"On Dask, memory is without workers; model and metrics are {'the same, to the byte' if same else 'DIFFERENT'}"
    )


@contextmanager
def cluster(project: Path) -> Iterator[str]:
    """Yield the address of a cluster of two workers on this machine."""
    port = free_port()
    with subprocess.Popen(["assay", "cluster", "--workers", "2", "--port", str(port)], cwd=project) as process:
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield f"tcp://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)


def checked(project: Path, rows: int, peers: Path, rounds: int) -> None:
    """Compare the contract check and the split with DuckDB's minimum, maximum, nulls and distinct values."""
    source, file = pacsv.read_csv(project / "data/rows.csv"), "checked.parquet"
    with pq.ParquetWriter(project / file, source.schema) as writer:
        for part in moved(source, rows):
            writer.write_table(part)
    threads = str(len(os.sched_getaffinity(0)))
    path = ["env", f"PYTHONPATH={peers}", sys.executable, "-c", DUCKDB, file]
    theirs = {f"DuckDB, distinct values {kind}": [*path, count, threads] for kind, count in DISTINCT.items()}
    commands = {"contract check and split": [sys.executable, "-c", CHECKED, file], **theirs}
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            costs[name].append(run(command, project))
    print(f"\n{rows:,} rows x {COLUMNS} columns, median of {rounds} rounds, {threads} processors")
    print(f"{'':<44}{'seconds':>10}{'peak MB':>10}{'ratio of the first to it':>28}")
    mine = [cost.seconds for cost in costs["contract check and split"]]
    for name, found in costs.items():
        seconds = [cost.seconds for cost in found]
        ratio = statistics.median(a / b for a, b in zip(mine, seconds, strict=True))
        peak = statistics.median(cost.peak_mb for cost in found)
        print(f"{name:<44}{statistics.median(seconds):>10.1f}{peak:>10.0f}{ratio:>28.2f}")
    (project / file).unlink()


def killed(project: Path, times: int, rows: int = 200_000) -> None:
    """Kill `assay score` at random moments and show what is there after each, and once it has run again."""
    repeated(pacsv.read_csv(project / "data/rows.csv"), project / "in.parquet", rows)
    command = ["assay", "score", "in.parquet", "killed.parquet", "--processes", "2", "--log", "log"]
    whole = run(command, project).seconds
    rng, half, wrong = np.random.default_rng(0), 0, 0
    for _ in range(times):
        (project / "killed.parquet").unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (project / "killed.parquet").exists():
            half += pq.read_metadata(project / "killed.parquet").num_rows != rows
        run(command, project)
        numbers = pq.read_table(project / "killed.parquet", columns=["row"])["row"].to_pylist()
        wrong += numbers != list(range(1, rows + 1))
    print(f"\nKilled {times} times with kill -9: {half} outputs half written, {wrong} with a gap or a row twice after")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7], help="sizes of the input")
    parser.add_argument("--compared", type=int, default=10**6, help="rows of the comparison")
    parser.add_argument("--shared", type=int, default=10**6, help="rows of the comparison of engines")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the comparison")
    parser.add_argument("--checked", type=int, default=10**7, help="rows of the comparison with DuckDB")
    parser.add_argument("--peers", type=Path, help="the folder where DuckDB is installed; without it there is none")
    parser.add_argument(
        "--engines", type=Path, help="the folder with Spark and Ray; without it no engines are compared"
    )
    parser.add_argument("--names", nargs="+", choices=ENGINES, default=ENGINES, help="the engines to compare")
    parser.add_argument("--only-engines", action="store_true", help="compare the engines and nothing else")
    parser.add_argument("--kills", type=int, default=20, help="how often a run is killed")
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        project = generated(Path(folder), TRAINED_ON)
        for stage in STAGES:
            run(["assay", "stage", stage], project)
        if arguments.engines:
            engines(project, arguments.engines.resolve(), arguments.rounds, arguments.shared, arguments.names)
        if arguments.only_engines:
            return
        compared(project, arguments.rounds, arguments.compared)
        growing(project, arguments.rows)
        killed(project, arguments.kills)
        if arguments.peers:
            checked(project, arguments.checked, arguments.peers.resolve(), rounds=1)
        stages(project, arguments.rows)


if __name__ == "__main__":
    main()
