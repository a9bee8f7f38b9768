"""What is asked for one history: as the outside world writes it, in item ids, and in rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.errors import UnknownItemError
from genrec.recommendation.config import RecommendationConfig
from genrec.recommendation.where import Attributes, Condition, Where

_NAMED = 5


class Request(NamedTuple):
    """One history and what its list must keep to."""

    history: Sequence[str]
    k: int = 10
    exclude_history: bool = True
    allow: Sequence[str] | None = None
    """Only these items; None: all."""
    deny: Sequence[str] | None = None
    where: Where | None = None
    """Only items with such fields; see `genrec.recommendation.where`."""
    seed: int = 0
    """Of its draws (`Recommender.draw`); an integer of 64 bits. Equal requests with one seed draw the same."""


class KnownRequest(NamedTuple):
    """A request in rows."""

    history: Int[ndarray, " known"]
    k: int
    denied: Int[ndarray, " denied"]
    allowed: Int[ndarray, " allowed"] | None
    where: tuple[Condition, ...]
    ignored: tuple[str, ...]
    seed: int


def alike(
    config: RecommendationConfig,
    histories: Sequence[Sequence[str]],
    k: int | None,
    exclude_history: bool | None,
    allow: Sequence[str] | None,
    deny: Sequence[str] | None,
    where: Where | None,
) -> list[Request]:
    """One request for each history, all with the same filters; None takes the config's default."""
    chosen_k = config.k if k is None else k
    exclude = config.exclude_history if exclude_history is None else exclude_history
    return [Request(history, chosen_k, exclude, allow, deny, where) for history in histories]


def known_request(request: Request, place: int, catalogue: Catalogue, attributes: Attributes) -> KnownRequest:
    """The request in rows. `place`: which one of several it is, for the messages.

    Raises:
        UnknownItemError: a history that is empty or has no known item.
        ValueError: an allow list or conditions that allow no item of the catalogue.
    """
    if request.k < 1:
        raise ValueError(f"k must be at least 1, got {request.k}")
    history, ignored = known_history(request.history, place, catalogue)
    denied = known_rows(request.deny, catalogue)[0] if request.deny else np.empty(0, dtype=np.int64)
    if request.exclude_history:
        denied = np.union1d(denied, history)
    allowed = None
    if request.allow is not None:
        allowed = np.unique(known_rows(request.allow, catalogue)[0])
        if not len(allowed):
            raise ValueError(
                f"the allow list of history {place + 1} has {len(request.allow)} items, none in the catalogue; "
                "give None to allow everything"
            )
    where = attributes.conditions(request.where) if request.where else ()
    if where:
        attributes.passing(where)
    return KnownRequest(history, request.k, denied, allowed, where, ignored, request.seed)


def known_history(
    history: Sequence[str], place: int, catalogue: Catalogue
) -> tuple[Int[ndarray, " known"], tuple[str, ...]]:
    """Rows of the items that are known, oldest first, and the ids that are not; `UnknownItemError` where none is."""
    rows, ignored = known_rows(history, catalogue)
    if not len(rows):
        what = f"none of its {len(history)} items is in the catalogue" if history else "it is empty"
        raise UnknownItemError(
            f"history {place + 1} of the request cannot be read: {what}"
            + (f" (first: {history[0]!r})" if history else "")
            + "; give at least one item_id of the catalogue"
        )
    return rows, ignored


def known_rows(item_ids: Sequence[str], catalogue: Catalogue) -> tuple[Int[ndarray, " known"], tuple[str, ...]]:
    """Rows of the ids that the catalogue has, and the ids that it does not have, both in their order."""
    if isinstance(item_ids, str):
        raise ValueError(f"expected a list of item ids, got the text {item_ids!r}; put it into a list")
    row_of = catalogue.row_of
    rows = [row_of[item_id] for item_id in item_ids if item_id in row_of]
    return np.array(rows, dtype=np.int64), tuple(item_id for item_id in item_ids if item_id not in row_of)


def rows_of(item_ids: Sequence[str], catalogue: Catalogue) -> Int[ndarray, " items"]:
    """The row of every id; `UnknownItemError` names those that the catalogue does not have."""
    rows, unknown = known_rows(item_ids, catalogue)
    if unknown:
        named = ", ".join(map(repr, unknown[:_NAMED])) + (" and others" if len(unknown) > _NAMED else "")
        raise UnknownItemError(
            f"{len(unknown)} of {len(item_ids)} items are not in the catalogue: {named}; give ids of its items"
        )
    return rows
