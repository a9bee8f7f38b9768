"""What a report is made of: sections of text, tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from genrec.report.markup import Markup, data_uri, element, joined


@dataclass(frozen=True)
class Picture:
    """A figure as PNG."""

    name: str
    """Of its file, without the ending."""
    title: str
    """What is to be seen on it, in a sentence."""
    png: bytes
    wide: bool = False
    """Whether it takes the width of the page, and is scrolled on a narrow one."""

    @property
    def file_name(self) -> str:
        """Of the PNG beside the page."""
        return f"{self.name}.png"

    @property
    def markup(self) -> Markup:
        """The picture inside the page."""
        image = element("img", src=data_uri(self.png), alt=self.title)
        return element("figure", image, class_="wide" if self.wide else "half")


@dataclass(frozen=True)
class Section:
    """One question and what the run says to it."""

    name: str
    """Of its anchor."""
    title: str
    parts: tuple[Markup, ...]
    """In order; pictures stand where `gallery` puts them."""
    pictures: tuple[Picture, ...] = ()

    @property
    def markup(self) -> Markup:
        """The section inside the page."""
        return element("section", element("h2", self.title), *self.parts, id=self.name)


def gallery(pictures: Sequence[Picture]) -> Markup:
    """Pictures side by side where the page is wide enough."""
    kind = "gallery three" if len(pictures) == 3 else "gallery"
    return element("div", joined([picture.markup for picture in pictures]), class_=kind)
