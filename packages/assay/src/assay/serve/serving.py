"""The endpoints of the service, without HTTP itself."""

import asyncio
import logging
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pydantic import ValidationError

from assay.base.files import sha256
from assay.base.rounding import significant
from assay.contract import rules
from assay.contract.request import explain, request_models
from assay.contract.spec import CONTRACT, Category, Contract
from assay.inference.explain import contributions
from assay.inference.package import IS_CHECK, Package, load_package
from assay.inference.predictor import PredictionBatch, RowPrediction
from assay.inference.rows import Columns, RowReader, Values, length
from assay.inference.tables import load_arrow
from assay.predictions.entry import CHECK, SHADOW
from assay.predictions.requests import RequestLog
from assay.predictions.write import PredictionLog
from assay.project.layout import LOG, MODELS
from assay.project.room import Room
from assay.project.settings import Serve, Settings
from assay.serve import shapes
from assay.serve.arrow import ARROW, read_table, write_table
from assay.serve.batching import Asked, MicroBatcher
from assay.serve.bentoml_internals import log_path
from assay.serve.metrics import Metrics
from assay.serve.refusal import Refused
from assay.serve.shapes import MOST_EXPLAINED
from assay.serve.steps import Steps, run_inline
from assay.serve.traffic import Contender, Router

if TYPE_CHECKING:
    from pydantic import BaseModel

    from assay.predictions.monitor import MonitorLog

logger = logging.getLogger("bentoml.assay")

ENCODER = msgspec.json.Encoder()
JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
DOCS = Path(__file__).with_name("docs.html")
# The most problems of a request that are listed.
MOST_PROBLEMS = 100
# Seconds after the model was loaded.
LOAD_REST_AFTER = 1.0


@dataclass(slots=True)
class Call:
    """A request, with its headers by name; `is_check` is set for a smoke test, which counts for nothing.

    `version` is that of the model that predicted, once one did.
    """

    body: bytes
    headers: Mapping[bytes, bytes]
    is_check: bool = False
    version: str = ""

    def header(self, wanted: bytes) -> bytes:
        """Return the value of a header; empty if it is missing."""
        return self.headers.get(wanted, b"")


class Serving:
    """The loaded model, its router, its log and its metrics."""

    def __init__(self, package: Package, root: Path, settings: Settings, metrics: Metrics) -> None:
        """Take a package that `load_package` has checked."""
        self.is_ending = False
        self.package = package
        self.contract = package.contract
        self.metrics = metrics
        self.wait = settings.serve.wait_ms / 1000
        self.max_body = int(settings.serve.max_body_mb * 1e6)
        self.rows = package.reader
        self._examples = package.example_rows()
        self.router = Router(package, root, settings.export.tolerance, metrics)
        self.router.refresh()
        self.router.watch()
        self._log: PredictionLog | MonitorLog | None = None
        self.request_log: RequestLog | None = None
        self._refuses_unlogged = settings.serve.unlogged == "refuse"
        self._unlogged_reason = ""
        if settings.serve.log != "off":
            folder = log_path(log_folder(root))
            self._log = _log(folder, package, settings.serve, metrics)
            self.request_log = _request_log(folder, package, settings) if folder else None
        self._batcher: MicroBatcher[Contender, Values] = MicroBatcher(
            lambda by, asked: run_inline(self._answer(by, asked))
        )
        self.row_ms = significant(1000 * self.router.champion.seconds[1], 3)
        # Loaded once the service is ready, before many requests come: alongside them it would take seconds.
        self._rest = threading.Timer(LOAD_REST_AFTER, load_arrow)
        self._rest.daemon = True
        self._rest.start()

    def close(self) -> None:
        """Stop."""
        self._rest.cancel()
        self._rest.join()
        self.router.close()
        if self._log:
            self._log.close()
        if self.request_log:
            # Shadows count between the turns of the event loop.
            self.request_log.add_events(self.metrics.flush())
            self.write_requests()
            self.request_log.close()

    def write_requests(self) -> None:
        """Write how many requests there were, by what came of them."""
        try:
            if self.request_log:
                self.request_log.write()
        except OSError as error:
            logger.warning("requests cannot be counted in the log: %s", error)

    def predict(self, call: Call) -> tuple[bytes, bytes]:
        """Predict `{"rows": [{...}, ...]}` or an Arrow stream; the answer has the same format."""
        return run_inline(self.predict_in_steps(call))

    def predict_in_steps(self, call: Call) -> Steps[tuple[bytes, bytes]]:
        """Predict as `predict` does; what is yielded releases the interpreter and may run in another thread."""
        kind = _content_type(call)
        if kind == JSON:
            # A body that breaks the contract may take long to validate.
            rows = self.rows.read_fast(call.body) or (yield lambda: self._validated(call))
            if self._is_check(rows, call):
                return JSON, (yield from self._check(rows))
            key = self._key(call)
            answers = yield from self._answer(self._contender(key), [(rows, key)])
            answer, call.version = answers[0]
            return JSON, answer
        data = self._read_table(call.body)
        key = self._key(call)
        keys = [(key, length(data))]
        batch, call.version = yield from self._predict(self._contender(key), data, alone=True, keys=keys)
        return kind, write_table(batch, self.contract.classes, call.version)

    async def predict_batched(self, call: Call) -> tuple[bytes, bytes]:
        """Predict as `predict` does, in one batch with the rows of other requests."""
        if _content_type(call) != JSON:
            return self.predict(call)
        rows = self._read(call)
        if self._is_check(rows, call):
            return JSON, run_inline(self._check(rows))
        key = self._key(call)
        answer, call.version = await self._batcher.ask(self._contender(key), rows, key)
        return JSON, answer

    def _is_check(self, rows: list[Values], call: Call) -> bool:
        """Say whether a request is a smoke test: only for the examples of the model, so that it can hide nothing."""
        call.is_check = bool(call.header(IS_CHECK)) and rows == self._examples
        return call.is_check

    def _check(self, rows: list[Values]) -> Steps[bytes]:
        """Return the response body of the champion for a smoke test."""
        data, predictor = self.rows.columns(rows), self.router.champion.predictor
        scores = yield predictor.package.scoring(data)
        batch = predictor.batch(scores, predictor.warnings(data)[0])
        self._record(CHECK, predictor.version, batch, data, [(b"", len(rows))])
        return _body(batch.rows(), predictor.version)

    def _answer(self, contender: Contender, asked: list[Asked[Values]]) -> Steps[list[tuple[bytes, str]]]:
        """Return for each of several requests the response body and the version of the model that predicted."""
        rows = asked[0][0] if len(asked) == 1 else list(chain.from_iterable(one for one, _ in asked))
        keys = [(key, len(one)) for one, key in asked]
        batch, version = yield from self._predict(contender, self.rows.columns(rows), alone=len(asked) == 1, keys=keys)
        rest = iter(batch.rows())
        return [(_body(list(islice(rest, number)), version), version) for _, number in keys]

    def _predict(
        self, contender: Contender, data: Columns, *, alone: bool, keys: list[tuple[bytes, int]]
    ) -> Steps[tuple[PredictionBatch, str]]:
        """Return the predictions and the version that made them; log and count them."""
        router = self.router
        try:
            contender, scores = yield from router.scores(contender, data, alone=alone)
            predictor = contender.predictor
            warnings, columns = predictor.warnings(data)
            batch = predictor.batch(scores, warnings)
        except ArithmeticError as error:
            raise Refused(422, str(error), reason="contract") from None
        self._record(contender.name, predictor.version, batch, data, keys)
        self.metrics.predicted(predictor.version, batch)
        if columns:
            self.metrics.add_all("warnings", columns)
        if router.shadows:
            router.send_to_shadows(data, lambda shadow, found: self._record_shadow(shadow, batch, data, keys, found))
        return batch, predictor.version

    def _record(
        self, arm: str, version: str, batch: PredictionBatch, data: Columns, keys: list[tuple[bytes, int]]
    ) -> None:
        """Write predictions to the log; raises Refused if that is impossible and they may not be answered without."""
        if not self._log:
            return
        try:
            # Not in another thread, also for many rows: changing threads would cost more than writing.
            self._log.predictions(version, arm, batch, data, keys=keys)
        # A monitor of the user's own may raise anything.
        except Exception as error:
            is_refused = self._refuses_unlogged and arm != SHADOW
            # Several requests are then answered again, one by one.
            if not is_refused or len(keys) == 1:
                self._unlogged(arm, version, len(batch.scores), error)
            if is_refused:
                raise Refused(503, "the prediction cannot be logged; try again", reason="log") from None

    def _unlogged(self, arm: str, version: str, rows: int, error: Exception) -> None:
        """Count predictions that are not in the log; say why, unless that was said."""
        if arm != CHECK:
            self.metrics.add("dropped", version, number=rows)
        if str(error) != self._unlogged_reason:
            self._unlogged_reason = str(error)
            logger.warning("predictions cannot be logged: %s", error)

    def _key(self, call: Call) -> bytes:
        """Return the key of the client, by which models are chosen and `assay forget` finds rows."""
        return call.header(self.router.sticky) if self._log or self.router.shares else b""

    def _contender(self, key: bytes) -> Contender:
        router = self.router
        return router.choose(key) if router.shares else router.champion

    def explain(self, call: Call) -> tuple[bytes, bytes]:
        """Explain a few rows: what each column contributes to the score."""
        kind = _content_type(call)
        data = self.rows.columns(self._read(call)) if kind == JSON else self._read_table(call.body)
        if length(data) > MOST_EXPLAINED:
            raise Refused(
                422,
                f"rows: at most {MOST_EXPLAINED} rows can be explained per request, got {length(data)}",
                reason="contract",
            )
        found = contributions(self.package, data)
        return JSON, msgspec.json.encode({"explanations": found, "model_version": self.package.version})

    @cached_property
    def _outcomes(self) -> "type[BaseModel]":
        return shapes.outcomes_model(self.contract)

    def feedback(self, call: Call) -> tuple[bytes, bytes]:
        """Record the outcomes of predictions."""
        _content_type(call, [JSON])
        try:
            outcomes = self._outcomes.model_validate_json(call.body).model_dump()["outcomes"]
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "the body"
            status = 400 if problem["type"] == "json_invalid" else 422
            raise Refused(status, f"{where}: {problem['msg']}", reason="contract") from None
        if not self._log:
            raise Refused(501, "outcomes are not recorded: set `serve.log: safe` in params.yaml", reason="log")
        try:
            received, unknown = self._log.outcomes(outcomes, self._key(call))
        # A log of the user's own may raise anything.
        except Exception:
            logger.exception("outcomes cannot be recorded")
            raise Refused(
                503, "outcomes cannot be recorded: the log cannot be written; try again", reason="log"
            ) from None
        return JSON, msgspec.json.encode({"received": received, "unknown": unknown})

    async def feedback_in_thread(self, call: Call) -> tuple[bytes, bytes]:
        """Record outcomes as `feedback` does; other requests do not wait for the disk."""
        return await asyncio.to_thread(self.feedback, call)

    def about(self, call: Call) -> tuple[bytes, bytes]:
        """Describe the model."""
        _content_type(call, [JSON])
        if call.body.strip() not in (b"", b"{}"):
            raise Refused(422, "the body: expected none, or {}", reason="contract")
        return JSON, self._about

    @cached_property
    def _about(self) -> bytes:
        package, contract = self.package, self.contract
        about = {name: package.about[name] for name in ("served", "reason", "choice", "versions", "contract_sha256")}
        return msgspec.json.encode(
            {
                "model_version": package.version,
                "name": contract.name,
                "task": contract.task,
                "classes": list(contract.classes),
                "threshold": package.threshold,
                "row_ms": self.row_ms,
                "contract": contract.model_dump(mode="json"),
                "metrics": package.metrics,
                "card": package.card,
                **about,
            }
        )

    def show(self, _: Call) -> tuple[bytes, bytes]:
        """Return the page for people."""
        return HTML, self._page

    @cached_property
    def _page(self) -> bytes:
        # Imported when first asked for, so that the service starts quickly.
        from assay.serve.page import page

        return page(self.package).encode()

    def show_document(self, _: Call) -> tuple[bytes, bytes]:
        """Return the page that shows the OpenAPI document."""
        return HTML, DOCS.read_bytes()

    def document(self, _: Call) -> tuple[bytes, bytes]:
        """Return the OpenAPI document."""
        return JSON, self._document

    @cached_property
    def _document(self) -> bytes:
        from assay.serve.openapi import document

        rows, few = request_models(self.contract, {"Rows": self.rows.max_rows, "FewRows": MOST_EXPLAINED})
        return msgspec.json.encode(document(self.contract, self.package.version, predict=rows, explain=few))

    def is_ready(self) -> bool:
        """Score an example and say whether the score is right; False once the service is shutting down."""
        return not self.is_ending and self.package.deviation(self.package.score_example()) <= self.package.tolerance

    def _record_shadow(
        self,
        shadow: Contender,
        batch: PredictionBatch,
        data: Columns,
        keys: list[tuple[bytes, int]],
        scores: np.ndarray,
    ) -> None:
        """Log and count what a shadow would have answered, under the ids of the predictions that were returned."""
        predictor = shadow.predictor
        given = replace(predictor.batch(scores, {}), names=batch.names)
        self.metrics.predicted(predictor.version, given)
        self._record(SHADOW, predictor.version, given, data, keys)

    def _read(self, call: Call) -> list[Values]:
        return self.rows.read_fast(call.body) or self._validated(call)

    def _validated(self, call: Call) -> list[Values]:
        try:
            return self.rows.validate(call.body)
        except ValidationError as error:
            raise self._refusal(error) from None

    def _read_table(self, body: bytes) -> Columns:
        data, violations = read_table(body, self.contract, self.rows.max_rows)
        if violations:
            for one in violations:
                column = self.contract.features.get(one.column)
                # A client can invent any name for a column that is not in the contract.
                self.metrics.add("violations", "" if column is None else one.column, number=one.count)
                if isinstance(column, Category) and one.rule == rules.unknown_value(column.values):
                    self.metrics.add("unknown", one.column, number=one.count)
            raise _broken(422, list(map(str, violations[:MOST_PROBLEMS])), len(violations))
        return data

    def _refusal(self, error: ValidationError) -> Refused:
        problems = error.errors(include_url=False)
        broken: Counter[tuple[str, str]] = Counter()
        for problem in problems:
            location = problem["loc"]
            column = self.contract.features.get(str(location[2])) if len(location) > 2 else None
            broken["violations", "" if column is None else str(location[2])] += 1
            if isinstance(column, Category) and problem["type"] == "literal_error":
                broken["unknown", str(location[2])] += 1
        for (name, column_name), number in broken.items():
            self.metrics.add(name, column_name, number=number)
        # Each takes a while to explain, and a request may hold any number of unknown keys.
        listed = explain(problems[:MOST_PROBLEMS], self.contract)
        kind = problems[0]["type"]
        status = {"json_invalid": 400, "too_long": 413}.get(kind, 422) if len(problems[0]["loc"]) < 2 else 422
        return _broken(status, listed, len(problems))


def _body(predictions: list[RowPrediction], version: str) -> bytes:
    return ENCODER.encode({"predictions": predictions, "model_version": version})


def _broken(status: int, problems: list[str], number: int) -> Refused:
    """Return the refusal of a request that breaks the contract; it lists the first MOST_PROBLEMS problems."""
    more = [] if number <= MOST_PROBLEMS else [f"and {number - MOST_PROBLEMS} more"]
    return Refused(status, problems[0], problems + more, reason="contract")


# The same few for all requests.
@lru_cache(maxsize=64)
def _kind(header: bytes) -> bytes:
    return header.partition(b";")[0].strip().lower() or JSON


def _content_type(call: Call, wanted: Collection[bytes] = (JSON, ARROW)) -> bytes:
    """Return the content type, JSON if none is given; raises Refused for an unsupported one."""
    kind = _kind(call.header(b"content-type"))
    if kind not in wanted:
        taken = " or ".join(one.decode() for one in wanted)
        raise Refused(
            415,
            f"unsupported content type {kind.decode(errors='replace')!r}; send {taken}",
            reason="content type",
        )
    return kind


def _log(folder: Path | None, package: Package, serve: Serve, metrics: Metrics) -> "PredictionLog | MonitorLog":
    if folder is None:
        # Imported only here, so that the service starts quickly.
        from assay.predictions.monitor import MonitorLog

        # OpenTelemetry does not say which model made those that it lost.
        metrics.add("dropped", "", number=0)
        return MonitorLog(package.contract, lambda rows: metrics.add("dropped", "", number=rows))
    digest = package.about["contract_sha256"]
    return PredictionLog(folder, package.contract, digest, fsync=serve.log == "fsync", days=serve.log_days)


def _request_log(folder: Path, package: Package, settings: Settings) -> RequestLog:
    limits = [one for one in (settings.limits.median_ms, settings.limits.p99_ms) if one is not None]
    return RequestLog(folder, package.version, limits, settings.serve.log_days)


def log_folder(root: Path) -> Path:
    """Return the folder of the prediction log: `ASSAY_LOG`, or monitoring/ in the project, or outside of the Bento.

    Never in a Bento: an exported Bento would pass on what clients sent.
    """
    if named := os.environ.get("ASSAY_LOG"):
        return Path(named)
    bento = root.parent
    if not (bento / "bento.yaml").exists():
        return root / LOG
    name, store = bento.parent, bento.parent.parent
    # In an image the Bento is not in a store.
    return store.parent / LOG / name.name / bento.name if store.name == "bentos" else bento.parent / LOG


def load_serving(root: Path, served: Path, contract: Contract, settings: Settings, client: Any) -> Serving:
    """Load the model of a project or a Bento; raises InputError for a package whose parts do not belong together.

    `served` is the folder to load it from: `root` itself, or a copy.
    """
    reader = RowReader(contract, settings.serve.max_rows)
    # A Bento has no contract.yaml: its contract is in models/.
    digest = sha256(served / CONTRACT) if (served / CONTRACT).exists() else None
    package = load_package(served / MODELS, reader, digest, settings.export.tolerance, Room(served))
    return Serving(package, root, settings, Metrics(client))


@dataclass(frozen=True)
class Endpoint:
    """The function that answers a path, its methods, and whether it is open to clients without the API key.

    `waiting`, if there is one, answers instead while others are answered, and `steps` answers large requests.
    """

    answer: Callable[[Serving, Call], tuple[bytes, bytes]]
    methods: tuple[str, ...]
    is_open: bool = False
    waiting: Callable[[Serving, Call], Awaitable[tuple[bytes, bytes]]] | None = None
    steps: Callable[[Serving, Call], Steps[tuple[bytes, bytes]]] | None = None


ENDPOINTS = {
    "/predict": Endpoint(Serving.predict, ("POST",), waiting=Serving.predict_batched, steps=Serving.predict_in_steps),
    "/explain": Endpoint(Serving.explain, ("POST",)),
    "/feedback": Endpoint(Serving.feedback, ("POST",), waiting=Serving.feedback_in_thread),
    "/model": Endpoint(Serving.about, ("GET", "HEAD", "POST")),
    "/": Endpoint(Serving.show, ("GET", "HEAD"), is_open=True),
    "/docs": Endpoint(Serving.show_document, ("GET", "HEAD"), is_open=True),
    "/docs.json": Endpoint(Serving.document, ("GET", "HEAD"), is_open=True),
}
