"""How fast the service is beside others that serve the same model: `make bench-serve`.

All run on this machine, one process each that answers, and are loaded one after the other in interleaved rounds by the
same client (wrk). What counts is the ratio within a round; the table shows the median over the rounds. A round counts
only when the answer was right before and after it, and wrk saw nothing but 200 in between.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from assay.contract.spec import load_contract
from assay.data.columns import take
from assay.load.bento import free_port
from assay.modelling.features import encode
from assay.modelling.fitting import build, fit, scores
from assay.project.params import ModelChoice
from served import as_rows, write_models

REPOSITORY = Path(__file__).resolve().parents[3]
NUMBERS, CATEGORIES, VALUES, ROWS = 20, 6, 8, 5000
CONNECTIONS = 16
# Those who ask for more than can be done.
CROWD = 1000
# So many connections that each has to pause for some milliseconds at half of what a server can do.
PACED = 64
# Those whose starts are compared.
STARTED = ("assay", "BentoML, empty", "BentoML, usual")
# It shows what the log takes of the processor.
ALTERNATING = "assay, alternating"
# How long to wait before asking again whether a server is there.
PAUSE_SECONDS = 0.005
# One for all, for each that is made loads certificates beside what is measured; and no connection outlives a server.
CLIENT = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
ARROW = "application/vnd.apache.arrow.stream"


@dataclass
class Peer:
    """A server: how it is started, and how it is asked for rows."""

    name: str
    command: list[str]
    folder: Path
    port: int
    path: str = "/predict"
    key: str = "rows"
    environment: dict[str, str] = field(default_factory=dict)
    is_checked: bool = True

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}{self.path}"


def problem(root: Path) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
    """Write a contract of numbers and categories with gaps; return it with rows and their target."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        f"n{i}": {"kind": "number", "range": [-10, 10], "missing": "allow"} for i in range(NUMBERS)
    }
    values = [f"v{i}" for i in range(VALUES)]
    columns |= {f"c{i}": {"kind": "category", "values": values, "missing": "allow"} for i in range(CATEGORIES)}
    target = {"name": "y", "classes": ["no", "yes"], "positive": "yes"}
    contract = {"name": "bench", "data": "data/x.csv", "task": "binary", "target": target, "columns": columns}
    YAML().dump(contract, root / "contract.yaml")
    data: dict[str, np.ndarray] = {f"n{i}": rng.normal(0, 2, ROWS).clip(-9, 9) for i in range(NUMBERS)}
    data |= {f"c{i}": rng.choice(values, ROWS).astype(object) for i in range(CATEGORIES)}
    risk = data["n0"] + data["n1"] * data["n2"] / 2 + (data["c0"] == "v1") * 2 + rng.normal(0, 1, ROWS)
    for name, values_ in data.items():
        gap = rng.random(ROWS) < 0.05
        data[name] = np.where(gap, None if name.startswith("c") else np.nan, values_)
    return load_contract(root / "contract.yaml"), data, (risk > 0).astype(np.int64)


def prepare(root: Path, python: Path, served: Path) -> tuple[list[Peer], list[dict[str, Any]], list[float]]:
    """Train the model and lay out every server; return them, rows to ask for, and the right answers."""
    ours = root / "assay"
    ours.mkdir()
    for name in ("src", "service.py", "bentofile.yaml", "requirements"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, ours / name)
    contract, data, target = problem(ours)
    choice = ModelChoice(family="gradient_boosting", parameters={"max_iter": 100})
    pipeline = fit(build(choice, contract, 0), data, target, contract)
    write_models(ours, contract, data, pipeline, "onnx", log="safe")
    rows = as_rows(take(data, np.arange(1000)), contract)
    right = scores(pipeline, take(data, np.arange(1000)), contract)[:, 1].tolist()
    two = with_params(ours, root / "two", workers=2)
    unlogged = with_params(ours, root / "unlogged", log="off")
    shutil.copy(Path(__file__).with_name("peers") / "alternating.py", ours)

    peers = root / "peers"
    shutil.copytree(Path(__file__).with_name("peers"), peers)
    # The usual services hand a frame of the raw columns to the pipeline; gaps in categories are filled inside it.
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    names = [f"n{i}" for i in range(NUMBERS)]
    texts = [f"c{i}" for i in range(CATEGORIES)]
    fill = SimpleImputer(strategy="constant", fill_value="missing", missing_values=np.nan)
    usual = make_pipeline(
        ColumnTransformer(
            [
                ("number", SimpleImputer(keep_empty_features=True), names),
                ("category", make_pipeline(fill, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), texts),
            ]
        ),
        pipeline[-1].__class__(**pipeline[-1].get_params()),
    )
    frame = pd.DataFrame(data)[[*names, *texts]].fillna(dict.fromkeys(texts, "missing"))
    usual.fit(frame, target)
    joblib.dump(usual, peers / "pipeline.joblib")
    shutil.copy(ours / "models/model.onnx", peers / "model.onnx")
    values = {name: getattr(column, "values", None) for name, column in contract.features.items()}
    inputs_made = encode(take(data, np.arange(1)), contract)
    (peers / "inputs.json").write_text(json.dumps({name: values.get(name) for name in inputs_made}))
    (peers / "save.py").write_text(
        "import joblib, mlflow.sklearn\nmlflow.sklearn.save_model(joblib.load('pipeline.joblib'), 'mlflow-model', "
        "pyfunc_predict_fn='predict_proba', serialization_format='cloudpickle')\n"
    )
    subprocess.run([python, "save.py"], cwd=peers, check=True, capture_output=True)
    bin_ = python.parent
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "ORT_DISABLE_TELEMETRY": "1"}
    here = str(served.parent / "bentoml")
    made = [
        Peer("assay", [here, "serve", "service:Assay", "--port", "{port}"], ours, 0),
        Peer("assay, two workers", [here, "serve", "service:Assay", "--port", "{port}"], two, 0),
        Peer("assay, no log", [here, "serve", "service:Assay", "--port", "{port}"], unlogged, 0),
        Peer(ALTERNATING, [here, "serve", "alternating:Assay", "--port", "{port}"], ours, 0),
        Peer(
            "bare uvicorn, ONNX", [str(bin_ / "uvicorn"), "bare:app", "--port", "{port}", "--no-access-log"], peers, 0
        ),
        Peer(
            "BentoML, empty",
            [str(bin_ / "bentoml"), "serve", "empty:Empty", "--port", "{port}"],
            peers,
            0,
            is_checked=False,
        ),
        Peer(
            "BentoML, usual",
            [str(bin_ / "bentoml"), "serve", "usual:Usual", "--port", "{port}"],
            peers,
            0,
            is_checked=False,
        ),
        Peer(
            "BentoML, usual, 1 core",
            [str(bin_ / "bentoml"), "serve", "usual:Usual", "--port", "{port}"],
            peers,
            0,
            environment={"OMP_NUM_THREADS": "1"},
            is_checked=False,
        ),
        Peer("FastAPI, joblib", [str(bin_ / "uvicorn"), "fast:app", "--port", "{port}"], peers, 0, is_checked=False),
        Peer(
            "mlflow models serve",
            [
                str(bin_ / "mlflow"),
                "models",
                "serve",
                "-m",
                "mlflow-model",
                "--env-manager",
                "local",
                "--port",
                "{port}",
            ],
            peers,
            0,
            path="/invocations",
            key="dataframe_records",
            is_checked=False,
        ),
    ]
    for peer in made:
        peer.port = free_port()
        peer.command = [part.format(port=peer.port) for part in peer.command]
        path = f"{Path(peer.command[0]).parent}{os.pathsep}{os.environ['PATH']}"
        home = {"PATH": path, "BENTOML_HOST": "127.0.0.1", "BENTOML_HOME": str(root / "bentoml")}
        peer.environment = os.environ | quiet | home | peer.environment
        peer.environment.pop("PYTHONPATH", None)
        if peer.name.startswith("assay"):
            peer.environment["PYTHONPATH"] = str(REPOSITORY / "packages/assay/src")
    return made, rows, right


def with_params(project: Path, folder: Path, **changes: Any) -> Path:
    """Copy a project to a folder that is not there yet, with other settings of the service."""
    shutil.copytree(project, folder)
    settings = folder / "models/service.json"
    content = json.loads(settings.read_text())
    content["serve"] |= changes
    settings.write_text(json.dumps(content))
    return folder


@contextmanager
def running(peer: Peer, rows: list[dict[str, Any]]) -> Iterator[tuple[psutil.Process, float]]:
    """Start a server; yield its process, and how long it took until the first answer."""
    started = time.monotonic()
    with (peer.folder / f"{peer.port}.log").open("wb") as log:
        process = subprocess.Popen(
            peer.command, cwd=peer.folder, env=peer.environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while not answers(peer, rows[:1]):
            time.sleep(PAUSE_SECONDS)
            if process.poll() is not None or time.monotonic() - started > 120:
                raise SystemExit(
                    f"{peer.name} does not start:\n{(peer.folder / f'{peer.port}.log').read_text()[-2000:]}"
                )
        yield psutil.Process(process.pid), time.monotonic() - started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def answers(peer: Peer, rows: list[dict[str, Any]]) -> Any:
    """Return what a server answers to rows, None if it does not."""
    try:
        response = CLIENT.post(peer.url, json={peer.key: rows})
    except httpx.TransportError:
        return None
    return response.json() if response.status_code == 200 else None


def check(peer: Peer, rows: list[dict[str, Any]], right: list[float]) -> None:
    """Compare a few answers with those of the pipeline; end the run for a wrong one."""
    told = answers(peer, rows[:5])
    if told is None:
        raise SystemExit(f"{peer.name} does not answer")
    if not peer.is_checked:
        return
    given = (
        [one["probabilities"]["yes"] for one in told["predictions"]]
        if isinstance(told, dict)
        else [one[1] for one in told]
    )
    if not np.allclose(given, right[:5], atol=1e-4):
        raise SystemExit(f"{peer.name} answers {given} and not {right[:5]}")


def cpu(process: psutil.Process) -> float:
    """Return the seconds of CPU of a process and all below it."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and all below it hold."""
    return sum(int(one.memory_info().rss) for one in [process, *process.children(recursive=True)])


def wrk(peer: Peer, script: Path, seconds: int, connections: int) -> list[str]:
    """Return the command that loads a server."""
    how = ("-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s")
    return ["wrk", *how, "-s", str(script), peer.url]


def load(peer: Peer, process: psutil.Process, script: Path, seconds: int, connections: int) -> dict[str, float]:
    """Load a server with wrk; return requests a second, milliseconds of the 99th percentile, CPU us a request."""
    before = cpu(process)
    said = subprocess.run(wrk(peer, script, seconds, connections), capture_output=True, text=True, check=True).stdout
    spent = cpu(process) - before
    number = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    if "Non-2xx" in said or "Socket errors" in said or not number:
        print(f"{peer.name}: {' '.join(said.split())[-200:]}", file=sys.stderr)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    return {
        "rate": rate,
        "p99": float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit],
        "cpu": 1e6 * spent / max(number, 1),
    }


def overload(peer: Peer, process: psutil.Process, folder: Path, body: Path, rate: float, seconds: int) -> str:
    """Ask for three times what a server can do, and say what becomes of others who ask meanwhile."""
    pause = round(1000 * CROWD / (3 * rate))
    content = body.read_bytes()
    paced = script(folder, f"crowd-{peer.key}", content, pause=pause)
    before = memory(process)
    crowd = subprocess.Popen(wrk(peer, paced, seconds, CROWD), stdout=subprocess.PIPE, text=True)
    accepted, refused = [], 0
    with httpx.Client(timeout=60) as client:
        while crowd.poll() is None:
            started = time.perf_counter()
            response = client.post(peer.url, content=content, headers={"content-type": "application/json"})
            if response.status_code == 200:
                accepted.append(1000 * (time.perf_counter() - started))
            else:
                refused += 1
    after = memory(process)
    said = crowd.communicate()[0]
    total = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    wrong = int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", said)) else 0
    p50, p99 = np.percentile(accepted or [np.nan], [50, 99])
    return (
        f"{peer.name:<26}{(total - wrong) / seconds:>12,.0f}{wrong / total:>10.0%}{p50:>9.0f}{p99:>9.0f}{refused:>9}"
        f"{(after - before) / 1e6:>9.0f}"
    )


def script(folder: Path, name: str, body: bytes, kind: str = "application/json", pause: int = 0) -> Path:
    """Write what wrk sends, and for how many milliseconds each connection waits before it asks again."""
    (folder / f"{name}.body").write_bytes(body)
    path = folder / f"{name}.lua"
    path.write_text(
        f'local file = io.open("{folder / name}.body", "rb")\nwrk.method = "POST"\nwrk.body = file:read("*a")\n'
        f'wrk.headers["Content-Type"] = "{kind}"\n' + (f"function delay() return {pause} end\n" if pause else "")
    )
    return path


def streamed(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as a table in Arrow's stream format."""
    table, sink = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def table(title: str, found: dict[str, list[dict[str, float]]], scale: float = 1.0, unit: str = "requests/s") -> None:
    """Print the medians, and the median of the ratios round by round."""
    mine = found["assay"]
    print(f"\n{title}\n{'server':<26}{unit:>12}{'p99 ms':>9}{'CPU us':>9}   assay is so many times as fast (range)")
    for name, rounds in found.items():
        rate, p99, spent = (statistics.median(one[key] for one in rounds) for key in ("rate", "p99", "cpu"))
        # One that answers nothing in time gets no number.
        ratios = [own["rate"] / (other["rate"] or math.nan) for own, other in zip(mine, rounds, strict=True)]
        middle = statistics.median(ratios)
        spread = f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:<26}{rate * scale:>12,.0f}{p99:>9.1f}{spent:>9.0f}   {spread}")


def cost_of_log(peer: Peer, root: Path, rows: list[dict[str, Any]], seconds: int) -> None:
    """Load a service that logs predictions and does not, alternately; print what a row takes in each case."""
    scripts = {
        "one row, all different": (different(root, rows), CONNECTIONS),
        "1,000 rows": (script(root, "many", json.dumps({"rows": rows}).encode()), 2),
        "1,000 rows, Arrow": (script(root, "arrow", streamed(rows), ARROW), 2),
    }
    print(f"\nWhat the log takes, alternately in one process\n{'requests':<26}{'CPU us':>12}{'without':>9}   log takes")
    costs = peer.folder / "costs"
    peer.environment["COSTS"] = str(costs)
    for name, (body, connections) in scripts.items():
        with running(peer, rows) as (process, _):
            load(peer, process, body, 1, connections)
            costs.write_text("")
            load(peer, process, body, seconds, connections)
            slices = [line.split() for line in costs.read_text().splitlines()]
        # The first slice began before the load, and one may have no rows.
        pairs = [
            {kind: int(took) / int(number) / 1000 for kind, took, number in pair}
            for pair in zip(slices[1::2], slices[2::2], strict=False)
            if all(number != "0" for _, _, number in pair)
        ]
        if not pairs:
            raise SystemExit(f"{peer.name}: too few rows were answered to tell what the log takes")
        on, off, more = (
            statistics.median(values)
            for values in zip(*((one["on"], one["off"], one["on"] / one["off"] - 1) for one in pairs), strict=True)
        )
        print(f"{name:<26}{on:>12.1f}{off:>9.1f}   {more:.1%}", flush=True)


def different(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write for wrk one request after another for each of some rows."""
    bodies = folder / "different.bodies"
    bodies.write_text("".join(json.dumps({"rows": [row]}) + "\n" for row in rows))
    path = folder / "different.lua"
    path.write_text(
        f'''wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
local requests, number = {{}}, 0
function init()
    for body in io.lines("{bodies}") do table.insert(requests, wrk.format(nil, nil, nil, body)) end
end
function request()
    number = number % #requests + 1
    return requests[number]
end
'''
    )
    return path


def start(peers: list[Peer], rows: list[dict[str, Any]], times: int) -> None:
    """Start servers in turns, and print how long it takes until the first answer."""
    took: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(times):
        for peer in random.sample(peers, len(peers)):
            with running(peer, rows) as (_, seconds):
                took[peer.name].append(seconds)
    print(f"\nUntil the first answer, {times} starts in turns\n{'server':<26}{'seconds':>12}   assay takes times")
    for name, seconds in took.items():
        middle = statistics.median(seconds)
        print(f"{name:<26}{middle:>12.2f}   {statistics.median(took['assay']) / middle:.2f}")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--peers", type=Path, required=True, help="the environment of the peers")
    parser.add_argument("--served", type=Path, required=True, help="an environment with what the service needs alone")
    parser.add_argument("--only", nargs="+", help="names of servers")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("bench/serve.py: wrk is not installed; `apt-get install wrk`")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pythons = [folder.absolute() / "bin" / "python" for folder in (given.peers, given.served)]
        peers, rows, right = prepare(root, *pythons)
        peers = [peer for peer in peers if not given.only or peer.name in given.only]
        arrow = script(root, "arrow", streamed(rows), ARROW)
        for peer in [peer for peer in peers if peer.name == ALTERNATING]:
            cost_of_log(peer, root, rows, 5 * given.seconds)
            peers.remove(peer)
        if not peers:
            return
        single: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
        half: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
        batch: dict[str, list[dict[str, float]]] = {
            peer.name: [] for peer in peers if peer.is_checked or "empty" not in peer.name
        }
        crowded = []
        for number in range(given.rounds):
            for peer in peers:
                one = script(root, f"one-{peer.key}", json.dumps({peer.key: rows[:1]}).encode())
                many = script(root, f"many-{peer.key}", json.dumps({peer.key: rows}).encode())
                with running(peer, rows) as (process, _):
                    check(peer, rows, right)
                    load(peer, process, one, 1, CONNECTIONS)
                    single[peer.name].append(load(peer, process, one, given.seconds, CONNECTIONS))
                    pause = round(1000 * PACED / (single[peer.name][-1]["rate"] / 2))
                    paced = script(root, f"paced-{peer.key}", one.with_suffix(".body").read_bytes(), pause=pause)
                    half[peer.name].append(load(peer, process, paced, given.seconds, PACED))
                    if peer.name in batch:
                        load(peer, process, many, 1, 2)
                        batch[peer.name].append(load(peer, process, many, given.seconds, 2))
                    if peer.name.startswith("assay"):
                        load(peer, process, arrow, 1, 2)
                        batch.setdefault(f"{peer.name}, Arrow", []).append(load(peer, process, arrow, given.seconds, 2))
                    if not number and peer.name in ("assay", "bare uvicorn, ONNX"):
                        body, rate = one.with_suffix(".body"), single[peer.name][-1]["rate"]
                        crowded.append(overload(peer, process, root, body, rate, given.seconds))
                    check(peer, rows, right)
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
        table("One row a request, 16 connections", single)
        table("One row a request, at half of its own saturation", half)
        table("1,000 rows a request, 2 connections", batch, 1000, "rows/s")
        print(
            f"\nOne row a request, {CROWD} connections that ask for three times as much, and one beside them\n"
            f"{'server':<26}{'requests/s':>12}{'refused':>10}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}{'grows MB':>9}"
        )
        print(*crowded, sep="\n")
        start([peer for peer in peers if peer.name in STARTED], rows, given.starts)


if __name__ == "__main__":
    main()
