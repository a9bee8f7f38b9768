"""The HTTP interface around one engine: who may call, what comes in, what goes out."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from genrec.recommendation.requests import Request as ListRequest
from genrec.serving.batcher import Batcher
from genrec.serving.bodies import CallError, as_json, checked, decoded, read_body
from genrec.serving.browsing import Browsing
from genrec.serving.change_calls import ChangeCalls
from genrec.serving.config import ServingConfig
from genrec.serving.engine import Asked, Engine, Listed, Reading
from genrec.serving.keys import API_KEY, check_key
from genrec.serving.live_catalogue import LiveCatalogue
from genrec.serving.metrics import Metrics
from genrec.serving.openapi import DESCRIPTION, documented
from genrec.serving.page_files import add_page
from genrec.serving.refusals import refusals_told
from genrec.serving.schemas import RecommendRequest, calls_of

_ERRORS = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(live: LiveCatalogue, limits: ServingConfig, *, run: str) -> FastAPI:
    """The application; `run` is what `/v1/model` calls it."""
    server = _Server(live, limits, run)
    app = FastAPI(
        title="GenRec",
        description=DESCRIPTION,
        version="1",
        lifespan=server.lifespan,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.router.route_class = _PlainRoute
    app.state.endpoints = {}
    bodies = calls_of(limits)
    add = partial(_add, app)
    add("POST", "/v1/recommend", server.recommend, documented("recommend", bodies.request, bodies.requests))
    add("POST", "/v1/similar", server.browsing.similar, documented("similar", bodies.similar))
    add("POST", "/v1/explain", server.browsing.explain, documented("explain", server.browsing.body))
    add("GET", "/v1/items", server.browsing.items, documented("items"))
    add("GET", "/v1/codes", server.browsing.codes, documented("codes"))
    add("GET", "/v1/fields", server.browsing.fields, documented("fields"))
    add("GET", "/v1/items/{item_id:path}", server.browsing.item, documented("item"))
    add("POST", "/v1/items", server.changes.insert, documented("insert", bodies.insert))
    add("DELETE", "/v1/items/{item_id:path}", server.changes.remove, documented("remove"))
    add("POST", "/v1/reload", server.changes.reload, documented("reload"))
    add("GET", "/v1/model", server.model, documented("model"))
    add("GET", "/healthz", server.health, documented("health"))
    add("GET", "/readyz", server.ready, documented("ready"))
    add("GET", "/metrics", server.exposed_metrics, documented("metrics"))
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(CallError, _call_problem)
    add_page(app)
    app.state.server = server
    return app


class _PlainRoute(APIRoute):
    """A documented route whose endpoint reads the request by itself: nothing is injected or checked twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint."""
        return self.endpoint


class _Server:
    """What the routes share."""

    def __init__(self, live: LiveCatalogue, limits: ServingConfig, run: str) -> None:
        self.engine: Engine = live.engine
        self.limits = limits
        self.run = run
        self.bodies = calls_of(limits)
        self.key = os.environ.get(API_KEY, "")
        self.metrics = Metrics()
        self.changes = ChangeCalls(live, limits, self.metrics, self.key)
        self.is_ready = False
        self.batcher: Batcher[Asked, Listed] = Batcher(
            self.engine.answer,
            max_batch=limits.max_batch,
            queue_size=limits.queue_size,
            deadline_s=limits.deadline_ms / 1000,
        )
        self.batcher.batch_sizes = self.metrics.batch
        self.browsing = Browsing(
            self.engine, limits, metrics=self.metrics, check_key=self._check_key, recommending=self.batcher
        )
        self.metrics.watch(lambda: self.batcher.waiting, lambda: self.engine.recommender.version)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Warm before it is ready; after the last call, what was taken on is answered."""
        await run_in_threadpool(self.engine.warm_up, self.engine.recommender, max_batch=self.limits.max_batch)
        await run_in_threadpool(self.browsing.warm_up)
        self.batcher.start()
        self.browsing.start()
        following = asyncio.create_task(self.changes.follow()) if self.limits.follow_seconds else None
        self.is_ready = True
        yield
        self.is_ready = False
        if following is not None:
            following.cancel()
        await self.browsing.close()
        await self.batcher.close(seconds=self.limits.drain_seconds)
        await self.changes.queue.close()

    async def recommend(self, request: Request) -> Response:
        """Lists for one history, or for several at once."""
        self._check_key(request)
        fields = await self._fields(request)
        many = "requests" in fields
        call: Any = checked(self.bodies.requests if many else self.bodies.request, fields)
        wanted: Sequence[RecommendRequest] = call.requests if many else [call]
        asked = [self._asked_of(one) for one in wanted]
        with refusals_told():
            lists = await self.batcher.ask(asked)
        shown = [_shown(listed) for listed in lists]
        return as_json({"lists": shown} if many else shown[0])

    async def model(self, request: Request) -> Response:
        """What is served, and within which bounds."""
        self._check_key(request)
        recommender = self.engine.recommender
        generator = recommender.generator
        return as_json(
            {
                "run": self.run,
                "version": recommender.version,
                "items": int(recommender.stocked.sum()),
                "level_sizes": list(generator.config.level_sizes),
                "parameters": sum(parameter.numel() for parameter in generator.parameters()),
                "rank": recommender.config.rank,
                "blend_weight": recommender.blend_weight,
                "fields": list(recommender.catalogue.fields),
                "limits": vars(self.limits),
            }
        )

    async def health(self, request: Request) -> Response:
        """Whether the process lives."""
        return as_json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Whether it takes calls."""
        if not self.is_ready:
            raise CallError(503, "not_ready", "the server is starting or shutting down", retry_after_s=1)
        return as_json({"status": "ready", "version": self.engine.recommender.version})

    async def exposed_metrics(self, request: Request) -> Response:
        """Counts and times in Prometheus' text format."""
        text, media_type = self.metrics.exposed()
        return Response(text, media_type=media_type)

    async def _fields(self, request: Request) -> dict[str, Any]:
        return decoded(await read_body(request, max_bytes=self.limits.max_body_bytes))

    def _asked_of(self, one: RecommendRequest) -> Asked:
        exclude = one.exclude_history
        if one.exact and not self.limits.exact:
            raise CallError(422, "cannot_be_done", "this server proves no lists (serving.exact); leave out exact")
        where = None if one.where is None else one.model_dump(include={"where"}, by_alias=True, exclude_none=True)
        return Asked(
            ListRequest(
                one.history,
                one.k,
                self.engine.recommender.config.exclude_history if exclude is None else exclude,
                one.allow,
                one.deny,
                where["where"] if where else None,
            ),
            Reading(one.rank, one.exact, one.max_per_prefix, one.prefix_depth),
        )

    def _check_key(self, request: Request) -> None:
        check_key(request, self.key)


def _add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    about: dict[str, Any],
) -> None:
    server: _Server | Browsing = endpoint.__self__  # pyright: ignore[reportFunctionMemberAccess]
    name = path.replace(":path", "")

    async def timed(request: Request) -> Response:
        with server.metrics.call(method, name) as call:
            try:
                response = await endpoint(request)
            except CallError as error:
                response = error.response()
            call.status = response.status_code
            response.headers.update(_SAFE)
            return response

    timed.__name__, timed.__doc__ = endpoint.__name__, endpoint.__doc__
    if "{" not in path:
        app.state.endpoints[method, path] = timed
    app.add_api_route(path, timed, methods=[method], response_class=Response, **about)


def _shown(listed: Listed) -> dict[str, Any]:
    made = listed.made
    return {
        "items": [
            {"item_id": entry.item_id, "title": title, "score": entry.score}
            for entry, title in zip(made, listed.titles, strict=True)
        ],
        "certified": made.certified,
        "exact": made.exact,
        "ignored": list(made.ignored),
        "version": made.version,
    }


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    response = CallError(status, _ERRORS.get(status, "failed"), str(error.detail)).response()
    response.headers.update({**_SAFE, **(error.headers or {})})
    if status == 405:  # the framework names the methods of the first route alone
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """What the path of a call can be called with."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in fitting for method in route.methods or ()}


async def _validation_problem(request: Request, error: Exception) -> Response:
    return CallError(422, "not_as_documented", "the call is not as documented").response()


async def _call_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, CallError)
    return error.response()
