"""What goes over the wire, as pydantic reads and documents it. Bounds of a server are added by `bounded`."""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    create_model,
)

from genrec.serving.config import ServingConfig

MAX_ID_CHARS = 512
_MAX_CONDITIONS, _MAX_VALUES, _MAX_TEXT = 32, 1000, 2000
_MAX_LEVELS, _MAX_WIDTH, _MAX_FIELDS = 64, 65_536, 256

ItemId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID_CHARS)]
NewItemId = Annotated[ItemId, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
"""Without control characters, which would break lines in logs and files."""


def _as_whole(value: Any) -> Any:
    """3.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[StrictInt, Field(ge=1), BeforeValidator(_as_whole)]
Code = Annotated[StrictInt, Field(ge=0, lt=2**31), BeforeValidator(_as_whole)]


def whole(at_least: int, at_most: int) -> Any:
    """A whole number within bounds."""
    return Annotated[StrictInt, Field(ge=at_least, le=at_most), BeforeValidator(_as_whole)]


Text = Annotated[StrictStr, Field(max_length=_MAX_TEXT)]
Number = Annotated[StrictInt | StrictFloat, Field(allow_inf_nan=False)]
Value = Text | StrictBool | Number
Values = Annotated[list[Value], Field(min_length=1, max_length=_MAX_VALUES)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bounds(_Strict):
    """A number of at least `min` and at most `max`; either may be left out."""

    min: Number | None = None
    max: Number | None = None


class Not(_Strict):
    """None of these."""

    not_: Annotated[Value | Values, Field(alias="not")]


Condition = Value | Values | Bounds | Not
Where = Annotated[dict[Text, Condition], Field(max_length=_MAX_CONDITIONS)]


class RecommendRequest(_Strict):
    """One history, and what its list must keep to."""

    history: list[ItemId]
    """Item ids, the oldest first. Those that are unknown are left out and named in the answer."""
    k: Count = 10
    exclude_history: StrictBool | None = None
    """Whether items of the history are left out; by default as the run does."""
    allow: list[ItemId] | None = None
    """Only these items."""
    deny: list[ItemId] | None = None
    where: Where | None = None
    """Only items with such fields, such as {"brand": ["Canon", "Epson"], "price": {"max": 20}}."""
    rank: Literal["codes", "blend"] | None = None
    exact: StrictBool = False
    """Search until the list is proven to be the true top; needs rank `codes`."""
    max_per_prefix: Count | None = None
    """At most so many items whose first `prefix_depth` codes are the same."""
    prefix_depth: Count | None = None


class NewItem(_Strict):
    """An item that is to be recommended from now on."""

    item_id: NewItemId
    fields: dict[Text, Text] = {}
    """Of those that the run's items have; codes follow from their texts."""
    codes: Annotated[list[Code], Field(min_length=1, max_length=_MAX_LEVELS)] | None = None
    """Where the codes of the run's items came from a file."""
    vector: Annotated[list[Number], Field(min_length=1, max_length=_MAX_WIDTH)] | None = None
    """Where the run's items were embedded elsewhere."""


class ReloadRequest(_Strict):
    """An empty object; the body may be left out."""


class Changed(BaseModel):
    """What a change has left."""

    version: int
    """Of the catalogue from now on."""
    items: int
    """In stock."""


class InsertedItems(Changed):
    """What came of the items."""

    added: list[str]
    put_back: list[str]
    """Those that had been removed: they are as they were, with their old codes."""


class RemovedItem(Changed):
    """An item that is no longer recommended, but still read in histories."""

    item_id: str


class Entry(BaseModel):
    """One recommended item."""

    item_id: str
    title: str
    score: float
    """Natural log-probability, at most 0."""


class RecommendedList(BaseModel):
    """What one history gets."""

    items: list[Entry]
    certified: int | None
    """How many at the head are proven to be the exact top by their codes; null for a blend, which proves nothing."""
    exact: bool
    """Whether the whole list is proven."""
    ignored: list[str]
    """Ids of the history that the catalogue does not have."""
    version: int
    """Of the catalogue that the list was made from."""


class RecommendedLists(BaseModel):
    """One list for each of the requests, in their order."""

    lists: list[RecommendedList]


class SimilarItem(BaseModel):
    """An item that is like another."""

    item_id: str
    title: str
    similarity: float
    """Cosine of the vectors by which the generator reads the two, -1..1."""


class SimilarItems(BaseModel):
    """The nearest items, the most similar first."""

    items: list[SimilarItem]
    version: int


class CodeOfItem(BaseModel):
    """One code of a semantic ID."""

    code: int
    name: str | None
    """Words that set the titles below this prefix apart from the others."""


class Item(BaseModel):
    """What is known of an item."""

    item_id: str
    title: str
    fields: dict[str, str]
    codes: list[CodeOfItem]
    in_stock: bool
    version: int


class Model(BaseModel):
    """What is served."""

    run: str
    version: int
    items: int
    level_sizes: list[int]
    parameters: int
    rank: str
    """How lists are ranked unless a call says otherwise."""
    blend_weight: float
    fields: list[str]
    """Those that `where` may name."""
    limits: dict[str, int | float | bool]


class Problem(BaseModel):
    """Why a call was not answered."""

    error: str
    """A word for programs."""
    message: str
    """What was expected, what came, and what to do."""
    where: list[str] = []
    """The places in the body that are wrong, a few of them."""


class Calls:
    """The bodies that a server with these bounds reads."""

    def __init__(self, limits: ServingConfig) -> None:
        listed = Field(None, max_length=limits.max_listed)
        self.request: Any = create_model(
            "RecommendRequest",
            __base__=RecommendRequest,
            history=(list[ItemId], Field(min_length=1, max_length=limits.max_history)),
            k=(whole(1, limits.max_k), min(10, limits.max_k)),
            allow=(list[ItemId] | None, listed),
            deny=(list[ItemId] | None, listed),
        )
        several: Any = list[self.request]
        self.requests: Any = create_model(
            "RecommendRequests",
            __base__=_Strict,
            requests=(several, Field(min_length=1, max_length=limits.max_requests)),
        )
        text: Any = Annotated[StrictStr, Field(max_length=limits.max_field_chars)]
        fields: Any = dict[Text, text]
        item: Any = create_model("NewItem", __base__=NewItem, fields=(fields, Field({}, max_length=_MAX_FIELDS)))
        new_items: Any = list[item]
        self.insert: Any = create_model(
            "InsertRequest",
            __base__=_Strict,
            items=(new_items, Field(min_length=1, max_length=limits.max_items)),
        )
        self.similar: Any = create_model(
            "SimilarRequest",
            __base__=_Strict,
            item_id=(ItemId, ...),
            k=(whole(1, limits.max_k), min(10, limits.max_k)),
        )


@lru_cache(8)
def calls_of(limits: ServingConfig) -> Calls:
    """The bodies for these bounds, made once since pydantic takes a while."""
    return Calls(limits)
