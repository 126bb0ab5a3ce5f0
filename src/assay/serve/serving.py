"""What the service answers, endpoint by endpoint, apart from HTTP itself."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from assay.contract.request import explain
from assay.contract.spec import Category
from assay.data.columns import Columns, length
from assay.params import PARAMS, Params, load_params
from assay.serve.answering import Answers
from assay.serve.explaining import contributions
from assay.serve.metrics import Metrics
from assay.serve.package import Package, load_package
from assay.serve.page import page
from assay.serve.rows import Rows

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
# So many problems of a request are told.
TOLD = 100
MOST_EXPLAINED = 10


class Refused(Exception):  # noqa: N818
    """A request that gets no answer, with the HTTP status and what is wrong with it."""

    def __init__(self, status: int, error: str, problems: Iterable[str] = (), *, reason: str = "") -> None:
        """Take the status, one line, what is wrong in detail, and the label under which it is counted."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = list(problems)
        self.reason = reason


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

    def __init__(self, package: Package, params: Params, metrics: Metrics) -> None:
        """Take a package that was found to be whole."""
        self.package = package
        self.contract = package.contract
        self.metrics = metrics
        self.wait = params.serve.wait_ms / 1000
        self.max_body = int(params.serve.max_body_mb * 1e6)
        self.rows = Rows(package.contract, params.serve.max_rows)
        self.answers = Answers(package)
        self._page = page(package).encode()

    def flush(self) -> None:
        """Write what was counted."""
        self.metrics.flush()

    def predict(self, call: Call) -> tuple[bytes, bytes]:
        """Answer `{"rows": [{...}, ...]}`."""
        data = self._read(call)
        answers = self.answers
        scores = answers.scores(data)
        warnings, columns = answers.warnings(data)
        told = answers.told(scores, warnings)
        self.metrics.predicted(answers.version, told, scores)
        if columns:
            self.metrics.add_all("warnings", columns)
        return JSON, orjson.dumps({"predictions": told, "model_version": answers.version})

    def explain(self, call: Call) -> tuple[bytes, bytes]:
        """Answer a few rows with what each column contributes to the score."""
        data = self._read(call)
        if length(data) > MOST_EXPLAINED:
            raise Refused(422, f"rows: at most {MOST_EXPLAINED} rows are explained at once, got {length(data)}")
        found = contributions(self.package, data)
        return JSON, orjson.dumps({"explanations": found, "model_version": self.answers.version})

    def about(self, call: Call) -> tuple[bytes, bytes]:
        """Answer what the model is."""
        package = self.package
        return JSON, orjson.dumps(
            {
                "model_version": package.version,
                "name": package.contract.name,
                "task": package.contract.task,
                "classes": list(package.contract.classes),
                "threshold": package.threshold,
                "served": package.about["served"],
                "reason": package.about["reason"],
                "choice": package.about["choice"],
                "versions": package.about["versions"],
                "contract": package.contract.model_dump(mode="json"),
                "contract_sha256": package.about["contract_sha256"],
                "metrics": package.metrics,
                "card": package.card,
            }
        )

    def show(self, call: Call) -> tuple[bytes, bytes]:
        """Answer with the page for people."""
        return HTML, self._page

    def is_ready(self) -> bool:
        """Answer an example, and say whether that went well."""
        body = orjson.dumps({"rows": self.package.examples[:1]})
        return bool(self.answers.told(self.answers.scores(self.rows.read(body)), {}))

    def _read(self, call: Call) -> Columns:
        kind = call.header(b"content-type").partition(b";")[0].strip().lower()
        if kind not in (JSON, b""):
            raise Refused(415, f"the body has the type {kind.decode(errors='replace')!r}; {JSON.decode()} is taken")
        try:
            return self.rows.read(call.body)
        except ValidationError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: ValidationError) -> Refused:
        problems = error.errors(include_url=False)
        for problem in problems:
            place = problem["loc"]
            column = self.contract.features.get(str(place[2])) if len(place) > 2 else None
            self.metrics.add("violations", "" if column is None else str(place[2]))
            if isinstance(column, Category) and problem["type"] == "literal_error":
                self.metrics.add("unknown", str(place[2]))
        said = explain(error, self.contract)
        kind = problems[0]["type"]
        status = {"json_invalid": 400, "too_long": 413}.get(kind, 422) if len(problems[0]["loc"]) < 2 else 422
        more = [] if len(said) <= TOLD else [f"and {len(said) - TOLD} more"]
        return Refused(status, said[0], said[:TOLD] + more, reason="contract")


def load_serving(root: Path, models: Path, client: Any) -> Serving:
    """Load what is served; raises InputError for a package whose parts do not belong together."""
    params = load_params(root / PARAMS)
    return Serving(load_package(models, root, params.export.tolerance), params, Metrics(client))


@dataclass(frozen=True)
class Endpoint:
    """What answers a path, and to which methods."""

    answer: Callable[[Serving, Call], tuple[bytes, bytes]]
    methods: tuple[str, ...]


ENDPOINTS = {
    "/predict": Endpoint(Serving.predict, ("POST",)),
    "/explain": Endpoint(Serving.explain, ("POST",)),
    "/model": Endpoint(Serving.about, ("GET", "HEAD", "POST")),
    "/": Endpoint(Serving.show, ("GET", "HEAD")),
}
