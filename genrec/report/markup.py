"""HTML by elements: whatever is not markup already is text, and is escaped."""

import base64
from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """HTML that may stand in a page as it is."""

    __slots__ = ()


Inside = Markup | str | Iterable["Markup | str"]
"""What an element holds: markup, text, or several of them."""

_VOID = {"img", "meta", "br"}


def element(tag: str, *inside: Inside, **attributes: str) -> Markup:
    """An element; in names of attributes `_` stands for `-`, and one at the end for nothing, as in `class_`."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"' for key, value in attributes.items()
    )
    return Markup(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{joined(*inside)}</{tag}>")


def joined(*parts: Inside) -> Markup:
    """The parts one after the other."""
    pieces = []
    for part in parts:
        if isinstance(part, Markup):
            pieces.append(part)
        elif isinstance(part, str):
            pieces.append(escape(part))
        else:
            pieces.append(joined(*part))
    return Markup("".join(pieces))


def paragraph(*inside: Inside) -> Markup:
    """A paragraph."""
    return element("p", *inside)


def warning(*inside: Inside) -> Markup:
    """A paragraph that is wrong or missing."""
    return element("p", *inside, class_="warning")


def code(text: str) -> Markup:
    """A command, a file or a key."""
    return element("code", text)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Markup | str]],
    *,
    caption: str,
    marked: Sequence[int] = (),
    texts: Sequence[int] = (),
) -> Markup:
    """A table whose first column names the rows; rows numbered in `marked` stand out.

    `texts`: numbers of the other columns that hold words, which are aligned like words.
    """
    named = [
        element("th", name, scope="col", class_="text") if column in texts else element("th", name, scope="col")
        for column, name in enumerate(header)
    ]
    head = element("tr", named)
    body = []
    for number, (name, *cells) in enumerate(rows):
        columns = enumerate(cells, start=1)
        tds = [
            element("td", cell, class_="text") if column in texts else element("td", cell) for column, cell in columns
        ]
        inside = [element("th", name, scope="row"), *tds]
        body.append(element("tr", inside, class_="marked") if number in marked else element("tr", inside))
    inside = [element("caption", caption), element("thead", head), element("tbody", body)]
    return element("div", element("table", inside), class_="scrolling", tabindex="0")


def side_by_side(*tables: Markup) -> Markup:
    """Small tables in a row where the page is wide enough."""
    return element("div", joined(tables), class_="tables")


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
