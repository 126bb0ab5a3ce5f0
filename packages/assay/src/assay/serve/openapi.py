"""The OpenAPI document of the service, from the models that validate requests (OpenAPI 3.1)."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from assay.contract.spec import Contract
from assay.serve import shapes
from assay.serve.arrow import ARROW

REF = "#/components/schemas/{model}"
REFUSALS = {
    400: "the body is not JSON",
    401: "an API key is required",
    405: "method not allowed",
    408: "the body did not arrive in time",
    413: "the body is too large or has too many rows",
    415: "unsupported content type",
    422: "the request breaks the contract; the error names row, column and what was expected",
    503: "too many requests at once, or outcomes cannot be recorded; retry after the seconds in Retry-After",
}
OF_GET = (401, 405, 503)


def document(contract: Contract, version: str, *, predict: type[BaseModel], explain: type[BaseModel]) -> dict[str, Any]:
    """Return the document."""
    outcomes = shapes.outcomes_model(contract)
    endpoints: dict[str, tuple[type[BaseModel], type[BaseModel], str]] = {
        "/predict": (predict, shapes.Predictions, "Predict rows."),
        "/explain": (
            explain,
            shapes.Explanations,
            "Explain a few rows: how much each column contributes to the score.",
        ),
        "/feedback": (
            outcomes,
            shapes.Received,
            "Report the outcomes of predictions.",
        ),
        "/model": (shapes.Nothing, shapes.About, "Describe the model: version, contract, metrics, card."),
    }
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(shapes.Error, "serialization")]
    for request, response, _ in endpoints.values():
        models += [(request, "validation"), (response, "serialization")]
    _, definitions = models_json_schema(models, ref_template=REF)
    paths: dict[str, Any] = {}
    for path, (request, response, summary) in endpoints.items():
        name = path.strip("/")
        content = _json(request.__name__)
        if path == "/predict":
            content[ARROW.decode()] = {"schema": {"type": "string", "format": "binary"}}
        paths[path] = {
            "post": {
                "operationId": name,
                "summary": summary,
                "requestBody": {"required": path != "/model", "content": content},
                "responses": _responses(response.__name__, REFUSALS),
            }
        }
    off = {"description": "outcomes are not recorded: the log is off", "content": _json("Error")}
    paths["/feedback"]["post"]["responses"]["501"] = off
    paths["/model"]["get"] = {
        "operationId": "about",
        "summary": paths["/model"]["post"]["summary"],
        "responses": _responses("About", OF_GET),
    }
    for path, summary in {
        "/livez": "Liveness check.",
        "/readyz": "Readiness check: an example was predicted correctly.",
        "/metrics": "Prometheus metrics.",
    }.items():
        paths[path] = {
            "get": {"operationId": path[1:], "summary": summary, "responses": {"200": {"description": "OK"}}}
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": contract.name, "version": version, "description": contract.description},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model)}}}


def _responses(model: str, refusals: Any) -> dict[str, Any]:
    made = {"200": {"description": "the result", "content": _json(model)}}
    return made | {str(status): {"description": REFUSALS[status], "content": _json("Error")} for status in refusals}
