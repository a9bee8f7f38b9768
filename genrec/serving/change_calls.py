"""The calls that change what is served: items come, items go, the run is read anew."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from starlette.responses import Response

from genrec.additions.coder import GivenItem
from genrec.errors import DataError, InputError, RunInUseError, UnknownItemError
from genrec.serving.batcher import ClosingError, Refused
from genrec.serving.bodies import CallError, as_json, checked, decoded, read_body
from genrec.serving.change_queue import ChangeQueue, TooManyChangesError
from genrec.serving.config import ServingConfig
from genrec.serving.keys import check_key_to_change
from genrec.serving.live_catalogue import Changed, ConflictError, LiveCatalogue
from genrec.serving.metrics import Metrics
from genrec.serving.schemas import MAX_ID_CHARS, ReloadRequest, calls_of

Done = TypeVar("Done")
_log = logging.getLogger(__name__)

_PROBLEMS: tuple[tuple[type[Exception], int, str, int | None], ...] = (
    (ConflictError, 409, "conflict", None),
    (UnknownItemError, 404, "unknown_item", None),
    (RunInUseError, 503, "run_in_use", 2),
    (TooManyChangesError, 503, "too_many_changes", 1),
    (ClosingError, 503, "closing", 1),
    (DataError, 422, "cannot_be_coded", None),
    (InputError, 409, "run_not_whole", None),
    (OSError, 503, "not_stored", 5),
)
"""The first that fits: status, word for programs, and seconds after which to try again."""


class ChangeCalls:
    """What the routes that change something share."""

    def __init__(self, live: LiveCatalogue, limits: ServingConfig, metrics: Metrics, key: str) -> None:
        self.live = live
        self.limits = limits
        self.metrics = metrics
        self.key = key
        self.bodies = calls_of(limits)
        self.queue = ChangeQueue(limits.change_queue)
        metrics.stocked.set_function(lambda: int(live.engine.recommender.stocked.sum()))
        metrics.waiting_changes.set_function(lambda: self.queue.waiting)

    async def insert(self, request: Request) -> Response:
        """Take items on, all or none, or put back those that were removed."""
        check_key_to_change(request, self.key)
        call: Any = checked(self.bodies.insert, decoded(await self._body(request)))
        items = [GivenItem(item.item_id, item.fields, item.codes, item.vector) for item in call.items]
        if len({item.item_id for item in items}) < len(items):
            raise CallError(422, "not_as_documented", "an item_id comes more than once; send every item once")
        done = await self._changed("insert", partial(self.live.insert, items))
        return as_json({"added": done.added, "put_back": done.put_back, **_shown(done.changed)})

    async def remove(self, request: Request) -> Response:
        """Recommend an item no more."""
        check_key_to_change(request, self.key)
        item_id = request.path_params["item_id"]
        if len(item_id) > MAX_ID_CHARS:
            raise CallError(404, "unknown_item", f"no item_id has more than {MAX_ID_CHARS} characters")
        done = await self._changed("remove", partial(self.live.remove, item_id))
        return as_json({"item_id": item_id, **_shown(done)})

    async def reload(self, request: Request) -> Response:
        """Read the run anew, as it lies on disk."""
        check_key_to_change(request, self.key)
        body = await self._body(request)
        if body.strip():
            checked(ReloadRequest, decoded(body))
        return as_json(_shown(await self._changed("reload", self.live.reload)))

    async def follow(self) -> NoReturn:
        """Look every `serving.follow_seconds` whether another process has changed the run; until it is cancelled."""
        while True:
            await asyncio.sleep(self.limits.follow_seconds)
            try:
                if await self.queue.do(self.live.follow):
                    self.metrics.changes.labels("follow", "done").inc()
            except (Refused, InputError, OSError) as error:  # busy, or not whole: the next look comes soon
                self.metrics.changes.labels("follow", "failed").inc()
                _log.warning("%s was not looked at: %s", self.live.folder.path, error)

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, max_bytes=self.limits.max_body_bytes)

    async def _changed(self, kind: str, change: Callable[[], Done]) -> Done:
        """What the change returns, counted; a `CallError` where it is refused."""
        try:
            done = await self.queue.do(change)
        except Exception as error:
            problem = _problem(error)
            self.metrics.changes.labels(kind, "failed" if problem is None else problem.problem.error).inc()
            if problem is None:
                raise
            raise problem from error
        self.metrics.changes.labels(kind, "done").inc()
        return done


def _shown(changed: Changed) -> dict[str, int]:
    return {"version": changed.version, "items": changed.num_stocked}


def _problem(error: Exception) -> CallError | None:
    for kind, status, word, retry_after_s in _PROBLEMS:
        if isinstance(error, kind):
            return CallError(status, word, _text(error), retry_after_s=retry_after_s)
    return None


def _text(error: Exception) -> str:
    if isinstance(error, RunInUseError):
        return "another process writes the run, such as a training; nothing was changed: try again"
    if isinstance(error, OSError):
        return f"nothing was changed, since it could not be stored ({error.strerror or 'unknown reason'}); try again"
    return str(error)
