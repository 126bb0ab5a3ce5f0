"""The load test: build, serve, load in alternating rounds, measure and record."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec

from assay.base.errors import InputError, one_line
from assay.base.files import read_json, write_json, write_text
from assay.base.outcomes import Outcome
from assay.base.process import ended_by_signals
from assay.base.progress import say, track
from assay.gates.loadtest import LOADTEST, LOADTEST_FORMAT, as_loadtest, setting
from assay.gates.obstacle import NO_CHAMPION, Obstacle, ObstacleKind
from assay.gates.service import compare, slow_start
from assay.load.bento import HOST, RunningService, build, check_processes, served, size
from assay.load.page import page
from assay.project.champion import own_assay, restore
from assay.project.change import Change
from assay.project.layout import MODELS, model_version
from assay.project.packed import LOCUSTFILE, SERVICE, service_identity
from assay.project.params import ServiceGate, load_params

WARM_UP_SECONDS = 2.0
MORE_STARTS = 2
LONG_ROUNDS, LONG_SECONDS = 30, 10.0


def run(change: Change, *, long: bool = False) -> Outcome:
    """Load the service of the working tree against the champion's; write reports/loadtest.json and .html.

    Returns the outcome. Raises InputError if there is no service or a setting is missing. Failures of a service or of
    the champion are part of the result.
    """
    limits = load_params().gates.service
    for name in ("users", "rounds", "seconds"):
        if getattr(limits, name) is None:
            raise InputError(f"params.yaml: gates.service.{name} is not set, but the load test needs it")
    for path in (SERVICE, MODELS / "model.json"):
        if not path.exists():
            raise InputError(f"{path}: there is no such file; run `make repro`")
    check_processes()
    champion, obstacle = _champion(change.champion)
    with ended_by_signals():
        sides = measure({"candidate": Path(), **({"champion": champion} if champion else {})}, limits, long=long)
    made = {
        "format": LOADTEST_FORMAT,
        "candidate": service_identity(Path()),
        "champion": None if champion is None else service_identity(champion),
        "commit": change.champion,
        "obstacle": obstacle and obstacle.model_dump(mode="json"),
        "setting": setting(limits),
        "long": long,
        "sides": sides,
    }
    found = as_loadtest(made)
    outcome = compare(found, limits)
    write_json(LOADTEST, made)
    write_text(LOADTEST.with_suffix(".html"), page(found, outcome))
    return outcome


def measure(projects: dict[str, Path], limits: ServiceGate, *, long: bool) -> dict[str, Any]:
    """Build projects and load the Bentos; return the measurements by project."""
    with tempfile.TemporaryDirectory(prefix="assay-load-") as made:
        bentos: dict[str, Path] = {}
        failed: dict[str, Any] = {}
        for name, project in projects.items():
            say(f"{name}: building the Bento")
            try:
                # The champion runs with its own Assay: a slower service after an upgrade counts for the candidate.
                assay = own_assay(project) if name == "champion" else None
                bentos[name] = build(project, Path(made, name), assay)
            except InputError as error:
                say(f"{name}: {error}")
                failed[name] = {"failed": str(error)}
        return failed | (load(bentos, limits, long=long) if "candidate" in bentos else {})


def load(bentos: dict[str, Path], limits: ServiceGate, *, long: bool) -> dict[str, Any]:
    """Serve Bentos at the same time and load them in alternating rounds; return the measurements by project."""
    sides: dict[str, Any] = {}
    with ExitStack() as running:
        services: dict[str, RunningService] = {}
        for name, bento in bentos.items():
            sides[name] = {"rounds": [], "bento_size": size(bento), "model_size": model(bento).stat().st_size}
            try:
                service = running.enter_context(served(bento))
                _ask_once(service, bento)
            except InputError as error:
                sides[name]["failed"] = str(error)
                say(f"{name}: {error}")
                continue
            services[name] = service
            sides[name]["start_seconds"] = service.start_seconds
            say(f"{name}: ready after {service.start_seconds:.1f} s")
        if sides.get("candidate", {}).get("failed"):
            return sides
        _load(bentos, services, sides, limits, long=long)
    _start_again({name: bentos[name] for name in services}, sides, limits)
    return sides


def _start_again(bentos: dict[str, Path], sides: dict[str, Any], limits: ServiceGate) -> None:
    """Repeat the start if the candidate was much slower, because the machine may have been busy."""
    if set(bentos) != {"candidate", "champion"}:
        return
    for _ in range(MORE_STARTS):
        if not slow_start(sides["candidate"]["start_seconds"], sides["champion"]["start_seconds"], limits):
            return
        for name, bento in bentos.items():
            with served(bento) as service:
                sides[name]["start_seconds"] = min(sides[name]["start_seconds"], service.start_seconds)


def _load(
    bentos: dict[str, Path],
    services: dict[str, RunningService],
    sides: dict[str, Any],
    limits: ServiceGate,
    *,
    long: bool,
) -> None:
    seconds = limits.seconds or 0.0
    plan = {
        "locustfile": str(LOCUSTFILE.resolve()),
        "users": limits.users,
        "rounds": LONG_ROUNDS if long else limits.rounds,
        "seconds": LONG_SECONDS if long else seconds,
        "warm_up": LONG_SECONDS if long else min(WARM_UP_SECONDS, 2 * seconds),
        "sides": [
            {"name": name, "host": f"http://{HOST}:{one.port}", "project": str(bentos[name] / "src"), "pid": one.pid}
            for name, one in services.items()
        ],
    }
    say(f"load test: {plan['rounds']} alternating rounds of {plan['seconds']:g} s each")
    with _driver() as driver:
        for message in _messages(driver, plan):
            if "messages" in message:
                for name, errors in message["messages"].items():
                    sides[name]["errors"] = errors
                continue
            side, number = sides[message.pop("side")], message.pop("round")
            side["deaths"] = message.pop("deaths")
            if number < 0:
                side["warm_up"] = message
            else:
                side["rounds"].append(message)
        if driver.wait():
            raise InputError(f"the load test failed: Locust exited with status {driver.returncode}")


def _messages(driver: "subprocess.Popen[str]", plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if driver.stdin is None or driver.stdout is None:
        raise ValueError("the driver needs stdin and stdout")
    driver.stdin.write(json.dumps(plan))
    driver.stdin.close()
    for line in track(driver.stdout, (plan["rounds"] + 1) * len(plan["sides"]) + 1, "rounds"):
        yield json.loads(line)


@contextmanager
def _driver() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "assay.load.driver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        try:
            yield driver
        finally:
            driver.kill()


def _champion(commit: str | None) -> tuple[Path | None, Obstacle | None]:
    """Return the champion's folder, or why there is no champion to load."""
    if commit is None:
        return None, NO_CHAMPION
    try:
        folder = restore(commit)
    # A broken cache or the champion's code may raise anything; each means that there is no comparison.
    except Exception as error:
        text = f"the champion could not be restored ({one_line(error)})"
        return None, Obstacle(kind=ObstacleKind.NOT_RESTORED, text=text)
    if not (folder / SERVICE).exists():
        return None, Obstacle(kind=ObstacleKind.NO_SERVICE, text="the champion has no service")
    return folder, None


def _ask_once(service: RunningService, bento: Path) -> None:
    """Request the model version; raises InputError if another model is served than was packed."""
    wanted = model_version(bento / "src" / MODELS)
    try:
        with urlopen(f"http://{HOST}:{service.port}/model", timeout=30) as answer:
            given = msgspec.json.decode(answer.read())["model_version"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the service does not report its model version: {error}") from None
    if given != wanted:
        raise InputError(f"the built Bento serves model {given} but contains model {wanted}")


def model(bento: Path) -> Path:
    """Return the model file of a Bento."""
    models = bento / "src" / MODELS
    return models / f"model.{read_json(models / 'model.json')['served']}"
