"""What goes over the wire of those who look around: the catalogue, its codes, its columns, and why an item is there."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, create_model

from genrec.serving.config import ServingConfig
from genrec.serving.queries import WRITTEN
from genrec.serving.schemas import ItemId, whole

MAX_QUERY_CHARS, MAX_LIMIT, MAX_OFFSET, MAX_ALTERNATIVES = 200, 100, 10_000, 50
PREFIX = r"^([0-9]{1,5}(\.[0-9]{1,5}){0,15})?$"

Limit = Annotated[StrictInt, Field(ge=1, le=MAX_LIMIT), WRITTEN]
Offset = Annotated[StrictInt, Field(ge=0, le=MAX_OFFSET), WRITTEN]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ItemsQuery(_Strict):
    """Which items are looked for."""

    query: Annotated[StrictStr, Field(max_length=MAX_QUERY_CHARS)] = ""
    limit: Limit = 20
    offset: Offset = 0


class CodesQuery(_Strict):
    """Which part of the tree of codes is looked at."""

    prefix: Annotated[StrictStr, Field(pattern=PREFIX)] = ""
    limit: Limit = 20
    offset: Offset = 0


class FoundItem(BaseModel):
    """An item that was found."""

    item_id: str
    title: str
    in_stock: bool


class FoundItems(BaseModel):
    """Items whose title or id has every word of the query, those that begin with it first."""

    items: list[FoundItem]
    has_more: bool
    """Whether there are further ones, or may be where too many had to be looked at."""
    version: int


class Child(BaseModel):
    """A code that may follow a prefix."""

    code: int
    name: str | None
    """Words that set the titles below it apart from the others."""
    items: int
    share: float
    """Of all items in stock."""


class CodedItem(BaseModel):
    """An item below a prefix."""

    item_id: str
    title: str
    codes: list[int]


class LevelUse(BaseModel):
    """How the codes of a level are used by the items in stock."""

    size: int
    used: int
    perplexity: float
    """How many equally used codes would be as even."""
    most_used: list[float]
    """Items of a code, the most used first; beyond 128 codes the means of 128 groups of neighbours."""


class Codes(BaseModel):
    """What lies below a prefix."""

    prefix: list[int]
    name: str | None
    items: int
    share: float
    """Of all items in stock."""
    num_children: int
    children: list[Child]
    """Those with the most items first, at most 1000."""
    entries: list[CodedItem]
    """A page of the items below, in the order of their codes."""
    levels: list[LevelUse]
    """Of the whole catalogue."""
    version: int


class FieldValue(BaseModel):
    """A value that a condition may name."""

    value: str
    items: int


class FieldSummary(BaseModel):
    """A column of the catalogue."""

    name: str
    kind: Literal["number", "text"]
    missing: int
    """Items without it."""
    num_values: int
    """Different texts."""
    min: float | None
    max: float | None
    values: list[FieldValue]
    """The most frequent ones, at most 50."""


class Fields(BaseModel):
    """The columns that `where` may name."""

    fields: list[FieldSummary]
    version: int


class AlternativeCode(BaseModel):
    """Another code that the catalogue has at the same place."""

    code: int
    name: str | None
    log_prob: float


class ExplainedCode(BaseModel):
    """One code of the item's semantic ID. All log-probabilities are natural and given the codes before."""

    code: int
    name: str | None
    log_prob: float
    rank: int
    """From 1, among the codes that may follow in the catalogue."""
    num_children: int
    """How many these are."""
    alternatives: list[AlternativeCode]
    """The best of the others, best first."""
    survives: bool
    """Whether the run's own search, `beam_size` wide and without any filter, keeps the item's codes up to this one."""


class Explained(BaseModel):
    """Why an item scores what it does: the sum of its `codes`, `share_log_prob` and -log(`num_sharers`)."""

    item_id: str
    title: str
    score: float
    codes: list[ExplainedCode]
    num_sharers: int
    """Items with the same semantic ID, itself included."""
    is_added: bool
    """Whether it came after the training."""
    share_log_prob: float
    """Of the known, or the added, items together; 0 where there are no added ones."""
    item_log_prob: float
    """By the item head alone, which reads no codes."""
    place: int | None
    """From 1, in the list of `k` items that the run recommends after this history; null: not on it."""
    k: int
    beam_size: int
    ignored: list[str]
    version: int


def explain_body(limits: ServingConfig) -> Any:
    """The body of `/v1/explain` for these bounds."""
    return create_model(
        "ExplainRequest",
        __base__=_Strict,
        history=(list[ItemId], Field(min_length=1, max_length=limits.max_history)),
        item_id=(ItemId, ...),
        alternatives=(whole(0, MAX_ALTERNATIVES), 3),
    )
