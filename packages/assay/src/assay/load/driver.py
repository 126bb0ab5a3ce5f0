"""Loads services in alternating rounds with Locust: `python -m assay.load.driver`, plan on stdin, rounds on stdout.

It is a separate process because Locust patches the sockets of its process. Each round is one line of JSON; the last
line has the error messages of each side.
"""

# Imported first because it patches modules that others import.
import locust  # isort: skip

import json
import os
import sys
import time
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import gevent
import psutil
from locust.env import Environment

# The callers connect during this time, before the measurement of a round starts.
LEAD_SECONDS = 0.1
MOST_MESSAGES = 5


class LoadedService:
    """A service with its callers, and their measurements in the current round."""

    def __init__(self, name: str, caller: type[locust.User], host: str, project: Path, pid: int) -> None:
        """Prepare the callers; they send no requests yet."""
        self.name = name
        self.caller = caller
        self.pid = pid
        self.total = 0
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.failures = 0
        self.answered: set[Any] = set()
        self.is_measured = False
        self.deaths = 0
        self._alive: set[psutil.Process] = set()
        # No stop timeout: waiting for pending responses would make a round as long as its slowest response.
        more = {"project": project, "host": host, "context": lambda user: {"caller": user}}
        user: Any = type(name.capitalize(), (caller,), more)
        user.prepare()
        self.user = user
        self.environment = Environment(user_classes=[user], stop_timeout=None)
        self.environment.events.request.add_listener(self._seen)  # type: ignore[no-untyped-call]
        self.environment.events.user_error.add_listener(self._failed)  # type: ignore[no-untyped-call]
        self.runner = self.environment.create_local_runner()

    def _seen(self, response_time: float, exception: Exception | None, context: dict[str, Any], **_: Any) -> None:
        self.total += 1
        if exception is not None:
            self.errors[" ".join(str(exception).split())[:200]] += 1
        if self.is_measured:
            self.answered.add(context["caller"])
            if exception is None:
                self.latencies.append(response_time)
            else:
                self.failures += 1

    def _failed(self, user_instance: locust.User, exception: Exception, **_: Any) -> None:
        """Count an error in the caller itself, which then did not check the response."""
        error = RuntimeError(f"the caller failed: {type(exception).__name__}: {exception}")
        self._seen(0.0, error, user_instance.context())

    def load(self, users: int, seconds: float) -> dict[str, Any]:
        """Load the service with `users` callers for some seconds; return the measurements of the round."""
        self.latencies, self.failures = [], 0
        self._count_deaths()
        self.runner.start(users, spawn_rate=users, wait=True)
        gevent.sleep(LEAD_SECONDS)
        began, cpu = _now(), self._cpu()
        self.is_measured = True
        gevent.sleep(seconds / 2)
        self.answered = set()
        gevent.sleep(seconds / 2)
        self.is_measured = False
        took, spent = _now() - began, self._cpu() - cpu
        self.runner.stop()
        self._count_deaths()
        ordered = sorted(self.latencies)
        return {
            "requests": len(ordered) + self.failures,
            "errors": self.failures,
            "waiting": users - len(self.answered),
            "seconds": took,
            "cpu": max(0.0, spent),
            "memory": sum(_of(process, lambda p: p.memory_info().rss) for process in self.processes()),
            "handles": sum(_of(process, _handles) for process in self.processes()),
            "total": self.total,
            "deaths": self.deaths,
            **{f"p{percent}": _quantile(ordered, percent / 100) for percent in (50, 95, 99)},
        }

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the service."""
        try:
            service = psutil.Process(self.pid)
            return [service, *service.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _count_deaths(self) -> None:
        alive = set(self.processes())
        self.deaths += len(self._alive - alive)
        self._alive = alive

    def _cpu(self) -> float:
        return float(sum(_of(process, lambda p: sum(p.cpu_times()[:2])) for process in self.processes()))


def _of(process: psutil.Process, what: Any) -> Any:
    try:
        return what(process)
    except psutil.NoSuchProcess:
        return 0


def _handles(process: psutil.Process) -> int:
    return int(process.num_fds() + process.num_threads())


def _now() -> float:
    return time.perf_counter()


def _quantile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _caller(path: Path) -> type[locust.User]:
    spec = spec_from_file_location("locustfile", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[locust.User] = module.Caller
    return found


def main() -> None:
    """Load the services of the plan in alternating rounds, each round in the reverse order of the previous one."""
    plan = json.load(sys.stdin)
    # Output of libraries goes to stderr; stdout is for results.
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    caller = _caller(Path(plan["locustfile"]))
    sides = [LoadedService(one["name"], caller, one["host"], Path(one["project"]), one["pid"]) for one in plan["sides"]]
    for number in range(-1, plan["rounds"]):
        for side in sides if number % 2 else sides[::-1]:
            # The callers of both sides send the same requests.
            side.user.callers = (number + 1) * plan["users"]
            found = side.load(plan["users"], plan["warm_up"] if number < 0 else plan["seconds"])
            print(json.dumps({"side": side.name, "round": number, **found}), file=results)
    errors = {side.name: dict(side.errors.most_common(MOST_MESSAGES)) for side in sides}
    print(json.dumps({"messages": errors}), file=results)


if __name__ == "__main__":
    main()
