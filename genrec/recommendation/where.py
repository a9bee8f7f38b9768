"""Conditions on items' fields, such as `{"brand": ["Canon", "Epson"], "price": {"max": 20}}`, and who passes them.

A mapping of column to condition; an item must pass all of them. A condition is

    a value                        the field is that text, or a list with it on (`genrec.data.categories.texts_in`);
                                   a number compares as a number: 20 passes the text "20.0"
    a list of values               any of them
    {"min": x, "max": y}           a number of at least x and at most y; either may be left out
    {"not": a value or a list}     none of them

Fields are texts. Where a condition compares numbers, a field that is missing or no number never passes, not even
`{"not": 20}`. Conditions are data: nothing of them is ever run, or put into a query.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.data.categories import texts_in

Where = Mapping[str, Any]
Value = str | float

MASKS_KEPT = 128
_FORMS = "expected a value, a list of values, {'min': number, 'max': number} or {'not': value or list}"
_WRITTEN = re.compile(r"(?P<column>.+?)\s*(?P<operator><=|>=|!=|=)\s*(?P<value>.*)", re.DOTALL)
_MANY_VALUES = 5000
"""Of a column with more different texts than that, no text is suggested."""


@dataclass(frozen=True)
class Condition:
    """What one column must hold."""

    column: str
    values: tuple[Value, ...] = ()
    """Any of these; or none of them, if `is_negated`."""
    is_negated: bool = False
    low: float = -math.inf
    high: float = math.inf

    @property
    def is_numeric(self) -> bool:
        """Whether numbers are compared."""
        return not self.values or any(isinstance(value, float) for value in self.values)

    def passes(self, text: str) -> bool:
        """Whether an item with this text does."""
        number = number_of(text) if self.is_numeric else None
        if not self.values:
            return number is not None and self.low <= number <= self.high
        if self.is_negated and self.is_numeric and number is None:
            return False
        found = texts_in(text)
        is_found = any(value == number if isinstance(value, float) else value in found for value in self.values)
        return is_found != self.is_negated

    def __str__(self) -> str:
        if not self.values:
            return f"{self.low:g} <= {self.column} <= {self.high:g}"
        values = " or ".join(f"{value:g}" if isinstance(value, float) else repr(value) for value in self.values)
        return f"{self.column} is {'not ' if self.is_negated else ''}{values}"


class Attributes:
    """Which items of a catalogue pass conditions; the newest masks are kept. Safe for threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._fields = catalogue.fields
        self.mask: Callable[[tuple[Condition, ...]], Bool[ndarray, " rows"]] = lru_cache(MASKS_KEPT)(self._mask)

    def conditions(self, where: Where) -> tuple[Condition, ...]:
        """The conditions, ordered by column; equal ones make equal tuples.

        Raises:
            ValueError: a column that the items do not have, or something else than a condition.
        """
        for column in where:
            if column not in self._fields:
                raise ValueError(
                    f"where names the column {column!r}, which the items do not have; {_known(column, self._fields)}"
                )
        return tuple(condition_of(column, where[column]) for column in sorted(where))

    def passing(self, conditions: tuple[Condition, ...]) -> Bool[ndarray, " rows"]:
        """The rows that pass all conditions.

        Raises:
            ValueError: no item does.
        """
        mask = self.mask(conditions)
        if not mask.any():
            shown = " and ".join(map(str, conditions))
            raise ValueError(f"no item of the catalogue passes where {shown}{self._remedy(conditions)}")
        return mask

    def _mask(self, conditions: tuple[Condition, ...]) -> Bool[ndarray, " rows"]:
        columns = [self._column_mask(condition) for condition in conditions]
        mask = np.logical_and.reduce(columns)
        mask.setflags(write=False)
        return mask

    def _column_mask(self, condition: Condition) -> Bool[ndarray, " rows"]:
        texts = self._fields[condition.column]
        passes = {text: condition.passes(text) for text in set(texts)}
        return np.fromiter((passes[text] for text in texts), dtype=bool, count=len(texts))

    def _remedy(self, conditions: tuple[Condition, ...]) -> str:
        """What was probably meant by the first condition that nothing passes by itself; starts with `; `."""
        for condition in conditions:
            if self.mask((condition,)).any():
                continue
            texts = set(self._fields[condition.column])
            numbers = sum(number_of(text) is not None for text in texts)
            if condition.is_numeric:
                return f"; of the {len(texts)} different texts in {condition.column!r} {numbers} are numbers"
            known = set().union(*map(texts_in, texts)) if len(texts) <= _MANY_VALUES else set()
            close = get_close_matches(str(condition.values[0]), known - {""}, n=1)
            return f"; did you mean {close[0]!r}?" if close else ""
        return "; each condition alone is passed by some"


def condition_of(column: str, condition: Any) -> Condition:
    """The condition in one form; ValueError where it has none of the forms above."""
    if isinstance(condition, Mapping):
        if set(condition) == {"not"}:
            return Condition(column, _values(column, condition["not"]), is_negated=True)
        if not condition or not set(condition) <= {"min", "max"}:
            raise ValueError(f"where[{column!r}] is {dict(condition)!r}; {_FORMS}")
        low, high = _bound(column, condition, "min"), _bound(column, condition, "max")
        if low > high:
            raise ValueError(f"where[{column!r}] is {dict(condition)!r}, which no number passes; exchange min and max")
        return Condition(column, low=low, high=high)
    return Condition(column, _values(column, condition))


def where_of(written: Iterable[str]) -> dict[str, Any]:
    """Conditions as they are typed: `column=value`, `column!=value`, `column<=number`, `column>=number`.

    Several values of one column are alternatives; bounds of one column hold together.

    Raises:
        ValueError: a text that is none of these, or texts on one column that do not go together.
    """
    parts: dict[str, dict[str, list[str]]] = {}
    for text in written:
        matched = _WRITTEN.fullmatch(text.strip())
        if matched is None:
            raise ValueError(f"cannot read the condition {text!r}; write column=value, column!=value or column<=number")
        operators = parts.setdefault(matched["column"], {})
        operators.setdefault(matched["operator"], []).append(matched["value"])
    return {column: _joined(column, operators) for column, operators in parts.items()}


def number_of(text: str) -> float | None:
    """The finite number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _values(column: str, condition: Any) -> tuple[Value, ...]:
    values = condition if isinstance(condition, Sequence) and not isinstance(condition, str) else [condition]
    if not values:
        raise ValueError(f"where[{column!r}] is an empty list, which nothing passes; leave it out to allow everything")
    return tuple(sorted({_value(column, value) for value in values}, key=lambda value: (isinstance(value, str), value)))


def _value(column: str, value: Any) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"  # as the items file's were written down
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str):
        return value
    raise ValueError(f"where[{column!r}] has {value!r}; {_FORMS}")


def _bound(column: str, condition: Mapping[str, Any], end: str) -> float:
    value = condition.get(end)
    if value is None:
        return -math.inf if end == "min" else math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"where[{column!r}][{end!r}] is {value!r}; expected a number")
    return float(value)


def _joined(column: str, operators: Mapping[str, list[str]]) -> Any:
    """One column's condition from what was typed."""
    if set(operators) == {"="}:
        return operators["="]
    if set(operators) == {"!="}:
        return {"not": operators["!="]}
    if not set(operators) <= {"<=", ">="}:
        raise ValueError(f"conditions on {column!r} with {' and '.join(sorted(operators))} do not go together")
    bounds = {}
    for operator, texts in operators.items():
        numbers = [number for text in texts if (number := number_of(text)) is not None]
        if len(numbers) < len(texts):
            raise ValueError(f"expected numbers after {column}{operator}, got {', '.join(map(repr, texts))}")
        bounds |= {"min": max(numbers)} if operator == ">=" else {"max": min(numbers)}
    return bounds


def _known(column: str, fields: Iterable[str]) -> str:
    close = get_close_matches(str(column), list(fields), n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known here: {', '.join(fields) or 'none'}"
