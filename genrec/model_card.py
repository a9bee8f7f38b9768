"""Model cards: what a model is and how to use it, in Markdown whose head the Hugging Face hub reads."""

import html
import re
from collections.abc import Mapping
from typing import Any

from genrec.yaml_document import dump_yaml

CARD_FILE = "README.md"
"""Beside the weights. People edit it, so it is part of no fingerprint and no seal."""

TAGS = ("recommender-system", "sequential-recommendation", "generative-retrieval", "semantic-ids")
LICENCE = """## Licence

The code is Apache-2.0. What holds for the weights, and for the data that they were trained on, is for those who
trained them to say; put it here and under `license` in this file's head.
"""


def card(title: str, parts: list[str], *, head: Mapping[str, Any] | None = None) -> str:
    """The head, the title and the parts; `head`: what it has besides library, tags and licence."""
    about = {"library_name": "genrec", "license": "unknown", "tags": [*TAGS], **(head or {})}
    return f"---\n{dump_yaml(about)}---\n\n" + "\n".join([f"# {plain_line(title)}\n", *parts, LICENCE])


def plain_line(text: str) -> str:
    """The text as one line of Markdown in which nothing is markup."""
    escaped = re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", " ".join(text.split()))
    return html.escape(escaped, quote=False)


def fenced(text: str, language: str) -> str:
    """A block of code, whatever backticks the text has."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
