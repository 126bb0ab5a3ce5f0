import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlencode

import pytest

from assay.base.errors import LONGEST_LINE
from assay.cli.main import main
from assay.contract.spec import load_contract
from assay.project.tracking import commit, data_md5, first_cause, numbers, parameters_of, versions_of
from machine import lacks
from places import PACKAGE, ROOT

BIN = Path(sys.executable).parent
ABOUT = {
    "name": "breast-cancer",
    "choice": {"family": "forest", "parameters": {"depth": 3, "weights": None}},
    "served": "onnx",
    "reason": "",
    "contract_sha256": "c" * 64,
    "files_sha256": {"model.onnx": "a" * 64, "model.skops": "b" * 64},
}
SCORES = {"roc_auc": 0.75}
RESULTS = {
    "metrics.json": {
        "test": {"roc_auc": {"value": 0.75, "low": 0.5, "high": 1.0}},
        "train": SCORES,
        "dummy": SCORES,
        "rows": {"train": 5, "test": 2},
    },
    "reports/validate.json": [],
    "reports/analyse.json": {"slices": {}},
    "reports/parity.json": {"served": "onnx"},
    "models/model.json": ABOUT,
    "models/model.onnx": "a model",
    "models/card.md": "a card",
}
# A pipeline of one stage that writes at once what the true one leaves after half a minute.
PIPELINE = """
stages:
  all:
    cmd: python stage.py
    deps: [data, stage.py]
    params: [seed]
    outs: [reports, models]
    metrics:
      - metrics.json: {cache: false}
"""
STAGE = f"""
import json, pathlib
for name, content in {RESULTS!r}.items():
    pathlib.Path(name).parent.mkdir(exist_ok=True)
    pathlib.Path(name).write_text(json.dumps(content))
"""

# voluptuous, as DVC calls it.
NONE_STEP = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon raise:DeprecationWarning")


# What is logged


def test_parameters_are_text_with_the_model_that_was_chosen() -> None:
    given = {"seed": 3, "train": {"calibrate": False}, "prepare": {"salt": "x"}, "export": {"tolerance": 1e-5}}
    assert parameters_of(given, ABOUT["choice"]) == {
        "seed": "3",
        "train.calibrate": "false",
        "prepare.salt": "x",
        "export.tolerance": "1e-05",
        "choice.family": "forest",
        "choice.parameters.depth": "3",
        "choice.parameters.weights": "null",
    }


def test_only_numbers_are_metrics() -> None:
    assert numbers({"a": {"b": 1, "c": 0.5}, "d": "good", "e": None, "f": True}) == {"a.b": 1.0, "a.c": 0.5}


@pytest.mark.parametrize(("served", "model"), [("onnx", "a" * 64), ("skops", "b" * 64)])
def test_the_model_is_named_by_the_file_that_is_served(served: str, model: str) -> None:
    assert versions_of(ABOUT | {"served": served}, "d" * 32) == {"model": model, "contract": "c" * 64, "data": "d" * 32}


def test_data_that_the_pipeline_does_not_name_gets_no_tag() -> None:
    assert "data" not in versions_of(ABOUT, None)


@pytest.mark.parametrize(
    ("path", "md5"), [("data", "1.dir"), ("data/a.csv", "1"), ("data/a", None), ("dat", None), ("data/b.csv", None)]
)
def test_the_data_is_named_as_the_lock_names_it(path: str, md5: str | None) -> None:
    lock = {"stages": {"none": {}, "one": {"deps": [{"path": "code.py", "md5": "0"}, {"path": path, "md5": md5}]}}}
    assert data_md5(lock, Path("data/a.csv")) == md5


def test_the_commit_is_said_to_be_dirty_when_a_file_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == {}
    head = _committed(tmp_path)
    assert commit() == {"commit": head, "dirty": "false", "mlflow.source.git.commit": head}
    (tmp_path / "new.py").write_text("")
    assert commit()["dirty"] == "true"


def test_the_first_cause_is_told_in_a_line_and_no_password() -> None:
    error = ValueError("a page of text")
    error.__context__ = OSError("no way to http://me:secret@host/\n" + "." * 1000)
    told = first_cause(error)
    assert told.startswith("OSError: no way to http://host/ ..")
    assert len(told) == len("OSError: ") + LONGEST_LINE
    error.__suppress_context__ = True
    assert first_cause(error) == "ValueError: a page of text"


# Without a server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in git and DVC with this project's contract and parameters, and the pipeline above."""
    if load_contract(ROOT / "contract.yaml").name != "breast-cancer":
        pytest.skip("is about the data that comes with the template")
    for name in ("contract.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "breast_cancer.csv").write_text("here")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (tmp_path / ".gitignore").write_text("/reports\n/models\n")
    (tmp_path / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    _committed(tmp_path)
    return tmp_path


Ran = tuple[int, str, str]


@pytest.fixture
def assay(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ran]]:
    """Runs `assay` where MLflow is not installed, in this process; returns its status, and what it printed."""
    monkeypatch.chdir(project)
    monkeypatch.setitem(sys.modules, "mlflow", None)

    def run(*arguments: str, server: str) -> Ran:
        os.environ["MLFLOW_TRACKING_URI"] = server
        monkeypatch.setattr(sys, "argv", ["assay", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capfd.readouterr()

    with patch.dict(os.environ):
        yield run


@NONE_STEP
def test_without_a_server_named_nothing_is_logged_and_mlflow_not_looked_for(assay: Callable[..., Ran]) -> None:
    status, _, said = assay("repro", server="")
    assert status == 0
    assert "MLflow" not in said
    _, _, said = assay("track", server="")
    assert said == (
        "assay: MLFLOW_TRACKING_URI is not set; set it to the URL of the MLflow server, such as http://127.0.0.1:5000\n"
    )


@NONE_STEP
def test_without_mlflow_one_line_says_what_to_install_and_the_results_stand(assay: Callable[..., Ran]) -> None:
    told = "MLflow is not installed; install it with `pip install -r requirements/mlflow.txt`"
    status, shown, said = assay("repro", "--json", server="http://127.0.0.1:1")
    assert status == 0
    assert json.loads(shown)["metrics"] == RESULTS["metrics.json"]
    assert told in said.splitlines()[-1]
    status, _, said = assay("track", server="http://127.0.0.1:1")
    assert (status, said.count("\n")) == (2, 1)
    assert told in said


@NONE_STEP
def test_results_of_other_parameters_are_not_logged(project: Path, assay: Callable[..., Ran]) -> None:
    assay("repro", server="")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("seed: ", "seed: 1"))
    status, _, said = assay("track", server="http://127.0.0.1:1")
    assert (status, said.count("\n")) == (2, 1)
    assert "do not match the code, data and parameters; run `dvc repro` first" in said


# Importing MLflow takes longer than all else.
BOTH = """
import sys
from assay.cli.main import main
for command in ("repro", "track"):
    sys.argv = ["assay", command]
    try:
        main()
    except SystemExit as ended:
        print("ended with", ended.code or 0, file=sys.stderr)
"""


def test_a_server_that_is_down_is_one_line(project: Path, client: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = _run(project, sys.executable, "-c", BOTH, client=client, server=f"http://me:secret@127.0.0.1:{port}")
    *_, told, first, again, second = done.stderr.splitlines()
    down = f"MLflow at http://127.0.0.1:{port}: ConnectionRefusedError"
    assert (first, second) == ("ended with 0", "ended with 2")
    assert told.startswith(f"warning: the run was not logged: {down}")
    assert told.endswith("Connection refused; `assay track` tries again")
    assert again.startswith(f"assay: {down}")
    assert "secret" not in done.stderr


@pytest.mark.nightly
def test_a_server_that_never_answers_is_not_waited_for_without_end(project: Path, client: Path) -> None:
    _assay(project, "repro", client=client, server="")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = _assay(project, "track", client=client, server=server, MLFLOW_HTTP_REQUEST_TIMEOUT="1")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "timed out" in done.stderr


# With a server


@pytest.mark.nightly
def test_a_run_is_logged_with_parameters_metrics_tags_and_files(project: Path, client: Path, server: int) -> None:
    head = _head(project)
    done = _assay(project, "repro", client=client, server=f"http://127.0.0.1:{server}")
    assert done.returncode == 0, done.stderr
    (run,) = _runs(server, "breast-cancer")
    assert done.stderr.splitlines()[-1] == (
        f"MLflow: logged as run {run['info']['run_name']} at http://127.0.0.1:{server}"
    )
    assert run["info"]["status"] == "FINISHED"
    parameters = _pairs(run, "params")
    assert parameters["prepare.salt"] == "assay"
    assert parameters["validate.leakage_score"] == "0.98"
    assert parameters["choice.parameters.weights"] == "null"
    assert _pairs(run, "metrics") == {
        "test.roc_auc.value": 0.75,
        "test.roc_auc.low": 0.5,
        "test.roc_auc.high": 1.0,
        "train.roc_auc": 0.75,
        "dummy.roc_auc": 0.75,
        "rows.train": 5,
        "rows.test": 2,
    }
    tags = _pairs(run, "tags")
    assert tags["commit"] == tags["mlflow.source.git.commit"] == head
    # The run itself wrote dvc.lock and metrics.json.
    assert tags["dirty"] == "true"
    assert (tags["contract"], tags["model"]) == ("c" * 64, "a" * 64)
    assert tags["data"] in (project / "dvc.lock").read_text()
    assert tags["data"].endswith(".dir")
    assert sorted(_files(server, run)) == sorted(RESULTS)
    for name in RESULTS:
        assert _get(server, f"/get-artifact?{_query(run, name)}") == (project / name).read_bytes()

    # Nothing changed: no run. Asked for: another one.
    assert _assay(project, "repro", client=client, server=f"http://127.0.0.1:{server}").returncode == 0
    assert len(_runs(server, "breast-cancer")) == 1
    _committed(project)
    done = _assay(project, "track", client=client, server=f"http://127.0.0.1:{server}")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (0, 1, "")
    second, first = _runs(server, "breast-cancer")
    assert first["info"]["run_id"] == run["info"]["run_id"] != second["info"]["run_id"]
    assert _pairs(second, "tags")["dirty"] == "false"
    assert _pairs(second, "metrics") == _pairs(first, "metrics")


@pytest.mark.nightly
def test_an_experiment_of_another_name_is_the_users_choice(project: Path, client: Path, server: int) -> None:
    chosen = {"MLFLOW_EXPERIMENT_NAME": "mine"}
    done = _assay(project, "repro", client=client, server=f"http://127.0.0.1:{server}", **chosen)
    assert "MLflow: logged" in done.stderr
    assert len(_runs(server, "mine")) == 1


@pytest.mark.nightly
def test_what_the_server_refuses_is_one_line(project: Path, client: Path, server: int) -> None:
    chosen = {"MLFLOW_EXPERIMENT_ID": "999"}
    done = _assay(project, "repro", client=client, server=f"http://127.0.0.1:{server}", **chosen)
    assert done.returncode == 0
    assert "warning: the run was not logged" in done.stderr.splitlines()[-1]
    assert "999" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what requirements/mlflow.txt adds to this environment."""
    folder = tmp_path_factory.mktemp("client")
    _install(ROOT / "requirements/mlflow.txt", "--target", str(folder))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an MLflow server that keeps its runs in SQLite."""
    folder = tmp_path_factory.mktemp("server")
    subprocess.run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    _install(PACKAGE / "requirements/mlflow-server.txt", "--python", str(folder / "venv"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [folder / "venv/bin/mlflow", "server", "--backend-store-uri", "sqlite:///runs.db", "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--artifacts-destination", folder / "files", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=os.environ | quiet,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while not _healthy(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.2)
        yield port
    finally:
        # The server is a process with children; all of them are in the session that was begun for it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _install(lock: Path, *where: str) -> None:
    command = [BIN / "uv", "pip", "install", "--quiet", "--require-hashes", *where]
    done = subprocess.run([*command, "-r", lock], capture_output=True, text=True, check=False)
    if done.returncode:
        lacks(f"{lock.relative_to(ROOT)} cannot be installed here: {' '.join(done.stderr.split())[:300]}")


def _healthy(port: int) -> bool:
    try:
        return _get(port, "/health") == b"OK"
    except (OSError, HTTPException):
        return False


def _assay(project: Path, *arguments: str, client: Path, server: str, **more: str) -> subprocess.CompletedProcess[str]:
    return _run(project, str(BIN / "assay"), *arguments, client=client, server=server, **more)


def _run(project: Path, *command: str, client: Path, server: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DO_NOT_TRACK"))}
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(client)}
    return subprocess.run(
        command,
        cwd=project,
        env=kept | path | {"MLFLOW_TRACKING_URI": server} | more,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _committed(folder: Path) -> str:
    """Commit all files of a folder, and return the commit."""
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*me, "commit", "--quiet", "--allow-empty", "-m", "a"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return _head(folder)


def _head(folder: Path) -> str:
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()


def _get(port: int, path: str, body: Any = None) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, content
    return content


def _runs(port: int, experiment: str) -> list[dict[str, Any]]:
    """Return the runs of an experiment, the newest first."""
    api = "/api/2.0/mlflow"
    found = json.loads(_get(port, f"{api}/experiments/get-by-name?experiment_name={quote(experiment)}"))["experiment"]
    return list(
        json.loads(_get(port, f"{api}/runs/search", {"experiment_ids": [found["experiment_id"]]})).get("runs", [])
    )


def _pairs(run: dict[str, Any], kind: str) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in run["data"][kind]}


def _files(port: int, run: dict[str, Any], path: str = "") -> Iterator[str]:
    found = json.loads(_get(port, f"/api/2.0/mlflow/artifacts/list?{_query(run, path)}"))
    for file in found.get("files", []):
        if file["is_dir"]:
            yield from _files(port, run, file["path"])
        else:
            yield file["path"]


def _query(run: dict[str, Any], path: str) -> str:
    return urlencode({"run_id": run["info"]["run_id"]} | ({"path": path} if path else {}))
