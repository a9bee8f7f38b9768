"""One category for each item, out of a catalogue's texts: what the codes of a tokenizer are compared with."""

from genrec.data.catalogue import Catalogue

FIELDS = ("categories", "category")
FEWEST, MOST = 5, 200
"""Numbers of different categories that say something of a codebook: fewer are trivial, more are nearly items."""


def item_categories(catalogue: Catalogue) -> list[str] | None:
    """The category of each item on one level of their paths, "" where it is unknown; None where no level will do.

    A path reads "Beauty > Hair Care > Shampoos", the first one of several separated by ";". The level is the most
    specific one on which the items have between 5 and 200 different categories; an item whose path ends before it
    has its last one. A category is the whole path down to the level, so that equal names below different parents stay
    apart.
    """
    texts = next((catalogue.fields[name] for name in FIELDS if name in catalogue.fields), None)
    if texts is None:
        return None
    paths = [[part.strip() for part in text.split(";")[0].split(" > ") if part.strip()] for text in texts]
    for depth in range(max(map(len, paths), default=0), 0, -1):
        categories = [" > ".join(path[:depth]) for path in paths]
        if FEWEST <= len({category for category in categories if category}) <= MOST:
            return categories
    return None


def texts_in(text: str) -> set[str]:
    """A field's text itself and, where it is a list, everything on it.

    Of "Beauty > Hair Care; Gifts" these are the whole, the paths "Beauty > Hair Care" and "Gifts", the beginnings of
    a path, such as "Beauty", and the names "Beauty", "Hair Care" and "Gifts".
    """
    found = {text}
    for path in text.split(";"):
        names = [name.strip() for name in path.split(" > ") if name.strip()]
        found.update(names)
        found.update(" > ".join(names[:depth]) for depth in range(2, len(names) + 1))
    return found
