"""The way of most calls past the framework, each of whose layers costs every call some of the event loop's time."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from genrec.serving.bodies import CallError

Endpoint = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger(__name__)


class Shortcut:
    """An ASGI application: calls of these paths go to their endpoints at once, all others to `app`."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        """`endpoints`: by method and path, none with parameters in it."""
        self.app = app
        self.endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, or one side of the server's life."""
        endpoint = self.endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        try:
            response = await endpoint(Request(scope, receive, send))
        except Exception:
            _log.exception("%s %s failed", scope["method"], scope["path"])
            response = CallError(500, "failed", "the server failed at this call; its log says why").response()
        await response(scope, receive, send)
