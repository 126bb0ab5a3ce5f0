"""What the service answers, endpoint by endpoint, apart from HTTP itself."""

import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
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
from assay.inference.answers import PredictionBatch
from assay.inference.explain import contributions
from assay.inference.package import Package, load_package
from assay.inference.rows import Columns, Rows, Values, length
from assay.predictions.write import PredictionLog
from assay.project.layout import MODELS
from assay.project.room import Room
from assay.project.settings import Settings
from assay.serve import shapes
from assay.serve.arrow import ARROW, read_table, write_table
from assay.serve.bentoml_internals import monitoring
from assay.serve.metrics import Metrics
from assay.serve.refusal import Refused
from assay.serve.shapes import MOST_EXPLAINED
from assay.serve.steps import Steps, at_once
from assay.serve.together import MicroBatcher
from assay.serve.traffic import Contender, Router

if TYPE_CHECKING:
    from pydantic import BaseModel

logger = logging.getLogger("bentoml.assay")

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
# So many problems of a request are told.
TOLD = 100
# So many seconds after the model is loaded.
SOON = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose body is here."""

    body: bytes
    scope: Mapping[str, Any]

    def header(self, wanted: bytes) -> bytes:
        """Return the value of a header, empty where there is none."""
        for name, value in self.scope["headers"]:
            if name == wanted:
                return bytes(value)
        return b""


class Serving:
    """The loaded model and all that is around it."""

    def __init__(self, package: Package, root: Path, settings: Settings, metrics: Metrics) -> None:
        """Take a package that was found to be whole."""
        self.is_ending = False
        self.package = package
        self.contract = package.contract
        self.metrics = metrics
        self.wait = settings.serve.wait_ms / 1000
        self.max_body = int(settings.serve.max_body_mb * 1e6)
        self.rows = package.reader
        self.router = Router(package, root, settings.export.tolerance, metrics)
        self.router.refresh()
        self.router.watch()
        self._log: PredictionLog | None = None
        if settings.serve.log:
            self._log = PredictionLog(
                package.contract,
                self.rows.values,
                lambda rows: metrics.add("dropped", number=rows),
                monitoring(),
            )
        self._together: MicroBatcher[Contender, Values] = MicroBatcher(
            lambda by, asked: at_once(self._answer(by, asked))
        )
        self.row_ms = significant(1000 * self.router.champion.seconds[1], 3)
        # The rest is loaded when the service is ready, and before many ask: beside them it would take seconds.
        self._rest = threading.Timer(SOON, _load_rest)
        self._rest.daemon = True
        self._rest.start()

    def close(self) -> None:
        """Write what is waiting to be written."""
        self.router.close()
        self._rest.cancel()
        self._rest.join()
        if self._log:
            self._log.close()

    def predict(self, call: Call) -> tuple[bytes, bytes]:
        """Answer `{"rows": [{...}, ...]}`, or a stream of Arrow by another."""
        return at_once(self.predict_in_steps(call))

    def predict_in_steps(self, call: Call) -> Steps[tuple[bytes, bytes]]:
        """Answer as `predict` does; what is yielded needs no interpreter, and may be run beside other requests."""
        kind = _kind(call)
        if kind == JSON:
            # One that does not keep to the contract may take long to judge.
            rows = self.rows.read_quickly(call.body) or (yield lambda: self._judged(call))
            answers = yield from self._answer(self._contender(call), [rows])
            return JSON, answers[0]
        data = self._read_table(call.body)
        told, version = yield from self._tell(self._contender(call), data, alone=True)
        return kind, write_table(told, self.contract.classes, version)

    async def predict_soon(self, call: Call) -> tuple[bytes, bytes]:
        """Answer as `predict` does, rows together with those of others."""
        if _kind(call) != JSON:
            return self.predict(call)
        rows = self._read(call)
        return JSON, await self._together.ask(self._contender(call), rows)

    def _answer(self, contender: Contender, asked: list[list[Values]]) -> Steps[list[bytes]]:
        """Return the body of the answer to each of several requests."""
        rows = asked[0] if len(asked) == 1 else list(chain.from_iterable(asked))
        told, version = yield from self._tell(contender, self.rows.columns(rows), alone=len(asked) == 1, rows=rows)
        rest = iter(told.rows())
        return [
            msgspec.json.encode({"predictions": list(islice(rest, len(one))), "model_version": version})
            for one in asked
        ]

    def _tell(
        self,
        contender: Contender,
        data: Columns,
        *,
        alone: bool,
        rows: list[Values] | None = None,
    ) -> Steps[tuple[PredictionBatch, str]]:
        """Return what is answered, and the version that did; take it down."""
        router = self.router
        try:
            contender, scores = yield from router.scores(contender, data, alone=alone)
            answers = contender.answers
            warnings, columns = answers.warnings(data)
            told = answers.batch(scores, warnings)
        except ArithmeticError as error:
            raise Refused(422, str(error), reason="contract") from None
        self.metrics.predicted(answers.version, told)
        if columns:
            self.metrics.add_all("warnings", columns)
        if self._log:
            self._log.predictions(answers.version, contender.name, told, data, rows=rows)
        if router.shadows:
            router.send_to_shadows(data, lambda shadow, found: self._seen_in_shadow(shadow, told, data, found))
        return told, answers.version

    def _contender(self, call: Call) -> Contender:
        router = self.router
        return router.choose(call.header(router.sticky)) if router.shares else router.champion

    def explain(self, call: Call) -> tuple[bytes, bytes]:
        """Answer a few rows with what each column contributes to the score."""
        kind = _kind(call)
        data = self.rows.columns(self._read(call)) if kind == JSON else self._read_table(call.body)
        if length(data) > MOST_EXPLAINED:
            raise Refused(
                422,
                f"rows: at most {MOST_EXPLAINED} rows are explained at once, got {length(data)}",
                reason="contract",
            )
        found = contributions(self.package, data)
        return JSON, msgspec.json.encode({"explanations": found, "model_version": self.package.version})

    @cached_property
    def _outcomes(self) -> "type[BaseModel]":
        return shapes.outcomes_model(self.contract)

    def feedback(self, call: Call) -> tuple[bytes, bytes]:
        """Take down what turned out to be true."""
        _kind(call, [JSON])
        try:
            outcomes = self._outcomes.model_validate_json(call.body).model_dump()["outcomes"]
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "the body"
            status = 400 if problem["type"] == "json_invalid" else 422
            raise Refused(status, f"{where}: {problem['msg']}", reason="contract") from None
        if not self._log:
            raise Refused(501, "nothing is taken down: `serve.log` is off in params.yaml", reason="log")
        try:
            self._log.outcomes(outcomes)
        # Whatever kind of log it is.
        except Exception:
            logger.exception("outcomes cannot be written")
            raise Refused(503, "the log, in which to take them down, cannot be written", reason="log") from None
        return JSON, msgspec.json.encode({"received": len(outcomes)})

    def about(self, call: Call) -> tuple[bytes, bytes]:
        """Answer what the model is."""
        _kind(call, [JSON])
        if call.body.strip() not in (b"", b"{}"):
            raise Refused(422, "the body: expected nothing, or {}", reason="contract")
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
        """Answer with the page for people."""
        return HTML, self._page

    @cached_property
    def _page(self) -> bytes:
        # Imported when somebody looks: a service is to be ready soon.
        from assay.serve.page import page

        return page(self.package).encode()

    def document(self, _: Call) -> tuple[bytes, bytes]:
        """Answer with the OpenAPI document."""
        return JSON, self._document

    @cached_property
    def _document(self) -> bytes:
        from assay.serve.openapi import document

        rows, few = request_models(self.contract, {"Rows": self.rows.max_rows, "FewRows": MOST_EXPLAINED})
        return msgspec.json.encode(document(self.contract, self.package.version, predict=rows, explain=few))

    def is_ready(self) -> bool:
        """Answer an example, and say whether that is right; no more once the service is ending."""
        return not self.is_ending and self.package.apart(self.package.answer_example()) <= self.package.tolerance

    def _seen_in_shadow(self, shadow: Contender, told: PredictionBatch, data: Columns, scores: np.ndarray) -> None:
        """Take down what a shadow would have answered, under the names of the predictions that were given."""
        answers = shadow.answers
        given = replace(answers.batch(scores, {}), name=told.name)
        self.metrics.predicted(answers.version, given)
        if self._log:
            self._log.predictions(answers.version, shadow.name, given, data)

    def _read(self, call: Call) -> list[Values]:
        return self.rows.read_quickly(call.body) or self._judged(call)

    def _judged(self, call: Call) -> list[Values]:
        try:
            return self.rows.judge(call.body)
        except ValidationError as error:
            raise self._refusal(error) from None

    def _read_table(self, body: bytes) -> Columns:
        data, violations = read_table(body, self.contract, self.rows.max_rows)
        if violations:
            for one in violations:
                column = self.contract.features.get(one.column)
                # What a column is called that is not in the contract is up to who asks.
                self.metrics.add("violations", "" if column is None else one.column, number=one.count)
                if isinstance(column, Category) and one.rule == rules.unknown_value(column.values):
                    self.metrics.add("unknown", one.column, number=one.count)
            raise _broken(422, list(map(str, violations[:TOLD])), len(violations))
        return data

    def _refusal(self, error: ValidationError) -> Refused:
        problems = error.errors(include_url=False)
        broken: Counter[tuple[str, str]] = Counter()
        for problem in problems:
            place = problem["loc"]
            column = self.contract.features.get(str(place[2])) if len(place) > 2 else None
            broken["violations", "" if column is None else str(place[2])] += 1
            if isinstance(column, Category) and problem["type"] == "literal_error":
                broken["unknown", str(place[2])] += 1
        for (name, column_name), number in broken.items():
            self.metrics.add(name, column_name, number=number)
        # Each takes a while to explain, and there may be any number of keys that nobody knows.
        said = explain(problems[:TOLD], self.contract)
        kind = problems[0]["type"]
        status = {"json_invalid": 400, "too_long": 413}.get(kind, 422) if len(problems[0]["loc"]) < 2 else 422
        return _broken(status, said, len(problems))


def _broken(status: int, said: list[str], number: int) -> Refused:
    """Return the refusal of what breaks the contract, of which the first TOLD problems are said."""
    more = [] if number <= TOLD else [f"and {number - TOLD} more"]
    return Refused(status, said[0], said + more, reason="contract")


def _kind(call: Call, wanted: Collection[bytes] = (JSON, ARROW)) -> bytes:
    """Return the content type, JSON where none is given; raises Refused for one that is not taken."""
    kind = call.header(b"content-type").partition(b";")[0].strip().lower() or JSON
    if kind not in wanted:
        taken = ", ".join(one.decode() for one in wanted)
        raise Refused(
            415,
            f"the body has the type {kind.decode(errors='replace')!r}; accepted are {taken}",
            reason="content type",
        )
    return kind


def _load_rest() -> None:
    """Load what reads tables, and what writes the log."""
    import assay.predictions.monitor

    with suppress(ImportError):
        import assay.predictions.schema  # noqa: F401


def load_serving(root: Path, contract: Contract, settings: Settings, client: Any) -> Serving:
    """Load what is served; raises InputError for a package whose parts do not belong together."""
    reader = Rows(contract, settings.serve.max_rows)
    # A Bento holds none: its contract is in models/.
    digest = sha256(root / CONTRACT) if (root / CONTRACT).exists() else None
    package = load_package(root / MODELS, reader, digest, settings.export.tolerance, Room(root))
    return Serving(package, root, settings, Metrics(client))


@dataclass(frozen=True)
class Endpoint:
    """What answers a path, to which methods, and whether to all, also where there is an API key.

    What has `soon` is answered by that, and by `steps` if the request is a large one.
    """

    answer: Callable[[Serving, Call], tuple[bytes, bytes]]
    methods: tuple[str, ...]
    is_open: bool = False
    soon: Callable[[Serving, Call], Awaitable[tuple[bytes, bytes]]] | None = None
    steps: Callable[[Serving, Call], Steps[tuple[bytes, bytes]]] | None = None


ENDPOINTS = {
    "/predict": Endpoint(Serving.predict, ("POST",), soon=Serving.predict_soon, steps=Serving.predict_in_steps),
    "/explain": Endpoint(Serving.explain, ("POST",)),
    "/feedback": Endpoint(Serving.feedback, ("POST",)),
    "/model": Endpoint(Serving.about, ("GET", "HEAD", "POST")),
    "/": Endpoint(Serving.show, ("GET", "HEAD"), is_open=True),
    "/docs.json": Endpoint(Serving.document, ("GET", "HEAD"), is_open=True),
}
