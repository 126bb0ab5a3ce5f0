"""Load tests that never were: plain data, as reports/loadtest.json has it."""

from typing import Any

import numpy as np

from assay.gates.loadtest import LoadTest, as_loadtest
from assay.gates.obstacle import NO_CHAMPION, Obstacle

ROUNDS, REQUESTS, SECONDS = 20, 800, 0.8


def side(
    *, seed: int = 0, noise: float = 0.1, slower: float = 1.0, leak: float = 0.0, rounds: int = ROUNDS, **changes: Any
) -> dict[str, Any]:
    """Return the figures of a service: how many times slower than another it is, bytes it keeps of each request."""
    rng = np.random.default_rng(seed)
    # What the machine does befalls both sides of a round, the rest one of them.
    weather = np.exp(np.random.default_rng(99).normal(0, 0.4, rounds))
    pace = weather * slower * np.exp(rng.normal(0, noise, rounds))
    made: list[dict[str, Any]] = []
    total = 1500
    for factor in pace:
        requests = max(1, round(REQUESTS / factor))
        total += requests
        made.append(
            {
                "requests": requests,
                "errors": 0,
                "seconds": SECONDS,
                "cpu": requests * 0.0006 * factor / weather[len(made)],
                "memory": round(130e6 + leak * total + rng.normal(0, 1e4)),
                "handles": 60,
                "total": total,
                "p50": 2.0 * factor,
                "p95": 8.0 * factor,
                "p99": 20.0 * factor,
            }
        )
    about = {"bento_size": 1_400_000, "model_size": 50_000, "start_seconds": 3.0, "deaths": 0, "errors": {}}
    return {"failed": "", "warm_up": None, "rounds": made, **about, **changes}


def with_errors(made: dict[str, Any], share: float, said: str = "status 500") -> dict[str, Any]:
    """Return figures in which a share of all answers is wrong."""
    rounds = [{**one, "errors": round(share * one["requests"])} for one in made["rounds"]]
    return made | {"rounds": rounds, "errors": {said: sum(one["errors"] for one in rounds)}}


def loadtest(
    candidate: dict[str, Any],
    champion: dict[str, Any] | None = None,
    obstacle: Obstacle = NO_CHAMPION,
    about: dict[str, Any] | None = None,
) -> LoadTest:
    """Return a load test of these."""
    sides = {"candidate": candidate, **({"champion": champion} if champion else {})}
    made = {
        "candidate": "a" * 64,
        "champion": "b" * 64 if champion else None,
        "commit": "c" * 40 if champion else None,
        "obstacle": None if champion else obstacle.model_dump(mode="json"),
        "setting": "4 users",
        "long": False,
        "sides": sides,
    }
    return as_loadtest(made | (about or {}))
