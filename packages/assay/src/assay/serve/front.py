"""HTTP in front of BentoML: the endpoints of the model, answered before any middleware runs.

BentoML's own path costs ten times as much as a prediction. So requests to the model's endpoints are answered here, and
everything else (/livez, /readyz, /metrics, its OpenAPI page) is passed on.

Admission is limited by time, not by number. One turn of the event loop first reads every socket that has data, and
then runs every complete request. Under overload a turn would last as long as all waiting requests need. So requests
that are run after a turn has worked for `wait_ms` are refused, which costs little, and no accepted request waits for
more than a few turns.
"""

import asyncio
import hmac
import logging
import os
import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import msgspec

from assay.serve.bentoml_internals import OneWrite
from assay.serve.metrics import Requests
from assay.serve.refusal import Refused
from assay.serve.serving import ENDPOINTS, JSON, Call, Endpoint, Serving
from assay.serve.steps import Steps, offload, run_with_executor

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Result = TypeVar("Result")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("bentoml.assay")

# A compressed body below this size is unpacked on the event loop.
SMALL = 4 * 1024
# A larger body waits in a queue, and its prediction runs in a thread.
LARGE = 64 * 1024
# An even larger one would block the event loop for too long: all of the work on it runs in a thread.
HUGE = 1024 * 1024
BODY_SECONDS = 10.0
# The most bytes of incomplete bodies that are held at a time.
MOST_ARRIVING = 256 * 1024 * 1024
# Large requests worked on at a time: while the model predicts one, without the interpreter, another is read.
LARGE_AT_ONCE = 2
# Seconds that a large request may wait for others.
LARGE_WAIT_SECONDS = 2.0
# After this number of answers, one of several workers asks its client to reconnect. Else the worker that wakes first
# keeps all connections, and a restarted worker gets none; new connections mostly go to the less busy worker. A prime
# number, so that it is a different client each time.
RECONNECT_EVERY = 499
# How many times as long as it may work a turn may take, if it waits.
MOST_WAITING = 10
# Seconds within which turns share a look at the processor time.
RECENT = 0.002
# How long counts of requests may wait until other workers can tell them to Prometheus. To write takes microseconds, so
# requests that come at about the same time are written together.
COUNT_SECONDS = 0.1
# How often the counts of requests are written to the log.
LOG_SECONDS = 60.0
# The key of a request's list that says whether it was counted.
COUNTED = "assay.counted"


class LoopTurn:
    """Measures how long the current turn of the event loop has kept its thread busy."""

    def __init__(self) -> None:
        """Start between two turns."""
        self._began: float | None = None
        # The clock, and the processor time of this thread, at the start of this turn or of one shortly before.
        self._looked = (-RECENT, 0.0)

    def begin(self) -> float:
        """Return what the clock was at the first request of this turn."""
        if self._began is None:
            self._began = time.perf_counter()
            # To ask for the processor time takes a large part of the time of a short turn.
            if self._began - self._looked[0] > RECENT:
                self._looked = self._began, time.thread_time()
            # Runs after everything that was ready in this turn.
            asyncio.get_running_loop().call_soon(self._end)
        return self._began

    def is_longer_than(self, seconds: float) -> bool:
        """Say whether the work since the first request of this turn, or shortly before, took longer.

        Time in which the processor was with other processes, or withheld by a limit of the container, hardly counts:
        to refuse requests does not shorten it. But a turn may also wait, for the disk say, and wait for each request.
        """
        lasted = time.perf_counter() - self.begin()
        return lasted > seconds and (lasted > MOST_WAITING * seconds or time.thread_time() - self._looked[1] > seconds)

    def _end(self) -> None:
        self._began = None


class UploadBudget:
    """The bytes held of bodies that have not arrived completely."""

    def __init__(self, most: int) -> None:
        """Start with 0 bytes; at most `most` are held at a time."""
        self.most = most
        self.held = 0


async def read_body(length: int, receive: Receive, limit: int, seconds: float, arriving: UploadBudget) -> bytes:
    """Return the body of a request; raises Refused if it is too large, too slow, or over the budget.

    `length` is what its header says, 0 if nothing.
    """
    if length > limit:
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
                    raise Refused(400, "the client disconnected", reason="disconnected")
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


async def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return a body without its content encoding; raises Refused if it is unknown, damaged, or expands to too much."""
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        shown = encoding.decode(errors="replace")
        raise Refused(415, f"unsupported content encoding {shown!r}; send gzip, deflate or none", reason="content type")

    def unpacked() -> bytes:
        # 32: with the header of gzip or of zlib.
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        made = stream.decompress(body, limit + 1)
        if len(made) > limit:
            raise _too_large(limit)
        if not stream.eof or stream.unused_data:
            raise zlib.error("the stream does not end with the body")
        return made

    try:
        return unpacked() if len(body) < SMALL else await asyncio.to_thread(unpacked)
    except zlib.error as error:
        raise Refused(400, f"the body is not {encoding.decode()}: {error}", reason="content type") from None


def _at_hand(receive: Receive) -> MutableMapping[str, Any] | None:
    """Return the message that has already arrived, or None."""
    # Mostly everything has arrived, and a time limit for each request would take 5 % of its time.
    waiting = cast("Coroutine[Any, Any, MutableMapping[str, Any]]", receive())
    try:
        waiting.send(None)
    except StopIteration as arrived:
        return cast("MutableMapping[str, Any]", arrived.value)
    waiting.close()
    return None


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit} bytes", reason="too large")


async def send_answer(send: Send, status: int, body: bytes, kind: bytes = JSON, *, more: Iterable[Any] = ()) -> None:
    """Send a complete response."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    with OneWrite(send):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Front:
    """An ASGI application that answers the endpoints of the model and passes everything else on."""

    def __init__(
        self, app: App, serving: Callable[[], Serving], requests: Requests, *, is_one_of_several: bool
    ) -> None:
        """Take the application for everything else, a function that returns the model, and the request counter."""
        self._is_one_of_several = is_one_of_several
        self._app = app
        self._serving = serving
        self._requests = requests
        self._turns = LoopTurn()
        self._large = LargeRequestQueue()
        self._arriving = UploadBudget(MOST_ARRIVING)
        self._answered = 0
        self._will_count = False
        self._will_write = False
        key = os.environ.get("ASSAY_API_KEY", "")
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, self._counting_at_the_end(receive), _without_traceback(send))
            return
        path = scope["path"]
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            await self._pass_on(scope, receive, send)
            return
        started = time.perf_counter()
        serving = self._serving()
        more: list[tuple[bytes, bytes]] = []
        kind = JSON
        call = Call(b"", dict(scope["headers"]))
        try:
            kind, answer = await self._answer(serving, endpoint, call, scope, receive)
            status = 200
        except Refused as refused:
            status, answer = refused.status, _error(refused.error, refused.problems)
            more = _refusal_headers(status, endpoint)
            if not call.is_check:
                serving.metrics.add("refused", refused.reason)
        except Exception:
            logger.exception("%s failed", path)
            status, answer = 500, _error("internal error; the log of the service has the details")
        self._answered += 1
        if serving.is_ending or (self._is_one_of_several and self._answered % RECONNECT_EVERY == 0):
            more = [*more, (b"connection", b"close")]
        await send_answer(send, status, answer, kind, more=more)
        if COUNTED in scope:
            scope[COUNTED].append(status)
        if not call.is_check:
            self._requests.add(path, status, call.version, time.perf_counter() - started)
        self._count_soon()

    def count(self, path: str, status: int, started: float) -> None:
        """Count a request that was answered in front of this."""
        self._requests.add(path, status, "", time.perf_counter() - started)
        self._count_soon()

    async def _answer(
        self, serving: Serving, endpoint: Endpoint, call: Call, scope: Scope, receive: Receive
    ) -> tuple[bytes, bytes]:
        if self._key and not endpoint.is_open:
            self._authorise(call)
        method = scope["method"]
        if method not in endpoint.methods:
            raise Refused(405, f"{scope['path']} accepts only {' or '.join(endpoint.methods)}", reason="method")
        if method == "POST":
            length = int(call.header(b"content-length") or 0)
            call.body = await read_body(length, receive, serving.max_body, BODY_SECONDS, self._arriving)
            if encoding := call.header(b"content-encoding").strip().lower():
                call.body = await unpack(call.body, encoding, serving.max_body)
        if self._turns.is_longer_than(serving.wait):
            raise Refused(503, "too many requests at once", reason="overload")
        if (size := len(call.body)) > LARGE:
            in_turn = endpoint.steps if size <= HUGE else None
            steps = in_turn(serving, call) if in_turn else offload(lambda: endpoint.answer(serving, call))
            return await self._large.run(steps, size)
        if endpoint.waiting:
            return await endpoint.waiting(serving, call)
        return endpoint.answer(serving, call)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/metrics":
            self._count()
        await self._app(scope, receive, send)

    def _counting_at_the_end(self, receive: Receive) -> Receive:
        """Return a function that passes on what the server says, and writes all counts before the service ends."""

        async def received() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._count()
            return message

        return received

    def _authorise(self, call: Call) -> None:
        given = call.header(b"authorization").removeprefix(b"Bearer ")
        if not hmac.compare_digest(given, self._key):
            raise Refused(401, "an API key is required: send `Authorization: Bearer ...`", reason="unauthorised")

    def _count_soon(self) -> None:
        if not self._will_count:
            self._will_count = True
            asyncio.get_running_loop().call_later(COUNT_SECONDS, self._count)

    def _count(self) -> None:
        self._will_count = False
        serving = self._serving()
        answered, events = self._requests.flush(), serving.metrics.flush()
        if serving.request_log:
            serving.request_log.add(answered)
            serving.request_log.add_events(events)
            if not self._will_write:
                self._will_write = True
                asyncio.get_running_loop().call_later(LOG_SECONDS, self._write)

    def _write(self) -> None:
        self._will_write = False
        self._serving().write_requests()


class AroundMiddleware:
    """Counts the requests that middleware answers in place of the model: with 429 at `traffic.max_concurrency`, say."""

    def __init__(self, app: App, front: Front) -> None:
        """Take the outermost middleware, and the application inside of all, which counts what reaches it."""
        self._app = app
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the middleware answer, and count that if nothing inside of it has."""
        # OPTIONS is how a browser asks whether it may send a request.
        if scope["type"] != "http" or scope["path"] not in ENDPOINTS or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        started, status, counted = time.perf_counter(), 0, list[int]()

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app({**scope, COUNTED: counted}, receive, noted)
        if status and not counted:
            self._front.count(scope["path"], status, started)


class LargeRequestQueue:
    """Runs large requests a few at a time, partly in threads; refuses those that would wait too long."""

    def __init__(self) -> None:
        """Start with a guess at the speed."""
        self._threads = ThreadPoolExecutor(max_workers=LARGE_AT_ONCE, thread_name_prefix="large")
        self._turns = asyncio.Semaphore(LARGE_AT_ONCE)
        self._waiting = 0
        self._bytes_per_second = 1e7

    async def run(self, steps: Steps[Result], size: int) -> Result:
        """Return the result of work on `size` bytes; raises Refused if it would wait too long for others."""
        if self._waiting / (LARGE_AT_ONCE * self._bytes_per_second) > LARGE_WAIT_SECONDS:
            raise Refused(503, "too many large requests at once", reason="overload")
        self._waiting += size
        try:
            async with self._turns:
                started = time.perf_counter()
                result = await run_with_executor(steps, self._threads)
                # A refused request says nothing about how long the others will take.
                speed = size / (time.perf_counter() - started)
                self._bytes_per_second += 0.2 * (speed - self._bytes_per_second)
                return result
        finally:
            self._waiting -= size


def _without_traceback(send: Send) -> Send:
    """Return a function that sends only what a process says that is meant to end, and not also where it was."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "lifespan.startup.failed" and isinstance(ending := sys.exc_info()[1], SystemExit):
            message = {**message, "message": str(ending)}
        await send(message)

    return sent


def _refusal_headers(status: int, endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """Return the headers of a refusal."""
    match status:
        case 401:
            return [(b"www-authenticate", b"Bearer")]
        case 405:
            return [(b"allow", ", ".join(endpoint.methods).encode())]
        case 408 | 413:
            # The rest of the body is not read.
            return [(b"connection", b"close")]
        case 503:
            return [(b"retry-after", b"1")]
    return []


def _error(error: str, problems: Iterable[str] = ()) -> bytes:
    return msgspec.json.encode({"error": error, "problems": list(problems)})
