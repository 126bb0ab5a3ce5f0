"""What bounds requests, without a server: bodies by size and time, small ones by turns, large ones by what waits."""

import asyncio
import gzip
import json
import re
import shutil
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import msgspec
import pytest
from bentoml._internal.server.http.traffic import MaxConcurrencyMiddleware
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from assay.inference.package import IS_CHECK
from assay.inference.scorer import Scorer
from assay.predictions.entry import Counted
from assay.serve.front import (
    HUGE,
    LARGE,
    LARGE_AT_ONCE,
    LARGE_WAIT_SECONDS,
    SMALL,
    AroundMiddleware,
    Front,
    LargeRequestQueue,
    LoopTurn,
    UploadBudget,
    read_body,
    unpack,
)
from assay.serve.metrics import Requests
from assay.serve.refusal import Refused
from assay.serve.steps import offload
from serve.conftest import load_project

LIMIT = 20


def body_of(
    parts: list[bytes], *, last: dict[str, Any] | None = None, length: int = 0, arriving: UploadBudget | None = None
) -> bytes:
    """Return what is read of a body that comes in parts; `last` comes after them, or nothing does."""
    waiting: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": part, "more_body": bool(last) or at < len(parts)}
            for at, part in enumerate(parts, 1)
        ]
        + ([last] if last else [])
    )

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return asyncio.run(read_body(length, receive, LIMIT, 5.0, arriving or UploadBudget(1000)))


@given(parts=st.lists(st.binary(max_size=12), min_size=1, max_size=6))
def test_a_body_is_read_whole_or_refused_as_too_large(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    if len(parts) > 1 and len(whole) > LIMIT:
        with pytest.raises(Refused) as refused:
            body_of(parts)
        assert refused.value.status == 413
    else:
        assert body_of(parts) == whole


def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    with pytest.raises(Refused) as refused:
        body_of([], length=21)
    assert refused.value.status == 413


def test_a_client_that_goes_away_is_no_error_of_the_service() -> None:
    with pytest.raises(Refused) as refused:
        body_of([b"x"], last={"type": "http.disconnect"})
    assert refused.value.status == 400


def test_a_client_that_goes_away_before_its_body_comes_sent_no_empty_one() -> None:
    with pytest.raises(Refused) as refused:
        body_of([], last={"type": "http.disconnect"})
    assert refused.value.status == 400


@pytest.mark.parametrize("parts", [0, 1])
def test_a_body_that_does_not_come_or_stops_coming_is_refused(parts: int) -> None:
    async def receive() -> dict[str, Any]:
        if len(asked) == parts:
            await asyncio.Event().wait()
        asked.append(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    asked: list[int] = []
    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(0, receive, LIMIT, 0.01, UploadBudget(1000)))
    assert refused.value.status == 408


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=2, max_size=4), st.integers(0, 20))
def test_bodies_that_come_in_parts_are_held_up_to_a_bound_and_then_no_more(parts: list[bytes], most: int) -> None:
    arriving = UploadBudget(most)
    if sum(map(len, parts)) <= min(most, LIMIT):
        assert body_of(parts, arriving=arriving) == b"".join(parts)
    else:
        with pytest.raises(Refused) as refused:
            body_of(parts, arriving=arriving)
        assert refused.value.status in (413, 503)
    assert arriving.held == 0


@given(content=st.binary(max_size=60), encoding=st.sampled_from(["gzip", "deflate", "identity"]))
def test_a_compressed_body_is_unpacked_up_to_the_limit(content: bytes, encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding](content)
    if len(content) > LIMIT and encoding != "identity":
        with pytest.raises(Refused) as refused:
            asyncio.run(unpack(packed, encoding.encode(), LIMIT))
        assert refused.value.status == 413
    else:
        assert asyncio.run(unpack(packed, encoding.encode(), LIMIT)) == content


def test_a_body_that_would_expand_to_more_memory_than_there_is_is_refused() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) > SMALL
    tracemalloc.start()
    with pytest.raises(Refused) as refused:
        asyncio.run(unpack(bomb, b"gzip", 10_000))
    assert refused.value.status == 413
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "encoding", "status", "said"),
    [
        (b"x", b"br", 415, "unsupported content encoding 'br'; send gzip, deflate or none"),
        (b"not packed", b"gzip", 400, "the body is not gzip: "),
        (gzip.compress(b"cut off", mtime=0)[:-1], b"gzip", 400, "the stream does not end with the body"),
        (gzip.compress(b"and", mtime=0) + b"more", b"gzip", 400, "the stream does not end with the body"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(body: bytes, encoding: bytes, status: int, said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)) as refused:
        asyncio.run(unpack(body, encoding, LIMIT))
    assert refused.value.status == status


def test_requests_of_one_turn_share_its_clock_and_those_of_the_next_have_their_own() -> None:
    async def turns() -> tuple[list[float], float]:
        made = LoopTurn()
        first = [made.begin() for _ in range(3)]
        await asyncio.sleep(0)
        return first, made.begin()

    first, later = asyncio.run(turns())
    assert first[0] == first[1] == first[2] < later


def test_a_turn_is_long_by_what_it_works_and_not_by_what_it_waits_for_a_processor() -> None:
    def work(seconds: float) -> None:
        began = time.thread_time()
        while time.thread_time() - began < seconds:
            pass

    async def is_longer_than(limit: float, passes: Callable[[float], object], turns: int = 1) -> bool:
        made = LoopTurn()
        for _ in range(turns):
            await asyncio.sleep(0)
            made.begin()
        passes(0.02)
        return made.is_longer_than(limit)

    wait = threading.Event().wait
    assert asyncio.run(is_longer_than(0.01, work))
    assert not asyncio.run(is_longer_than(0.01, wait))
    # Also in a turn shortly after another one.
    assert asyncio.run(is_longer_than(0.01, work, turns=2))
    assert not asyncio.run(is_longer_than(0.01, wait, turns=2))
    # What each request waits for, they wait for together.
    assert asyncio.run(is_longer_than(0.001, wait))


def test_a_few_large_requests_are_done_at_a_time_and_those_that_would_wait_for_long_are_refused() -> None:
    async def ask() -> None:
        made, go, begun = LargeRequestQueue(), threading.Event(), threading.Barrier(LARGE_AT_ONCE + 1)
        size = int(2 * LARGE_WAIT_SECONDS * made._bytes_per_second)

        def work() -> bool:
            begun.wait(10)
            return go.wait(10)

        some = [asyncio.create_task(made.run(offload(work), size)) for _ in range(LARGE_AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await made.run(offload(lambda: None), 1)
        assert refused.value.status == 503
        begun.wait(10)
        go.set()
        assert all(await asyncio.gather(*some))
        assert await made.run(offload(lambda: "answered"), 1) == "answered"

    asyncio.run(ask())


def test_what_fails_aside_waits_no_longer_and_says_nothing_of_the_speed() -> None:
    async def ask() -> tuple[int, bool]:
        made = LargeRequestQueue()
        speed = made._bytes_per_second
        with pytest.raises(ZeroDivisionError):
            await made.run(offload(lambda: 1 // 0), 10**9)
        return made._waiting, made._bytes_per_second == speed

    assert asyncio.run(ask()) == (0, True)


def fronted(serving: Any, *, is_one_of_several: bool = False) -> Front:
    # BentoML's middleware that counts requests, with metrics that nobody reads.
    bound = SimpleNamespace(labels=lambda **_: MagicMock())
    requests = Requests(SimpleNamespace(metrics_request_total=bound, metrics_request_duration=bound), {})

    async def bentoml(_: Any, receive: Any, __: Any) -> None:
        assert (await receive())["type"] == "lifespan.shutdown"

    return Front(bentoml, lambda: serving, requests, is_one_of_several=is_one_of_several)


def shut_down(front: Front) -> None:
    """Tell the service that the server ends."""

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.shutdown"}

    asyncio.run(front({"type": "lifespan"}, receive, AsyncMock()))


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]


def posted(
    front: Front, body: bytes, status: int = 200, *, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[dict[bytes, bytes], Any]:
    """Return the headers and what is answered to a body that is posted to /predict."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    async def answered() -> None:
        await front({"type": "http", "path": "/predict", "method": "POST", "headers": headers}, receive, send)
        # Turns in which what waits for no time is done.
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(answered())
    assert sent[0]["status"] == status
    return dict(sent[0]["headers"]), json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("size", "read_by", "scored_by"),
    [(LARGE, "MainThread", "MainThread"), (LARGE + 1, "MainThread", "large_0"), (HUGE + 1, "large_0", "large_0")],
)
def test_a_body_is_answered_alike_whatever_its_size_and_what_takes_long_is_done_beside_the_loop(
    servings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, size: int, read_by: str, scored_by: str
) -> None:
    serving = servings()
    read, score, seen = serving.rows.read_fast, serving.package.score, list[tuple[str, str]]()

    def told(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def tell(given: Any) -> Any:
            seen.append((name, threading.current_thread().name))
            return function(given)

        return tell

    monkeypatch.setattr(serving.rows, "read_fast", told("read", read))
    spied = replace(serving.package, score=Scorer(score.prepare, told("score", score.run)))
    monkeypatch.setattr(serving.router.champion.predictor, "package", spied)
    body = json.dumps({"rows": serving.package.examples}).encode()
    found = posted(fronted(serving), body.ljust(size))[1]["predictions"]
    assert seen == [("read", read_by), ("score", scored_by)]
    wanted = score(serving.rows.columns(read(body)))
    assert [one["probabilities"]["sick"] for one in found] == wanted[:, 1].tolist()


@pytest.fixture
def logged(projects: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A model whose log is in log/, which may not lack a prediction that was answered."""
    root = shutil.copytree(projects(), tmp_path / "project")
    packed = json.loads((root / "models/service.json").read_text())
    packed["serve"] |= {"log": "safe", "unlogged": "refuse"}
    (root / "models/service.json").write_text(json.dumps(packed))
    monkeypatch.setenv("ASSAY_LOG", str(tmp_path / "log"))
    serving = load_project(root)
    yield serving
    serving.close()


def test_requests_are_counted_in_the_log_within_a_minute_and_at_the_end(
    logged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.serve.front.COUNT_SECONDS", 0.0)
    monkeypatch.setattr("assay.serve.front.LOG_SECONDS", 0.0)
    serving, front = logged, fronted(logged)

    def found() -> list[Counted]:
        return [msgspec.json.decode(line, type=Counted) for line in lines(tmp_path / "log/requests")]

    posted(front, json.dumps({"rows": serving.package.examples[:1]}).encode())
    assert [(one.version, one.answered, one.failed) for one in found()] == [(serving.package.version, 1, 0)]
    front._will_write = True
    posted(front, b'{"rows": [{}]}', status=422)
    assert len(found()) == 1
    serving.close()
    assert [(one.answered, one.refused) for one in found()] == [(1, {}), (0, {"contract": 1})]


def test_latency_and_rows_that_are_not_logged_count_for_the_model_that_answered_and_the_rest_for_the_champion(
    logged: Any, projects: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "project"
    for name, seed in (("b", 1), ("c", 2)):
        shutil.copytree(projects(seed=seed) / "models", root / f"models-{name}")
    router = logged.router
    # Nobody else reads the file meanwhile.
    router._closed.set()
    (root / "traffic.yaml").write_text(
        "challengers:\n  - {name: b, models: models-b, share: 1}\n  - {name: c, models: models-c, shadow: true}\n"
    )
    router.refresh()
    champion, b, c = (one.predictor.version for one in (router.champion, router.shares[0][1], *router.shadows))
    front, rows = fronted(logged), logged.package.examples
    assert posted(front, json.dumps({"rows": rows[:1]}).encode())[1]["model_version"] == b
    posted(front, json.dumps({"rows": rows[:2]}).encode().ljust(LARGE + 1))
    router.shares = []
    posted(front, json.dumps({"rows": rows}).encode())
    posted(front, b'{"rows": [{}]}', status=422)
    # The disk is full from now on.
    router._shadow.submit(logged._log.close).result()
    shutil.rmtree(tmp_path / "log/predictions")
    (tmp_path / "log/predictions").write_text("where a folder should be")
    logged._refuses_unlogged = False
    posted(front, json.dumps({"rows": rows[:3]}).encode())
    router._shadow.submit(logged._log.close).result()
    shut_down(front)
    logged.close()
    found = [msgspec.json.decode(line, type=Counted) for line in lines(tmp_path / "log/requests")]
    assert {one.version: (one.timed, one.unlogged, one.answered, one.refused) for one in found} == {
        champion: (2, 3, 4, {"contract": 1}),
        b: (2, 0, 0, {}),
        c: (0, 3, 0, {}),
    }


def test_a_smoke_test_counts_as_no_request_whatever_comes_of_it(logged: Any, tmp_path: Path) -> None:
    front, body = fronted(logged), json.dumps({"rows": logged.package.examples}).encode()
    posted(front, body, headers=[(IS_CHECK, b"1")])
    shutil.rmtree(tmp_path / "log/predictions")
    logged._log.close()
    (tmp_path / "log/predictions").write_text("where a folder should be")
    posted(front, body, status=503, headers=[(IS_CHECK, b"1")])
    shut_down(front)
    logged.write_requests()
    assert not (tmp_path / "log/requests").exists()
    assert front._requests._bound == {}
    posted(front, body, status=503)
    shut_down(front)
    logged.write_requests()
    (line,) = lines(tmp_path / "log/requests")
    counted = msgspec.json.decode(line, type=Counted)
    assert (counted.failed, counted.refused, counted.unlogged) == (1, {"log": 1}, len(logged.package.examples))


def test_requests_that_middleware_answers_are_counted_and_each_once(logged: Any, tmp_path: Path) -> None:
    front, body = fronted(logged), json.dumps({"rows": logged.package.examples[:1]}).encode()
    around = AroundMiddleware(MaxConcurrencyMiddleware(front, 1), front)
    counted: list[tuple[str, int]] = []
    add = front._requests.add
    front._requests.add = lambda path, status, *more: (counted.append((path, status)), add(path, status, *more))

    async def ask(path: str, method: str = "POST") -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await around({"type": "http", "path": path, "method": method, "headers": []}, receive, send)
        return int(sent[0]["status"])

    async def at_once() -> list[int]:
        return await asyncio.gather(ask("/predict"), ask("/predict"), ask("/predict", "OPTIONS"), ask("/other"))

    # Neither a question for permission nor what is no endpoint of the model is a request to it.
    assert asyncio.run(at_once()) == [200, 429, 429, 429]
    assert sorted(counted) == [("/predict", 200), ("/predict", 429)]
    shut_down(front)
    logged.write_requests()
    (line,) = lines(tmp_path / "log/requests")
    found = msgspec.json.decode(line, type=Counted)
    assert (found.answered, found.failed, found.refused) == (1, 1, {})


def test_a_service_that_is_meant_to_end_says_why_in_one_line() -> None:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        raise SystemExit("assay: no model")
        yield

    send = AsyncMock()
    front = Front(Starlette(lifespan=lifespan), MagicMock(), MagicMock(), is_one_of_several=False)
    with pytest.raises(SystemExit):
        asyncio.run(front({"type": "lifespan"}, AsyncMock(), send))
    send.assert_awaited_once_with({"type": "lifespan.startup.failed", "message": "assay: no model"})


@pytest.mark.parametrize(("is_one_of_several", "asked"), [(True, [20, 40]), (False, [])])
def test_of_several_workers_each_asks_a_client_to_connect_anew_now_and_then(
    servings: Callable[..., Any], is_one_of_several: bool, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.serve.front.RECONNECT_EVERY", 20)
    serving = servings()
    front = fronted(serving, is_one_of_several=is_one_of_several)
    body = json.dumps({"rows": serving.package.examples[:1]}).encode()
    told = [posted(front, body)[0] for _ in range(40)]
    assert [number for number, headers in enumerate(told, 1) if headers.get(b"connection") == b"close"] == asked
