"""What the interface says of itself: the bodies, answers and problems of every path."""

from typing import Any

from pydantic import BaseModel

from genrec.serving.browsing_schemas import Codes, CodesQuery, Explained, Fields, FoundItems, ItemsQuery
from genrec.serving.queries import parameters_of
from genrec.serving.schemas import (
    Changed,
    InsertedItems,
    Item,
    Model,
    Problem,
    RecommendedList,
    RecommendedLists,
    RemovedItem,
    SimilarItems,
)

DESCRIPTION = (
    "Generative recommendation on semantic IDs. Every list holds items of the catalogue and of the filters alone."
)

_PROBLEMS = {
    400: "The body is no JSON in UTF-8.",
    401: "The API key is missing or wrong.",
    403: "The server has no API key, so nothing can be changed.",
    404: "The catalogue does not have the item, or nothing with that prefix.",
    408: "The body came too slowly.",
    409: "The catalogue or the run, as it is, does not allow the change.",
    413: "The body is too large.",
    422: "The call is not as documented, or asks for what cannot be done.",
    429: "As much waits as may; see `Retry-After`.",
    503: "Not answered in time, or the server is busy, starting or shutting down.",
}
_ANSWERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "recommend": (RecommendedList | RecommendedLists, (400, 401, 408, 413, 422, 429, 503)),
    "similar": (SimilarItems, (400, 401, 404, 408, 413, 422, 429, 503)),
    "explain": (Explained, (400, 401, 408, 413, 422, 429, 503)),
    "items": (FoundItems, (401, 422, 429, 503)),
    "codes": (Codes, (401, 404, 422, 429, 503)),
    "fields": (Fields, (401, 422, 429, 503)),
    "item": (Item, (401, 404)),
    "insert": (InsertedItems, (400, 401, 403, 408, 409, 413, 422, 503)),
    "remove": (RemovedItem, (401, 403, 404, 409, 503)),
    "reload": (Changed, (400, 401, 403, 408, 409, 413, 422, 503)),
    "model": (Model, (401,)),
    "health": (None, ()),
    "ready": (None, (503,)),
    "metrics": (None, ()),
}
_QUERIES: dict[str, type[BaseModel]] = {"items": ItemsQuery, "codes": CodesQuery}


def documented(name: str, *bodies: type[BaseModel]) -> dict[str, Any]:
    """Arguments for FastAPI's route: the answers of a path and, since it parses by itself, its body."""
    answer, problems = _ANSWERS[name]
    about: dict[str, Any] = {
        "operation_id": name,
        "responses": {status: {"model": Problem, "description": _PROBLEMS[status]} for status in problems},
    }
    if answer is not None:
        about["responses"][200] = {"model": answer, "description": "The answer."}
    if name == "metrics":
        about["responses"][200] = {"description": "Prometheus' text.", "content": {"text/plain": {}}}
    if name in ("item", "remove"):
        parameter = {"name": "item_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        about["openapi_extra"] = {"parameters": [parameter]}
    if name in _QUERIES:
        about["openapi_extra"] = {"parameters": parameters_of(_QUERIES[name])}
    if bodies:
        schemas = [body.model_json_schema(ref_template="#/components/schemas/{model}") for body in bodies]
        about["openapi_extra"] = {"requestBody": _request_body(schemas)}
    return about


def _request_body(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    inlined = [_inlined(schema) for schema in schemas]
    schema = inlined[0] if len(inlined) == 1 else {"oneOf": inlined}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Without references into itself: FastAPI does not know of what they name."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if set(part) == {"$ref"}:
                return resolved(definitions[part["$ref"].rsplit("/", 1)[-1]])
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    return resolved(schema)
