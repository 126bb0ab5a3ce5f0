"""The OpenAPI document of the service, from the models that requests are held to (OpenAPI 3.1)."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from assay.contract.spec import Contract
from assay.serve import shapes
from assay.serve.arrow import ARROW

REF = "#/components/schemas/{model}"
REFUSALS = {
    400: "not JSON",
    401: "an API key is needed",
    405: "another method",
    408: "the body did not arrive in time",
    413: "too large, or too many rows",
    415: "another content type",
    422: "does not keep to the contract; names row, column and what was expected",
    503: "too many requests at once, or outcomes cannot be written; try again after the seconds that Retry-After says",
}
OF_GET = (401, 405, 503)


def document(contract: Contract, version: str, *, predict: type[BaseModel], explain: type[BaseModel]) -> dict[str, Any]:
    """Return the document."""
    outcomes = shapes.outcomes_model(contract)
    answers: dict[str, tuple[type[BaseModel], type[BaseModel], str]] = {
        "/predict": (predict, shapes.Predictions, "Predict rows."),
        "/explain": (explain, shapes.Explanations, "Say what each column of a few rows contributes to the score."),
        "/feedback": (
            outcomes,
            shapes.Received,
            "Report what turned out to be true of predictions.",
        ),
        "/model": (shapes.Nothing, shapes.About, "Say what the model is: version, contract, metrics, card."),
    }
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(shapes.Error, "serialization")]
    for asked, told, _ in answers.values():
        models += [(asked, "validation"), (told, "serialization")]
    _, definitions = models_json_schema(models, ref_template=REF)
    paths: dict[str, Any] = {}
    for path, (asked, told, summary) in answers.items():
        name = path.strip("/")
        content = _json(asked.__name__)
        if path == "/predict":
            content[ARROW.decode()] = {"schema": {"type": "string", "format": "binary"}}
        paths[path] = {
            "post": {
                "operationId": name,
                "summary": summary,
                "requestBody": {"required": path != "/model", "content": content},
                "responses": _responses(told.__name__, REFUSALS),
            }
        }
    off = {"description": "outcomes are not taken down: the log is off", "content": _json("Error")}
    paths["/feedback"]["post"]["responses"]["501"] = off
    paths["/model"]["get"] = {
        "operationId": "about",
        "summary": paths["/model"]["post"]["summary"],
        "responses": _responses("About", OF_GET),
    }
    for path, summary in {
        "/livez": "Alive.",
        "/readyz": "Ready: an example was answered.",
        "/metrics": "Prometheus.",
    }.items():
        paths[path] = {
            "get": {"operationId": path[1:], "summary": summary, "responses": {"200": {"description": "yes"}}}
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
    made = {"200": {"description": "the answer", "content": _json(model)}}
    return made | {str(status): {"description": REFUSALS[status], "content": _json("Error")} for status in refusals}
