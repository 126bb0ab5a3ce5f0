"""HTTP in front of BentoML: the endpoints of the model, answered before any middleware.

BentoML's own path costs ten times what a prediction does. So requests to the model's endpoints are answered here, and
everything else (/livez, /readyz, /metrics, its OpenAPI page) is handed on.

What is admitted is bounded by time, not by number. One turn of the event loop first reads every socket that has
something, and then runs every request that is whole. Under overload a turn would last as long as all that wait need;
so requests that are run after a turn has lasted `wait_ms` are refused, which costs little, and no accepted request
waits for more than two or three turns.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import msgspec

from assay.serve.metrics import Requests
from assay.serve.refusal import Refused
from assay.serve.serving import ENDPOINTS, JSON, Call, Endpoint, Serving
from assay.serve.steps import Steps, beside, with_others

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Result = TypeVar("Result")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("bentoml.assay")

# A body larger than this waits for its turn, and the model answers it beside the event loop.
LARGE = 64 * 1024
# One larger than this would stop the loop for too long, and is worked on beside it altogether.
HUGE = 1024 * 1024
BODY_SECONDS = 10.0
# So many bytes of bodies that come slowly are held at a time.
MOST_ARRIVING = 256 * 1024 * 1024
# So many such are worked on at a time: while the model answers one, without the interpreter, another is read.
ASIDE = 2
# How long a large request may wait for others.
ASIDE_SECONDS = 2.0
# With every so many answers one of several workers asks a client to connect anew: the worker that is awake first takes
# all connections that are there, with all that they will ever ask, and one that was started again gets none. But a new
# one is mostly taken by who has less to do. A prime number, so that it is another client each time.
RECONNECT_EVERY = 499


class LoopTurn:
    """How long the current turn of the event loop has lasted."""

    def __init__(self, after: Callable[[], None]) -> None:
        """Call `after` at the end of every turn in which there was a request."""
        self._after = after
        self._started = 0.0

    def lasted(self) -> float:
        """Return for how many seconds requests have been answered in this turn."""
        now = time.perf_counter()
        if not self._started:
            self._started = now
            # Runs when all that was ready has run.
            asyncio.get_running_loop().call_soon(self._end)
        return now - self._started

    def _end(self) -> None:
        self._started = 0.0
        self._after()


class UploadBudget:
    """How many bytes of bodies that are not whole yet are held."""

    def __init__(self, most: int) -> None:
        """Begin with none; no more than `most` are held at a time."""
        self.most = most
        self.held = 0


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float, arriving: UploadBudget) -> bytes:
    """Return the body of a request; raises Refused for one that is too large, too slow, or one too many."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise _too_large(limit)
    message = _at_hand(receive)
    if message and message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = message or await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the client went away", reason="disconnected")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                arriving.held += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
                if arriving.held > arriving.most:
                    raise Refused(503, "too many large requests at once", reason="overload")
                if not message.get("more_body"):
                    return b"".join(parts)
                message = None
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {seconds:g} seconds", reason="slow") from None
    finally:
        arriving.held -= size


def _at_hand(receive: Receive) -> MutableMapping[str, Any] | None:
    """Return what has arrived of a request, None if that is nothing."""
    # Mostly all of it has, and to set a time limit for each request would take a twentieth of its time.
    waiting = cast("Coroutine[Any, Any, MutableMapping[str, Any]]", receive())
    try:
        waiting.send(None)
    except StopIteration as arrived:
        return cast("MutableMapping[str, Any]", arrived.value)
    waiting.close()
    return None


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit} bytes", reason="too large")


def header(scope: Scope, wanted: bytes) -> bytes:
    """Return the value of a header, empty where there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


async def send_answer(send: Send, status: int, body: bytes, kind: bytes = JSON, *, more: Iterable[Any] = ()) -> None:
    """Send a whole answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Front:
    """An ASGI application that answers the endpoints of the model, and hands everything else on."""

    def __init__(
        self, app: App, serving: Callable[[], Serving], requests: Requests, *, is_one_of_several: bool
    ) -> None:
        """Take what everything else goes to, the model once it is loaded, and what counts requests."""
        self._is_one_of_several = is_one_of_several
        self._app = app
        self._serving = serving
        self._requests = requests
        self._turns = LoopTurn(self._flush)
        self._aside = LargeRequestQueue()
        self._arriving = UploadBudget(MOST_ARRIVING)
        self._answered = 0
        key = os.environ.get("ASSAY_API_KEY", "")
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            await self._hand_on(scope, receive, send)
            return
        started = time.perf_counter()
        serving = self._serving()
        more: list[tuple[bytes, bytes]] = []
        kind = JSON
        try:
            kind, answer = await self._answer(serving, endpoint, scope, receive)
            status = 200
        except Refused as refused:
            status, answer = refused.status, _error(refused.error, refused.problems)
            more = _more(status, endpoint)
            serving.metrics.add("refused", refused.reason)
        except Exception:
            logger.exception("%s failed", path)
            status, answer = 500, _error("an unexpected error, which the log of the service tells about")
        self._answered += 1
        if serving.is_ending or (self._is_one_of_several and self._answered % RECONNECT_EVERY == 0):
            more = [*more, (b"connection", b"close")]
        await send_answer(send, status, answer, kind, more=more)
        self._requests.add(path, status, time.perf_counter() - started)
        self._turns.lasted()

    async def _answer(
        self, serving: Serving, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> tuple[bytes, bytes]:
        if self._key and not endpoint.is_open:
            self._authorise(scope)
        method = scope["method"]
        if method not in endpoint.methods:
            raise Refused(405, f"{scope['path']} takes {' or '.join(endpoint.methods)}", reason="method")
        body = b""
        if method == "POST":
            body = await read_body(scope, receive, serving.max_body, BODY_SECONDS, self._arriving)
        if self._turns.lasted() > serving.wait:
            raise Refused(503, "too many requests at once", reason="overload")
        call = Call(body, scope)
        if len(body) > LARGE:
            in_turn = endpoint.steps if len(body) <= HUGE else None
            steps = in_turn(serving, call) if in_turn else beside(lambda: endpoint.answer(serving, call))
            return await self._aside.run(steps, len(body))
        if endpoint.soon:
            return await endpoint.soon(serving, call)
        return endpoint.answer(serving, call)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/docs":
            # BentoML has its OpenAPI page at /, where the page of the model is here.
            scope = {**scope, "path": "/", "raw_path": b"/"}
        if scope["path"] == "/metrics":
            self._flush()
        await self._app(scope, receive, send)

    def _authorise(self, scope: Scope) -> None:
        given = header(scope, b"authorization").removeprefix(b"Bearer ")
        if not hmac.compare_digest(given, self._key):
            raise Refused(401, "an API key is needed, as `Authorization: Bearer ...`", reason="unauthorised")

    def _flush(self) -> None:
        self._requests.flush()
        self._serving().metrics.flush()


class LargeRequestQueue:
    """Does what takes long a few at a time, partly beside the event loop; refuses what would wait too long."""

    def __init__(self) -> None:
        """Start with a guess at the speed."""
        self._threads = ThreadPoolExecutor(max_workers=ASIDE, thread_name_prefix="large")
        self._turns = asyncio.Semaphore(ASIDE)
        self._waiting = 0
        self._bytes_per_second = 1e7

    async def run(self, steps: Steps[Result], size: int) -> Result:
        """Return what work on so many bytes returns; raises Refused when others are worked on for long."""
        if self._waiting / (ASIDE * self._bytes_per_second) > ASIDE_SECONDS:
            raise Refused(503, "too many large requests at once", reason="overload")
        self._waiting += size
        try:
            async with self._turns:
                started = time.perf_counter()
                result = await with_others(steps, self._threads)
                # One that is refused says nothing about how long the others will take.
                speed = size / (time.perf_counter() - started)
                self._bytes_per_second += 0.2 * (speed - self._bytes_per_second)
                return result
        finally:
            self._waiting -= size


def _more(status: int, endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """Return the headers that belong to a refusal."""
    match status:
        case 401:
            return [(b"www-authenticate", b"Bearer")]
        case 405:
            return [(b"allow", ", ".join(endpoint.methods).encode())]
        case 408 | 413:
            # What is left of the body is not waited for.
            return [(b"connection", b"close")]
        case 503:
            return [(b"retry-after", b"1")]
    return []


def _error(error: str, problems: Iterable[str] = ()) -> bytes:
    return msgspec.json.encode({"error": error, "problems": list(problems)})
