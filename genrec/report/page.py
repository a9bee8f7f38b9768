"""The whole page: nothing in it refers to anything outside."""

from collections.abc import Sequence
from importlib.resources import files

from genrec.report.markup import Markup, element, joined
from genrec.report.sections import Section


def page(title: str, head: Markup, sections: Sequence[Section]) -> str:
    """The HTML document."""
    style = files("genrec.report").joinpath("page.css").read_text(encoding="utf-8")
    contents = element(
        "nav",
        [element("a", section.title, href=f"#{section.name}") for section in sections],
        aria_label="Contents",
    )
    document = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Markup(style)),
        ),
        element("body", element("main", head, contents, joined([section.markup for section in sections]))),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{document}\n"
