"""Bodies of calls: read up to a bound, parsed strictly, and refused in words that give nothing back of what came."""

import asyncio
import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import Response

from genrec.serving.schemas import Problem

Body = TypeVar("Body", bound=BaseModel)

_NAMED, _LONGEST = 5, 200
_FORGOTTEN_BYTES, _BODY_SECONDS = 64_000_000, 20


class CallError(Exception):
    """A call that is answered with a problem."""

    def __init__(
        self, status: int, error: str, message: str, where: list[str] | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(error=error, message=message, where=where or [])
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status in (408, 413):  # what may be left of the body is not read, so the connection cannot be used again
            self.headers["Connection"] = "close"

    def response(self) -> Response:
        """The answer."""
        return as_json(self.problem.model_dump(), status=self.status, headers=self.headers)


def as_json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response; `ValueError` for NaN and infinity, which JSON does not have."""
    try:
        text = to_json(content, inf_nan_mode="constants")
    except (ValueError, UnicodeError):  # half of a surrogate pair, of an id that came so
        text = _carefully(content)
    if b"NaN" in text or b"Infinity" in text:
        text = _carefully(content)
    return Response(text, status, headers, media_type="application/json")


def _carefully(content: Any) -> bytes:
    """As `as_json`, by the encoder that refuses what is no JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace")


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The whole body. 413 if it is larger, of which nothing is held; 408 if it comes too slowly.

    What is too large is read on and forgotten up to a bound: a client that writes before it reads would not see the
    answer if the connection broke first.
    """
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > max_bytes + _FORGOTTEN_BYTES:
        raise _too_large(max_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size <= max_bytes:
                    parts.append(part)
                else:
                    parts.clear()
                if size > max_bytes + _FORGOTTEN_BYTES:
                    break
    except TimeoutError:
        raise CallError(408, "too_slow", f"the body did not come within {_BODY_SECONDS} s; send it at once") from None
    if size > max_bytes:
        raise _too_large(max_bytes)
    return b"".join(parts)


def decoded(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; 400 if it is none, in UTF-8."""
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise CallError(400, "not_json", f"expected a JSON object in UTF-8: {str(error)[:_LONGEST]}") from error
    if not isinstance(found, dict):
        raise CallError(422, "not_as_documented", f"expected a JSON object, got a {type(found).__name__}")
    return found


def checked(kind: type[Body], fields: dict[str, Any], *, part: str = "body") -> Body:
    """A part of a call as documented; 422 names a few of the places where it is not, and gives nothing back of it."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    where = [f"{'.'.join(map(_step, each['loc']))}: {each['msg']}"[:_LONGEST] for each in found[:_NAMED]]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise CallError(422, "not_as_documented", f"the {part} is not as documented in these places{more}", where)


def _step(step: Any) -> str:
    text = str(step)
    return text if len(text) <= 40 else text[:40] + "..."


def _too_large(max_bytes: int) -> CallError:
    return CallError(413, "too_large", f"the body has more than {max_bytes} bytes; send fewer requests at a time")
