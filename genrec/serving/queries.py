"""Query strings, as strictly read as bodies."""

import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, BeforeValidator

from genrec.serving.bodies import CallError, checked

Query = TypeVar("Query", bound=BaseModel)

_WHOLE = re.compile(r"[0-9]{1,9}")
_MAX_BYTES = 8192


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


WRITTEN = BeforeValidator(_whole)
"""Reads a whole number of at most nine digits out of a text; stands after its bounds, which OpenAPI tells then."""


def checked_query(kind: type[Query], request: Request) -> Query:
    """The query as documented; 422 where it is not, or names something twice."""
    fields: dict[str, str] = {}
    for name, value in _pairs(request.scope["query_string"]):
        if name in fields:
            raise CallError(422, "not_as_documented", "a parameter of the query comes twice; give each once")
        fields[name] = value
    return checked(kind, fields, part="query")


def parameters_of(kind: type[BaseModel]) -> list[dict[str, Any]]:
    """What OpenAPI says of the query."""
    schema = kind.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": {key: value for key, value in about.items() if key not in ("title", "description")},
            **({"description": about["description"]} if "description" in about else {}),
        }
        for name, about in schema["properties"].items()
    ]


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if len(query) > _MAX_BYTES:
        raise CallError(422, "not_as_documented", f"the query has more than {_MAX_BYTES} bytes; ask for less")
    if not query:
        return []
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        message = "expected a query such as name=value&other=value, percent-encoded UTF-8"
        raise CallError(422, "not_as_documented", message) from error
