"""Real Bentos under real load, as short as can be; `make load-bench` says how it is at full length."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from assay.base.outcomes import Outcome
from assay.gates.service import compare
from assay.inference.package import load_package
from assay.inference.rows import RowReader
from assay.load.bento import ASSAY, HOST, _uninterrupted, build, free_port, served
from assay.load.run import load, model
from assay.project import fingerprint as package
from assay.project.layout import MODELS
from assay.project.settings import load_packed_contract
from judged import params
from load.faults import FAULTS, around
from loads import loadtest
from machine import lacks
from scenario.project import SOURCE, Done, Project

# Rounds so short say little of what differs by little.
SHORT = {"users": 4, "rounds": 6, "seconds": 0.4, "requests": 200, "slower": 1.0, "tail": 9.0, "errors": 0.003}
LIMITS = params(service=SHORT).gates.service
LOADED = ("sleep", "leak", "errors", "dies")
# Of so few requests a kilobyte each would be lost in the noise.
LEAK = around("_kept.append(bytearray(32 * 1024))", "return await answer()")

# So often that soon all callers wait in each round.
FORGETS = around("if number % 50 == 0: await asyncio.sleep(2)", "return await answer()")


@pytest.fixture(scope="module")
def bento(first_run: tuple[Project, Done], tmp_path_factory) -> Path:
    return build(first_run[0].root, tmp_path_factory.mktemp("bentos") / "store")


@pytest.fixture(scope="module")
def judgements(bento: Path, tmp_path_factory) -> dict[str, Outcome]:
    """What the gate says of the same service and of each fault, all loaded in turns with the champion."""
    folder = tmp_path_factory.mktemp("faults")
    bentos = {"champion": bento}
    plants = {name: FAULTS[name].plant for name in LOADED} | {"leak": LEAK, "forgets": FORGETS}
    for name in ("same", *plants, "slow Assay"):
        store = shutil.copytree(bento.parents[2], folder / name)
        bentos[name] = store / bento.relative_to(bento.parents[2])
        if name in plants:
            plants[name](bentos[name] / "src")
    (folder / "slow Assay" / ASSAY).write_text(str(slowed_assay(folder / "slowed")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(SOURCE)
        sides = load(bentos, LIMITS, long=False)
    champion = sides.pop("champion")
    return {name: compare(loadtest(one, champion), LIMITS) for name, one in sides.items()}


def slowed_assay(folder: Path) -> Path:
    """Return where an Assay can be imported from that takes longer to answer."""
    shutil.copytree(package.SOURCE, folder / "assay")
    module = folder / "assay/serve/serving.py"
    code = module.read_text(encoding="utf-8")
    beginning = "        rows = self._read(call)\n"
    assert code.count(beginning) == 1
    module.write_text(code.replace(beginning, f"        import time; time.sleep(0.05)\n{beginning}"), encoding="utf-8")
    return folder


@pytest.mark.nightly
def test_an_assay_that_makes_the_service_slower_is_caught(judgements: dict[str, Outcome]):
    outcome = judgements["slow Assay"]
    assert outcome.measured["median"]["verdict"] in ("HOLD", "REJECT"), outcome.reason
    assert "median latency is" in outcome.measured["median"]["reason"]


@pytest.mark.nightly
def test_the_same_bento_passes(judgements: dict[str, Outcome]):
    assert judgements["same"].verdict == "PROMOTE", judgements["same"].reason


@pytest.mark.nightly
@pytest.mark.parametrize("name", LOADED)
def test_a_fault_is_caught_for_its_reason(judgements: dict[str, Outcome], name: str):
    outcome, fault = judgements[name], FAULTS[name]
    assert outcome.verdict in ("HOLD", "REJECT")
    # A fault may have worse effects than its own.
    found = outcome.measured[fault.check]
    assert found["verdict"] in ("HOLD", "REJECT"), outcome.reason
    assert fault.reason in found["reason"]


@pytest.mark.nightly
def test_callers_who_are_left_without_an_answer_are_counted(judgements: dict[str, Outcome]):
    assert judgements["forgets"].measured["waiting"]["worse"] >= 3


def test_a_larger_model_is_seen_in_its_bento(bento: Path, tmp_path: Path):
    larger = shutil.copytree(bento, tmp_path / "larger")
    FAULTS["larger model"].plant(larger / "src")
    assert model(larger).stat().st_size > 10 * model(bento).stat().st_size
    # It is one that would be served all the same.
    models = larger / "src" / MODELS
    load_package(models, RowReader(load_packed_contract(models), 1000), None, tolerance=1e-5)


def test_one_that_does_not_start_says_why(bento: Path, tmp_path: Path):
    store = shutil.copytree(bento.parents[2], tmp_path / "store")
    broken = store / bento.relative_to(bento.parents[2])
    FAULTS["does not start"].plant(broken / "src")
    sides = load({"candidate": broken}, LIMITS, long=False)
    assert sides["candidate"]["failed"] == "the built Bento does not start: OSError: no licence"


def test_a_planted_fault_is_caught(bento: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The others are planted in the same place; each is loaded at night."""
    monkeypatch.chdir(SOURCE)
    store = shutil.copytree(bento.parents[2], tmp_path / "store")
    faulty = store / bento.relative_to(bento.parents[2])
    FAULTS["errors"].plant(faulty / "src")
    sides = load({"candidate": faulty}, LIMITS, long=False)
    outcome = compare(loadtest(sides["candidate"], None), LIMITS)
    assert outcome.verdict == "REJECT"
    assert FAULTS["errors"].reason in outcome.measured["answers"]["reason"]
    # One answer in a hundred is wrong: the others come from the service itself.
    made = sides["candidate"]["rounds"]
    assert 0 < 20 * sum(one["errors"] for one in made) < sum(one["requests"] for one in made)


@pytest.mark.nightly
def test_locust_runs_the_script_by_itself_and_on_several_machines(first_run, bento: Path, tmp_path: Path):
    script = first_run[0].root / "loadtests/locustfile.py"
    locust = [sys.executable, "-m", "locust", "-f", str(script), "--headless"]
    port = free_port()
    with served(bento) as service:
        master = subprocess.Popen(
            [
                *(*locust, "--master", "--expect-workers=2", f"--master-bind-port={port}"),
                *("--users=4", "--spawn-rate=4", "--run-time=10s", f"--host=http://{HOST}:{service.port}", "--json"),
                "--exit-code-on-error=0",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        workers = [
            subprocess.Popen([*locust, "--worker", f"--master-port={port}"], cwd=tmp_path, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        said, log = master.communicate(timeout=120)
        assert [worker.wait(60) for worker in workers] == [0, 0]
    assert master.returncode == 0, log
    figures = json.loads(said)
    assert sum(one["num_requests"] for one in figures) > 100
    assert sum(one["num_failures"] for one in figures) == 0


def test_a_proc_of_another_pid_namespace_is_an_error(finished: Project):
    """In some containers /proc is the host's: each process is then another one there, or none."""
    unshare = ("unshare", "--user", "--map-root-user", "--pid", "--fork")
    if subprocess.run([*unshare, "true"], check=False).returncode:
        lacks("a PID namespace cannot be made here")
    said = finished.cold.refused(*unshare, "assay", "loadtest")
    assert said.startswith("/proc shows the processes of another PID namespace")


def is_alive(process: psutil.Process) -> bool:
    # One that has ended is there until whoever inherited it has looked.
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_an_interrupt_waits_until_what_is_started_can_be_stopped():
    started = []

    def start() -> None:
        with _uninterrupted():
            signal.raise_signal(signal.SIGINT)
            started.append("a service")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert started
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_load_test_leaves_nothing_running(finished: Project, tmp_path: Path):
    process = subprocess.Popen(
        ["assay", "loadtest"],
        cwd=finished.root,
        env=finished.cold.environment | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("candidate: ready"):
            break
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
    said = ""
    while process.poll() is None:
        # As a person does: again, when nothing happens.
        os.killpg(process.pid, signal.SIGINT)
        try:
            said = process.communicate(timeout=15)[1]
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 128 + signal.SIGINT
    # Where Python itself loses an interrupt, in a callback of its own, it says so.
    assert "Traceback" not in re.sub(r"Exception ignored in.*?KeyboardInterrupt: *\n", "", said, flags=re.DOTALL)
    assert not [one for one in started if is_alive(one)]
    assert list(tmp_path.glob("assay-load-*")) == []
    assert not (finished.root / "reports/loadtest.json").exists()
