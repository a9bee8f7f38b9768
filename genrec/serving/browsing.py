"""Looking around in what is served: its items, its tree of codes, its columns, and why an item is recommended."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from genrec.data.catalogue import Catalogue
from genrec.recommendation.recommender import Recommender
from genrec.recommendation.requests import rows_of
from genrec.serving.batcher import Batcher
from genrec.serving.bodies import CallError, as_json, checked, decoded, read_body
from genrec.serving.browsing_schemas import CodesQuery, ItemsQuery, explain_body
from genrec.serving.codebook import Codebook
from genrec.serving.config import ServingConfig
from genrec.serving.engine import Engine
from genrec.serving.explaining import Why, explained
from genrec.serving.field_values import field_values
from genrec.serving.item_search import ItemSearch
from genrec.serving.latest import Latest
from genrec.serving.metrics import Metrics
from genrec.serving.queries import checked_query
from genrec.serving.refusals import refusals_told
from genrec.serving.schemas import MAX_ID_CHARS, calls_of

Question = Callable[[], dict[str, Any]]

_UNKNOWN_ITEM = (404, "unknown_item")


class Browsing:
    """Handlers whose work is bounded: one thing at a time, a queue, a deadline.

    Explanations take turns with the batches in the recommender's own thread, so that nothing searches beside a batch,
    and a batch waits for one explanation at most. What is only looked up has a thread of its own.
    """

    def __init__(
        self,
        engine: Engine,
        limits: ServingConfig,
        *,
        metrics: Metrics,
        check_key: Callable[[Request], None],
        recommending: Batcher[Any, Any],
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.metrics = metrics
        self.body = explain_body(limits)
        self.similar_body = calls_of(limits).similar
        self._check_key = check_key
        bounds: dict[str, Any] = {"queue_size": limits.queue_size, "deadline_s": limits.deadline_ms / 1000}
        self.explaining: Batcher[Question, dict[str, Any]] = Batcher(
            _each, max_batch=1, thread=recommending.thread, **bounds
        )
        self.looking: Batcher[Question, dict[str, Any]] = Batcher(_each, max_batch=1, **bounds)
        self._search = Latest(ItemSearch)
        self._columns: Latest[Catalogue, list[dict[str, Any]]] = Latest(lambda catalogue, _: field_values(catalogue))
        self._codebook: Latest[Recommender, Codebook] = Latest(lambda recommender, _: Codebook(recommender))

    def warm_up(self) -> None:
        """Make what is made once for a catalogue: some seconds for a million items, less where it only has more."""
        recommender = self.engine.recommender
        self._search.of(recommender.catalogue)
        self._columns.of(recommender.catalogue)
        self._codebook.of(recommender)

    def start(self) -> None:
        """Begin to answer; inside a running event loop."""
        self.explaining.start()
        self.looking.start()

    async def close(self) -> None:
        """Take nothing more on; return when what waits is answered, or too late to be."""
        for each in (self.explaining, self.looking):
            await each.close(seconds=min(self.limits.drain_seconds, each.deadline_s))

    async def items(self, request: Request) -> Response:
        """Items by what their title or id says."""
        self._check_key(request)
        query = checked_query(ItemsQuery, request)
        return await self._answered(self.looking, lambda: self._found(query, self.engine.recommender))

    async def item(self, request: Request) -> Response:
        """What is known of one item."""
        self._check_key(request)
        item_id = request.path_params["item_id"]
        if len(item_id) > MAX_ID_CHARS:
            raise CallError(*_UNKNOWN_ITEM, f"no item_id has more than {MAX_ID_CHARS} characters")
        with refusals_told(unknown=_UNKNOWN_ITEM):
            return as_json(_item(self.engine.recommender, item_id))

    async def similar(self, request: Request) -> Response:
        """Items whose vectors are nearest to an item's."""
        self._check_key(request)
        call: Any = checked(self.similar_body, decoded(await read_body(request, max_bytes=self.limits.max_body_bytes)))
        return await self._answered(self.looking, lambda: self._similar(call.item_id, call.k), unknown=_UNKNOWN_ITEM)

    async def codes(self, request: Request) -> Response:
        """What lies below a prefix of codes."""
        self._check_key(request)
        query = checked_query(CodesQuery, request)
        prefix = [int(code) for code in query.prefix.split(".")] if query.prefix else []
        paging = {"limit": query.limit, "offset": query.offset}
        return await self._answered(
            self.looking,
            lambda: self._codebook.of(self.engine.recommender).below(prefix, **paging),
            unknown=(404, "unknown_prefix"),
        )

    async def fields(self, request: Request) -> Response:
        """The columns that conditions may name, and what they hold."""
        self._check_key(request)
        if request.scope["query_string"]:
            raise CallError(422, "not_as_documented", "this path takes no query; leave it out")
        return await self._answered(self.looking, lambda: self._fields(self.engine.recommender))

    async def explain(self, request: Request) -> Response:
        """Why an item scores what it does after a history."""
        self._check_key(request)
        fields = decoded(await read_body(request, max_bytes=self.limits.max_body_bytes))
        call: Any = checked(self.body, fields)
        why = Why(call.history, call.item_id, call.alternatives)
        return await self._answered(self.explaining, lambda: explained(self.engine.recommender, why))

    async def _answered(
        self,
        asked: Batcher[Question, dict[str, Any]],
        question: Question,
        *,
        unknown: tuple[int, str] = (422, "unknown_items"),
    ) -> Response:
        """`unknown`: how it is told that an item or a prefix is."""
        with refusals_told(unknown=unknown):
            return as_json((await asked.ask([question]))[0])

    def _found(self, query: ItemsQuery, recommender: Recommender) -> dict[str, Any]:
        catalogue, stock = recommender.catalogue, recommender.stocked
        hits = self._search.of(catalogue).find(query.query, limit=query.limit, offset=query.offset)
        items = [
            {"item_id": str(catalogue.item_ids[row]), "title": catalogue.title(row), "in_stock": bool(stock[row])}
            for row in hits.rows
        ]
        return {"items": items, "has_more": hits.has_more, "version": recommender.version}

    def _similar(self, item_id: str, k: int) -> dict[str, Any]:
        found = self.engine.similar(item_id, k)
        return {"items": [near._asdict() for near in found.items], "version": found.version}

    def _fields(self, recommender: Recommender) -> dict[str, Any]:
        return {"fields": self._columns.of(recommender.catalogue), "version": recommender.version}


def _each(calls: Sequence[Sequence[Question]]) -> list[list[dict[str, Any]] | Exception]:
    """The answers of each call, or what is wrong with it."""
    found: list[list[dict[str, Any]] | Exception] = []
    for call in calls:
        try:
            found.append([question() for question in call])
        except Exception as error:
            found.append(error)
    return found


def _item(recommender: Recommender, item_id: str) -> dict[str, Any]:
    row = int(rows_of([item_id], recommender.catalogue)[0])
    generator = recommender.generator
    codes = generator.vocabulary.codes_of(generator.vocabulary.item_codes.new_tensor([row]))[0].tolist()
    prefixes = [".".join(map(str, codes[: level + 1])) for level in range(len(codes))]
    return {
        "item_id": item_id,
        "title": recommender.catalogue.title(row),
        "fields": {name: texts[row] for name, texts in recommender.catalogue.fields.items()},
        "codes": [
            {"code": code, "name": recommender.code_names.get(prefix)}
            for code, prefix in zip(codes, prefixes, strict=True)
        ],
        "in_stock": bool(recommender.stocked[row]),
        "version": recommender.version,
    }
