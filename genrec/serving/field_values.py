"""What the columns of a catalogue hold, for those who write conditions on them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from genrec.data.catalogue import Catalogue
from genrec.data.categories import texts_in
from genrec.recommendation.where import number_of

MAX_VALUES = 50
"""Frequent values of a column that are told."""
MAX_VALUE_CHARS = 200
MAX_TAKEN_APART = 20_000
"""Of a column with more different texts, lists are not taken apart."""
_AT_ONCE = 50_000


def field_values(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Of each column: whether it holds numbers or texts, their bounds, and the most frequent values."""
    return [_column(name, _counted(texts)) for name, texts in catalogue.fields.items()]


def _counted(texts: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for first in range(0, len(texts), _AT_ONCE):  # each call keeps other threads waiting
        counts.update(texts[first : first + _AT_ONCE])
    return counts


def _column(name: str, counts: Counter[str]) -> dict[str, Any]:
    missing = counts.pop("", 0)
    is_number = bool(counts) and all(number_of(text) is not None for text in counts)
    numbers = [float(text) for text in counts] if is_number else []
    values = counts if is_number else _values(counts)
    fewest = 1 if len(values) <= MAX_VALUES else 2  # of many texts, those that only one item has are not frequent
    frequent = [
        (text, count)
        for text, count in values.most_common(MAX_VALUES)
        if count >= fewest and len(text) <= MAX_VALUE_CHARS
    ]
    return {
        "name": name,
        "kind": "number" if is_number else "text",
        "missing": missing,
        "num_values": len(counts),
        "min": min(numbers) if is_number else None,
        "max": max(numbers) if is_number else None,
        "values": [{"value": text, "items": count} for text, count in frequent],
    }


def _values(counts: Counter[str]) -> Counter[str]:
    """How many items each text passes as a condition: a text that is a list counts for everything on it."""
    if len(counts) > MAX_TAKEN_APART:
        return counts
    found: Counter[str] = Counter()
    for text, count in counts.items():
        for value in texts_in(text):
            found[value] += count
    return found
